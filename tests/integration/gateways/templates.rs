//! `deploy/render.sh`, which fills in the templates, and the templates that no other test runs.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Caller, GatewayFleet, JSON};
use crate::support::gateway::Variables;
use crate::support::nginx::Nginx;
use crate::support::{ports, raw_http};

const TEMPLATES: [&str; 8] = [
    "deploy/nginx/vestibule.conf.template",
    "deploy/traefik/static.yaml.template",
    "deploy/traefik/vestibule.yaml.template",
    "deploy/caddy/Caddyfile.template",
    "deploy/envoy/envoy.yaml.template",
    "deploy/haproxy/haproxy.cfg.template",
    "deploy/apisix/apisix.yaml.template",
    "deploy/apisix/config.yaml.template",
];
const ENVOY: &str = TEMPLATES[4];
const ROUTES: (&str, &str) = ("VESTIBULE_ROUTES", "/etc/traefik/vestibule.yaml");

const VARIABLES: Variables =
    Variables { listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), public: 1, check: 2, upstream: 3 };

#[test]
fn every_template_is_filled_in_completely() {
    for template in TEMPLATES {
        let rendered = VARIABLES.render(template, &[ROUTES]).unwrap();
        assert!(!rendered.contains("${VESTIBULE_"), "{template}: {rendered}");
        let comments = rendered.lines().filter(|line| line.trim_start().starts_with('#') && *line != "#END").count();
        assert_eq!(comments, 0, "{template}: {rendered}");
    }
    let envoy = VARIABLES.render(ENVOY, &[("VESTIBULE_CHECK", "[2001:db8::1]:4181")]).unwrap();
    assert!(envoy.contains(r#"address: "2001:db8::1", port_value: 4181"#), "{envoy}");
}

#[test]
fn missing_and_malformed_variables_are_named() {
    let missing = VARIABLES.render(TEMPLATES[1], &[]).unwrap_err();
    assert!(missing.contains("VESTIBULE_ROUTES is not set"), "{missing}");
    for (name, value) in [
        ("VESTIBULE_SERVER_NAME", "a.example b.example"),
        ("VESTIBULE_SERVER_NAME", "a.example\"}"),
        ("VESTIBULE_GATEWAY_SECRET", "a\nb"),
        ("VESTIBULE_GATEWAY_SECRET", "${HOME}"),
        ("VESTIBULE_UPSTREAM", "localhost"),
        ("VESTIBULE_CHECK", "localhost:"),
        ("VESTIBULE_LISTEN", "::1:80"),
    ] {
        let error = VARIABLES.render(ENVOY, &[(name, value)]).expect_err(value);
        assert!(error.contains(name) && !error.contains(value), "{error}");
    }
}

/// nginx also has variables for lists of pods. A single address can replace them.
#[tokio::test(flavor = "multi_thread")]
async fn the_nginx_template_takes_the_variables_of_the_others() {
    let shared = GatewayFleet::shared().await;
    let pod = shared.fleet.pod(1);
    let port = ports::free();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let upstream = shared.fleet.upstream().port();
    let variables = Variables { listen, public: pod.public_port(), check: pod.check_port(), upstream };
    let _nginx = Nginx::start_with(port, &variables.render(TEMPLATES[0], &[]).unwrap()).await;
    let (name, cookie) = shared.credential(Caller::User).expect("a session");
    for (target, status) in [("/v1/x", 200), ("/admin/x", 403), ("/sso/session", 200)] {
        let answer = raw_http::send_to(listen, "GET", target, &[JSON, (name, &cookie)]).await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
    }
}
