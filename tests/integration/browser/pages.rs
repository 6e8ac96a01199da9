//! Each page of the product in light and dark, on a desktop and on a narrow phone.

use super::assert_views;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::ALICE;
use crate::support::{artifacts, browser};

const PAGES: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_in_light_and_dark_and_at_phone_width() {
    let choice = Fleet::builder().idp().idp().provider_setting("logout: off");
    let nobody = PodOptions { further: "local_accounts: {enabled: false}\n".to_owned(), ..PodOptions::new() };
    let (choice, bare) = tokio::join!(choice.start(), Pod::start(nobody));
    let directory = artifacts("browser").join("pages");
    let arguments = [&choice.url(""), &bare.public(""), "corp", ALICE.name, ALICE.password, &directory.to_string_lossy()];
    let seen = browser::run("pages.mjs", &arguments).await;
    assert_views(&seen, &directory, PAGES * 4);
}
