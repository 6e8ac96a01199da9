//! `vestibule role-map`: validates a role map, and explains the decisions that it leads to.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{
    explain::{self, AccessExplanation, InterpretationExplanation},
    json,
    principal::{CredentialKind, EmailTrust, HeaderEncoding, IdentityClaims, ProfileClaims, Source},
    role_map::{self, ConfiguredNames, Explanation, RoleMap, RuleGrant},
};

#[derive(Subcommand)]
pub enum RoleMapCommand {
    /// Reports every mistake of a role map, with field and line. The exit code is 2 if there are mistakes.
    Check(CheckArgs),
    /// Explains the role and teams that claims get, with the rules that match and those that nearly match. The exit code is 1
    /// without a role or access.
    Explain(ExplainArgs),
    /// Prints the JSON Schema of the document, for editors.
    Schema,
}

#[derive(Args)]
pub struct CheckArgs {
    file: PathBuf,
    /// Id of a configured provider. If all of them are given, the names in rules are checked too.
    #[arg(long, value_name = "ID")]
    provider: Vec<String>,
    /// Name of a configured upstream credential. If all of them are given, the names in access rules are checked too.
    #[arg(long, value_name = "NAME")]
    upstream_credential: Vec<String>,
}

#[derive(Args)]
pub struct ExplainArgs {
    file: PathBuf,
    /// JSON: the claims of an id_token (with --workload, of the token), or an object with `id_token`,
    /// `access_token`, `userinfo` and `directory`.
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
    /// Provider or token issuer of the claims. Required if rules name more than one.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The claims are from a workload's token, so that the default role does not apply.
    #[arg(long)]
    workload: bool,
    /// Also explains access to a URL, such as `https://llm.example.com/v1/models`.
    #[arg(long)]
    url: Option<String>,
    #[arg(long, default_value = "GET", requires = "url")]
    method: String,
    /// Credential of the request.
    #[arg(long, default_value = "session", requires = "url")]
    credential: CredentialArg,
    /// Route whose restrictions apply too, as `?route=` of the check's URL says.
    #[arg(long, value_name = "NAME", requires = "url")]
    route: Option<String>,
    /// `identity_headers.encoding` of the configuration. With `percent`, names of teams may contain commas.
    #[arg(long, value_name = "ENCODING", default_value = "utf8")]
    identity_headers: EncodingArg,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum CredentialArg {
    Session,
    #[value(name = "key")]
    ApiKey,
    #[value(name = "token")]
    Jwt,
}

#[derive(Clone, Copy, ValueEnum)]
enum EncodingArg {
    Utf8,
    Percent,
}

impl From<EncodingArg> for HeaderEncoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Utf8 => Self::Utf8,
            EncodingArg::Percent => Self::Percent,
        }
    }
}

impl From<CredentialArg> for CredentialKind {
    fn from(credential: CredentialArg) -> Self {
        match credential {
            CredentialArg::Session => Self::Session,
            CredentialArg::ApiKey => Self::ApiKey,
            CredentialArg::Jwt => Self::Jwt,
        }
    }
}

/// The output. Its serialized form is the JSON output.
#[derive(Serialize)]
struct ExplainOutput {
    #[serde(flatten)]
    grant: Explanation,
    /// Claims that count as absent, because they do not fit their use.
    ignored_claims: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessExplanation>,
    #[serde(skip)]
    subject: SubjectKind,
}

/// The kind of subject, since the default role is for users only.
enum SubjectKind {
    User,
    Workload,
}

/// The maximum number of near misses in the text output. The JSON output has all.
const MAX_NEAR_MISSES: usize = 20;

const DENIED: u8 = 1;
const INVALID_INPUT: u8 = 2;

impl RoleMapCommand {
    pub fn run(self) -> ExitCode {
        let result = match self {
            Self::Check(args) => args.run(),
            Self::Explain(args) => args.run(),
            Self::Schema => print(role_map::schema()).map(|()| ExitCode::SUCCESS),
        };
        result.unwrap_or_else(|mistake| {
            eprintln!("{mistake}");
            ExitCode::from(INVALID_INPUT)
        })
    }
}

