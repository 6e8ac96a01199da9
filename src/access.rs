//! Access rules: which rule selects a request, and what it asks of who sends it.
//!
//! An upstream may read a path otherwise than we do. So a request is judged for every reading of its
//! path, and every rule that one of them selects has to allow it.

mod index;
mod path_set;
mod pattern;
mod place;
mod readings;
mod upstream_credential;

use std::borrow::Cow;

use smallvec::SmallVec;

pub use path_set::PathSet;
pub use pattern::{HostPattern, HostPatternError, Method, MethodError, PathPattern, PathPatternError};
pub use place::{Place, Places};
pub use readings::{How, Unreadable};
pub use upstream_credential::{UpstreamCredential, UpstreamCredentialError};

use crate::principal::{CredentialKind, Grant, Role, RuleName};
use index::Index;
use readings::{Readings, Step};

/// The original request, as the gateway's dialect tells it; nothing here is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRequest<'a> {
    pub method: &'a str,
    /// `http` or `https`, in lower case. What the gateway saw, not what the browser used.
    pub scheme: &'a str,
    /// Without port, in the client's case of letters; an IPv6 address keeps its brackets.
    pub host: &'a str,
    /// Raw, with its leading slash.
    pub path: &'a str,
    /// What follows the first question mark.
    pub query: Option<&'a str>,
}

/// One rule. A list that is empty asks for nothing: any host, any role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place in the document: `access[2]`.
    pub name: RuleName,
    /// The line on which it begins there.
    pub line: u64,
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    pub methods: Vec<Method>,
    pub allow: Allow,
    pub roles: Vec<Role>,
    pub teams: Vec<Box<str>>,
    pub credentials: Vec<CredentialKind>,
    /// Where a credential is looked for.
    pub read: Places,
    pub upstream_credential: Option<UpstreamCredential>,
}

/// Whom a rule is for, before it asks for roles, teams and credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Also who isn't signed in.
    Anyone,
    SignedIn,
    Nobody,
}

/// The rules of a document, made ready for selecting by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    rules: Vec<Rule>,
    index: Index,
    /// Of the patterns in lower case, where that makes a difference.
    lower_case: Option<Index>,
}

/// The rules that decide about a request: one, or one for each way to read its path.
#[derive(Clone, Debug)]
pub struct Selected<'a>(SmallVec<[&'a Rule; 4]>);

static NOTHING: UpstreamCredential = UpstreamCredential::Nothing;
static CLIENTS_OWN: UpstreamCredential = UpstreamCredential::ClientsOwn;

/// What the rules that decide say of what the upstream receives, before what holds where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    Nothing,
    All(&'a UpstreamCredential),
    /// The others leave it open.
    Some(&'a UpstreamCredential),
    /// One of them may be about another upstream.
    Disagree,
}

/// Whether somebody was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Anyone,
    Somebody,
}

/// Why no rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the path {0}")]
    Unreadable(#[from] Unreadable),
    #[error("no access rule selects the request")]
    NoRule,
}

/// The first requirement that isn't met, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmet<'a> {
    pub rule: &'a RuleName,
    pub what: Requirement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The rule allows nobody.
    Nobody,
    Role,
    Team,
    Credential,
}

/// One reading of a path, and the rule that it selects.
#[derive(Clone, Debug)]
pub struct Explained<'a> {
    pub how: How,
    pub path: String,
    pub rule: Option<&'a Rule>,
}

impl AccessRules {
    pub fn new(rules: Vec<Rule>) -> Self {
        let everything = PathPattern::everything();
        let index = Index::new(patterns(&rules, &everything));
        let lower_case = rules.iter().flat_map(|rule| &rule.paths).any(PathPattern::has_upper_case).then(|| {
            let lowered: Vec<_> = patterns(&rules, &everything).map(|(rule, path)| (rule, path.in_lower_case())).collect();
            Index::new(lowered.iter().map(|(rule, path)| (*rule, path)))
        });
        Self { rules, index, lower_case }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// For each reading of the path the first rule that selects it; every reading has to have one.
    pub fn select(&self, request: &CheckRequest<'_>) -> Result<Selected<'_>, Refused> {
        let readings = Readings::of(request.path)?;
        let host = pattern::plain_host(request.host);
        let mut selected = Selected(SmallVec::new());
        for path in readings.texts() {
            selected.add(self.first(path, &host, request.method)?);
            if let Some(path) = self.needs_lower_case(path) {
                selected.add(self.first_in_lower_case(&path, &host, request.method)?);
            }
        }
        Ok(selected)
    }

    /// Every reading of the path, the one as sent first, with the rule that it selects.
    pub fn explain(&self, request: &CheckRequest<'_>) -> Result<Vec<Explained<'_>>, Unreadable> {
        let host = pattern::plain_host(request.host);
        let mut explained = Vec::new();
        for reading in Readings::of(request.path)?.explained() {
            let lowered = self.needs_lower_case(&reading.text).map(|path| Explained {
                how: reading.how.and(Step::InLowerCase),
                rule: self.first_in_lower_case(&path, &host, request.method).ok(),
                path: path.into_owned(),
            });
            let rule = self.first(&reading.text, &host, request.method).ok();
            explained.push(Explained { how: reading.how, path: reading.text, rule });
            explained.extend(lowered);
        }
        Ok(explained)
    }

    /// Upstreams differ in whether `/Admin` is `/admin`: where that could matter, the path is judged both ways.
    fn needs_lower_case<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        match path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Some(Cow::Owned(path.to_ascii_lowercase())),
            false => self.lower_case.is_some().then_some(Cow::Borrowed(path)),
        }
    }

    fn first(&self, path: &str, host: &str, method: &str) -> Result<&Rule, Refused> {
        self.first_by(&self.index, path, host, method)
    }

    fn first_in_lower_case(&self, path: &str, host: &str, method: &str) -> Result<&Rule, Refused> {
        self.first_by(self.lower_case.as_ref().unwrap_or(&self.index), path, host, method)
    }

    fn first_by(&self, index: &Index, path: &str, host: &str, method: &str) -> Result<&Rule, Refused> {
        let first = index.first(path, |number| self.rules[number].is_about(host, method));
        first.map(|number| &self.rules[number]).ok_or(Refused::NoRule)
    }
}

fn patterns<'a>(rules: &'a [Rule], everything: &'a PathPattern) -> impl Iterator<Item = (usize, &'a PathPattern)> {
    rules.iter().enumerate().flat_map(move |(number, rule)| {
        let any = rule.paths.is_empty().then_some(everything);
        rule.paths.iter().chain(any).map(move |path| (number, path))
    })
}

