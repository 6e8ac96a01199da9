//! The `upstream_credential` section: the credential that the upstream receives instead of the client's.

use std::collections::BTreeSet;

use super::secrets::SecretFields;
use super::values;
use crate::access::{CredentialHeader, UpstreamCredential};
use crate::origin::PublicUrl;
use crate::principal::{Role, Team};
use crate::secret::ConfiguredSecret;
use crate::secret::NewSigningKeys;
use crate::yaml::decode::{Kind, Section, field};

#[derive(Clone, Debug)]
pub struct UpstreamCredentials {
    /// The credential for authenticated requests if the access rule names none.
    pub default: Option<UpstreamCredential>,
    /// In the configured order. Of the entries with the selected name, the first that matches the user's role and teams is
    /// used.
    pub fixed: Vec<StaticCredential>,
    pub assertion: Option<Assertion>,
}

/// A static upstream credential, with the roles and teams that it is sent for.
#[derive(Clone, Debug)]
pub struct StaticCredential {
    pub name: String,
    pub roles: Vec<Role>,
    pub teams: Vec<Team>,
    pub header: CredentialHeader,
    pub form: CredentialForm,
    pub value: ConfiguredSecret,
}

/// The form in which a static credential is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialForm {
    /// `authorization`: a value of `Authorization`, or a token, to which the scheme `Bearer` is added.
    Authorization,
    /// `value`: the header's value as it is sent.
    Verbatim,
}

/// Settings of identity assertions.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub issuer: String,
    pub audience: String,
    pub keys: ConfiguredSecret,
    /// True if the assertion is also sent as `Authorization`.
    pub as_authorization: bool,
}

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
    check: authorization,
};

const VALUE: SecretFields = SecretFields {
    inline: field("value", "Inline value of `header`. Prefer `value_file`."),
    file: field(
        "value_file",
        "File with the value of `header`, which is sent as it is. Read again when it changes. Required with `header`, unless \
         `value` is set.",
    ),
    check: header_value,
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

impl UpstreamCredentials {
    /// Returns the names that access rules may refer to.
    pub fn names(&self) -> Vec<String> {
        names(&self.fixed, self.assertion.as_ref())
    }
}

pub fn read(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<UpstreamCredentials> {
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
    let fixed = section.sections("static", STATIC, |section| read_static(section, &mut unrestricted, &mut known));
    let assertion = section.section("assertion", ASSERTION, |section| read_assertion(section, public_url));
    has_value?;
    let checked = check_default(section, default.as_ref(), &known, assertion.as_ref());
    let read = UpstreamCredentials { default: default?, fixed: fixed?, assertion: assertion? };
    checked.map(|()| read)
}

/// Checks the default against the configured credentials. A credential with a mistake is assumed to exist.
fn check_default(
    section: &mut Section<'_>,
    default: Option<&Option<UpstreamCredential>>,
    known: &[String],
    assertion: Option<&Option<Assertion>>,
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

/// Returns each name once, and `assertion` if it is configured.
fn names(fixed: &[StaticCredential], assertion: Option<&Assertion>) -> Vec<String> {
    let names: BTreeSet<&str> = fixed.iter().map(|one| one.name.as_str()).collect();
    let assertion = assertion.map(|_| UpstreamCredential::Assertion.as_str());
    names.into_iter().chain(assertion).map(str::to_owned).collect()
}

/// Reads one entry. `unrestricted` has the names of earlier entries without restrictions, `known` all names.
fn read_static(section: &mut Section<'_>, unrestricted: &mut Vec<String>, known: &mut Vec<String>) -> Option<StaticCredential> {
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
    Some(StaticCredential { name, roles, teams, header, form, value })
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

impl CredentialForm {
    /// Returns the value of the header.
    pub fn header_value(self, text: &str) -> String {
        match self {
            // A token that has no scheme.
            Self::Authorization if !text.contains(' ') => format!("Bearer {text}"),
            Self::Authorization | Self::Verbatim => text.to_owned(),
        }
    }

    /// Validates the text of a secret.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Authorization => authorization(text),
            Self::Verbatim => header_value(text),
        }
    }
}

/// Returns `Some(None)` if no keys are configured.
fn read_assertion(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<Option<Assertion>> {
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
    Some(Some(Assertion { issuer, audience, keys, as_authorization }))
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

/// Validates a value of `Authorization`.
fn authorization(text: &str) -> Result<(), String> {
    header_value(text)?;
    if ["Bearer", "Basic"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme)) {
        return Err("is a scheme without a credential".to_owned());
    }
    Ok(())
}

/// Validates a header value, within the length that gateways such as nginx accept.
fn header_value(text: &str) -> Result<(), String> {
    const MAX_LENGTH: usize = 2048;
    if text.len() > MAX_LENGTH {
        return Err(format!("must not be longer than {MAX_LENGTH} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || text.trim() != text {
        return Err("must be one line of visible ASCII characters, as a header carries it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("sk-1", true)]
    #[case("bearer", false)]
    #[case("Bearer sk-1", true)]
    #[case("Basic YTpi", true)]
    #[case("", true)]
    #[case("sk-1\nX-Role: admin", false)]
    #[case(" sk-1", false)]
    #[case("sk-1 ", false)]
    #[case("sk-\u{e9}", false)]
    #[case("sk-\t1", false)]
    fn a_value_fits_a_header(#[case] text: &str, #[case] good: bool) {
        assert_eq!(authorization(text).is_ok(), good);
        assert!(authorization(&"a".repeat(2049)).is_err());
    }

    #[test]
    fn only_a_token_for_authorization_gets_a_scheme() {
        for (form, text, expected) in [
            (CredentialForm::Authorization, "sk-1", "Bearer sk-1"),
            (CredentialForm::Authorization, "Basic YTpi", "Basic YTpi"),
            (CredentialForm::Verbatim, "sk-1", "sk-1"),
            (CredentialForm::Verbatim, "Bearer sk-1", "Bearer sk-1"),
        ] {
            assert_eq!((form.check(text), form.header_value(text)), (Ok(()), expected.to_owned()));
        }
        assert!(CredentialForm::Verbatim.check("a\nb").is_err());
    }
}
