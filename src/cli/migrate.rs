//! `vestibule migrate`: converts the configuration of other products.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::migrate::{
    ingress::{self, ObjectRef},
    oauth2_proxy,
};
use crate::yaml::{emit, shown};

#[derive(Subcommand)]
pub enum MigrateCommand {
    /// Converts Ingresses with the annotations of ingress-nginx for forward auth (by oauth2-proxy, Authelia or Vestibule) to the
    /// manifests of another gateway, protected by Vestibule. Refuses an Ingress whose protection cannot be carried over.
    Ingress(IngressArgs),
    /// Converts the options of oauth2-proxy to a configuration and a role map, and lists those without a counterpart.
    #[command(name = "oauth2-proxy")]
    OAuth2Proxy(OAuth2ProxyArgs),
}

#[derive(Args)]
pub struct IngressArgs {
    /// Manifests, such as the output of `kubectl get ingress --output yaml`; `-` for the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Gateway that replaces ingress-nginx.
    #[arg(long)]
    to: TargetArg,
    /// Release of Vestibule's chart, whose Services are NAME-check and NAME-public. By default from an auth URL of Vestibule.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    vestibule: Option<ObjectRef>,
    /// Gateway that the HTTPRoutes belong to. Required with `envoy-gateway` and `gateway-api`.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        required_if_eq_any([("to", "envoy-gateway"), ("to", "gateway-api")])
    )]
    gateway: Option<ObjectRef>,
    /// Namespace of Ingresses that name none.
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Annotation, without its prefix, that is not needed for the protection of the app, such as `configuration-snippet`.
    #[arg(long, value_name = "ANNOTATION")]
    drop: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TargetArg {
    Traefik,
    EnvoyGateway,
    GatewayApi,
    Nginx,
}

impl From<TargetArg> for ingress::Target {
    fn from(target: TargetArg) -> Self {
        match target {
            TargetArg::Traefik => Self::Traefik,
            TargetArg::EnvoyGateway => Self::EnvoyGateway,
            TargetArg::GatewayApi => Self::GatewayApi,
            TargetArg::Nginx => Self::Nginx,
        }
    }
}

#[derive(Args)]
pub struct OAuth2ProxyArgs {
    /// YAML file for `--alpha-config` of oauth2-proxy.
    #[arg(long, value_name = "FILE")]
    alpha_config: Option<PathBuf>,
    /// File with flags: one in each line, or a YAML list, such as the `args` of a Deployment.
    #[arg(long, value_name = "FILE")]
    args_file: Option<PathBuf>,
    /// Origin that browsers use. By default from `redirect-url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Directory of the role map and of the files with secrets that the printed configuration refers to.
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/vestibule")]
    directory: String,
    /// Prints one of the two documents.
    #[arg(long)]
    only: Option<DocumentArg>,
    /// Flags of oauth2-proxy, after `--`.
    #[arg(last = true)]
    flags: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DocumentArg {
    Configuration,
    RoleMap,
}

const REFUSED: u8 = 1;
const INVALID_INPUT: u8 = 2;

/// No reasonable manifest is larger.
const MAX_FILE_SIZE: u64 = 32 << 20;

impl MigrateCommand {
    /// `config` is the file of the option `--config`, which all commands have.
    pub fn run(self, config: Option<PathBuf>) -> ExitCode {
        let result = match self {
            Self::Ingress(args) => args.run(),
            Self::OAuth2Proxy(args) => args.run(config),
        };
        result.unwrap_or_else(|mistake| {
            eprintln!("{mistake}");
            ExitCode::from(INVALID_INPUT)
        })
    }
}

impl IngressArgs {
    fn run(self) -> Result<ExitCode, String> {
        let mut input = ingress::Input::default();
        for file in &self.files {
            input.read(&read(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let settings = ingress::IngressSettings {
            target: self.to.into(),
            namespace: self.namespace,
            vestibule: self.vestibule,
            gateway: self.gateway,
            dropped: self.drop.into_iter().collect(),
        };
        let conversion = ingress::convert(input, &settings);
        for refusal in &conversion.refusals {
            eprintln!("{} is refused, since its protection cannot be carried over:", refusal.ingress);
            refusal.reasons.iter().for_each(|reason| eprintln!("  {reason}"));
        }
        if conversion.manifests.is_empty() && conversion.refusals.is_empty() {
            return Err("no Ingress has the annotation nginx.ingress.kubernetes.io/auth-url".to_owned());
        }
        if !conversion.manifests.is_empty() {
            print(&conversion.text())?;
        }
        Ok(if conversion.refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

impl OAuth2ProxyArgs {
    fn run(self, config: Option<PathBuf>) -> Result<ExitCode, String> {
        let named = |error: String, file: &Path| format!("{}: {error}", file.display());
        let mut options = oauth2_proxy::Options::default();
        // The variable names Vestibule's own configuration, which is never that of oauth2-proxy.
        let own = std::env::var_os("VESTIBULE_CONFIG").map(PathBuf::from);
        for file in config.iter().filter(|file| own.as_ref() != Some(*file)) {
            options.read_config(&read(file)?).map_err(|error| named(error, file))?;
        }
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        options.read_variables(variables)?;
        if let Some(file) = &self.args_file {
            let flags = oauth2_proxy::flags_of_text(&read(file)?).map_err(|error| named(error, file))?;
            options.read_flags(&flags).map_err(|error| named(error, file))?;
        }
        options.read_flags(&self.flags)?;
        if let Some(file) = &self.alpha_config {
            options.read_alpha(&read(file)?).map_err(|error| named(error, file))?;
        }
        let settings = oauth2_proxy::OptionSettings { public_url: self.public_url, directory: self.directory };
        let conversion = oauth2_proxy::convert(&options, &settings).map_err(|mistakes| mistakes.join("\n"))?;
        if self.only != Some(DocumentArg::RoleMap) {
            let remarks: String = conversion.remarks.iter().map(|remark| emit::comment(remark)).collect();
            print(&format!("{remarks}{}", conversion.configuration.document()))?;
        }
        if self.only.is_none() {
            print(&format!("---\n{}", emit::comment(&format!("The role map, for {}", shown(&conversion.role_map_file)))))?;
        }
        if self.only != Some(DocumentArg::Configuration) {
            print(&conversion.role_map.document())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let result = if file == Path::new("-") {
        io::stdin().lock().take(MAX_FILE_SIZE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_string(&mut text))
    };
    match result {
        Err(error) => Err(format!("{}: {error}", file.display())),
        Ok(_) if text.len() as u64 > MAX_FILE_SIZE => Err(format!("{}: is larger than 32 MiB", file.display())),
        Ok(_) => Ok(text),
    }
}

/// Prints the output. A closed pipe, as of `head`, is not an error.
fn print(output: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(output.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("the output can't be written: {error}")),
        _ => Ok(()),
    }
}
