//! Converts the options that restrict who may sign in to conditions of rules.

use super::input::Options;
use super::provider::{ConvertedProvider, ProviderKind};
use super::values::{claim_path, claim_step, literal_pattern};
use crate::yaml::emit::Map;

/// A condition of a rule in the role map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCondition {
    source: Option<&'static str>,
    claim: String,
    pattern: String,
    ignores_case: bool,
}

/// Conditions that must all match.
pub type Conditions = Vec<ClaimCondition>;

/// A restriction: one of the alternatives must match. Without alternatives no user may sign in.
pub type Restriction = Vec<Conditions>;

/// Returns all restrictions. A user must fulfill each of them.
pub fn all(options: &Options, provider: &ConvertedProvider) -> Vec<Restriction> {
    let by_kind = match provider.kind {
        ProviderKind::GitHub => github(options),
        ProviderKind::GitLab => gitlab(options),
        ProviderKind::Google => google(options, provider),
        ProviderKind::EntraId => tenants(options),
        ProviderKind::KeycloakOidc | ProviderKind::OpenIdConnect => None,
    };
    [emails(options, provider), groups(options, provider), by_kind, others(options)].into_iter().flatten().collect()
}

fn exact(source: Option<&'static str>, claim: impl Into<String>, value: &str) -> ClaimCondition {
    ClaimCondition { source, claim: claim.into(), pattern: literal_pattern(value), ignores_case: false }
}

/// oauth2-proxy requires a domain or a file. The file is not read, so its users get no role.
fn emails(options: &Options, provider: &ConvertedProvider) -> Option<Restriction> {
    let domains = options.list("email-domain");
    if domains.iter().any(|domain| domain == "*") {
        return None;
    }
    // The provider states no verified address.
    if provider.kind == ProviderKind::GitHub {
        return Some(Vec::new());
    }
    let sources: &[_] = if options.is_on("skip-claims-from-profile-url") { &["id_token"] } else { &["id_token", "userinfo"] };
    let is_verified = provider.email_claim == "email" && !options.is_on("insecure-oidc-allow-unverified-email");
    let alternatives = domains.iter().flat_map(|domain| {
        sources.iter().map(move |&source| {
            // A domain with a dot in front matches its subdomains.
            let host = literal_pattern(domain.trim_start_matches('.'));
            let pattern = if domain.starts_with('.') { format!("*@*.{host}") } else { format!("*@{host}") };
            let email =
                ClaimCondition { source: Some(source), claim: claim_path(&provider.email_claim), pattern, ignores_case: true };
            std::iter::once(email)
                .chain(is_verified.then(|| exact(Some(source), "email_verified", "true")))
                .collect::<Conditions>()
        })
    });
    Some(alternatives.collect())
}

/// oauth2-proxy treats Keycloak's roles as groups.
fn groups(options: &Options, provider: &ConvertedProvider) -> Option<Restriction> {
    let names = options.list("allowed-group").iter().chain(options.list("keycloak-group"));
    let groups = names.map(|name| vec![group(name, provider)]);
    let roles = options.list("allowed-role").iter().map(|role| vec![keycloak_role(role)]);
    let alternatives: Vec<_> = groups.chain(roles).collect();
    (!alternatives.is_empty()).then_some(alternatives)
}

fn group(name: &str, provider: &ConvertedProvider) -> ClaimCondition {
    match provider.kind {
        ProviderKind::GitHub => github_group(name),
        ProviderKind::Google => exact(Some("directory"), "groups", name),
        _ => exact(None, claim_path(&provider.groups_claim), name),
    }
}

/// A role of a client has the client's id before a colon.
fn keycloak_role(role: &str) -> ClaimCondition {
    match role.split_once(':') {
        Some((client, role)) => exact(Some("access_token"), format!("resource_access.{}.roles", claim_step(client)), role),
        None => exact(Some("access_token"), "realm_access.roles", role),
    }
}

/// An organization, or a team after a colon.
fn github_group(name: &str) -> ClaimCondition {
    let (claim, value) = match name.split_once(':') {
        Some((organization, team)) => ("teams", format!("{organization}/{team}")),
        None => ("organizations", name.to_owned()),
    };
    ClaimCondition { ignores_case: true, ..exact(Some("directory"), claim, &value) }
}

fn github(options: &Options) -> Option<Restriction> {
    let organization = options.text("github-org");
    let teams = options.text("github-team").unwrap_or_default().split(',').map(str::trim).filter(|team| !team.is_empty());
    let teams: Vec<_> = teams
        .filter_map(|team| match (team.contains(':'), organization) {
            (true, _) => Some(team.to_owned()),
            (false, Some(organization)) => Some(format!("{organization}:{team}")),
            (false, None) => None,
        })
        .collect();
    let groups = if options.is_set("github-team") { teams } else { organization.map(str::to_owned).into_iter().collect() };
    let users =
        options.list("github-user").iter().map(|login| ClaimCondition { ignores_case: true, ..exact(None, "login", login) });
    let alternatives: Vec<_> =
        groups.iter().map(|name| github_group(name)).chain(users).map(|condition| vec![condition]).collect();
    let is_restricted = ["github-org", "github-team", "github-repo", "github-user"].iter().any(|flag| options.is_set(flag));
    is_restricted.then_some(alternatives)
}

fn gitlab(options: &Options) -> Option<Restriction> {
    let groups = options.list("gitlab-group").iter().map(|group| vec![exact(Some("userinfo"), "groups", group)]);
    let is_restricted = ["gitlab-group", "gitlab-project"].iter().any(|flag| options.is_set(flag));
    is_restricted.then(|| groups.collect())
}

fn google(options: &Options, provider: &ConvertedProvider) -> Option<Restriction> {
    let groups = options.list("google-group").iter().filter(|_| provider.has_directory);
    let alternatives = groups.map(|group| vec![exact(Some("directory"), "groups", group)]).collect();
    options.is_set("google-group").then_some(alternatives)
}

fn tenants(options: &Options) -> Option<Restriction> {
    let tenants = options.list("entra-id-allowed-tenant").iter().map(|tenant| vec![exact(Some("id_token"), "tid", tenant)]);
    let alternatives: Vec<_> = tenants.collect();
    (!alternatives.is_empty()).then_some(alternatives)
}

/// Restrictions that no rule can express.
fn others(options: &Options) -> Option<Restriction> {
    ["bitbucket-team", "bitbucket-repository"].iter().any(|flag| options.is_set(flag)).then(Vec::new)
}

impl ClaimCondition {
    pub fn add_to(&self, map: Map) -> Map {
        let map = map.with_some("source", self.source).with("claim", self.claim.as_str()).with("match", self.pattern.as_str());
        if self.ignores_case { map.with("ignore_case", true) } else { map }
    }
}
