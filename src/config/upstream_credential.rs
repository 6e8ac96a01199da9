//! The `upstream_credential` section: what the upstream receives in the place of the client's credential.

use std::collections::BTreeSet;

use super::secrets::{Secret, SecretFields};
use super::values;
use crate::access::UpstreamCredential;
use crate::origin::PublicUrl;
use crate::principal::{Role, Team};
use crate::secret::NewSigningKeys;
use crate::yaml::decode::{Kind, Section, field};

#[derive(Clone, Debug)]
pub struct UpstreamCredentials {
    /// For who is signed in, where the access rule doesn't say.
    pub default: Option<UpstreamCredential>,
    /// In their order: of those with the wanted name, the first that is for somebody's role and teams counts.
    pub fixed: Vec<StaticCredential>,
    pub assertion: Option<Assertion>,
}

/// A value of `Authorization` that the upstream knows, and who it is sent for.
#[derive(Clone, Debug)]
pub struct StaticCredential {
    pub name: String,
    pub roles: Vec<Role>,
    pub teams: Vec<Team>,
    pub authorization: Secret,
}

/// How somebody is vouched for.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub issuer: String,
    pub audience: String,
    pub keys: Secret,
    /// Whether it is sent as `Authorization` too.
    pub as_authorization: bool,
}

pub const DOC: &str = "What the upstream receives in the place of the client's own `Authorization`.";

const STATIC: &str = "Credentials that the upstream knows. Of those with the wanted name the first is sent that is for the person's \
                      role and teams; where none is, nothing is.";

const ASSERTION: &str = "A signed JWT that says who it is, in `X-Vestibule-Assertion`. Its keys are published at \
                         `/vestibule/jwks.json`.";

const AUTHORIZATION: SecretFields = SecretFields {
    inline: field("authorization", "The value, if it must stand here.").unset("required, unless `authorization_file` is set"),
    file: field(
        "authorization_file",
        "A file with the value of `Authorization`: with its scheme (`Basic …`), or a token alone, which is sent as `Bearer`. \
         Re-read when it changes.",
    ),
    check: authorization,
};

const KEYS: SecretFields = SecretFields {
    inline: field("keys", "The keys' text, if it must stand here."),
    file: field(
        "keys_file",
        "A file with Ed25519 or P-256 keys in PEM form, as `vestibule assertion-key new` prints them: the first signs, every \
         one is published. Re-read when it changes.",
    ),
    check: |text| NewSigningKeys::parse(text).map(drop).map_err(|error| error.to_string()),
};

impl UpstreamCredentials {
    /// What an access rule may name.
    pub fn names(&self) -> Vec<String> {
        names(&self.fixed, self.assertion.as_ref())
    }
}

