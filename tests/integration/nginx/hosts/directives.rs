//! nginx with the directives that ingress-nginx generates: `Host` and the check's URL come from `$http_host`.

use std::fmt::Write;

use crate::support::auth_request::GATEWAY_SECRET;
use crate::support::fleet::Fleet;
use crate::support::nginx::Nginx;
use crate::support::ports;

/// Starts a server for each host, each with its own Ingress and `auth-url`.
pub async fn start(hosts: &[&str], fleet: &Fleet) -> Nginx {
    let port = ports::free();
    let mut config = "upstream check {\n".to_owned();
    for (_, check) in fleet.pod_ports() {
        writeln!(config, "    server 127.0.0.1:{check};").expect("writing to a String can't fail");
    }
    config += "}\n";
    // The controller's default server answers 404.
    config += &format!("server {{ listen 127.0.0.1:{port} default_server; server_name _; return 404; }}\n");
    hosts.iter().for_each(|host| config += &server(port, host, fleet.upstream().port()));
    Nginx::start_with(port, &config).await
}

/// `X-Served-Host` is for the tests: it tells which server forwarded a request.
fn server(port: u16, host: &str, upstream: u16) -> String {
    format!(
        "server {{
    listen 127.0.0.1:{port};
    server_name {host};
    location = /_external-auth {{
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length \"\";
        proxy_set_header X-Forwarded-Proto \"\";
        proxy_set_header X-Request-ID $request_id;
        proxy_set_header Host 127.0.0.1;
        proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Vestibule-Gateway-Secret {GATEWAY_SECRET};
        proxy_set_header X-Sent-From \"nginx-ingress-controller\";
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
        proxy_http_version 1.1;
        proxy_pass http://check/auth/nginx?echo=true&host={host};
    }}
    location / {{
        auth_request /_external-auth;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Served-Host {host};
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:{upstream};
    }}
}}
"
    )
}
