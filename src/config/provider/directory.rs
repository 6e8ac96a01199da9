//! The `directory` section of a provider: the look-up of groups that do not fit into tokens.

use std::time::Duration;

use url::Url;

use crate::config::secrets::SecretFields;
use crate::config::values;
use crate::oidc::{DirectoryKind, DirectorySettings, EntraCredential, LookupCondition, ProtocolSettings, ServiceAccountKey};
use crate::secret::ConfiguredSecret;
use crate::yaml::decode::{Field, Kind, Section, field};

pub const DOC: &str = "Look-up of the user's groups in the provider's directory, for the source `directory` of the role map.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DirectoryKindName {
    EntraId,
    Google,
    GitHub,
    GitLab,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CredentialName {
    User,
    Client,
}

/// The settings of the provider that a directory depends on.
pub struct ProviderContext<'a> {
    /// `None` if the protocol has mistakes.
    pub protocol: Option<&'a ProtocolSettings>,
    pub scopes: &'a [String],
    pub has_client_secret: bool,
}

/// The fields of all kinds as written. All are read before the kind decides which of them are allowed.
struct RawDirectory {
    kind: DirectoryKindName,
    api_url: Option<Url>,
    when: Option<LookupCondition>,
    credential: Option<CredentialName>,
    token_endpoint: Option<Url>,
    service_account: Option<ConfiguredSecret>,
    subject: Option<String>,
    interval: Duration,
    max_age: Duration,
}

const KIND: Kind<DirectoryKindName> = Kind {
    name: "`entra_id`, `google`, `github` or `gitlab`",
    parse: |text| {
        let choices = [
            ("entra_id", DirectoryKindName::EntraId),
            ("google", DirectoryKindName::Google),
            ("github", DirectoryKindName::GitHub),
            ("gitlab", DirectoryKindName::GitLab),
        ];
        values::choice(text, &choices)
    },
};

const WHEN: Kind<LookupCondition> = Kind {
    name: "`overage` or `always`",
    parse: |text| values::choice(text, &[("overage", LookupCondition::Overage), ("always", LookupCondition::Always)]),
};

const CREDENTIAL: Kind<CredentialName> = Kind {
    name: "`user` or `client`",
    parse: |text| values::choice(text, &[("user", CredentialName::User), ("client", CredentialName::Client)]),
};

/// A shorter time would ask the directory at nearly every sign-in.
const INTERVAL: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(10), Duration::from_secs(30 * 86_400));
        values::duration(text, least, most, "must be from 10s to 30d")
    },
};

const API_URL: Field = field(
    "api_url",
    "Base URL of the API. No request and no token goes to another origin. National clouds: the host of Microsoft Graph; GitHub \
     Enterprise Server: `https://{host}/api/v3`.",
)
.unset("the API of github.com, Google or the worldwide Microsoft cloud; with `gitlab` the issuer's");

const SERVICE_ACCOUNT: SecretFields = SecretFields {
    inline: field("service_account", "With `google`: inline key. Prefer `service_account_file`."),
    file: field(
        "service_account_file",
        "With `google`: file with the JSON key of the service account that reads groups. Read again when it changes.",
    ),
    check: |text| ServiceAccountKey::parse(text).map(drop).map_err(|error| error.to_string()),
};

/// The fields that only some kinds have.
const OF_ONE_KIND: [(&str, DirectoryKindName, &str); 6] = [
    ("when", DirectoryKindName::EntraId, "is only for `kind: entra_id`, whose tokens say that groups are missing; remove it"),
    ("credential", DirectoryKindName::EntraId, "is only for `kind: entra_id`; remove it"),
    ("token_endpoint", DirectoryKindName::EntraId, "is only for `kind: entra_id` with `credential: client`; remove it"),
    ("service_account", DirectoryKindName::Google, "is only for `kind: google`; remove it"),
    ("service_account_file", DirectoryKindName::Google, "is only for `kind: google`; remove it"),
    ("subject", DirectoryKindName::Google, "is only for `kind: google`; remove it"),
];

