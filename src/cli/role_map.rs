//! `vestibule role-map`: judge a role map, and say why somebody gets what they get, before it is in force.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{
    explain::{self, AccessExplanation, PathInterpretation},
    principal::{Claims, CredentialKind, IdentityClaims, Source},
    roles::{self, Configured, Explanation, Given, RoleMap},
};

#[derive(Subcommand)]
pub enum RoleMapCommand {
    /// Names every mistake of a role map, with field and line. Exit code 2 when there is one.
    Check(CheckArgs),
    /// Says what some claims get, by which rule, and what came close. Exit code 1 when it is no role, or no access.
    Explain(ExplainArgs),
    /// Prints the JSON Schema of the document, for editors.
    Schema,
}

#[derive(Args)]
pub struct CheckArgs {
    file: PathBuf,
    /// A configured provider's id; say all of them, and rules are judged by them too.
    #[arg(long, value_name = "ID")]
    provider: Vec<String>,
    /// A name that access rules may give as `upstream_credential`; say all of them, and rules are judged by them too.
    #[arg(long, value_name = "NAME")]
    upstream_credential: Vec<String>,
}

#[derive(Args)]
pub struct ExplainArgs {
    file: PathBuf,
    /// JSON: the claims of an id_token (with --workload, of the token), or an object with `id_token`,
    /// `access_token` and `userinfo`.
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
    /// The provider or token issuer that the claims are from. Needed where rules name more than one.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The claims are a workload's token's: the default role is not for it.
    #[arg(long)]
    workload: bool,
    /// Also says whether this may be requested: `https://llm.example.com/v1/models`.
    #[arg(long)]
    url: Option<String>,
    #[arg(long, default_value = "GET", requires = "url")]
    method: String,
    /// By what the request is to be made.
    #[arg(long, default_value = "session", requires = "url")]
    credential: Kind,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Session,
    Key,
    Token,
}

impl From<Kind> for CredentialKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Session => Self::Session,
            Kind::Key => Self::Key,
            Kind::Token => Self::Token,
        }
    }
}

/// Everything that is told; its form is the JSON's.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    grant: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessExplanation>,
    #[serde(skip)]
    default_is_for: DefaultIsFor,
}

/// Whether the default role could have been given.
enum DefaultIsFor {
    Them,
    Others,
}

/// Near misses beyond these are rarely what was looked for; the JSON has them all.
const NEAR_MISSES_TOLD: usize = 20;

const REFUSED: u8 = 1;
const MISTAKEN: u8 = 2;

impl RoleMapCommand {
    pub fn run(self) -> ExitCode {
        let done = match self {
            Self::Check(args) => args.run(),
            Self::Explain(args) => args.run(),
            Self::Schema => print(roles::schema()).map(|()| ExitCode::SUCCESS),
        };
        done.unwrap_or_else(|mistake| {
            eprintln!("{mistake}");
            ExitCode::from(MISTAKEN)
        })
    }
}

