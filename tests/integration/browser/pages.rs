//! Each page of the product in light and dark, on a desktop and on a small phone.

use super::assert_views;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::ALICE;
use crate::support::{artifacts, browser};

const PAGES: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_in_light_and_dark_and_at_phone_width() {
    let configured = Fleet::builder().idp().idp().provider_setting("logout: off");
    let without_accounts = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let (configured, unconfigured) = tokio::join!(configured.start(), Pod::start(without_accounts));
    let directory = artifacts("browser").join("pages");
    let arguments =
        [&configured.url(""), &unconfigured.public(""), "corp", ALICE.name, ALICE.password, &directory.to_string_lossy()];
    let report = browser::run("pages.mjs", &arguments).await;
    assert_views(&report, &directory, PAGES * 4);
}
