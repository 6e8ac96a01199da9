//! What a person sees: Chromium signs in and out through nginx, and looks at each of our pages.

mod ide;
mod pages;

use std::path::Path;

use serde_json::Value;

use crate::shared::{ALICE, deployment};
use crate::support::{artifacts, browser, repository};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const DEMO: &str = "docs/images/demo.png";
/// It is part of every clone.
const LARGEST_DEMO: usize = 150 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_sees_the_upstream_signs_out_and_is_asked_again() {
    let mut shots = Vec::new();
    for scheme in ["light", "dark"] {
        let directory = artifacts("browser").join(format!("sign-in-{scheme}"));
        assert_round_trip(scheme, &directory).await;
        shots.push(screenshot(&directory.join("upstream.png")));
    }
    assert_ne!(shots[0], shots[1], "light and dark look alike");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        assert!(shots[0].len() < LARGEST_DEMO, "{} bytes", shots[0].len());
        std::fs::create_dir_all(repository("docs/images")).expect("the repository is writable");
        std::fs::write(repository(DEMO), &shots[0]).expect("the repository is writable");
    }
}

async fn assert_round_trip(scheme: &str, directory: &Path) {
    let (deployment, (user, password)) = (deployment().await, ALICE);
    let base = deployment.url("");
    let arguments = [&base, user, password, &directory.to_string_lossy(), scheme];
    let seen = browser::run("signin.mjs", &arguments).await;
    let issuer = deployment.idp.issuer();
    for place in ["idp", "askedAgain"] {
        assert!(seen[place].as_str().is_some_and(|url| url.starts_with(issuer.split("/realms").next().unwrap())), "{seen}");
    }
    assert_eq!(seen["identity"]["x-auth-request-preferred-username"], user, "{seen}");
    assert_eq!(seen["identity"]["x-auth-request-role"], "proxy_admin", "{seen}");
    assert!(seen["signedOut"]["text"].as_str().is_some_and(|text| text.contains("You are signed out")), "{seen}");
    assert_cookies(&seen["cookies"]);
    assert_eq!(seen["complaints"], serde_json::json!([]));
    for name in ["idp", "upstream", "logout", "signed-out", "asked-again"] {
        screenshot(&directory.join(format!("{name}.png")));
    }
}

/// As the browser has them, not as we sent them.
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

/// The bytes of a picture that has to be there.
fn screenshot(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(bytes.starts_with(PNG) && bytes.len() > 1024, "{}: {} bytes", file.display(), bytes.len());
    bytes
}

#[test]
fn the_readme_shows_a_picture_that_is_there_and_small() {
    assert!(screenshot(&repository(DEMO)).len() < LARGEST_DEMO);
}