impl CheckArgs {
    fn run(self) -> Result<ExitCode, String> {
        let map = read_map(&self.file)?;
        let said = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
        let configured = Configured { providers: said(self.provider), upstream_credentials: said(self.upstream_credential) };
        map.check_configured(&configured).map_err(|error| error.to_string())?;
        print(format_args!("the role map is valid; it has {} rules\n", map.rule_count()))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ExplainArgs {
    fn run(self) -> Result<ExitCode, String> {
        let map = read_map(&self.file)?;
        let provider = self.provider_of(&map)?;
        let plain = if self.workload { Source::AccessToken } else { Source::IdToken };
        let identities = [read_claims(&self.claims, provider, plain)?];
        let (grant, explanation, default_is_for) = match self.workload {
            true => (map.judge_workload(&identities), map.explain_workload(&identities), DefaultIsFor::Others),
            false => (map.judge(&identities), map.explain(&identities), DefaultIsFor::Them),
        };
        let asked = self.url.as_deref().map(|url| explain::AccessRequest {
            url,
            method: &self.method,
            credential: self.credential.into(),
        });
        let access = asked.map(|asked| explain::explain_access(&map, &grant, &asked)).transpose();
        let access = access.map_err(|error| format!("--url or --method: {error}"))?;
        let answer = Answer { grant: explanation, access, default_is_for };
        let granted = answer.access.as_ref().map_or(answer.grant.role.is_some(), |access| access.allowed);
        if self.json {
            print(format_args!("{}\n", serde_json::to_string_pretty(&answer).expect("texts and numbers are JSON")))?;
        } else {
            print(&answer)?;
        }
        Ok(if granted { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }

    /// The one said; else the one that rules name, which may be none.
    fn provider_of(&self, map: &RoleMap) -> Result<String, String> {
        let named = map.named_providers();
        match (&self.provider, named.as_slice()) {
            (Some(said), _) => Ok(said.clone()),
            (None, []) => Ok("any".to_owned()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, several) => Err(format!("--provider: say which one the claims are from; rules name {}", several.join(", "))),
        }
    }
}

/// Who reads the answer may have seen enough of it, as `head` has.
fn print(answer: impl fmt::Display) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match write!(out, "{answer}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("the answer can't be written: {error}")),
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
    let mistaken = |what: String| format!("{}: {what}", path.display());
    let claims: Claims = serde_json::from_str(&read(path)?).map_err(|error| mistaken(error.to_string()))?;
    explain::parse_identity(claims, provider, plain).map_err(mistaken)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { role, rule, line, teams, .. } = &self.grant;
        match (role, rule) {
            (Some(role), Some(rule)) => writeln!(f, "role: {role}, by {rule}{}", at(*line))?,
            _ => writeln!(f, "role: none{}", self.why_none())?,
        }
        if self.grant.first_login_only {
            writeln!(
                f,
                "for a first login: sync_user_role_and_teams is false, and who has signed in before keeps what they have"
            )?;
        }
        for source in &self.grant.missing_sources {
            writeln!(f, "missing: {source}, which a rule names as its source")?;
        }
        tell(f, "team", teams, "")?;
        tell(f, "dropped team", &self.grant.dropped_teams, ": no header can carry it, or there were too many")?;
        tell(f, "outranked", &self.grant.outranked, "")?;
        let misses = &self.grant.near_misses;
        for miss in misses.iter().take(NEAR_MISSES_TOLD) {
            let gift = miss.role.as_ref().map_or_else(|| "name teams".to_owned(), |role| format!("give {role}"));
            writeln!(f, "near miss: {} would {gift}{}: {}", miss.rule, at(Some(miss.line)), miss.why)?;
        }
        if misses.len() > NEAR_MISSES_TOLD {
            writeln!(f, "near misses: {} more, which --json lists", misses.len() - NEAR_MISSES_TOLD)?;
        }
        self.access.iter().try_for_each(|access| write!(f, "{access}"))
    }
}

impl Answer {
    fn why_none(&self) -> String {
        match self.grant.refused_for_missing {
            Some(source) => format!(", since there are no claims from the {source} and missing_source is refuse"),
            None if matches!(self.default_is_for, DefaultIsFor::Others) => {
                ", since no rule holds and the default role is not for workloads".to_owned()
            }
            None => ", since no rule holds and default_role is none".to_owned(),
        }
    }
}

impl fmt::Display for AccessExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "access: {}, {}", if self.allowed { "allowed" } else { "refused" }, self.reason)?;
        for PathInterpretation { derivation, path, rule, upstream_credential } in &self.interpretations {
            let sends = upstream_credential.as_ref().map(|name| format!(", which says {name}")).unwrap_or_default();
            writeln!(f, "  {path:?} ({derivation}) selects {}{sends}", rule.as_deref().unwrap_or("no rule"))?;
        }
        if let Some(outcome) = &self.upstream_credential {
            writeln!(f, "the upstream receives: {outcome}")?;
        }
        Ok(())
    }
}

fn tell(f: &mut fmt::Formatter<'_>, label: &str, all: &[Given], end: &str) -> fmt::Result {
    all.iter().try_for_each(|Given { what, rule, line }| writeln!(f, "{label}: {}, by {rule}{}{end}", shown(what), at(*line)))
}

/// A claim's value, which must not look like a line of ours.
fn shown(value: &str) -> Cow<'_, str> {
    match value.contains(char::is_control) {
        true => Cow::Owned(format!("{value:?}")),
        false => Cow::Borrowed(value),
    }
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(" (line {line})")).unwrap_or_default()
}