impl CheckArgs {
    fn run(self) -> Result<ExitCode, String> {
        let map = read_map(&self.file)?;
        let given = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
        let configured = ConfiguredNames {
            providers: given(self.provider),
            upstream_credentials: given(self.upstream_credential),
            ..ConfiguredNames::default()
        };
        map.check_configured(&configured).map_err(|error| error.to_string())?;
        print(format_args!("the role map is valid; it has {} rules\n", map.rule_count()))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ExplainArgs {
    fn run(self) -> Result<ExitCode, String> {
        let map = read_map(&self.file)?.with_identity_encoding(self.identity_headers.into());
        let provider = self.provider_of(&map)?;
        let plain = if self.workload { Source::AccessToken } else { Source::IdToken };
        let identities = [read_claims(&self.claims, provider, plain)?];
        let (grant, explanation, subject) = match self.workload {
            true => (map.evaluate_workload(&identities), map.explain_workload(&identities), SubjectKind::Workload),
            false => (map.evaluate(&identities), map.explain(&identities), SubjectKind::User),
        };
        let request = self.url.as_deref().map(|url| explain::AccessRequest {
            url,
            method: &self.method,
            credential: self.credential.into(),
            route: self.route.as_deref(),
        });
        let access = request.map(|request| explain::explain_access(&map, &grant, &request)).transpose();
        let access = access.map_err(|error| format!("--url or --method: {error}"))?;
        let ignored_claims = ignored_claims(&identities);
        let output = ExplainOutput { grant: explanation, ignored_claims, access, subject };
        let granted = output.access.as_ref().map_or(output.grant.role.is_some(), |access| access.allowed);
        if self.json {
            print(format_args!("{}\n", serde_json::to_string_pretty(&output).expect("texts and numbers are JSON")))?;
        } else {
            print(&output)?;
        }
        Ok(if granted { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
    }

    /// Returns the given provider, or the only one that rules name.
    fn provider_of(&self, map: &RoleMap) -> Result<String, String> {
        let named = map.named_providers();
        match (&self.provider, named.as_slice()) {
            (Some(given), _) => Ok(given.clone()),
            (None, []) => Ok("any".to_owned()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, several) => Err(format!("--provider: required, since rules name {}", several.join(", "))),
        }
    }
}

/// The command does not read the configuration, so it assumes the standard claims.
fn ignored_claims(identities: &[IdentityClaims]) -> Vec<String> {
    let profile = ProfileClaims::standard(EmailTrust::WhenVerified);
    identities.iter().flat_map(|identity| identity.unfit_claims(&profile)).map(|unfit| unfit.to_string()).collect()
}

/// Prints the output. A closed pipe, as of `head`, is not an error.
fn print(output: impl fmt::Display) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match write!(out, "{output}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("the output can't be written: {error}")),
        _ => Ok(()),
    }
}

fn read_map(path: &Path) -> Result<RoleMap, String> {
    RoleMap::parse(&read(path)?).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_claims(path: &Path, provider: String, plain: Source) -> Result<IdentityClaims, String> {
    let with_path = |error: String| format!("{}: {error}", path.display());
    let claims = json::parse_object(read(path)?.as_bytes()).map_err(|error| with_path(error.to_string()))?;
    explain::parse_identity(claims, provider, plain).map_err(with_path)
}

impl fmt::Display for ExplainOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { role, rule, line, teams, .. } = &self.grant;
        match (role, rule) {
            (Some(role), Some(rule)) => writeln!(f, "role: {role}, by {rule}{}", at(*line))?,
            _ => writeln!(f, "role: none{}", self.reason_for_none())?,
        }
        if self.grant.first_login_only {
            writeln!(
                f,
                "for a first login only: sync_user_role_and_teams is false, so that existing users keep their role and teams"
            )?;
        }
        for source in &self.grant.missing_sources {
            writeln!(f, "missing: {source}, which a rule names as its source")?;
        }
        for claim in &self.ignored_claims {
            writeln!(f, "ignored: {claim}, and counts as absent")?;
        }
        write_entries(f, "team", teams, "")?;
        write_entries(f, "dropped team", &self.grant.dropped_teams, ": no header can carry it, or there were too many")?;
        write_entries(f, "outranked", &self.grant.outranked, "")?;
        for warning in &self.grant.warnings {
            writeln!(f, "warning: {}{}: {}", warning.rule, at(Some(warning.line)), warning.reason)?;
        }
        let misses = &self.grant.near_misses;
        for miss in misses.iter().take(MAX_NEAR_MISSES) {
            let effect = miss.role.as_ref().map_or_else(|| "name teams".to_owned(), |role| format!("give {role}"));
            writeln!(f, "near miss: {} would {effect}{}: {}", miss.rule, at(Some(miss.line)), miss.reason)?;
        }
        if misses.len() > MAX_NEAR_MISSES {
            writeln!(f, "near misses: {} more, which --json lists", misses.len() - MAX_NEAR_MISSES)?;
        }
        self.access.iter().try_for_each(|access| write!(f, "{access}"))
    }
}

impl ExplainOutput {
    fn reason_for_none(&self) -> String {
        match self.grant.refused_for_missing {
            Some(source) => format!(", since there are no claims from the {source} and missing_source is refuse"),
            None if matches!(self.subject, SubjectKind::Workload) => {
                ", since no rule matches and the default role is not for workloads".to_owned()
            }
            None => ", since no rule matches and default_role is none".to_owned(),
        }
    }
}

impl fmt::Display for AccessExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "access: {}, {}", if self.allowed { "allowed" } else { "refused" }, self.reason)?;
        for InterpretationExplanation { derivation, path, rule, upstream_credential } in &self.interpretations {
            let sends = upstream_credential.as_ref().map(|name| format!(", which says {name}")).unwrap_or_default();
            writeln!(f, "  {path:?} ({derivation}) matches {}{sends}", rule.as_deref().unwrap_or("no rule"))?;
        }
        if let Some(outcome) = &self.upstream_credential {
            writeln!(f, "the upstream receives: {outcome}")?;
        }
        Ok(())
    }
}

fn write_entries(f: &mut fmt::Formatter<'_>, label: &str, all: &[RuleGrant], end: &str) -> fmt::Result {
    all.iter().try_for_each(|RuleGrant { name, rule, line }| {
        writeln!(f, "{label}: {}, by {rule}{}{end}", escape_controls(name), at(*line))
    })
}

/// Escapes a claim's value with control characters, which could forge a line of output.
fn escape_controls(value: &str) -> Cow<'_, str> {
    match value.contains(char::is_control) {
        true => Cow::Owned(format!("{value:?}")),
        false => Cow::Borrowed(value),
    }
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(" (line {line})")).unwrap_or_default()
}
