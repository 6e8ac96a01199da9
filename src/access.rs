//! Access rules: finds the rules that match a request, and evaluates their requirements.
//!
//! An upstream may interpret a path differently from Vestibule. A request is therefore matched in every
//! interpretation of its path, and every rule that matches one of them must allow it.

mod automaton;
mod credential_header;
mod credential_sources;
mod index;
mod interpretations;
mod path_sets;
mod pattern;
#[cfg(test)]
mod reference_matcher;
mod route;
mod state_set;
mod upstream_credential;

use std::borrow::Cow;
use std::cell::Cell;

use smallvec::SmallVec;

pub use credential_header::{CredentialHeader, CredentialHeaderError};
pub use credential_sources::{CredentialSource, CredentialSources};
pub use interpretations::{Derivation, PathError, PathInterpretations};
pub use path_sets::PathSets;
pub use pattern::{HostPattern, HostPatternError, Method, MethodError, PathPattern, PathPatternError};
pub use route::{RouteNameError, RouteRule, RouteRules, check_route_name};
pub use upstream_credential::{UpstreamCredential, UpstreamCredentialError};

use crate::principal::{CredentialKind, Grant, HeaderEncoding, Role, RuleName};
use index::PathIndex;
use interpretations::Step;

/// The original request as the gateway reports it. Nothing here is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRequest<'a> {
    pub method: &'a str,
    /// `http` or `https`, in lower case: the scheme that the gateway received. The browser's may differ.
    pub scheme: &'a str,
    /// Without the port and a final dot, in the client's letter case. An IPv6 address keeps its brackets.
    pub host: &'a str,
    /// Raw, with its leading slash.
    pub path: &'a str,
    /// The text after the first question mark.
    pub query: Option<&'a str>,
}

/// One rule. An empty list requires nothing: any host, any role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its place in the document: `access[2]`.
    pub name: RuleName,
    /// The line of the document on which it begins.
    pub line: u64,
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    pub methods: Vec<Method>,
    pub allow: AccessLevel,
    pub roles: Vec<Role>,
    pub teams: Vec<Box<str>>,
    pub credentials: Vec<CredentialKind>,
    /// The headers, or the cookie, in which a credential is accepted.
    pub read: CredentialSources,
    pub upstream_credential: Option<UpstreamCredential>,
    pub identity_encoding: Option<HeaderEncoding>,
}

/// The callers that a rule allows, before it requires roles, teams and credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLevel {
    /// Including callers that are not signed in.
    Anyone,
    SignedIn,
    Nobody,
}

/// The rules of a document, indexed by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    rules: Vec<AccessRule>,
    index: PathIndex,
    /// The patterns in lower case. `None` if they are the same.
    lower_case: Option<PathIndex>,
}

/// The rules that decide about a request: one for each interpretation of its path, without repetition.
#[derive(Clone, Debug)]
pub struct MatchedRules<'a>(SmallVec<[&'a AccessRule; 4]>);

static NONE: UpstreamCredential = UpstreamCredential::None;
static PASSTHROUGH: UpstreamCredential = UpstreamCredential::Passthrough;

/// The `upstream_credential` of the matched rules together, before the default is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamCredentialSetting<'a> {
    NotSet,
    All(&'a UpstreamCredential),
    /// Set alike by some rules. The others do not set it.
    Some(&'a UpstreamCredential),
    /// The rules set different credentials. One of them may belong to another upstream.
    Conflict,
}

/// The sender of a request. A request that anyone may send is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Anonymous,
    Authenticated,
}

/// No set of rules decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    #[error("the path {0}")]
    Path(#[from] PathError),
    #[error("no access rule matches the request")]
    NoRule,
}

/// The first requirement that is not met, and its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmetRequirement<'a> {
    pub rule: &'a RuleName,
    pub requirement: Requirement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The rule allows nobody.
    Nobody,
    Role,
    Team,
    Credential,
}

/// One interpretation of a path, and the first rule that matches it.
#[derive(Clone, Debug)]
pub struct PathMatch<'a> {
    pub derivation: Derivation,
    pub path: String,
    pub rule: Option<&'a AccessRule>,
}