pub fn read(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<UpstreamCredentials> {
    let meant = section.not_without_value("default");
    let default = section.optional(
        field(
            "default",
            "For who is signed in, where the access rule doesn't say: `none`, `pass` (what the client sent), `assertion`, or a \
             `name` of `static`.",
        )
        .unset("`none`, and `pass` where the rule doesn't read `authorization`"),
        &CREDENTIAL,
    );
    let (mut before, mut known) = (Vec::new(), Vec::new());
    let fixed = section.sections("static", STATIC, |section| read_static(section, &mut before, &mut known));
    let assertion = section.section("assertion", ASSERTION, |section| read_assertion(section, public_url));
    meant?;
    let judged = judge_default(section, default.as_ref(), &known, assertion.as_ref());
    let read = UpstreamCredentials { default: default?, fixed: fixed?, assertion: assertion? };
    judged.map(|()| read)
}

/// The default against what there is, as far as that could be read: what has a mistake of its own may have been meant.
fn judge_default(
    section: &mut Section<'_>,
    default: Option<&Option<UpstreamCredential>>,
    known: &[String],
    assertion: Option<&Option<Assertion>>,
) -> Option<()> {
    let wrong = match default?.as_ref() {
        Some(UpstreamCredential::Assertion) if matches!(assertion, Some(None)) => {
            "`assertion` needs `upstream_credential.assertion.keys_file`".to_owned()
        }
        // What it says may be a credential, written down in the wrong place.
        Some(UpstreamCredential::Static(name)) if !known.iter().any(|known| **known == **name) => match known {
            [] => "is no `name` of `upstream_credential.static`, which has none".to_owned(),
            known => format!("is no `name` of `upstream_credential.static`: there is {}", known.join(", ")),
        },
        _ => return Some(()),
    };
    section.complain("default", wrong);
    None
}

/// Each once, and `assertion` where it can be signed.
fn names(fixed: &[StaticCredential], assertion: Option<&Assertion>) -> Vec<String> {
    let names: BTreeSet<&str> = fixed.iter().map(|one| one.name.as_str()).collect();
    let assertion = assertion.map(|_| UpstreamCredential::Assertion.as_str());
    names.into_iter().chain(assertion).map(str::to_owned).collect()
}

/// `before`: the names that an earlier entry already sends something for to everybody. `known`: all names.
fn read_static(section: &mut Section<'_>, before: &mut Vec<String>, known: &mut Vec<String>) -> Option<StaticCredential> {
    let meant = ["roles", "teams"].map(|name| section.not_without_value(name));
    let name = section.or_default(field("name", "What `default` and access rules call it."), &NAME, "static");
    known.extend(name.clone().filter(|name| !known.contains(name)));
    let roles = section.list(field("roles", "Only for who has one of these roles.").unset("all"), &ROLE, &[]);
    let teams = section.list(field("teams", "Only for who is in one of these teams.").unset("all"), &TEAM, &[]);
    let authorization = section.secret(&AUTHORIZATION);
    meant.into_iter().collect::<Option<()>>()?;
    let (name, roles, teams) = (name?, roles?, teams?);
    if before.contains(&name) {
        section.complain("name", format!("`{name}` has an entry for everybody before this one, which is never reached"));
        return None;
    }
    let Some(authorization) = authorization? else {
        section.complain("authorization_file", "is required: what the upstream is to receive");
        return None;
    };
    for (list, is_empty) in [("roles", roles.is_empty()), ("teams", teams.is_empty())] {
        if is_empty && section.is_given(list) {
            section.complain(list, "is empty, and so it would be for nobody; leave it out for everybody");
            return None;
        }
    }
    if roles.is_empty() && teams.is_empty() {
        before.push(name.clone());
    }
    Some(StaticCredential { name, roles, teams, authorization })
}

/// `None` inside where no keys are named.
fn read_assertion(section: &mut Section<'_>, public_url: Option<&PublicUrl>) -> Option<Option<Assertion>> {
    let keys = section.secret(&KEYS);
    let audience = section.optional(
        field("audience", "`aud`: whom it is for. The upstream refuses what is for others.").unset("required with `keys_file`"),
        &values::NAME,
    );
    let issuer = section.optional(field("issuer", "`iss`: who says it.").unset("`public_url`"), &values::NAME);
    let as_authorization = section.or_default(
        field("authorization", "Whether it is sent as `Authorization: Bearer` too."),
        &values::BOOLEAN,
        "false",
    );
    let (keys, audience, issuer, as_authorization) = (keys?, audience?, issuer?, as_authorization?);
    let Some(keys) = keys else {
        let idle = ["audience", "issuer", "authorization"].into_iter().find(|name| section.is_given(name));
        return match idle {
            None => Some(None),
            Some(name) => {
                section.complain(name, "means nothing without `keys_file`, which signs it");
                None
            }
        };
    };
    let Some(audience) = audience else {
        section.complain("audience", "is required: whom the assertions are for");
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
        Ok(_) => Err("must not be none, pass or assertion, which mean something else".to_owned()),
        Err(_) => Err("must be 1 to 32 of the letters a-z, digits and -".to_owned()),
    },
};

const ROLE: Kind<Role> = Kind { name: "role", parse: |text| values::name(text).map(Role::new) };

const TEAM: Kind<Team> = Kind { name: "team", parse: |text| values::name(text).map(Team::new) };

/// What a header can carry, and nginx reads.
pub fn authorization(text: &str) -> Result<(), String> {
    const LONGEST: usize = 2048;
    if text.len() > LONGEST {
        return Err(format!("must not be longer than {LONGEST} bytes: gateways read short headers only"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || text.trim() != text {
        return Err("must be one line of visible ASCII characters, as a header carries it".to_owned());
    }
    if ["Bearer", "Basic"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme)) {
        return Err("is a scheme without a credential".to_owned());
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
}
