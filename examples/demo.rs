//! A complete fleet on loopback to try by hand: a real identity provider, a Redis cluster of six, three pods, nginx and an
//! upstream. `make demo` builds and starts it; Ctrl-C ends all of it.

#[path = "../tests/integration"]
mod integration {
    pub mod support;
}

use std::path::PathBuf;

use integration::support::fleet::Fleet;
use integration::support::idp;

const DEFAULT_PORT: u16 = 8080;

#[tokio::main]
async fn main() {
    // A peer that does not start causes a panic, which unwinds here and kills every child process.
    let port = port();
    let logging = "log: {format: json}\n";
    let fleet = Fleet::builder().pods(3).own_cluster().idp().nginx_at(port).binary(binary()).yaml(logging).start();
    println!("Starting an identity provider, six Redis nodes, three pods, nginx and an upstream …");
    tokio::select! {
        fleet = fleet => {
            println!("{}", description(&fleet));
            interrupted().await;
        }
        () = interrupted() => (),
    }
    println!("\nEnding all of it.");
}

/// `DEMO_PORT`, or the default; a port in use is reported.
fn port() -> u16 {
    let port = match std::env::var("DEMO_PORT") {
        Ok(text) => text.parse().unwrap_or_else(|_| fail(&format!("DEMO_PORT={text} isn't a port"))),
        Err(_) => DEFAULT_PORT,
    };
    if std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
        fail(&format!("port {port} is taken; choose another: DEMO_PORT=8088 make demo"));
    }
    port
}

/// The first argument, or the binary beside the directory of the examples.
fn binary() -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("vestibule"));
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    match given.or_else(beside).filter(|path| path.is_file()) {
        Some(path) => path,
        None => fail("the vestibule binary isn't built: use `make demo`"),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("demo: {message}");
    std::process::exit(1)
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate()).expect("a handler can be installed");
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.expect("a handler can be installed"),
        _ = terminated.recv() => (),
    }
}

fn description(fleet: &Fleet) -> String {
    let roles = ["proxy_admin", "internal_user", "internal_user_viewer"];
    let people: Vec<String> = idp::accounts()
        .iter()
        .zip(roles)
        .map(|(person, role)| format!("  {:8}{:22}{role}", person.username, person.password))
        .collect();
    let pods: Vec<String> = fleet
        .pods
        .iter()
        .map(|pod| {
            let (admin, log) = (pod.admin("/readyz"), pod.log_file().display());
            format!("  {admin}  log {log}")
        })
        .collect();
    format!(
        "\nOpen  {}\n\n  user    password              role\n{}\n\nPods\n{}\n\n\
         Sign out   {}\n\
         Provider   {}\n\
         Redis      {}\n\
         nginx log  {}\n\n\
         Kill a pod while you are signed in and nothing happens. ctrl-C ends all of it.",
        fleet.url("/"),
        people.join("\n"),
        pods.join("\n"),
        fleet.url("/sso/logout"),
        fleet.idp().issuer(),
        fleet.store_url(),
        fleet.nginx().access_log_file().display(),
    )
}
