//! A hostile script in a page of the upstream, on the origin of Vestibule's own pages, behind the nginx template.

use serde_json::{Value, json};

use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::ALICE;
use crate::support::{artifacts, browser};

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_the_upstream_reads_no_page_and_creates_no_credential() {
    let without_session_writes = |pod: &mut PodOptions| pod.session_writes = false;
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().local_accounts().config(without_session_writes).start().await;
    let directory = artifacts("browser").join("hostile");
    let seen =
        browser::run("hostile_script.mjs", &[&fleet.url(""), ALICE.name, ALICE.password, &directory.to_string_lossy()]).await;

    let pages = list(&seen["pages"]);
    assert_eq!(pages.len(), 12 * 5, "{seen}");
    for answer in pages {
        // Some pages have no form, and the post lacks the parameters of an application's request.
        let is_refused = answer["status"] == 403
            || (answer["way"] == "fetch POST" && ["400", "404"].contains(&&*answer["status"].to_string()));
        assert!(is_refused && answer["hasToken"] == false, "{answer}");
    }
    let api = list(&seen["api"]);
    assert_eq!(api.len(), 9, "{seen}");
    for answer in api {
        assert!(answer["status"] == 403 && answer["error"] == "session_not_allowed", "{answer}");
    }
    assert_eq!((&seen["embedded"], &seen["opened"]), (&json!([]), &json!([])), "no page is readable");
    assert_eq!(seen["forms"], json!([403, 403, 403]));
    assert_eq!(seen["workers"], json!(["TypeError", "TypeError", 0, 200]), "only service workers are refused");
    assert_eq!(seen["keysBefore"], 0);

    let created: Vec<&str> = list(&seen["created"]).iter().map(|text| text.as_str().expect("a text")).collect();
    let [first, again, second, once_more] = created[..] else { panic!("{created:?}") };
    assert!(first.starts_with("sk-") && second.starts_with("sk-") && first != second, "{created:?}");
    assert_eq!([again, once_more], ["This form was already sent"; 2]);
    assert_eq!(fleet.metric("vestibule_key_changes_total", &[r#"change="made""#]).await, 3.0, "those of the page");
}
