//! Each of our pages in light and dark, on a desktop and on a narrow phone.

use std::collections::HashMap;

use super::screenshot;
use crate::shared::{ALICE, providers_reached};
use crate::support::idp::{Idp, IdpOptions, client};
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::{artifacts, browser};

const PAGES: usize = 9;

struct Choice {
    pod: Pod,
    _idps: [Idp; 2],
}

/// A pod with two providers to choose from.
async fn choice() -> Choice {
    let mut options = PodOptions::new();
    let (corp, partner) = tokio::join!(provider("corp", "Example Corp", &options), provider("partner", "A Partner", &options));
    options.providers = vec![corp.1, partner.1];
    let pod = Pod::start(options).await;
    providers_reached(&pod, 2).await;
    Choice { pod, _idps: [corp.0, partner.0] }
}

async fn provider(id: &str, name: &str, pod: &PodOptions) -> (Idp, ProviderSection) {
    let secret = random_key();
    let callbacks = ["", "/corp", "/partner"].map(|path| format!("{}/sso/callback{path}", pod.public_url));
    let client = client("vestibule", &secret, &callbacks, &[]);
    let idp = Idp::start(IdpOptions { clients: vec![client], ..IdpOptions::default() }).await;
    let section = ProviderSection {
        id: id.to_owned(),
        name: name.to_owned(),
        issuer: idp.issuer().to_owned(),
        client_id: "vestibule".to_owned(),
        client_secret: secret,
        further: vec!["logout: off".to_owned()],
    };
    (idp, section)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_in_light_and_dark_and_at_phone_width() {
    let nobody = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let (choice, bare) = tokio::join!(choice(), Pod::start(nobody));
    let directory = artifacts("browser").join("pages");
    let (user, password) = ALICE;
    let arguments = [&choice.pod.public(""), &bare.public(""), "corp", user, password, &directory.to_string_lossy()];
    let seen = browser::run("pages.mjs", &arguments).await;

    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.len(), PAGES * 4, "{seen}");
    let mut pictures = HashMap::new();
    for view in views {
        assert_eq!(view["violations"], serde_json::json!([]), "{view}");
        assert!(view["overflow"].as_i64().is_some_and(|pixels| pixels <= 0), "scrolls sideways: {view}");
        let picture = screenshot(&directory.join(format!("{}.png", view["shot"].as_str().unwrap())));
        assert!(pictures.insert(picture, view).is_none(), "looks like another view: {view}");
    }
    // Chromium itself reports every page whose status isn't 200.
    let complaints = seen["complaints"].as_array().unwrap().iter();
    let of_ours: Vec<_> = complaints.filter(|text| !text.as_str().unwrap().contains("responded with a status of 4")).collect();
    assert!(of_ours.is_empty(), "{of_ours:?}");
}
