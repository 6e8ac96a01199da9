//! The first example of README, unchanged, and the pictures in README.

use serde_json::{Value, json};

use super::{assert_small, screenshot};
use crate::support::fleet::Fleet;
use crate::support::idp::{Account, IdpOptions};
use crate::support::{artifacts, browser, repository};

const PICTURES: [&str; 3] = ["keys", "users", "role-map"];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// The shell commands of the first section of README that has any.
fn first_example() -> Vec<String> {
    let readme = std::fs::read_to_string(repository("README.md")).expect("there is a README");
    let (_, section) = readme.split_once("\n## Quick start\n").expect("README begins with an example");
    let (section, _) = section.split_once("\nEverything is in the process's memory").expect("the example ends");
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(commands, _)| commands.to_owned()).collect()
}

/// On the default ports, like those of a new user.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the release, which takes minutes: `make test-readme`"]
async fn the_readmes_first_example_works_unchanged() {
    let commands = first_example();
    let [serve, key, request] = &commands[..] else { panic!("three steps: {commands:?}") };
    let directory = artifacts("browser").join("readme");
    std::fs::create_dir_all(&directory).expect("artifacts can be written");
    let file = directory.join("commands.json");
    std::fs::write(&file, json!([serve, format!("{key}{request}")]).to_string()).expect("artifacts can be written");
    let report = browser::run("readme.mjs", &[&file.to_string_lossy(), &directory.to_string_lossy()]).await;
    let answer = report["answer"].as_str().expect("the output of curl");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    for header in ["user: ", "email: admin@localhost", "role: proxy_admin", "key: "] {
        assert!(answer.contains(&format!("x-auth-request-{header}")), "{answer}");
    }
}

/// A fleet with some users and keys.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_these_pages_in_light_and_in_dark() {
    let users = users();
    let with_users = |idp: &mut IdpOptions| idp.accounts.clone_from(&users);
    let local_accounts = "local_accounts: {enabled: true}\n";
    let fleet = Fleet::builder().idp_with(with_users).yaml(local_accounts).provider_setting("logout: off").start().await;
    let pod = fleet.pod(0);
    let directory = artifacts("browser").join("readme-pictures");
    std::fs::create_dir_all(&directory).expect("artifacts can be written");
    let file = directory.join("users.json");
    let credentials: Vec<Value> = users.iter().map(|user| json!({"user": user.username, "password": user.password})).collect();
    std::fs::write(&file, json!(credentials).to_string()).expect("artifacts can be written");
    let arguments = [&pod.public(""), &pod.check(""), "Example Corp", &file.to_string_lossy(), &directory.to_string_lossy()];
    browser::run("screenshots.mjs", &arguments).await;
    let readme = std::fs::read_to_string(repository("README.md")).expect("there is a README");
    for name in PICTURES.iter().flat_map(|page| SCHEMES.map(|scheme| format!("{page}-{scheme}.png"))) {
        let shot = screenshot(&directory.join(&name));
        let path = format!("docs/images/{name}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(repository(&path), &shot).expect("the repository is writable");
        }
        assert!(readme.contains(&path), "README doesn't show {path}");
        assert_small(&path);
    }
}

/// The role map makes the first user an administrator; the last one is disabled in the picture.
fn users() -> Vec<Account> {
    let user = |name: &'static str, password, roles: &[&str], groups: &[&str]| Account {
        username: name,
        password,
        claims: json!({
            "name": name, "preferred_username": name, "email": format!("{name}@example.com"), "email_verified": true,
            "groups": groups,
        }),
        access_token_claims: json!({"resource_access": {"litellm": {"roles": roles}}}),
    };
    vec![
        user("mira", "mira-has-a-map", &["llm-admins"], &["/engineering/platform", "/teams/research"]),
        user("jonas", "jonas-reads-much", &["llm-users"], &["/engineering/search", "/teams/research", "/teams/data"]),
        user("priya", "priya-paints-well", &[], &["/engineering/tools", "/teams/data"]),
        user("tomasz", "tomasz-was-here", &[], &[]),
    ]
}