impl Rule {
    fn is_about(&self, host: &str, method: &str) -> bool {
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.selects(host)))
            && (self.methods.is_empty() || self.methods.iter().any(|wanted| wanted.selects(method)))
    }

    fn is_open_to_anyone(&self) -> bool {
        self.allow == Allow::Anyone && self.roles.is_empty() && self.teams.is_empty() && self.credentials.is_empty()
    }

    fn permits(&self, grant: &Grant, by: CredentialKind) -> Result<(), Requirement> {
        if self.allow == Allow::Nobody {
            return Err(Requirement::Nobody);
        }
        if !self.roles.is_empty() && !grant.role.as_ref().is_some_and(|role| self.roles.contains(role)) {
            return Err(Requirement::Role);
        }
        let holds = |wanted: &str| grant.teams.iter().any(|team| team.as_str() == wanted);
        if !self.teams.is_empty() && !self.teams.iter().any(|team| holds(team)) {
            return Err(Requirement::Team);
        }
        if !self.reads(by) || (!self.credentials.is_empty() && !self.credentials.contains(&by)) {
            return Err(Requirement::Credential);
        }
        Ok(())
    }

    /// Where another reading's rule looks further, a credential may be found that this one would not
    /// have: a cookie must not do for a path that is for keys in headers.
    fn reads(&self, by: CredentialKind) -> bool {
        let holds = |place| (place == Place::Session) == (by == CredentialKind::Session);
        Place::ALL.into_iter().any(|place| holds(place) && self.read.contains(place))
    }
}

impl Allow {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Anyone, Self::SignedIn, Self::Nobody].into_iter().find(|allow| allow.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::SignedIn => "signed_in",
            Self::Nobody => "nobody",
        }
    }
}

impl<'a> Selected<'a> {
    /// In the order of the readings; the rule for the path as sent is the first.
    pub fn rules(&self) -> &[&'a Rule] {
        &self.0
    }

    /// Whether nobody has to be signed in: every rule says so.
    pub fn is_open_to_anyone(&self) -> bool {
        self.0.iter().all(|rule| rule.is_open_to_anyone())
    }

    /// The rule that lets nobody pass, if one of them does.
    pub fn closed_to_all(&self) -> Option<&'a RuleName> {
        self.0.iter().find(|rule| rule.allow == Allow::Nobody).map(|rule| &rule.name)
    }

    /// Where a credential is looked for: wherever one of the rules does.
    pub fn reads(&self) -> Places {
        self.0.iter().fold(Places::NONE, |places, rule| places.union(rule.read))
    }

    /// What the rules say of what the upstream receives.
    pub fn upstream_credential(&self) -> Said<'a> {
        let mut said = self.0.iter().filter_map(|rule| rule.upstream_credential.as_ref());
        let all = said.clone().count() == self.0.len();
        match said.next() {
            None => Said::Nothing,
            Some(first) if said.any(|other| other != first) => Said::Disagree,
            Some(first) if all => Said::All(first),
            Some(first) => Said::Some(first),
        }
    }

    /// What holds for the rules that say nothing. The client's own is left as it is where it was not read, for anybody's sake:
    /// what was, is what a key of ours stands in.
    pub fn unsaid<'b>(&self, who: Who, default: Option<&'b UpstreamCredential>) -> &'b UpstreamCredential {
        match (who, default) {
            (Who::Anyone, _) => &CLIENTS_OWN,
            (Who::Somebody, Some(default)) => default,
            (Who::Somebody, None) if self.reads().contains(Place::Authorization) => &NOTHING,
            (Who::Somebody, None) => &CLIENTS_OWN,
        }
    }

    /// Whether every rule allows who has this grant and was recognised in this way.
    pub fn permits(&self, grant: &Grant, by: CredentialKind) -> Result<(), Unmet<'a>> {
        self.0.iter().try_for_each(|rule| rule.permits(grant, by).map_err(|what| Unmet { rule: &rule.name, what }))
    }

    fn add(&mut self, rule: &'a Rule) {
        if !self.0.iter().any(|known| std::ptr::eq(*known, rule)) {
            self.0.push(rule);
        }
    }
}

impl<'a> Said<'a> {
    /// What the upstream receives, with `unsaid` where a rule leaves it open; nothing where they disagree.
    pub fn or(self, unsaid: &'a UpstreamCredential) -> &'a UpstreamCredential {
        match self {
            Self::Nothing => unsaid,
            Self::All(said) => said,
            Self::Some(said) if said == unsaid => said,
            Self::Some(_) | Self::Disagree => &NOTHING,
        }
    }
}

impl Requirement {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Role => "role",
            Self::Team => "team",
            Self::Credential => "credential",
        }
    }
}

#[cfg(test)]
mod tests;
