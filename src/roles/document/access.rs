//! `access`: what each path needs.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::mistakes::{Mistakes, What, line};
use super::{RoleList, said};
use crate::access::{Allow, HostPattern, Method, PathPattern, Place, Places, Rule, UpstreamCredential};
use crate::principal::CredentialKind;
use crate::roles::Origin;
use crate::roles::teams::fits_a_list;

type Texts = Option<Spanned<Vec<Spanned<String>>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccessRule {
    #[serde(default, deserialize_with = "said")]
    hosts: Texts,
    #[serde(default, deserialize_with = "said")]
    paths: Texts,
    #[serde(default, deserialize_with = "said")]
    methods: Texts,
    #[serde(default, deserialize_with = "said")]
    allow: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "said")]
    roles: Texts,
    #[serde(default, deserialize_with = "said")]
    teams: Texts,
    #[serde(default, deserialize_with = "said")]
    credentials: Texts,
    #[serde(default, deserialize_with = "said")]
    read: Texts,
    #[serde(default, deserialize_with = "said")]
    upstream_credential: Option<Spanned<String>>,
}

const KINDS: &str = "session, key or token";
const PLACES: &str = "authorization, x-api-key, x-litellm-api-key, api-key, x-goog-api-key or session";

pub(super) fn compile(raw: RawAccessRule, origin: &Origin, roles: &RoleList, mistakes: &mut Mistakes) -> Option<Rule> {
    let allow = compile_allow(&raw, origin, mistakes);
    let upstream_credential = compile_upstream_credential(&raw, allow, origin, mistakes);
    let mut fields = Fields { origin, mistakes };
    Some(Rule {
        hosts: fields.each("hosts", &raw.hosts, |text| Ok(HostPattern::parse(text)?)),
        paths: fields.each("paths", &raw.paths, |text| Ok(PathPattern::parse(text)?)),
        methods: fields.each("methods", &raw.methods, |text| Ok(Method::parse(text)?)),
        roles: fields.each("roles", &raw.roles, |text| roles.find(text)),
        teams: fields.each("teams", &raw.teams, team),
        credentials: fields.each("credentials", &raw.credentials, |text| choice(CredentialKind::parse(text), KINDS, text)),
        read: match &raw.read {
            None => Places::ALL,
            read => fields.each("read", read, |text| choice(Place::parse(text), PLACES, text)).into_iter().collect(),
        },
        name: origin.name.clone(),
        line: origin.line,
        allow: allow?,
        upstream_credential,
    })
}

/// Who may pass; what is required beyond that has no meaning where everybody or nobody may.
fn compile_allow(raw: &RawAccessRule, origin: &Origin, mistakes: &mut Mistakes) -> Option<Allow> {
    let Some(said) = &raw.allow else { return Some(Allow::SignedIn) };
    let allow = choice(Allow::parse(&said.value), "anyone, signed_in or nobody", &said.value);
    let allow = mistakes.judge(allow, format!("{}.allow", origin.name), line(said))?;
    if allow != Allow::SignedIn {
        let idle = [("roles", &raw.roles), ("teams", &raw.teams), ("credentials", &raw.credentials), ("read", &raw.read)];
        for (field, list) in idle.into_iter().filter_map(|(field, list)| Some((field, list.as_ref()?))) {
            mistakes.add(format!("{}.{field}", origin.name), line(list), What::BesideAllow(allow.as_str()));
        }
    }
    Some(allow)
}

/// Whether it is configured is for [`super::check`] to say, since the document alone can't.
fn compile_upstream_credential(
    raw: &RawAccessRule,
    allow: Option<Allow>,
    origin: &Origin,
    mistakes: &mut Mistakes,
) -> Option<UpstreamCredential> {
    let said = raw.upstream_credential.as_ref()?;
    let field = format!("{}.upstream_credential", origin.name);
    let credential = mistakes.judge(UpstreamCredential::parse(&said.value), field.as_str(), line(said))?;
    match (allow, &credential) {
        (Some(Allow::Nobody), _) => mistakes.add(field, line(said), What::BesideAllow(Allow::Nobody.as_str())),
        (Some(Allow::Anyone), UpstreamCredential::Assertion) => mistakes.add(field, line(said), What::AssertsNobody),
        _ => {}
    }
    Some(credential)
}

/// Nobody is ever in a team of another name.
fn team(name: &str) -> Result<Box<str>, What> {
    if fits_a_list(name) { Ok(name.into()) } else { Err(What::TeamName(name.to_owned())) }
}

fn choice<T>(found: Option<T>, expected: &'static str, text: &str) -> Result<T, What> {
    found.ok_or_else(|| What::Choice { expected, found: text.to_owned() })
}

/// The lists of one rule.
struct Fields<'a> {
    origin: &'a Origin,
    mistakes: &'a mut Mistakes,
}

impl Fields<'_> {
    fn each<T>(&mut self, field: &str, texts: &Texts, parse: impl Fn(&str) -> Result<T, What>) -> Vec<T> {
        let Some(texts) = texts else { return Vec::new() };
        let name = format!("{}.{field}", self.origin.name);
        if texts.value.is_empty() {
            self.mistakes.add(&name, line(texts), What::EmptyList);
        }
        let numbered = texts.value.iter().enumerate();
        let judged =
            numbered.filter_map(|(index, text)| self.mistakes.judge(parse(&text.value), format!("{name}[{index}]"), line(text)));
        judged.collect()
    }
}
