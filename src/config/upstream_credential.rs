//! The `upstream_credential` section: the credential that the upstream receives instead of the client's.

use super::secrets::SecretFields;
use super::values;
use crate::access::{CredentialHeader, UpstreamCredential};
use crate::origin::PublicUrl;
use crate::principal::{Role, Team};
use crate::secret::ConfiguredSecret;
use crate::secret::NewSigningKeys;
use crate::upstream::{AssertionSettings, CredentialForm, StaticCredentialSettings, UpstreamCredentialSettings};
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "Credential that the upstream receives instead of the client's.";

const STATIC: &str = "Static upstream credentials. Of the entries with the selected name, the first that matches the user's role \
                      and teams is sent. If none matches, no credential is sent.";

const ASSERTION: &str = "Identity assertion: a signed JWT that identifies the user, in the header `X-Vestibule-Assertion`. Its \
                         public keys are published at `/vestibule/jwks.json`.";

const AUTHORIZATION: SecretFields = SecretFields {
    inline: field("authorization", "Inline value. Prefer `authorization_file`.")
        .unset("required, unless `authorization_file`, or `header` with a value, is set"),
    file: field(
        "authorization_file",
        "File with the value of `Authorization`: with its scheme (`Basic …`), or only a token, which is sent as `Bearer`. \
         Read again when it changes.",
    ),
    check: |text| CredentialForm::Authorization.check(text),
};

const VALUE: SecretFields = SecretFields {
    inline: field("value", "Inline value of `header`. Prefer `value_file`."),
    file: field(
        "value_file",
        "File with the value of `header`, which is sent as it is. Read again when it changes. Required with `header`, unless \
         `value` is set.",
    ),
    check: |text| CredentialForm::Verbatim.check(text),
};

const HEADER: Kind<CredentialHeader> =
    Kind { name: "header name", parse: |text| CredentialHeader::parse(text).map_err(|error| error.to_string()) };

const KEYS: SecretFields = SecretFields {
    inline: field("keys", "Inline signing keys. Prefer `keys_file`."),
    file: field(
        "keys_file",
        "File with Ed25519 or P-256 keys in PEM format, as `vestibule assertion-key new` prints them. The first key signs; all \
         keys are published. Read again when it changes.",
    ),
    check: |text| NewSigningKeys::parse(text).map(drop).map_err(|error| error.to_string()),
};

