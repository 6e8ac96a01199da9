//! A server that only accepts TLS, with a user of limited permissions whose password is in a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::process::{Child, OnFailure};
use super::super::scratch::Scratch;
use super::super::{ports, wait};
use super::cli;

pub const USER: &str = "vestibule";
const START: Duration = Duration::from_secs(10);
const ADMINISTRATOR: [&str; 2] = ["administrator", "the-tests-own"];
/// The documented permissions: the product's keys and channels, no administration.
const RIGHTS: &str = "~vestibule:* &vestibule:* +@all -@admin -@dangerous +info";

pub struct Secured {
    port: u16,
    child: Child,
    scratch: Scratch,
}

impl Secured {
    /// Starts the server with `password` in the password file and in the server.
    pub async fn start(password: &str) -> Self {
        let scratch = Scratch::new("redis-tls");
        make_certificates(scratch.path());
        let [name, secret] = ADMINISTRATOR;
        let acl = format!(
            "user default off\n\
             user {name} on >{secret} ~* &* +@all\n\
             user {USER} on >{password} {RIGHTS}\n"
        );
        scratch.write("users.acl", &acl);
        scratch.write("password", &format!("{password}\n"));
        let port = ports::free();
        let child = spawn(port, scratch.path());
        let mut server = Self { port, child, scratch };
        server.wait_until_it_answers().await;
        server
    }

    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("ca.crt")
    }

    pub fn password_file(&self) -> PathBuf {
        self.scratch.path().join("password")
    }

    /// Makes the server accept only this password and closes the connections of its user. [`Secured::write_password_file`]
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
        self.child = spawn(self.port, self.scratch.path());
        self.wait_until_it_answers().await;
    }

    /// Runs `redis-cli` as the administrator.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.cli_as(ADMINISTRATOR, arguments)
    }

    fn cli_as(&self, [user, password]: [&str; 2], arguments: &[&str]) -> String {
        let (port, ca) = (self.port.to_string(), self.ca_file());
        let ca = ca.to_str().expect("temporary paths are text");
        let connection = ["-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", ca];
        let login = ["--no-auth-warning", "--user", user, "--pass", password];
        cli(&[&connection[..], &login[..]].concat(), arguments)
    }

    async fn wait_until_it_answers(&mut self) {
        self.child.wait_for_line(START, |line| line.contains("Ready to accept connections").then_some(())).await;
        let port = self.port;
        wait::until("the TLS port", START, async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    }
}

fn spawn(port: u16, directory: &Path) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--tls-auth-clients", "no", "--save", "", "--appendonly", "no"])
        .args(["--tls-cert-file", "server.crt", "--tls-key-file", "server.key"])
        .args(["--tls-ca-cert-file", "ca.crt", "--aclfile", "users.acl"])
        .current_dir(directory);
    Child::spawn("redis-tls", command, &directory.join("redis.log"), OnFailure::Quiet)
}

/// Creates a certificate authority and a server certificate: `ca.crt`, `server.crt`, `server.key`.
fn make_certificates(directory: &Path) {
    let common = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2";
    let authority = "-keyout ca.key -out ca.crt -subj /CN=vestibule-test-ca \
        -addext keyUsage=critical,keyCertSign,cRLSign";
    let server = "-keyout server.key -out server.crt -subj /CN=localhost -CA ca.crt -CAkey ca.key \
        -addext subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    for arguments in [authority, server] {
        let words = common.split_whitespace().chain(arguments.split_whitespace());
        let output = Command::new("openssl")
            .args(words)
            .current_dir(directory)
            .output()
            .unwrap_or_else(|error| panic!("openssl doesn't start ({error}): run `make peers`"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl: {complaint}");
    }
}
