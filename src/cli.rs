//! The command line: the service, and commands for operators.

mod log;
mod migrate;
mod role_map;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use log::{LineLimiter, filter, log_to_stderr};

use crate::{
    clock::{Clock, SystemClock},
    config::{self, LoadedConfig, LogFormat, units},
    secret::{self, SigningAlgorithm},
    server::{self, StopSignal},
};

/// Forward-auth and single sign-on (SSO) service for LLM proxies on Kubernetes. Without a command, it starts the service.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    /// YAML file with the configuration. Without one, built-in defaults are used.
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Validates the configuration and reports every mistake, without starting the service.
    CheckConfig,
    /// Creates keys for the key ring, and re-encrypts records.
    #[command(subcommand)]
    KeyRing(KeyRingCommand),
    /// Creates keys that sign identity assertions.
    #[command(subcommand)]
    AssertionKey(AssertionKeyCommand),
    /// Prints an invitation link with which a user sets a password, such as the first administrator.
    Invite(InviteArgs),
    /// Validates and explains role maps.
    #[command(subcommand)]
    RoleMap(role_map::RoleMapCommand),
    /// Converts the configuration of other products: Ingresses of ingress-nginx, and the options of oauth2-proxy.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
}

#[derive(Args)]
struct InviteArgs {
    /// Role of the user, from the role map's list.
    #[arg(long)]
    role: String,
    /// Email address of the user; by default `admin@localhost`. If it has an account, the link sets a new password.
    #[arg(long)]
    email: Option<String>,
    /// Lifetime of the link, such as 1h or 7d; by default `local_accounts.invitation_duration`.
    #[arg(long, value_parser = units::duration)]
    duration: Option<Duration>,
}

#[derive(Subcommand)]
enum KeyRingCommand {
    /// Prints a new key and its date. Add both at the top of the key ring file; the first key is the primary key.
    New,
    /// Re-encrypts records in the configured Redis with the primary key, so that older keys can be removed. Run it when every
    /// pod has had the primary key for 3 minutes. It can be repeated.
    #[command(visible_alias = "rewrap")]
    ReEncrypt,
}

#[derive(Subcommand)]
enum AssertionKeyCommand {
    /// Prints a new private key in PEM format. Add it at the top of the keys file; the first key signs.
    New {
        /// Signature algorithm. Nearly all upstreams support ES256, fewer support EdDSA.
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
            Some(Command::KeyRing(KeyRingCommand::ReEncrypt)) => re_encrypt(self.config),
            Some(Command::AssertionKey(AssertionKeyCommand::New { algorithm })) => {
                print!("{}", secret::new_signing_key(algorithm.into()));
                ExitCode::SUCCESS
            }
            Some(Command::Invite(args)) => invite(self.config, args),
            Some(Command::RoleMap(command)) => command.run(),
            Some(Command::Migrate(command)) => command.run(self.config),
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

fn load(path: Option<PathBuf>) -> Result<LoadedConfig, ExitCode> {
    // Vestibule's variables are UTF-8, so that others can be ignored.
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

fn re_encrypt(path: Option<PathBuf>) -> ExitCode {
    let config = match load(path) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let _ = log_to_stderr(EnvFilter::new("warn,fred=off"), LogFormat::Text, Arc::new(SystemClock));
    let result = block_on(async || {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        server::re_encrypt(&config, &clock).await
    });
    match result {
        Ok(report) => {
            println!("re-encrypted: {}; already encrypted with the primary key: {}", report.re_encrypted, report.unchanged);
            report.failed.iter().for_each(|failed| eprintln!("{failed}"));
            match (report.failed.len(), report.aborted_by) {
                (0, None) => ExitCode::SUCCESS,
                (failed, aborted_by) => {
                    if let Some(error) = aborted_by {
                        eprintln!("not all records were processed: {error}");
                    }
                    eprintln!("{failed} records failed; keep the old keys in the key ring");
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
    let _ = log_to_stderr(EnvFilter::new("warn,fred=off"), LogFormat::Text, Arc::new(SystemClock));
    let InviteArgs { role, email, duration } = args;
    let invited = block_on(async || {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        server::invite(&config, &clock, server::InvitationRequest { role, email, duration }).await
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
    let LoadedConfig { config, warnings } = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let limiter = log_to_stderr(filter(&config.log), config.log.format, Arc::new(SystemClock));
    warnings.iter().for_each(|warning| tracing::warn!(%warning, "configuration warning"));
    match run(config, &limiter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "server failed");
            ExitCode::FAILURE
        }
    }
}

fn run(config: config::Config, limiter: &Arc<LineLimiter>) -> anyhow::Result<()> {
    block_on(async || {
        tokio::spawn(Arc::clone(limiter).report_periodically());
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async || wait_for_stop(&mut terminate, &mut interrupt).await;
        let ended = server::build(config, Arc::new(SystemClock)).await?.run(stop).await;
        limiter.report_all();
        ended
    })
}

fn block_on<T>(work: impl AsyncFnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(work());
    // Tasks that still run after the deadline are not waited for.
    runtime.shutdown_background();
    result
}

async fn wait_for_stop(terminate: &mut Signal, interrupt: &mut Signal) -> StopSignal {
    tokio::select! {
        _ = terminate.recv() => StopSignal::Graceful,
        _ = interrupt.recv() => StopSignal::Interrupt,
    }
}

/// Selects the cryptography library of TLS for the whole process. Further calls, as in tests, have no effect.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
