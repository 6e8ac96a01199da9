//! Accepts invitations: exchanges the link for an onboarding token, then sets the password and opens a session in one commit.

mod token;

pub use token::OnboardingClaims;

use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    Accounts, Invitation, InvitationStatus, Link, PasswordRejection, QueueFullError, attempts, hasher::QueueKind,
    invitations::expect_user, password::Password,
};
use crate::{
    api_keys::{self, KeyParameters, KeysError},
    metrics::LoginOutcome,
    principal::{IdentityClaims, LOCAL},
    store::{self, Conflict, StoredRecord, Version},
    users::{self, CompletedLogin, Identity, LoginRefusal, Logout, PriorAccess, VerifiedLogin},
};

const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// An open invitation, and the token to accept it with.
pub struct OnboardingToken {
    pub invitation: Invitation,
    pub token: Zeroizing<String>,
}

/// A request to accept an invitation.
pub struct AcceptanceRequest<'a> {
    pub token: &'a str,
    pub link: &'a str,
    pub user: &'a str,
    pub password: Zeroizing<String>,
    /// The parameters of a key to create too.
    pub key: Option<KeyParameters>,
    pub browser: users::Browser,
}

/// An accepted invitation.
pub struct Acceptance {
    pub login: CompletedLogin,
    pub email: String,
    pub key: Option<api_keys::KeyWithSecret>,
    /// The value of the device cookie, which identifies a known browser.
    pub device: String,
}

