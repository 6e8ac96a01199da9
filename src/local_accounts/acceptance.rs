//! Taking an invitation up: a token for who has the link, and the claim that sets the password and signs in, all or nothing.

mod token;

pub use token::OnboardingClaims;

use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{Accounts, Busy, Invitation, Link, Standing, Unfit, attempts, hasher::Lane, password::Password};
use crate::{
    api_keys::{self, KeyParameters, KeysError},
    metrics::LoginOutcome,
    principal::LOCAL,
    session::Logout,
    sign_ins::{Above, Entered, Refused},
    store::{self, Conflict, StoredRecord},
    users::{self, Before, Identity, SignIn, User},
};

const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// What somebody has who opened a link: the invitation as it stands, and a token to take it up with.
pub struct Token {
    pub invitation: Invitation,
    pub token: Zeroizing<String>,
}

/// What is claimed, and by what.
pub struct Claim<'a> {
    pub token: &'a str,
    pub link: &'a str,
    pub user: &'a str,
    pub password: Zeroizing<String>,
    /// Whether a key is wanted too.
    pub key: Option<KeyParameters>,
    pub browser: users::Browser,
}

/// What a claim led to.
pub struct Claimed {
    pub entered: Entered,
    pub email: String,
    pub key: Option<api_keys::KeyWithSecret>,
    /// The value of the cookie by which this browser is known again.
    pub device: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Whoever asks is told no more than this.
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    /// A token for who has a link to an open invitation. Nothing is written, and nothing used up.
    pub async fn onboarding_token(&self, link: &str) -> Result<Token, ClaimError> {
        let opened = self.open(link).await.inspect_err(|why| match why {
            ClaimError::Store(cause) => tracing::error!(error = %cause, "invitation lookup failed"),
            refused => tracing::info!(reason = refused.reason(), error = %refused, "invitation link refused"),
        });
        let StoredRecord { value: invitation, .. } = opened?;
        let now = self.clock.now();
        let expires = invitation.expires.min(now + TOKEN_LIFE);
        let claims = OnboardingClaims {
            iss: self.settings.issuer.clone(),
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
        Ok(Token { invitation, token })
    }

    /// Takes an invitation up: in one commit it is accepted, the password set, and a session begun.
    pub async fn claim(&self, claim: Claim<'_>) -> Result<Claimed, ClaimError> {
        let outcome = self.try_claim(claim).await;
        let counted = match &outcome {
            Ok(_) => LoginOutcome::Success,
            Err(ClaimError::Store(_)) => LoginOutcome::StoreFailed,
            Err(_) => LoginOutcome::Refused,
        };
        self.metrics.login(LOCAL, counted);
        outcome.inspect_err(|why| tracing::warn!(reason = why.reason(), error = %why, "invitation acceptance failed"))
    }

    async fn try_claim(&self, mut claim: Claim<'_>) -> Result<Claimed, ClaimError> {
        if !self.sign_ins.may_begin() {
            return Err(ClaimError::NoRoleMapYet);
        }
        let token = self.verified(claim.token)?;
        // Before anything is hashed.
        let StoredRecord { value: invitation, .. } = self.agreed(&claim, &token).await?;
        self.settings.passwords.judge(&claim.password, &[&invitation.email])?;
        let password = std::mem::take(&mut claim.password);
        let password = self.hasher.place(Lane::Known)?.hash(password, self.clock.now()).await?;
        let sign_in = SignIn {
            identity: invitation.claims(),
            sid: None,
            logout: Logout::default(),
            browser: std::mem::take(&mut claim.browser),
            before: Before::Ends,
        };
        let accepted = store::retry(async || {
            let invitation = self.agreed(&claim, &token).await?;
            self.try_commit(&claim, invitation, &sign_in, &password).await
        });
        let (entered, key) = accepted.await?;
        let device = attempts::device_cookie(self.ring(), &Identity::digest(LOCAL, &sign_in.identity.subject));
        tracing::info!(user = entered.user.id, "invitation accepted");
        Ok(Claimed { entered, email: sign_in.identity.subject, key, device })
    }

    async fn try_commit(
        &self,
        claim: &Claim<'_>,
        StoredRecord { value: mut invitation, version }: StoredRecord<Invitation>,
        sign_in: &SignIn,
        password: &Password,
    ) -> Result<Result<(Entered, Option<api_keys::KeyWithSecret>), Conflict>, ClaimError> {
        let (user, now) = (invitation.user.clone(), self.clock.now());
        self.judge_maker(&invitation).await?;
        // Whom somebody has deleted meanwhile gets their address back by it.
        if !self.users().take_identity(&user, &sign_in.identity).await? {
            return Err(ClaimError::Invalid("the address is another person's by now"));
        }
        let others = Invitation::all_of(&self.records, &user).await?;
        let others = others.into_iter().filter(|id| *id != invitation.id.to_string());
        let (place, password_place) = (Invitation::place(invitation.id), Password::key(&user));
        let before = self.records.get_patiently::<Password>(&password_place).await?;
        let mut draft = match &claim.key {
            Some(wish) => Some(self.keys.draft_for(&user, &invitation.role, wish).await.map_err(ClaimError::key)?),
            None => None,
        };
        invitation.accepted = Some(now);
        let entered = self.sign_ins.try_enter(&user, sign_in, |change, person| {
            let change = change.expect_version(&place, version).put(&place, &invitation, invitation.ttl(now));
            let change = match &before {
                None => change.expect_absent(&password_place),
                Some(before) => change.expect_version(&password_place, before.version),
            };
            let change = change.put(&password_place, password, crate::store::Ttl::Forever);
            // One is enough: whoever has an older link would set another password by it.
            let change = others.fold(change, |change, id| Invitation::remove_from(&id, &user, change));
            match &mut draft {
                Some(draft) => draft.add_to(change, person, now),
                None => change,
            }
        });
        Ok(entered.await?.map(|entered| (entered, draft.map(|draft| self.keys.record_creation(draft)))))
    }

    /// The invitation that a link leads to, while it is open.
    async fn open(&self, link: &str) -> Result<StoredRecord<Invitation>, ClaimError> {
        let link = Link::parse(link).ok_or(ClaimError::Invalid("the link is none of ours"))?;
        let found = self.read(link.id).await?.ok_or(ClaimError::Invalid("there is no such invitation"))?;
        if !found.value.opens_by(&link) {
            return Err(ClaimError::Invalid("the link's secret is wrong"));
        }
        match found.value.standing(self.clock.now()) {
            Standing::Open => Ok(found),
            Standing::Accepted => Err(ClaimError::Invalid("the invitation was taken up before")),
            Standing::Expired => Err(ClaimError::Invalid("the invitation has expired")),
        }
    }

    fn verified(&self, token: &str) -> Result<OnboardingClaims, ClaimError> {
        let claims = OnboardingClaims::verify(self.ring(), &self.audience(), token);
        let claims = claims.filter(|claims| claims.iss == self.settings.issuer);
        let claims = claims.ok_or(ClaimError::Invalid("the token is no onboarding token of ours"))?;
        let alive = Timestamp::from_second(claims.exp).is_ok_and(|expires| expires > self.clock.now());
        if alive { Ok(claims) } else { Err(ClaimError::Invalid("the token has expired")) }
    }

    /// The open invitation, if link, token and user are all about the same.
    async fn agreed(&self, claim: &Claim<'_>, token: &OnboardingClaims) -> Result<StoredRecord<Invitation>, ClaimError> {
        let found = self.open(claim.link).await?;
        let Invitation { id, user, .. } = &found.value;
        let agree = token.invitation_id == id.to_string() && token.sub == *user && claim.user == user;
        if agree { Ok(found) } else { Err(ClaimError::Invalid("token, invitation and user do not agree")) }
    }

    /// Whoever made the invitation has to be somebody still who could make it now.
    async fn judge_maker(&self, invitation: &Invitation) -> Result<(), ClaimError> {
        let Some(by) = &invitation.by else { return Ok(()) };
        let (maker, person) = tokio::join!(self.users().get(by), self.users().get(&invitation.user));
        let role_of = |user: &User| self.sign_ins.grant(user).role;
        let maker = maker?.filter(|maker| !maker.value.disabled).and_then(|maker| role_of(&maker.value));
        let maker = maker.filter(|role| self.settings.admin_roles.contains(role));
        let maker = maker.ok_or(ClaimError::Invalid("who made the invitation is no administrator any more"))?;
        let person = person?.and_then(|person| role_of(&person.value));
        let mut roles = person.iter().chain([&invitation.role]);
        if roles.any(|role| self.sign_ins.is_above(role, &maker) != Above::No) {
            return Err(ClaimError::Invalid("the person, or the role, is above who made the invitation by now"));
        }
        Ok(())
    }

    fn audience(&self) -> String {
        format!("{}/onboarding", self.settings.issuer)
    }
}

impl ClaimError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invitation_invalid",
            Self::Unfit(unfit) => unfit.reason(),
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

impl From<Busy> for ClaimError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Refused> for ClaimError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => Self::Store(error),
            Refused::Disabled => Self::Invalid("the person is disabled"),
            Refused::NoRole | Refused::MissingSource(_) => Self::Invalid("the role map grants the person no role"),
        }
    }
}