/// Reads the section. `Some(None)` if it is not set.
pub fn read(section: &mut Section<'_>, context: &ProviderContext<'_>) -> Option<Option<DirectorySettings>> {
    let Some(raw) = RawDirectory::read(section)? else { return Some(None) };
    let foreign = refuse_fields_of_other_kinds(section, raw.kind);
    let scopes = check_scopes(section, raw.kind, context);
    let max_age = check_max_age(section, &raw);
    let protocol = check_protocol(section, raw.kind, context.protocol);
    let api_url = match (&raw.api_url, context.protocol) {
        (Some(url), _) => check_api_url(section, url.clone()),
        (None, protocol) => default_api_url(section, raw.kind, protocol?),
    };
    let kind = raw.directory_kind(section, context);
    foreign.and(scopes).and(max_age).and(protocol)?;
    Some(Some(DirectorySettings { kind: kind?, api_url: api_url?, interval: raw.interval, max_age: raw.max_age }))
}

impl RawDirectory {
    fn read(section: &mut Section<'_>) -> Option<Option<Self>> {
        let kind = section.optional(field("kind", "Kind of the directory.").unset("no look-up"), &KIND);
        let api_url = section.optional(API_URL, &values::ENDPOINT);
        let when = "With `entra_id`: `overage` looks groups up if the id_token says that they do not fit into it, and otherwise \
                    uses the `groups` of the id_token; `always` looks them up at each sign-in.";
        let when = section.optional(field("when", when).unset("`overage`"), &WHEN);
        let credential = "With `entra_id`: `user` uses the access token of the sign-in, `client` one for the client itself.";
        let credential = section.optional(field("credential", credential).unset("`user`"), &CREDENTIAL);
        let token_endpoint = "Token endpoint for `credential: client`, of version 2.0: \
                              `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token`.";
        let token_endpoint =
            section.optional(field("token_endpoint", token_endpoint).unset("required with `client`"), &values::ENDPOINT);
        let service_account = section.secret(&SERVICE_ACCOUNT);
        let subject = "With `google`: address of the administrator on whose behalf the service account acts (domain-wide \
                       delegation).";
        let subject = field("subject", subject).unset("the service account itself, which needs the role Groups Reader");
        let subject = section.optional(subject, &values::NAME);
        let interval = "Age at which groups are looked up again, from 10s to 30d. A sign-in within this time uses the last ones.";
        let interval = section.or_default(field("interval", interval), &INTERVAL, "15m");
        let max_age =
            "Age up to which the last groups count if a look-up fails, from 10s to 30d. Afterwards the source is absent.";
        let max_age = section.or_default(field("max_age", max_age), &INTERVAL, "24h");
        let Some(kind) = kind? else { return check_is_not_set(section) };
        Some(Some(Self {
            kind,
            api_url: api_url?,
            when: when?,
            credential: credential?,
            token_endpoint: token_endpoint?,
            service_account: service_account?,
            subject: subject?,
            interval: interval?,
            max_age: max_age?,
        }))
    }

    fn directory_kind(&self, section: &mut Section<'_>, context: &ProviderContext<'_>) -> Option<DirectoryKind> {
        match self.kind {
            DirectoryKindName::EntraId => {
                let when = self.when.unwrap_or(LookupCondition::Overage);
                Some(DirectoryKind::EntraId { when, credential: self.entra_credential(section, context)? })
            }
            DirectoryKindName::Google => match &self.service_account {
                Some(key) => Some(DirectoryKind::Google { key: key.clone(), subject: self.subject.clone() }),
                None => {
                    section.complain("service_account_file", "is required with `kind: google`");
                    None
                }
            },
            DirectoryKindName::GitHub => Some(DirectoryKind::GitHub),
            DirectoryKindName::GitLab => Some(DirectoryKind::GitLab),
        }
    }

    fn entra_credential(&self, section: &mut Section<'_>, context: &ProviderContext<'_>) -> Option<EntraCredential> {
        match (self.credential, &self.token_endpoint) {
            (Some(CredentialName::Client), Some(endpoint)) if context.has_client_secret => {
                return Some(EntraCredential::Client { token_endpoint: endpoint.clone() });
            }
            (Some(CredentialName::Client), Some(_)) => section.complain("credential", "`client` needs `client_secret_file`"),
            (Some(CredentialName::Client), None) => section.complain("token_endpoint", "is required with `credential: client`"),
            (_, Some(_)) => section.complain("token_endpoint", "requires `credential: client`; remove it"),
            (_, None) => return Some(EntraCredential::User),
        }
        None
    }
}