impl AccessRules {
    pub fn new(rules: Vec<AccessRule>) -> Self {
        let everything = PathPattern::everything();
        let index = PathIndex::new(patterns(&rules, &everything));
        let lower_case = rules.iter().flat_map(|rule| &rule.paths).any(PathPattern::has_upper_case).then(|| {
            let lowered: Vec<_> = patterns(&rules, &everything).map(|(rule, path)| (rule, path.to_lower_case())).collect();
            PathIndex::new(lowered.iter().map(|(rule, path)| (*rule, path)))
        });
        Self { rules, index, lower_case }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[AccessRule] {
        &self.rules
    }

    /// Returns the first rule that matches each interpretation of the path. An interpretation without a rule is an error.
    pub fn match_request(&self, request: &CheckRequest<'_>) -> Result<MatchedRules<'_>, MatchError> {
        self.match_interpretations(request, &PathInterpretations::of(request.path)?)
    }

    /// Does the same for a path whose interpretations are known.
    pub fn match_interpretations(
        &self,
        request: &CheckRequest<'_>,
        interpretations: &PathInterpretations<'_>,
    ) -> Result<MatchedRules<'_>, MatchError> {
        let host = pattern::normalize_host(request.host);
        let filter = RuleFilter::new(&self.rules, &host, request.method, interpretations);
        let mut matched = MatchedRules(SmallVec::new());
        for path in interpretations.paths() {
            matched.add(self.first_match(path, &filter)?);
            if let Some(path) = self.lower_case_variant(path) {
                matched.add(self.first_match_in_lower_case(&path, &filter)?);
            }
        }
        Ok(matched)
    }

    /// Returns every interpretation of the path with the rule that matches it. The path as sent comes first.
    pub fn explain(&self, request: &CheckRequest<'_>) -> Result<Vec<PathMatch<'_>>, PathError> {
        let host = pattern::normalize_host(request.host);
        let interpretations = PathInterpretations::of(request.path)?;
        let filter = RuleFilter::new(&self.rules, &host, request.method, &interpretations);
        let mut matches = Vec::new();
        for interpretation in interpretations.into_vec() {
            let lowered = self.lower_case_variant(&interpretation.path).map(|path| PathMatch {
                derivation: interpretation.derivation.and(Step::Lowercase),
                rule: self.first_match_in_lower_case(&path, &filter).ok(),
                path: path.into_owned(),
            });
            let rule = self.first_match(&interpretation.path, &filter).ok();
            matches.push(PathMatch { derivation: interpretation.derivation, path: interpretation.path, rule });
            matches.extend(lowered);
        }
        Ok(matches)
    }

    /// Upstreams differ in whether `/Admin` is `/admin`. Returns the lower-case path where that can change the match.
    fn lower_case_variant<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        match path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Some(Cow::Owned(path.to_ascii_lowercase())),
            false => self.lower_case.is_some().then_some(Cow::Borrowed(path)),
        }
    }

    fn first_match(&self, path: &str, filter: &RuleFilter<'_>) -> Result<&AccessRule, MatchError> {
        self.first_match_in(&self.index, path, filter)
    }

    fn first_match_in_lower_case(&self, path: &str, filter: &RuleFilter<'_>) -> Result<&AccessRule, MatchError> {
        self.first_match_in(self.lower_case.as_ref().unwrap_or(&self.index), path, filter)
    }

    fn first_match_in(&self, index: &PathIndex, path: &str, filter: &RuleFilter<'_>) -> Result<&AccessRule, MatchError> {
        let first = index.first(path, |number| filter.is_match(number));
        first.map(|number| &self.rules[number]).ok_or(MatchError::NoRule)
    }
}

/// The rules for the host and the method of a request.
struct RuleFilter<'a> {
    rules: &'a [AccessRule],
    host: &'a str,
    method: &'a str,
    /// The results so far, if a path has several interpretations.
    known: Option<Box<[Cell<Option<bool>>]>>,
}

impl<'a> RuleFilter<'a> {
    fn new(rules: &'a [AccessRule], host: &'a str, method: &'a str, paths: &PathInterpretations<'_>) -> Self {
        let is_plain = matches!(paths, PathInterpretations::Plain(_));
        Self { rules, host, method, known: (!is_plain).then(|| rules.iter().map(|_| Cell::new(None)).collect()) }
    }

    fn is_match(&self, number: usize) -> bool {
        let known = self.known.as_ref().map(|known| &known[number]);
        known.and_then(Cell::get).unwrap_or_else(|| {
            let is_match = self.rules[number].matches(self.host, self.method);
            known.inspect(|known| known.set(Some(is_match)));
            is_match
        })
    }
}

fn patterns<'a>(rules: &'a [AccessRule], everything: &'a PathPattern) -> impl Iterator<Item = (usize, &'a PathPattern)> {
    rules.iter().enumerate().flat_map(move |(number, rule)| {
        let any = rule.paths.is_empty().then_some(everything);
        rule.paths.iter().chain(any).map(move |path| (number, path))
    })
}

impl AccessRule {
    fn matches(&self, host: &str, method: &str) -> bool {
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
            && (self.methods.is_empty() || self.methods.iter().any(|pattern| pattern.matches(method)))
    }

    fn is_open_to_anyone(&self) -> bool {
        self.allow == AccessLevel::Anyone && self.roles.is_empty() && self.teams.is_empty() && self.credentials.is_empty()
    }