pub fn read(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<UpstreamCredentialSettings> {
    let has_value = section.not_without_value("default");
    let default = section.optional(
        field(
            "default",
            "Credential for authenticated requests if the access rule names none: `none`, `pass` (the client's own header), \
             `assertion`, or a `name` in `static`.",
        )
        .unset("`none`; `pass` if the access rule does not read `authorization`"),
        &CREDENTIAL,
    );
    let (mut unrestricted, mut known) = (Vec::new(), Vec::new());
    let static_credentials = section.sections("static", STATIC, |section| read_static(section, &mut unrestricted, &mut known));
    let assertion = section.section("assertion", ASSERTION, |section| read_assertion(section, public_url));
    has_value?;
    let checked = check_default(section, default.as_ref(), &known, assertion.as_ref());
    let read = UpstreamCredentialSettings { default: default?, static_credentials: static_credentials?, assertion: assertion? };
    checked.map(|()| read)
}

/// Checks the default against the configured credentials. A credential with a mistake is assumed to exist.
fn check_default(
    section: &mut Section<'_>,
    default: Option<&Option<UpstreamCredential>>,
    known: &[String],
    assertion: Option<&Option<AssertionSettings>>,
) -> Option<()> {
    let text = match default?.as_ref() {
        Some(UpstreamCredential::Assertion) if matches!(assertion, Some(None)) => {
            "`assertion` needs `upstream_credential.assertion.keys_file`".to_owned()
        }
        // The value is not repeated, since it may be a secret in the wrong place.
        Some(UpstreamCredential::Static(name)) if !known.iter().any(|known| **known == **name) => match known {
            [] => "is not a `name` in `upstream_credential.static`, which is empty".to_owned(),
            known => format!("is not a `name` in `upstream_credential.static`; known names: {}", known.join(", ")),
        },
        _ => return Some(()),
    };
    section.complain("default", text);
    None
}

/// Reads one entry. `unrestricted` has the names of earlier entries without restrictions, `known` all names.
fn read_static(
    section: &mut Section<'_>,
    unrestricted: &mut Vec<String>,
    known: &mut Vec<String>,
) -> Option<StaticCredentialSettings> {
    let values = ["roles", "teams"].map(|name| section.not_without_value(name));
    let name = section.or_default(field("name", "Name for `default` and access rules."), &NAME, "static");
    known.extend(name.clone().filter(|name| !known.contains(name)));
    let roles = section.list(field("roles", "Roles of the users that the entry matches.").unset("all"), &ROLE, &[]);
    let teams = section.list(field("teams", "Teams of the users that the entry matches.").unset("all"), &TEAM, &[]);
    let credential = read_credential(section);
    values.into_iter().collect::<Option<()>>()?;
    let (name, roles, teams) = (name?, roles?, teams?);
    if unrestricted.contains(&name) {
        section.complain(
            "name",
            format!("`{name}` already has an entry without restrictions, so that this entry would never be used"),
        );
        return None;
    }
    let (header, form, value) = credential?;
    for (list, is_empty) in [("roles", roles.is_empty()), ("teams", teams.is_empty())] {
        if is_empty && section.is_given(list) {
            section.complain(list, "is empty, so that no user would match; remove it to match all users");
            return None;
        }
    }
    if roles.is_empty() && teams.is_empty() {
        unrestricted.push(name.clone());
    }
    Some(StaticCredentialSettings { name, roles, teams, header, form, value })
}

/// Reads either a value of `Authorization`, or another header and its value.
fn read_credential(section: &mut Section<'_>) -> Option<(CredentialHeader, CredentialForm, ConfiguredSecret)> {
    let has_header = section.not_without_value("header");
    let header = section.optional(
        field(
            "header",
            "Header in which the upstream reads the credential, such as `x-litellm-api-key`. Requires `value_file` or `value`.",
        )
        .unset("`authorization`"),
        &HEADER,
    );
    let authorization = section.secret(&AUTHORIZATION);
    let value = section.secret(&VALUE);
    has_header?;
    let (field, text) = match (authorization?, header?, value?) {
        (Some(value), None, None) => return Some((CredentialHeader::authorization(), CredentialForm::Authorization, value)),
        (None, Some(header), Some(value)) => return Some((header, CredentialForm::Verbatim, value)),
        (None, None, None) => ("authorization_file", "is required: the credential that the upstream receives"),
        (None, Some(_), None) => ("value_file", "is required with `header`: the credential that the upstream receives"),
        (None, None, Some(_)) => {
            ("header", "is required with `value_file`: the header in which the upstream reads the credential")
        }
        (Some(_), Some(_), _) => {
            ("header", "can't be combined with `authorization_file`; write the header's value to `value_file`")
        }
        (Some(_), None, Some(_)) => ("value_file", "can't be combined with `authorization_file`; keep one of them"),
    };
    section.complain(field, text);
    None
}

/// Returns `Some(None)` if no keys are configured.
fn read_assertion(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<Option<AssertionSettings>> {
    let keys = section.secret(&KEYS);
    let audience = section.optional(
        field("audience", "Claim `aud`, which the upstream must verify.").unset("required with `keys_file`"),
        &values::NAME,
    );
    let issuer = section.optional(field("issuer", "Claim `iss`.").unset("`public_url`"), &values::NAME);
    let as_authorization = section.or_default(
        field("authorization", "Also sends the assertion as `Authorization: Bearer`."),
        &values::BOOLEAN,
        "false",
    );
    let (keys, audience, issuer, as_authorization) = (keys?, audience?, issuer?, as_authorization?);
    let Some(keys) = keys else {
        let unused = ["audience", "issuer", "authorization"].into_iter().find(|name| section.is_given(name));
        return match unused {
            None => Some(None),
            Some(name) => {
                section.complain(name, "has no effect without `keys_file`");
                None
            }
        };
    };
    let Some(audience) = audience else {
        section.complain("audience", "is required: the audience of the assertions");
        return None;
    };
    let issuer = issuer.or_else(|| Some(public_url?.to_string()))?;
    Some(Some(AssertionSettings { issuer, audience, keys, as_authorization }))
}

const CREDENTIAL: Kind<UpstreamCredential> =
    Kind { name: "name", parse: |text| UpstreamCredential::parse(text).map_err(|error| error.to_string()) };

const NAME: Kind<String> = Kind {
    name: "name",
    parse: |text| match UpstreamCredential::parse(text) {
        Ok(UpstreamCredential::Static(name)) => Ok(name.into()),
        Ok(_) => Err("must not be none, pass or assertion, which are reserved".to_owned()),
        Err(_) => Err("must be 1 to 32 of the letters a-z, digits and -".to_owned()),
    },
};

const ROLE: Kind<Role> = Kind { name: "role", parse: |text| values::name(text).map(Role::new) };

const TEAM: Kind<Team> = Kind { name: "team", parse: |text| values::name(text).map(Team::new) };
