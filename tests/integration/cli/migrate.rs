//! Tests `vestibule migrate`, run as by an operator.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::scratch::Scratch;

fn run(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("migrate").args(arguments).env_clear().envs(variables.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary was built");
    child.stdin.take().expect("it is a pipe").write_all(input.as_bytes()).expect("the command reads its input");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the command ends");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

const INGRESS: &str = "deploy/ingress-nginx/ingress.yaml";

#[test]
fn protected_ingresses_are_converted_for_each_gateway() {
    let expected = [
        ("traefik", "forwardAuth:"),
        ("envoy-gateway", "kind: SecurityPolicy"),
        ("gateway-api", "type: ExternalAuth"),
        ("nginx", "auth_request /"),
    ];
    for (target, text) in expected {
        let arguments = ["ingress", INGRESS, "--to", target, "--namespace", "llm", "--gateway", "gateways/public"];
        let (code, out, err) = run(&arguments, &[], "");
        assert_eq!((code, err.as_str()), (Some(0), ""), "{target}");
        assert!(out.contains(text) && out.contains("llm.example.com"), "{target}: {out}");
    }
}

#[test]
fn a_refused_ingress_prints_nothing_and_exits_with_1() {
    let manifests = std::fs::read_to_string(INGRESS).expect("the file is there");
    let refused = manifests.replace("proxy-buffering: \"off\"", "server-snippet: deny all;");
    let (code, out, err) = run(&["ingress", "-", "--to", "traefik"], &[], &refused);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("Ingress door-vestibule-upstream is refused") && err.contains("--drop server-snippet"), "{err}");
    let (code, out, _) = run(&["ingress", "-", "--to", "traefik", "--drop", "server-snippet"], &[], &refused);
    assert!(code == Some(0) && out.contains("# server-snippet was dropped"), "{out}");
}

#[test]
fn other_input_exits_with_2() {
    for (arguments, input, expected) in [
        (&["ingress", "-", "--to", "traefik"][..], "a: [", "-: line 1: is not valid YAML"),
        (
            &["ingress", "-", "--to", "traefik"],
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}",
            "no Ingress has the annotation",
        ),
        (&["ingress", "/nonexistent", "--to", "nginx"], "", "/nonexistent: No such file"),
        (&["ingress", INGRESS, "--to", "gateway-api"], "", "--gateway"),
        (&["ingress", INGRESS, "--to", "traefik", "--vestibule", "x"], "", "NAMESPACE/NAME"),
        (&["oauth2-proxy"], "", "redirect-url: is missing"),
        (&["oauth2-proxy", "--", "--unknown=1"], "", "`--unknown`: not an option"),
    ] {
        let (code, out, err) = run(arguments, &[], input);
        assert!(code == Some(2) && out.is_empty() && err.contains(expected), "{arguments:?}: {code:?} {err}");
    }
}

#[test]
fn the_printed_configuration_and_role_map_are_accepted() {
    let scratch = Scratch::new("migrate");
    let file = |name: &str, text: &str| scratch.write(name, text).to_string_lossy().into_owned();
    let toml =
        "provider = \"oidc\"\nclient_secret = \"a-secret-in-the-file\"\nemail_domains = [\"example.com\"]\nbanner = \"x\"\n";
    let config = file("oauth2-proxy.cfg", toml);
    let flags = file("flags.yaml", "- --redirect-url=https://llm.example.com/oauth2/callback\n- --allowed-group=llm\n");
    file("client-secret", "0123456789abcdef");
    let directory = scratch.path().to_string_lossy().into_owned();
    let common = ["oauth2-proxy", "--config", &config, "--args-file", &flags, "--directory", &directory];
    // Vestibule's own variable must not name the configuration of oauth2-proxy.
    let variables = [
        ("OAUTH2_PROXY_OIDC_ISSUER_URL", "https://idp.example.com"),
        ("OAUTH2_PROXY_CLIENT_ID", "llm"),
        ("VESTIBULE_CONFIG", "/x"),
    ];
    let print = |further: &[&str]| {
        let (code, out, err) = run(&[&common[..], further, &["--", "--cookie-expire=8h"]].concat(), &variables, "");
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        out
    };
    let configuration = print(&["--only", "configuration"]);
    assert!(configuration.contains("# banner is not converted") && configuration.contains("absolute: \"8h\""), "{configuration}");
    assert!(!print(&[]).contains("a-secret-in-the-file"));
    let roles = file("roles.yaml", &print(&["--only", "role-map"]));
    let configuration = file("vestibule.yaml", &configuration);
    let run_vestibule = |arguments: &[&str]| super::vestibule(arguments);
    for arguments in [&["check-config", "--config", &configuration][..], &["role-map", "check", &roles, "--provider", "sso"]] {
        let output = run_vestibule(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
