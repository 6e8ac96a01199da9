//! Each of our pages in light and dark, on a desktop and on a narrow phone.

use super::{assert_views, provider};
use crate::shared::{ALICE, providers_reached};
use crate::support::idp::{Idp, accounts};
use crate::support::pod::{Pod, PodOptions};
use crate::support::{artifacts, browser};

const PAGES: usize = 9;

struct Choice {
    pod: Pod,
    _idps: [Idp; 2],
}

/// A pod with two providers to choose from.
async fn choice() -> Choice {
    let mut options = PodOptions::new();
    let (corp, partner) = tokio::join!(
        provider(("corp", "Example Corp"), &options, accounts()),
        provider(("partner", "A Partner"), &options, accounts())
    );
    options.providers = vec![corp.1, partner.1];
    let pod = Pod::start(options).await;
    providers_reached(&pod, 2).await;
    Choice { pod, _idps: [corp.0, partner.0] }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_in_light_and_dark_and_at_phone_width() {
    let nobody = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let (choice, bare) = tokio::join!(choice(), Pod::start(nobody));
    let directory = artifacts("browser").join("pages");
    let (user, password) = ALICE;
    let arguments = [&choice.pod.public(""), &bare.public(""), "corp", user, password, &directory.to_string_lossy()];
    let seen = browser::run("pages.mjs", &arguments).await;
    assert_views(&seen, &directory, PAGES * 4);
}
