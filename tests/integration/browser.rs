//! Chromium signs in and out through nginx, and opens each page of the product.

mod accounts;
mod applications;
mod further_origins;
mod hostile_script;
mod pages;
mod readme;

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::support::fleet::Fleet;
use crate::support::steps::ALICE;
use crate::support::{artifacts, browser, repository};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const DEMO: &str = "docs/images/demo.png";
/// Every clone contains the file.
const LARGEST_PICTURE: usize = 150 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_sees_the_upstream_signs_out_and_must_sign_in_again() {
    let mut shots = Vec::new();
    for scheme in ["light", "dark"] {
        let directory = artifacts("browser").join(format!("sign-in-{scheme}"));
        assert_round_trip(scheme, &directory).await;
        shots.push(screenshot(&directory.join("upstream.png")));
    }
    assert_ne!(shots[0], shots[1], "light and dark look alike");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(repository("docs/images")).expect("the repository is writable");
        std::fs::write(repository(DEMO), &shots[0]).expect("the repository is writable");
    }
}

async fn assert_round_trip(scheme: &str, directory: &Path) {
    let fleet = Fleet::shared().await;
    let base = fleet.url("");
    let arguments = [&base, ALICE.name, ALICE.password, &directory.to_string_lossy(), scheme];
    let report = browser::run("signin.mjs", &arguments).await;
    let issuer = fleet.idp().issuer();
    for place in ["idp", "secondSignIn"] {
        assert!(report[place].as_str().is_some_and(|url| url.starts_with(issuer.split("/realms").next().unwrap())), "{report}");
    }
    assert_eq!(report["identity"]["x-auth-request-preferred-username"], ALICE.name, "{report}");
    assert_eq!(report["identity"]["x-auth-request-role"], "proxy_admin", "{report}");
    assert!(report["signedOut"]["text"].as_str().is_some_and(|text| text.contains("You are signed out")), "{report}");
    assert_cookies(&report["cookies"]);
    assert_eq!(report["errors"], serde_json::json!([]));
    for name in ["idp", "upstream", "logout", "signed-out", "second-sign-in"] {
        screenshot(&directory.join(format!("{name}.png")));
    }
}

/// Asserts the cookies as the browser stores them.
fn assert_cookies(cookies: &Value) {
    let ours: Vec<&Value> = cookies.as_array().unwrap().iter().filter(|cookie| is_ours(cookie)).collect();
    assert!(ours.iter().any(|cookie| cookie["name"] == "vestibule"), "{cookies}");
    for cookie in ours {
        assert!(cookie["httpOnly"] == true && cookie["sameSite"] == "Lax", "{cookie}");
        assert!(cookie["length"].as_u64().is_some_and(|length| length < 200), "{cookie}");
    }
}

fn is_ours(cookie: &Value) -> bool {
    cookie["name"].as_str().is_some_and(|name| name.starts_with("vestibule"))
}

/// Asserts the number of views, that no two look the same, and that none violates an accessibility rule.
fn assert_views(report: &Value, directory: &Path, count: usize) {
    let views = report["views"].as_array().unwrap();
    assert_eq!(views.len(), count, "{report}");
    let mut pictures = HashMap::new();
    for view in views {
        assert_eq!(view["violations"], serde_json::json!([]), "{view}");
        assert!(view["overflow"].as_i64().is_some_and(|pixels| pixels <= 0), "scrolls sideways: {view}");
        assert!(view["order"].as_array().is_none_or(Vec::is_empty), "wrong keyboard order: {view}");
        let picture = screenshot(&directory.join(format!("{}.png", view["shot"].as_str().unwrap())));
        assert!(pictures.insert(picture, view).is_none(), "looks like another view: {view}");
    }
    // Chromium logs every page with a status other than 200.
    let errors = report["errors"].as_array().unwrap().iter();
    let unexpected: Vec<_> = errors.filter(|text| !text.as_str().unwrap().contains("responded with a status of 4")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

/// The bytes of a picture that must exist.
fn screenshot(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(bytes.starts_with(PNG) && bytes.len() > 1024, "{}: {} bytes", file.display(), bytes.len());
    bytes
}

/// Asserts that a picture in README exists and is small.
fn assert_small(path: &str) {
    let length = screenshot(&repository(path)).len();
    assert!(length < LARGEST_PICTURE, "{path}: {length} bytes");
}

#[test]
fn every_picture_in_the_readme_exists_and_is_small() {
    assert_small(DEMO);
}