    fn authorize(&self, grant: &Grant, credential: CredentialKind) -> Result<(), Requirement> {
        if self.allow == AccessLevel::Nobody {
            return Err(Requirement::Nobody);
        }
        if !self.roles.is_empty() && !grant.role.as_ref().is_some_and(|role| self.roles.contains(role)) {
            return Err(Requirement::Role);
        }
        let is_member = |required: &str| grant.teams.iter().any(|team| team.as_str() == required);
        if !self.teams.is_empty() && !self.teams.iter().any(|team| is_member(team)) {
            return Err(Requirement::Team);
        }
        if !self.can_read(credential) || (!self.credentials.is_empty() && !self.credentials.contains(&credential)) {
            return Err(Requirement::Credential);
        }
        Ok(())
    }

    /// True if the rule reads a source of this kind of credential. The credential may have been found where only the rule
    /// of another interpretation reads: a session cookie must not open a path that accepts keys in headers alone.
    fn can_read(&self, credential: CredentialKind) -> bool {
        let holds = |source| (source == CredentialSource::Session) == (credential == CredentialKind::Session);
        CredentialSource::ALL.into_iter().any(|source| holds(source) && self.read.contains(source))
    }
}

impl AccessLevel {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Anyone, Self::SignedIn, Self::Nobody].into_iter().find(|level| level.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::SignedIn => "signed_in",
            Self::Nobody => "nobody",
        }
    }
}

impl<'a> MatchedRules<'a> {
    /// In the order of the interpretations. The rule for the path as sent is the first.
    pub fn rules(&self) -> &[&'a AccessRule] {
        &self.0
    }

    /// True if every rule allows anyone.
    pub fn is_open_to_anyone(&self) -> bool {
        self.0.iter().all(|rule| rule.is_open_to_anyone())
    }

    /// The rule that allows nobody, if there is one.
    pub fn rule_for_nobody(&self) -> Option<&'a RuleName> {
        self.0.iter().find(|rule| rule.allow == AccessLevel::Nobody).map(|rule| &rule.name)
    }

    /// The sources that at least one of the rules reads.
    pub fn credential_sources(&self) -> CredentialSources {
        self.0.iter().fold(CredentialSources::NONE, |sources, rule| sources.union(rule.read))
    }

    pub fn upstream_credential(&self) -> UpstreamCredentialSetting<'a> {
        let mut settings = self.0.iter().filter_map(|rule| rule.upstream_credential.as_ref());
        let is_set_by_all = settings.clone().count() == self.0.len();
        match settings.next() {
            None => UpstreamCredentialSetting::NotSet,
            Some(first) if settings.any(|other| other != first) => UpstreamCredentialSetting::Conflict,
            Some(first) if is_set_by_all => UpstreamCredentialSetting::All(first),
            Some(first) => UpstreamCredentialSetting::Some(first),
        }
    }

    /// The encoding of the identity headers. Rules that disagree give percent-encoding: otherwise an upstream that decodes could
    /// read a team whose name contains `%2C` as another team.
    pub fn identity_encoding(&self, default: HeaderEncoding) -> HeaderEncoding {
        let is_percent = |rule: &&AccessRule| rule.identity_encoding.unwrap_or(default) == HeaderEncoding::Percent;
        if self.0.iter().any(is_percent) { HeaderEncoding::Percent } else { HeaderEncoding::Utf8 }
    }

    /// The upstream credential for rules that set none. An `Authorization` header that was read may hold an API key of Vestibule
    /// and is not passed on. One that was not read, or that an anonymous caller sent, is.
    pub fn default_upstream_credential<'b>(
        &self,
        caller: Caller,
        configured: Option<&'b UpstreamCredential>,
    ) -> &'b UpstreamCredential {
        match (caller, configured) {
            (Caller::Anonymous, _) => &PASSTHROUGH,
            (Caller::Authenticated, Some(configured)) => configured,
            (Caller::Authenticated, None) if self.can_read_authorization(caller) => &NONE,
            (Caller::Authenticated, None) => &PASSTHROUGH,
        }
    }

    /// True if the `Authorization` header of the client was read. It may hold a credential of Vestibule then.
    pub fn can_read_authorization(&self, caller: Caller) -> bool {
        caller == Caller::Authenticated && self.credential_sources().contains(CredentialSource::Authorization)
    }

    /// Succeeds if every rule allows a principal with this grant who was authenticated by this kind of credential.
    pub fn authorize(&self, grant: &Grant, credential: CredentialKind) -> Result<(), UnmetRequirement<'a>> {
        self.0.iter().try_for_each(|rule| {
            rule.authorize(grant, credential).map_err(|requirement| UnmetRequirement { rule: &rule.name, requirement })
        })
    }

    fn add(&mut self, rule: &'a AccessRule) {
        if !self.0.iter().any(|known| std::ptr::eq(*known, rule)) {
            self.0.push(rule);
        }
    }
}

impl<'a> UpstreamCredentialSetting<'a> {
    /// Applies `default` to the rules that set no credential. Rules that disagree give none.
    pub fn or(self, default: &'a UpstreamCredential) -> &'a UpstreamCredential {
        match self {
            Self::NotSet => default,
            Self::All(credential) => credential,
            Self::Some(credential) if credential == default => credential,
            Self::Some(_) | Self::Conflict => &NONE,
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
