//! The command line: serve, or help the operator before it.

mod role_map;

mod one_line;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use one_line::OneLine;

use crate::{
    app::{self, Stop},
    clock::{Clock, SystemClock},
    config::{self, Format, Loaded, units},
    secret::{self, SigningAlgorithm},
};

/// The front door of an LLM proxy on Kubernetes. Without a command it serves.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    /// The configuration, a YAML file. Without one, built-in defaults are used.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Validates the configuration and names every mistake, without starting anything.
    CheckConfig,
    /// Makes keys for the key ring.
    #[command(subcommand)]
    KeyRing(KeyRingCommand),
    /// Makes keys that sign what the upstream is told of a person.
    #[command(subcommand)]
    AssertionKey(AssertionKeyCommand),
    /// Prints a link by which somebody sets a password: for the first administrator, and for one who has lost theirs.
    Invite(InviteArgs),
    /// Judges and explains role maps.
    #[command(subcommand)]
    RoleMap(role_map::RoleMapCommand),
}

#[derive(Args)]
struct InviteArgs {
    /// What the person becomes, by the role map's list.
    #[arg(long)]
    role: String,
    /// Whom the link is for; by default `admin@localhost`. Who has an account of this address gets another password.
    #[arg(long)]
    email: Option<String>,
    /// How long the link is good: 1h, 7d. By default as `local_accounts.invitation_duration` says.
    #[arg(long, value_parser = units::duration)]
    duration: Option<Duration>,
}

#[derive(Subcommand)]
enum KeyRingCommand {
    /// Prints a fresh key and its date. Put both above what the key ring's file holds; the first key seals.
    New,
    /// Seals with the first key, in the configured Redis, all that others have sealed, so that these can be taken out. Do it when
    /// every pod has had the first key for three minutes; again, as often as you like.
    Rewrap,
}

#[derive(Subcommand)]
enum AssertionKeyCommand {
    /// Prints a fresh private key in PEM form. Put it above what the keys' file holds; the first key signs.
    New {
        /// What upstreams can verify: nearly all know ES256, fewer EdDSA.
        #[arg(long, default_value = "eddsa")]
        algorithm: Algorithm,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    /// Ed25519.
    Eddsa,
    /// ECDSA with P-256.
    Es256,
}

impl Cli {
    pub fn run(self) -> ExitCode {
        match self.command {
            Some(Command::KeyRing(KeyRingCommand::New)) => {
                println!("{}", secret::new_dated_key(SystemClock.now()));
                ExitCode::SUCCESS
            }
            Some(Command::KeyRing(KeyRingCommand::Rewrap)) => rewrap(self.config),
            Some(Command::AssertionKey(AssertionKeyCommand::New { algorithm })) => {
                print!("{}", secret::new_signing_key(algorithm.into()));
                ExitCode::SUCCESS
            }
            Some(Command::Invite(args)) => invite(self.config, args),
            Some(Command::RoleMap(command)) => command.run(),
            Some(Command::CheckConfig) => check_config(self.config),
            None => serve(self.config),
        }
    }
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Eddsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
        }
    }
}

fn load(path: Option<PathBuf>) -> Result<Loaded, ExitCode> {
    // A name or value that is no text can't be one of ours.
    let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(path.as_deref(), env).map_err(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn check_config(path: Option<PathBuf>) -> ExitCode {
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    println!("the configuration is valid");
    ExitCode::SUCCESS
}

fn rewrap(path: Option<PathBuf>) -> ExitCode {
    let config = match load(path) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    log_to_stderr(EnvFilter::new("warn,fred=off"), Format::Text);
    let done = on_a_runtime(async || {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        app::rewrap(&config, &clock).await
    });
    match done {
        Ok(done) => {
            println!("sealed anew: {}; sealed by the first key before: {}", done.anew, done.before);
            done.failed.iter().for_each(|failed| eprintln!("{failed}"));
            match (done.failed.len(), done.broke_off) {
                (0, None) => ExitCode::SUCCESS,
                (failed, broke_off) => {
                    if let Some(why) = broke_off {
                        eprintln!("not all were looked at: {why}");
                    }
                    eprintln!("{failed} records are as they were: leave the old keys in");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn invite(path: Option<PathBuf>, args: InviteArgs) -> ExitCode {
    let config = match load(path) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    log_to_stderr(EnvFilter::new("warn,fred=off"), Format::Text);
    let InviteArgs { role, email, duration: lasting } = args;
    let invited = on_a_runtime(async || {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        app::invite(&config, &clock, app::Invite { role, email, lasting }).await
    });
    match invited {
        Ok(address) => {
            println!("{}", *address);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(path: Option<PathBuf>) -> ExitCode {
    let Loaded { config, warnings } = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    log_to_stderr(filter(&config.log), config.log.format);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: config::Config) -> anyhow::Result<()> {
    on_a_runtime(async || {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async || stop(&mut terminate, &mut interrupt).await;
        app::build(config, Arc::new(SystemClock)).await?.run(stop).await
    })
}

fn on_a_runtime<T>(work: impl AsyncFnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(work());
    // What is still running after the deadline is not waited for.
    runtime.shutdown_background();
    ended
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> Stop {
    tokio::select! {
        _ = terminate.recv() => Stop::Orderly,
        _ = interrupt.recv() => Stop::Interrupt,
    }
}

/// One TLS and crypto library for everything. A second call, as from several tests, changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Libraries speak up for what is wrong; their own directives in the level come later and win. The one
/// that is off makes an error of each malformed request, which are the clients' to send.
fn filter(log: &config::Log) -> EnvFilter {
    EnvFilter::new(format!("actix_server=warn,actix_http::h1::dispatcher=off,fred=error,{}", log.level))
}

fn log_to_stderr(filter: EnvFilter, format: Format) {
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).fmt_fields(OneLine).init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
}
