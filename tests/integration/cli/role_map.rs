//! `vestibule role-map`, run by hand and in a pipeline.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::cli::vestibule;
use crate::support::repository;
use crate::support::scratch::Scratch;

const MAP: &str = r#"version: 1
default_role: none
rules:
  - {provider: corp, claim: groups, match: "admins*", role: proxy_admin}
  - {provider: corp, claim: groups, match: staff, role: internal_user}
  - {provider: corp, source: access_token, claim: scope, match: "*", role: team}
teams:
  - {provider: corp, claim: groups, match: "/teams/*", strip: /teams/}
access:
  - {paths: [/health/**], allow: anyone}
  - {paths: [/keys/**], credentials: [key]}
  - {paths: [/admin/**], methods: [POST], roles: [proxy_admin]}
  - {paths: [/v1/**], teams: [research]}
"#;

/// Files with a role map and claims.
struct Files {
    _scratch: Scratch,
    map: String,
    claims: String,
}

impl Files {
    fn new(map: &str, claims: &str) -> Self {
        let scratch = Scratch::new("role-map");
        let write = |name: &str, text: &str| scratch.write(name, text).to_string_lossy().into_owned();
        Self { map: write("roles.yaml", map), claims: write("claims.json", claims), _scratch: scratch }
    }

    fn check(&self, further: &[&str]) -> (Option<i32>, String, String) {
        run_result(&vestibule(&[&["role-map", "check", &self.map], further].concat()))
    }

    fn explain(&self, further: &[&str]) -> (Option<i32>, String, String) {
        run_result(&vestibule(&[&["role-map", "explain", &self.map, "--claims", &self.claims], further].concat()))
    }

    fn explain_json(&self, further: &[&str]) -> (Option<i32>, Value) {
        let (code, out, err) = self.explain(&[&["--json"], further].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }
}

fn run_result(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the output is text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn staff() -> String {
    json!({"groups": ["staff", "Admins-1", "/teams/research", "/teams/a,b"]}).to_string()
}

#[test]
fn a_valid_map_is_reported_as_valid() {
    let files = Files::new(MAP, "{}");
    for further in [&[][..], &["--provider", "corp"], &["--provider", "corp", "--provider", "partner"]] {
        let (code, out, err) = files.check(further);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{further:?}: {out}");
        assert_eq!(out, "the role map is valid; it has 8 rules\n");
    }
}

#[test]
fn every_mistake_in_a_map_is_reported_with_its_line() {
    let bad = MAP.replace("role: team", "role: king").replace("[/v1/**]", "[v1]");
    let (code, out, err) = Files::new(&bad, "{}").check(&[]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    for part in ["rules[2].role (line 6): role `king`", "access[3].paths[0] (line 13): the pattern does not begin with a slash"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (code, _, err) = Files::new("version: 1\nruls: []\n", "{}").check(&[]);
    assert!(code == Some(2) && err.contains("ruls") && err.contains("line 2"), "{err}");
    let (code, _, err) = run_result(&vestibule(&["role-map", "check", "/nowhere/roles.yaml"]));
    assert!(code == Some(2) && err.contains("/nowhere/roles.yaml"), "{err}");
}

#[test]
fn with_a_configuration_the_map_is_validated_against_its_providers() {
    let (code, _, err) = Files::new(MAP, "{}").check(&["--provider", "partner"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("rules[0].provider (line 4): provider `corp` is not configured"), "{err}");
    let anybodys = "version: 1\nrules:\n  - {claim: groups, match: staff, role: internal_user}\n";
    let (code, _, err) = Files::new(anybodys, "{}").check(&["--provider", "corp", "--provider", "partner"]);
    assert!(code == Some(2) && err.contains("rules[0].provider (line 3): with several providers"), "{err}");
}

#[test]
fn an_explanation_names_matching_rules_and_near_misses() {
    let (code, out, err) = Files::new(MAP, &staff()).explain(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for line in [
        "role: internal_user, by rules[1] (line 5)",
        "missing: access_token, which a rule names as its source",
        "team: research, by teams[0] (line 8)",
        "dropped team: a,b, by teams[0] (line 8): no header can carry it, or there were too many",
        "near miss: rules[0] would give proxy_admin (line 4): groups has \"Admins-1\", which \"admins*\" matches only with `ignore_case: true`",
    ] {
        assert!(out.lines().any(|printed| printed == line), "{line}: {out}");
    }
    assert!(!out.contains("access:"), "nothing was requested: {out}");
}

#[test]
fn an_explanation_names_claims_that_count_as_absent() {
    let claims = r#"{"id_token": {"email": ["a@example.com"], "email_verified": "yes"}, "userinfo": {"preferred_username": 7}}"#;
    let files = Files::new(MAP, claims);
    let (_, out, err) = files.explain(&[]);
    for line in [
        "ignored: email of the id_token is a list, and counts as absent",
        "ignored: email_verified of the id_token is a string, and counts as absent",
        "ignored: preferred_username of the userinfo is a number, and counts as absent",
    ] {
        assert!(out.lines().any(|printed| printed == line), "{line}: {out}{err}");
    }
    let (_, explanation) = files.explain_json(&[]);
    assert_eq!(explanation["ignored_claims"].as_array().map(Vec::len), Some(3), "{explanation}");
}

#[test]
fn an_explanation_reads_object_keys_and_warns_about_wildcards_on_lists() {
    let map = r#"version: 1
rules:
  - {claim: "urn:zitadel:iam:org:project:roles.{}", match: admin, role: proxy_admin}
  - {claim: "organization.*.groups[]", match: /staff, role: internal_user}
  - {claim: "custom:groups", match: "*users*", role: team}
teams:
  - {claim: "custom:groups", split: brackets, match: "llm-*", strip: llm-}
"#;
    let claims = json!({
        "urn:zitadel:iam:org:project:roles": {"admin": {"27": "acme.example.com"}},
        "organization": {"acme": {"groups": ["/staff"]}},
        "custom:groups": "[not-users, llm-red]",
    });
    let files = Files::new(map, &claims.to_string());
    let (code, out, err) = files.explain(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for line in [
        "role: proxy_admin, by rules[0] (line 3)",
        "team: red, by teams[0] (line 7)",
        "warning: rules[2] (line 5): custom:groups has \"[not-users, llm-red]\", which looks like a list, and \"*users*\" has a \
         wildcard, which can match a part of any entry; set `split: brackets`",
    ] {
        assert!(out.lines().any(|printed| printed == line), "{line}: {out}");
    }
    let (_, explanation) = files.explain_json(&[]);
    let outranked: Vec<_> = explanation["outranked"].as_array().unwrap().iter().map(|granted| &granted["rule"]).collect();
    assert_eq!(outranked, ["rules[2]", "rules[1]"]);
    assert_eq!(explanation["warnings"][0]["rule"], "rules[2]");
}

#[test]
fn an_explanation_shows_the_upstream_credential_of_the_check() {
    let map = r#"version: 1
access:
  - {paths: [/open/**], allow: anyone}
  - {paths: [/c/**], upstream_credential: litellm}
  - {paths: [/d/**], read: [session]}
  - {paths: [/**], upstream_credential: none}
"#;
    let files = Files::new(map, &staff());
    for (path, credential) in [
        ("/open/x", "pass"),
        ("/c/x", "litellm"),
        ("/a/x", "none"),
        ("/c/../a/x", "none, because the matching rules disagree"),
        ("/d/x", "upstream_credential.default, or pass if it is not set"),
        ("/open/../d/x", "upstream_credential.default, or none if it is not set"),
        ("/c/../d/x", "litellm if upstream_credential.default is litellm; otherwise none, because the matching rules disagree"),
    ] {
        let (code, out, err) = files.explain(&["--url", &format!("https://llm.example.com{path}")]);
        assert_eq!(code, Some(0), "{path}: {out}{err}");
        assert!(out.ends_with(&format!("the upstream receives: {credential}\n")), "{path}: {out}");
    }
}

#[test]
fn an_explanation_applies_the_restrictions_of_a_route_and_the_configured_encoding() {
    let map = format!("{MAP}routes: {{data: {{teams: [research]}}, red: {{teams: [red]}}, staff: {{roles: [internal_user]}}}}\n");
    let files = Files::new(&map, &json!({"groups": ["staff", "/teams/research", "/teams/a,b"]}).to_string());
    let (percent, utf8) = (["--identity-headers", "percent"], ["--identity-headers", "utf8"]);
    for (route, encoding, allowed, expected) in [
        ("data", &percent, true, "access: allowed"),
        ("red", &percent, false, "access: refused"),
        ("staff", &utf8, true, "access: allowed"),
        ("unknown", &utf8, false, "access: refused"),
    ] {
        let request = ["--url", "https://a/v1/models", "--route", route];
        let (code, out, err) = files.explain(&[&request, encoding.as_slice()].concat());
        assert_eq!(code, Some(i32::from(!allowed)), "{route}: {out}{err}");
        assert!(out.contains(expected) && out.contains("team: research"), "{route}: {out}");
        assert_eq!(out.contains("dropped team: a,b"), encoding == &utf8, "{route}: {out}");
    }
    assert_eq!(files.explain(&["--route", "data"]).0, Some(2), "a route needs a URL");
}

#[test]
fn the_explanation_is_available_as_json() {
    let (code, explanation) = Files::new(MAP, &staff()).explain_json(&["--url", "https://llm.example.com/v1/models"]);
    assert_eq!(code, Some(0), "{explanation}");
    assert_eq!(
        (&explanation["role"], &explanation["rule"], &explanation["line"]),
        (&json!("internal_user"), &json!("rules[1]"), &json!(5))
    );
    assert_eq!(explanation["teams"], json!([{"what": "research", "rule": "teams[0]", "line": 8}]));
    assert_eq!(explanation["dropped_teams"][0]["what"], "a,b");
    assert_eq!(explanation["missing_sources"], json!(["access_token"]));
    assert_eq!(explanation["near_misses"][0]["rule"], "rules[0]");
    assert_eq!(explanation["access"]["allowed"], true);
    assert_eq!(explanation["access"]["readings"][0]["path"], "/v1/models");
    assert_eq!(explanation["access"]["readings"][0]["rule"], "access[3]");
}

#[test]
fn the_exit_code_depends_on_role_and_access() {
    let table: [(Value, &[&str], i32, &str); 9] = [
        (json!({"groups": "staff"}), &[], 0, "role: internal_user"),
        (json!({"groups": "guests"}), &[], 1, "role: none, since no rule matches and default_role is none"),
        (json!({"groups": "guests"}), &["--url", "https://a/health/x"], 0, "access: allowed, every matching rule allows anyone"),
        (json!({"groups": ["staff", "/teams/research"]}), &["--url", "https://a/v1/x"], 0, "access: allowed"),
        (json!({"groups": "staff"}), &["--url", "https://a/v1/x"], 1, "access: refused, access[3] requires another team"),
        (json!({"groups": "staff"}), &["--url", "https://a/x"], 1, "access: refused, no access rule matches the request"),
        (json!({"groups": "admins"}), &["--url", "https://a/admin/x", "--method", "POST"], 0, "access: allowed"),
        (json!({"groups": "staff"}), &["--url", "https://a/keys/x"], 1, "access: refused, access[1] requires another credential"),
        (json!({"groups": "staff"}), &["--url", "https://a/keys/x", "--credential", "key"], 0, "access: allowed"),
    ];
    for (claims, further, expected, note) in table {
        let files = Files::new(MAP, &claims.to_string());
        let (code, out, err) = files.explain(further);
        assert_eq!(code, Some(expected), "{claims} {further:?}: {out}{err}");
        assert!(out.contains(note), "{claims} {further:?}: {note}: {out}");
        let (code, explanation) = files.explain_json(further);
        assert_eq!(code, Some(expected), "{explanation}");
        if !further.is_empty() {
            assert_eq!(explanation["access"]["allowed"], expected == 0, "{explanation}");
        }
    }
}

#[test]
fn the_deciding_path_interpretation_is_named() {
    let files = Files::new(MAP, &json!({"groups": "staff"}).to_string());
    let (code, out, _) = files.explain(&["--url", "https://a/health/%2e%2e/v1/models"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("\"/health/%2e%2e/v1/models\" (as sent) matches access[0]"), "{out}");
    assert!(
        out.lines().any(|line| line.trim_start().starts_with("\"/v1/models\"") && line.ends_with("matches access[3]")),
        "{out}"
    );
}

#[test]
fn claims_can_be_given_per_source() {
    let sources = json!({"id_token": {"groups": []}, "access_token": {"scope": "openid"}, "userinfo": null});
    let (code, explanation) = Files::new(MAP, &sources.to_string()).explain_json(&[]);
    assert_eq!(
        (code, &explanation["role"], &explanation["rule"]),
        (Some(0), &json!("team"), &json!("rules[2]")),
        "{explanation}"
    );
    assert_eq!(explanation["missing_sources"], json!([]));
    let refusing = MAP.replace("version: 1\n", "version: 1\nmissing_source: refuse\n");
    let (code, out, _) = Files::new(&refusing, &staff()).explain(&[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("role: none, since there are no claims from the access_token and missing_source is refuse"), "{out}");
}

#[test]
fn a_workloads_claims_come_from_its_token_and_it_has_no_default_role() {
    let map = r"version: 1
rules:
  - {provider: cluster, source: access_token, claim: kubernetes\.io.namespace, match: batch, role: internal_user}
";
    let of_namespace = |namespace: &str| Files::new(map, &json!({"kubernetes.io": {"namespace": namespace}}).to_string());
    let (code, explanation) = of_namespace("batch").explain_json(&["--workload"]);
    assert_eq!(
        (code, &explanation["role"], &explanation["rule"]),
        (Some(0), &json!("internal_user"), &json!("rules[0]")),
        "{explanation}"
    );
    let (code, out, _) = of_namespace("elsewhere").explain(&["--workload"]);
    assert!(
        code == Some(1) && out.contains("role: none, since no rule matches and the default role is not for workloads"),
        "{out}"
    );
}

#[test]
fn a_claim_cannot_forge_lines_of_an_explanation() {
    let claims = json!({"groups": ["staff", "/teams/x\nrole: proxy_admin", "/teams/\u{1b}[2J"]}).to_string();
    let (code, out, err) = Files::new(MAP, &claims).explain(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.lines().filter(|line| line.starts_with("role:")).count(), 1, "{out:?}");
    assert!(out.contains(r#"dropped team: "x\nrole: proxy_admin", by teams[0]"#), "{out}");
    assert!(!out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let files = Files::new(MAP, &staff());
    for arguments in [&["check", &files.map][..], &["explain", &files.map, "--claims", &files.claims], &["schema"]] {
        let (reader, writer) = std::io::pipe().expect("there is a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        let output = command.arg("role-map").args(arguments).env_clear().stdout(writer).output().expect("the binary was built");
        assert_eq!(run_result(&output), (Some(0), String::new(), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_map_that_only_applies_to_first_logins_is_reported_for_known_users() {
    let note = "for a first login only: sync_user_role_and_teams is false";
    for (sync, expected) in
        [("", false), ("{sync_user_role_and_teams: true}", false), ("{sync_user_role_and_teams: false}", true)]
    {
        let section = if sync.is_empty() { String::new() } else { format!("litellm_jwtauth: {sync}\n") };
        let files = Files::new(&format!("{MAP}{section}"), &staff());
        let (code, out, err) = files.explain(&[]);
        assert_eq!((code, out.contains(note)), (Some(0), expected), "{sync}: {out}{err}");
        assert_eq!(files.explain_json(&[]).1["first_login_only"], expected, "{sync}");
    }
}

#[test]
fn an_impossible_explanation_exits_with_the_code_of_a_mistake() {
    let two = MAP.replacen("provider: corp", "provider: partner", 1);
    let good = staff();
    let table: [(&str, &str, &[&str], &str); 8] = [
        (&two, &good, &[], "--provider: required, since rules name corp, partner"),
        ("version: 2\n", &good, &[], "version"),
        (MAP, "[]", &[], "claims.json"),
        (MAP, "{", &[], "claims.json"),
        (MAP, r#"{"id_token": 1}"#, &[], "id_token must be an object"),
        (MAP, r#"{"id_token": {}, "acces_token": {}}"#, &[], "\"acces_token\" is not a source of claims"),
        (MAP, &good, &["--url", "ftp://a/x"], "--url"),
        (MAP, &good, &["--method", "POST"], "--url"),
    ];
    for (map, claims, further, note) in table {
        let (code, out, err) = Files::new(map, claims).explain(further);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{further:?}: {err}");
        assert!(err.contains(note), "{note}: {err}");
    }
    let (code, _, err) = Files::new(&two, &good).explain(&["--provider", "corp"]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn the_printed_schema_is_the_repositorys() {
    let (code, out, err) = run_result(&vestibule(&["role-map", "schema"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let printed: Value = serde_json::from_str(&out).expect("the schema is JSON");
    let kept = std::fs::read_to_string(repository("src/role_map/document/schema.json")).expect("the schema is there");
    assert_eq!(printed, serde_json::from_str::<Value>(&kept).expect("the schema is JSON"));
    assert_eq!(out, kept, "to the byte, so that a pipeline can compare them");
}
