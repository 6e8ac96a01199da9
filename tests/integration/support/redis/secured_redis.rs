//! A server that only accepts TLS, with a user of limited permissions whose password is in a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::certificates::{make_authority, make_certificate};
use super::super::process::{Child, OnFailure};
use super::super::scratch::Scratch;
use super::super::{ports, wait};
use super::cli;
use vestibule::store::ClientCertificateFiles;

pub const USER: &str = "vestibule";
const START: Duration = Duration::from_secs(10);
const ADMINISTRATOR: [&str; 2] = ["administrator", "the-tests-own"];
/// The documented permissions: the product's keys and channels, no administration.
const RIGHTS: &str = "~vestibule:* &vestibule:* +@all -@admin -@dangerous +info";

pub struct SecuredRedis {
    port: u16,
    child: Child,
    scratch: Scratch,
    options: SecuredOptions,
}

/// The certificates of a server.
#[derive(Clone, Copy)]
pub struct SecuredOptions {
    /// The names in the server's certificate.
    pub names: &'static str,
    pub requires_client_certificate: bool,
    /// A cluster of this node alone, which announces its address.
    pub is_cluster: bool,
}

impl Default for SecuredOptions {
    fn default() -> Self {
        Self { names: "IP:127.0.0.1,DNS:localhost", requires_client_certificate: false, is_cluster: false }
    }
}

impl SecuredRedis {
    /// Starts the server with `password` in the password file and in the server.
    pub async fn start(password: &str) -> Self {
        Self::start_with(password, SecuredOptions::default()).await
    }

    pub async fn start_with(password: &str, options: SecuredOptions) -> Self {
        let scratch = Scratch::new("redis-tls");
        make_authority(scratch.path());
        make_certificate(scratch.path(), "server", options.names);
        make_certificate(scratch.path(), "client", "DNS:vestibule");
        let [name, secret] = ADMINISTRATOR;
        let acl = format!(
            "user default off\n\
             user {name} on >{secret} ~* &* +@all\n\
             user {USER} on >{password} {RIGHTS}\n"
        );
        scratch.write("users.acl", &acl);
        scratch.write("password", &format!("{password}\n"));
        let port = ports::free();
        let child = spawn(port, scratch.path(), options);
        let mut server = Self { port, child, scratch, options };
        server.wait_until_it_answers().await;
        if options.is_cluster {
            server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        }
        server
    }

    pub fn url(&self) -> String {
        let scheme = if self.options.is_cluster { "rediss-cluster" } else { "rediss" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("ca.crt")
    }

    /// A client certificate that the server accepts, and its key.
    pub fn client_files(&self) -> ClientCertificateFiles {
        let file = |name| self.scratch.path().join(name);
        ClientCertificateFiles { certificate: file("client.crt"), key: file("client.key") }
    }

    /// Replaces the client certificate by another one, which is signed by the same authority.
    pub fn renew_client_certificate(&self) {
        make_certificate(self.scratch.path(), "client", "DNS:vestibule");
    }

    /// Creates a certificate authority that the server does not know, and a client certificate that it has signed.
    pub fn foreign_client_files(&self) -> ClientCertificateFiles {
        let directory = self.scratch.path().join("foreign");
        std::fs::create_dir_all(&directory).expect("the scratch directory is writable");
        make_authority(&directory);
        make_certificate(&directory, "client", "DNS:vestibule");
        ClientCertificateFiles { certificate: directory.join("client.crt"), key: directory.join("client.key") }
    }

    pub fn password_file(&self) -> PathBuf {
        self.scratch.path().join("password")
    }

    /// Makes the server accept only this password and closes the connections of its user. [`SecuredRedis::write_password_file`]
    /// changes the file.
    pub fn change_password(&self, password: &str) {
        self.cli(&["ACL", "SETUSER", USER, "resetpass", &format!(">{password}")]);
        self.disconnect_user();
    }

    pub fn write_password_file(&self, password: &str) {
        // Renamed into place, as Kubernetes replaces a mounted secret.
        let fresh = self.scratch.write("password.new", &format!("{password}\n"));
        std::fs::rename(fresh, self.password_file()).expect("the scratch directory is writable");
    }

    pub fn disconnect_user(&self) {
        self.cli(&["CLIENT", "KILL", "USER", USER]);
    }

    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    pub async fn restart(&mut self) {
        self.child.kill9();
        self.child = spawn(self.port, self.scratch.path(), self.options);
        self.wait_until_it_answers().await;
    }

    /// Runs `redis-cli` as the administrator.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.cli_as(ADMINISTRATOR, arguments)
    }

    fn cli_as(&self, [user, password]: [&str; 2], arguments: &[&str]) -> String {
        let (port, ca) = (self.port.to_string(), self.ca_file());
        let ca = ca.to_str().expect("temporary paths are text");
        let client = self.client_files();
        let [certificate, key] = [&client.certificate, &client.key].map(|file| file.to_str().expect("temporary paths are text"));
        // Without a name, redis-cli compares no names.
        let connection = ["-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", ca, "--cert", certificate, "--key", key];
        let login = ["--no-auth-warning", "--user", user, "--pass", password];
        cli(&[&connection[..], &login[..]].concat(), arguments)
    }

    async fn wait_until_it_answers(&mut self) {
        self.child.wait_for_line(START, |line| line.contains("Ready to accept connections").then_some(())).await;
        let port = self.port;
        wait::until("the TLS port", START, async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    }
}

fn spawn(port: u16, directory: &Path, options: SecuredOptions) -> Child {
    let clients = if options.requires_client_certificate { "yes" } else { "no" };
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--tls-auth-clients", clients, "--save", "", "--appendonly", "no"])
        .args(["--tls-cert-file", "server.crt", "--tls-key-file", "server.key"])
        .args(["--tls-ca-cert-file", "ca.crt", "--aclfile", "users.acl"])
        .current_dir(directory);
    if options.is_cluster {
        let bus = ports::free().to_string();
        command.args(["--cluster-enabled", "yes", "--cluster-port", &bus, "--tls-cluster", "yes"]);
        command.args(["--cluster-announce-ip", "127.0.0.1"]);
    }
    Child::spawn("redis-tls", command, &directory.join("redis.log"), OnFailure::Quiet)
}