/// Reports fields without the kind, which would have no effect.
fn check_is_not_set<T>(section: &mut Section<'_>) -> Option<Option<T>> {
    let others = OF_ONE_KIND.iter().map(|(name, ..)| *name).chain(["api_url", "interval", "max_age"]);
    let is_set = others.into_iter().any(|name| section.is_given(name));
    if is_set {
        section.complain("kind", "is required: `entra_id`, `google`, `github` or `gitlab`");
        return None;
    }
    Some(None)
}

fn refuse_fields_of_other_kinds(section: &mut Section<'_>, kind: DirectoryKindName) -> Option<()> {
    let is_foreign = |(name, own, _): &&(&str, DirectoryKindName, &str)| *own != kind && section.is_given(name);
    let foreign: Vec<_> = OF_ONE_KIND.iter().filter(is_foreign).collect();
    for (name, _, text) in &foreign {
        section.complain(name, *text);
    }
    foreign.is_empty().then_some(())
}

/// GitLab issues tokens with exactly the requested scopes. Other providers have tokens without scopes, or add some.
fn check_scopes(section: &mut Section<'_>, kind: DirectoryKindName, context: &ProviderContext<'_>) -> Option<()> {
    let reads_api = context.scopes.iter().any(|scope| scope == "read_api" || scope == "api");
    if kind != DirectoryKindName::GitLab || reads_api {
        return Some(());
    }
    section.complain("kind", "`gitlab` needs the scope `read_api` in the provider's `scopes`");
    None
}

fn check_max_age(section: &mut Section<'_>, raw: &RawDirectory) -> Option<()> {
    if raw.max_age >= raw.interval {
        return Some(());
    }
    section.complain("max_age", "must not be shorter than `interval`");
    None
}

/// Entra ID and Google identify the user by claims of the id_token.
fn check_protocol(section: &mut Section<'_>, kind: DirectoryKindName, protocol: Option<&ProtocolSettings>) -> Option<()> {
    match (kind, protocol) {
        (DirectoryKindName::EntraId | DirectoryKindName::Google, Some(ProtocolSettings::OAuth2(_))) => {
            section.complain("kind", "needs an id_token, which a provider of `kind: oauth2` does not send");
            None
        }
        _ => Some(()),
    }
}

fn check_api_url(section: &mut Section<'_>, url: Url) -> Option<Url> {
    if url.query().is_none() {
        return Some(url);
    }
    section.complain("api_url", "must not have a query (`?…`)");
    None
}

/// Returns the API of the provider. A token must not be sent to another installation than the one that has issued it.
fn default_api_url(section: &mut Section<'_>, kind: DirectoryKindName, protocol: &ProtocolSettings) -> Option<Url> {
    let issued_by = match protocol {
        ProtocolSettings::OpenIdConnect(settings) => Url::parse(&settings.issuer).ok()?,
        ProtocolSettings::OAuth2(settings) => settings.token_endpoint.clone(),
    };
    let is_of = |hosts: &[&str]| issued_by.host_str().is_some_and(|host| hosts.contains(&host));
    let fixed = |url: &str| Some(Url::parse(url).expect("a constant URL"));
    match (kind, protocol) {
        (DirectoryKindName::Google, _) => fixed("https://admin.googleapis.com"),
        (DirectoryKindName::EntraId, _) if is_of(&["login.microsoftonline.com", "sts.windows.net"]) => {
            fixed("https://graph.microsoft.com")
        }
        (DirectoryKindName::GitHub, _) if is_of(&["github.com"]) => fixed("https://api.github.com"),
        (DirectoryKindName::GitLab, ProtocolSettings::OpenIdConnect(_)) => {
            let mut url = issued_by.clone();
            url.set_path(&format!("{}/api/v4", issued_by.path().trim_end_matches('/')));
            Some(url)
        }
        _ => {
            let host = issued_by.host_str().unwrap_or_default();
            section.complain("api_url", format!("is required, because the API that accepts the tokens of {host} is not known"));
            None
        }
    }
}