/// The version of the invited user's record that the rights of the invitation's creator were checked against.
enum InvitedUser {
    Checked(Option<Version>),
    /// The operator may invite everyone.
    ByOperator,
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptanceError {
    /// The answer contains no further detail.
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Password(#[from] PasswordRejection),
    #[error(transparent)]
    Key(KeysError),
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Accounts {
    /// Creates a token for the link of an open invitation, without a change in the store.
    pub async fn onboarding_token(&self, link: &str) -> Result<OnboardingToken, AcceptanceError> {
        let opened = self.open(link).await.inspect_err(|error| match error {
            AcceptanceError::Store(cause) => tracing::error!(error = %cause, suppressed = tracing::field::Empty, "invitation lookup failed"),
            refused => tracing::info!(reason = refused.reason(), error = %refused, suppressed = tracing::field::Empty, "invitation link refused"),
        });
        let StoredRecord { value: invitation, .. } = opened?;
        let now = self.clock.now();
        let expires = invitation.expires.min(now + TOKEN_LIFE);
        let claims = OnboardingClaims {
            iss: self.issuer.clone(),
            aud: self.audience(),
            sub: invitation.user.clone(),
            iat: now.as_second(),
            exp: expires.as_second(),
            token_type: OnboardingClaims::token_type(),
            invitation_id: invitation.id.to_string(),
            user_id: invitation.user.clone(),
            user_email: invitation.email.clone(),
        };
        let token = Zeroizing::new(claims.sign(self.ring()));
        Ok(OnboardingToken { invitation, token })
    }

    /// Accepts an invitation: sets the password and opens a session, in one commit.
    pub async fn accept(&self, request: AcceptanceRequest<'_>) -> Result<Acceptance, AcceptanceError> {
        let outcome = self.try_accept(request).await;
        let counted = match &outcome {
            Ok(_) => LoginOutcome::Success,
            Err(AcceptanceError::Store(_)) => LoginOutcome::StoreFailed,
            Err(_) => LoginOutcome::Refused,
        };
        self.metrics.login(LOCAL, counted);
        outcome.inspect_err(|error| {
            tracing::warn!(reason = error.reason(), %error, suppressed = tracing::field::Empty, "invitation acceptance failed");
        })
    }

    async fn try_accept(&self, mut request: AcceptanceRequest<'_>) -> Result<Acceptance, AcceptanceError> {
        if !self.users.has_role_map() {
            return Err(AcceptanceError::NoRoleMapYet);
        }
        let token = self.verify_token(request.token)?;
        // Before the password is hashed, which is expensive.
        let StoredRecord { value: invitation, .. } = self.find_agreed(&request, &token).await?;
        let password = self.settings.passwords.check(&request.password, &[&invitation.email])?;
        let password = self.hasher.reserve_place(QueueKind::KnownBrowser)?.hash(password.into_text(), self.clock.now()).await?;
        let sign_in = VerifiedLogin {
            identity: invitation.claims(),
            provider_session: None,
            logout: Logout::default(),
            authenticated_at: Some(self.clock.now()),
            browser: std::mem::take(&mut request.browser),
            prior_access: PriorAccess::Revoke,
        };
        let accepted = store::retry(async || {
            let invitation = self.find_agreed(&request, &token).await?;
            self.try_commit(&request, invitation, &sign_in, &password).await
        });
        let (entered, key) = accepted.await?;
        let device = attempts::device_cookie(self.ring(), &Identity::digest(LOCAL, &sign_in.identity.subject));
        tracing::info!(user = entered.user.id, "invitation accepted");
        Ok(Acceptance { login: entered, email: sign_in.identity.subject, key, device })
    }

    async fn try_commit(
        &self,
        request: &AcceptanceRequest<'_>,
        StoredRecord { value: mut invitation, version }: StoredRecord<Invitation>,
        sign_in: &VerifiedLogin,
        password: &Password,
    ) -> Result<Result<(CompletedLogin, Option<api_keys::KeyWithSecret>), Conflict>, AcceptanceError> {
        let (user, now) = (invitation.user.clone(), self.clock.now());
        let invited = self.check_creator(&invitation, &sign_in.identity).await?;
        // A user who was deleted in the meantime gets the address back.
        if !self.users.assign_identity(&user, &sign_in.identity).await? {
            return Err(AcceptanceError::Invalid("the address now belongs to another user"));
        }
        let others = Invitation::list_ids(&self.records, &user).await?;
        let others = others.into_iter().filter(|id| *id != invitation.id.to_string());
        let (invitation_key, password_key) = (Invitation::key(invitation.id), Password::key(&user));
        let before = self.records.get_patiently::<Password>(&password_key).await?;
        let mut draft = match &request.key {
            Some(wish) => Some(self.keys.draft_for(&user, &invitation.role, wish).await.map_err(AcceptanceError::key)?),
            None => None,
        };
        invitation.accepted = Some(now);
        let entered = self.users.try_complete_login(&user, sign_in, |change, owner| {
            // The creator's right depends on the role of the user in this record.
            let change = match &invited {
                InvitedUser::Checked(version) => expect_user(change, &user, *version),
                InvitedUser::ByOperator => change,
            };
            let change = change.expect_version(&invitation_key, version).put(&invitation_key, &invitation, invitation.ttl(now));
            let change = match &before {
                None => change.expect_absent(&password_key),
                Some(before) => change.expect_version(&password_key, before.version),
            };
            let change = change.put(&password_key, password, crate::store::Ttl::Forever);
            // Older links could otherwise set another password.
            let change = others.fold(change, |change, id| Invitation::remove_from(&id, &user, change));
            match &mut draft {
                Some(draft) => draft.add_to(change, owner, now),
                None => change,
            }
        });
        Ok(entered.await?.map(|entered| (entered, draft.map(|draft| self.keys.record_creation(draft)))))
    }

    /// Returns the open invitation of a link.
    async fn open(&self, link: &str) -> Result<StoredRecord<Invitation>, AcceptanceError> {
        let link = Link::parse(link).ok_or(AcceptanceError::Invalid("the link is malformed"))?;
        let found = self.read(link.id).await?.ok_or(AcceptanceError::Invalid("there is no such invitation"))?;
        if !found.value.is_opened_by(&link) {
            return Err(AcceptanceError::Invalid("the link's secret is wrong"));
        }
        match found.value.status(self.clock.now()) {
            InvitationStatus::Open => Ok(found),
            InvitationStatus::Accepted => Err(AcceptanceError::Invalid("the invitation was already accepted")),
            InvitationStatus::Expired => Err(AcceptanceError::Invalid("the invitation has expired")),
        }
    }

    fn verify_token(&self, token: &str) -> Result<OnboardingClaims, AcceptanceError> {
        let claims = OnboardingClaims::verify(self.ring(), &self.audience(), token);
        let claims = claims.filter(|claims| claims.iss == self.issuer);
        let claims = claims.ok_or(AcceptanceError::Invalid("the token is not an onboarding token of this deployment"))?;
        let alive = Timestamp::from_second(claims.exp).is_ok_and(|expires| expires > self.clock.now());
        if alive { Ok(claims) } else { Err(AcceptanceError::Invalid("the token has expired")) }
    }

    /// Returns the open invitation if link, token and user belong together.
    async fn find_agreed(
        &self,
        request: &AcceptanceRequest<'_>,
        token: &OnboardingClaims,
    ) -> Result<StoredRecord<Invitation>, AcceptanceError> {
        let found = self.open(request.link).await?;
        let Invitation { id, user, .. } = &found.value;
        let agree = token.invitation_id == id.to_string() && token.sub == *user && request.user == user;
        if agree { Ok(found) } else { Err(AcceptanceError::Invalid("token, invitation and user do not agree")) }
    }

    /// Checks that the creator of the invitation could still create it. Returns the version of the invited user's record.
    async fn check_creator(&self, invitation: &Invitation, account: &IdentityClaims) -> Result<InvitedUser, AcceptanceError> {
        let Some(by) = &invitation.by else { return Ok(InvitedUser::ByOperator) };
        let (creator, invited) = tokio::join!(self.users.get(by), self.users.get(&invitation.user));
        let creator = creator?.filter(|creator| !creator.value.is_disabled());
        let role = creator.and_then(|creator| self.users.grant(&creator.value).role);
        let role = match &invitation.by_role {
            Some(then) => role.and_then(|now| self.policy.lower_role(&now, then)),
            None => role,
        };
        let creator = self.policy.administrator(by, role.as_ref());
        let creator = creator.ok_or(AcceptanceError::Invalid("the creator of the invitation is no longer an administrator"))?;
        let invited = invited?;
        let account = self.authorize_account(creator, invited.as_ref().map(|invited| &invited.value), account).await?;
        match account.and_then(|()| self.policy.authorize_role(creator, &invitation.role)) {
            Ok(()) => Ok(InvitedUser::Checked(invited.map(|invited| invited.version))),
            Err(_) => Err(AcceptanceError::Invalid(
                "the role of the user, of the invitation or of another user with the address is now above the creator's",
            )),
        }
    }

    fn audience(&self) -> String {
        format!("{}/onboarding", self.issuer)
    }
}

impl AcceptanceError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invitation_invalid",
            Self::Password(rejection) => rejection.reason(),
            Self::Key(error) => error.reason(),
            Self::Busy => "password_checks_busy",
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::Store(error) => error.reason(),
        }
    }

    fn key(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => error.into(),
            error => Self::Key(error),
        }
    }
}

impl From<QueueFullError> for AcceptanceError {
    fn from(_: QueueFullError) -> Self {
        Self::Busy
    }
}

impl From<LoginRefusal> for AcceptanceError {
    fn from(refused: LoginRefusal) -> Self {
        match refused {
            LoginRefusal::Store(error) => Self::Store(error),
            LoginRefusal::Disabled => Self::Invalid("the user is disabled"),
            LoginRefusal::UserClaimTaken { .. } => Self::Invalid("a claim of the identity belongs to another user"),
            LoginRefusal::EndedAtProvider => Self::Invalid("the provider ended its session"),
            LoginRefusal::NoRole | LoginRefusal::MissingSource(_) => Self::Invalid("the role map grants the user no role"),
        }
    }
}
