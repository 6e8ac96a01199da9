//! Who may do what to keys, and what a key or a token may make.

use super::*;

#[tokio::test]
async fn others_see_change_and_make_nothing_of_somebodys_keys() {
    let site = Site::new().await;
    let key = site.make(&Wish::default()).await.key;
    let bob = Manager { user: "bob", ..in_person() };
    assert!(matches!(site.keys.revoke(&bob, key.id).await, Err(KeysError::NotFound)));
    assert!(matches!(site.keys.regenerate(&bob, key.id, None).await, Err(KeysError::NotFound)));
    assert!(matches!(site.keys.list(&bob, Some("alice"), None, 5).await, Err(KeysError::NotAdministrator)));
    assert!(matches!(site.keys.make(&bob, &for_user("alice")).await, Err(KeysError::NotAdministrator)));
    assert!(site.keys.list(&bob, Some("bob"), None, 5).await.unwrap().keys.is_empty());
    assert_eq!(site.ids("alice").await, [key.id]);
}

#[tokio::test]
async fn an_administrator_manages_anybodys_keys_and_gets_no_higher_role_by_them() {
    let site = Site::new().await;
    let org_admin = Manager { role: Some(role("org_admin")), ..administrator() };
    let made = site.keys.make(&org_admin, &for_user("alice")).await.unwrap();
    assert_eq!((made.key.user.as_str(), &made.key.limits[..]), ("alice", &[Limits::ceiling(Some(role("org_admin")))][..]));
    assert_eq!(site.keys.list(&org_admin, Some("alice"), None, 5).await.unwrap().keys.len(), 1);

    let own = site.make(&Wish::default()).await.key;
    assert!(own.limits.is_empty());
    for _ in 0..2 {
        let again = site.keys.regenerate(&org_admin, own.id, None).await.unwrap();
        assert_eq!(again.key.limits, [Limits::ceiling(Some(role("org_admin")))], "once");
    }
    site.keys.revoke(&org_admin, own.id).await.unwrap();
    assert!(matches!(site.keys.make(&org_admin, &for_user("nobody")).await, Err(KeysError::NoSuchUser)));
}

#[tokio::test]
async fn for_the_disabled_and_by_whom_nothing_is_granted_no_key_is_made() {
    let site = Site::new().await;
    site.put_user("bob", |user| user.disabled = true).await;
    assert!(matches!(site.keys.make(&administrator(), &for_user("bob")).await, Err(KeysError::Disabled)));
    let nobody = Manager { role: None, ..in_person() };
    assert!(matches!(site.keys.make(&nobody, &Wish::default()).await, Err(KeysError::NoRole)));
}

#[tokio::test]
async fn a_key_manages_keys_only_when_it_was_made_to_and_only_what_it_made() {
    let site = Site::new().await;
    let plain = site.make(&Wish::default()).await.key;
    assert!(matches!(site.keys.make(&by(&plain), &Wish::default()).await, Err(KeysError::NotManaging)));
    assert!(matches!(site.keys.list(&by(&plain), None, None, 5).await, Err(KeysError::NotManaging)));
    assert!(matches!(site.keys.revoke(&by(&plain), plain.id).await, Err(KeysError::NotManaging)));

    let manager = site.managing(Limits::default()).await.key;
    let child = site.keys.make(&by(&manager), &Wish::default()).await.unwrap().key;
    for other in [plain.id] {
        assert!(matches!(site.keys.revoke(&by(&manager), other).await, Err(KeysError::NotFound)));
        assert!(matches!(site.keys.regenerate(&by(&manager), other, None).await, Err(KeysError::NotFound)));
    }
    let listed = site.keys.list(&by(&manager), None, None, 5).await.unwrap();
    // Of one millisecond, ids sort at random.
    let ids: std::collections::BTreeSet<_> = listed.keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, [manager.id, child.id].into());
    site.keys.regenerate(&by(&manager), manager.id, None).await.unwrap();
    site.keys.revoke(&by(&manager), child.id).await.unwrap();
}

#[tokio::test]
async fn an_administrators_key_shows_nobody_elses_secret() {
    let site = Site::new().await;
    let own = site.make(&Wish::default()).await.key;
    site.put_user("carol", |_| ()).await;
    let key = site.keys.make(&administrator(), &Wish { manage_keys: true, ..Wish::default() }).await.unwrap().key;
    let by_key = Manager { by: ManagedBy::Key(&key), ..administrator() };
    assert!(matches!(site.keys.regenerate(&by_key, own.id, None).await, Err(KeysError::NotFound)));
    let made = site.keys.make(&by_key, &for_user("alice")).await.unwrap();
    assert_eq!(made.key.ancestors, [key.id], "it dies with the administrator's key, in whatever shard");
    let demoted = Manager { role: Some(role("customer")), ..by_key.clone() };
    assert!(matches!(site.keys.regenerate(&demoted, made.key.id, None).await, Err(KeysError::NotFound)));
    site.keys.regenerate(&by_key, made.key.id, None).await.unwrap();
    site.keys.revoke(&by_key, own.id).await.unwrap();
}

#[tokio::test]
async fn what_a_key_makes_never_exceeds_it() {
    let site = Site::new().await;
    let of_manager = Limits { role: Some(Role::new("team")), teams: Some(vec![Team::new("a")]), paths: vec!["/v1/**".into()] };
    let wish = Wish { manage_keys: true, limits: of_manager.clone(), lasting: lasting("2d"), ..Wish::default() };
    let manager = site.make(&wish).await.key;
    let wider = Limits { role: Some(Role::new("proxy_admin")), teams: Some(vec![Team::new("b")]), paths: vec!["/**".into()] };
    let wish = Wish { limits: wider.clone(), lasting: lasting("10d"), ..Wish::default() };
    let child = site.keys.make(&by(&manager), &wish).await.unwrap().key;
    assert_eq!(child.limits, [wider, of_manager], "all of them narrow it");
    assert_eq!((child.expires, child.parent()), (manager.expires, Some(manager.id)));
}

#[tokio::test]
async fn what_a_token_makes_never_exceeds_it_and_it_manages_nothing() {
    let site = Site::with(|settings| settings.max_per_user = 100).await;
    let of_person = site.make(&Wish { application: Some("app".into()), ..Wish::default() }).await.key;
    let limits = Limits { role: Some(Role::new("team")), teams: Some(vec![Team::new("a")]), paths: Vec::new() };
    let expires = site.clock.now() + Duration::from_secs(600);
    let by_token = Manager { by: ManagedBy::Token { expires, limits: limits.clone() }, ..in_person() };
    let wish = Wish { application: Some("app".into()), lasting: lasting("1d"), ..Wish::default() };
    let (made, ended) = site.make_for_application(&by_token, &wish).await;
    assert_eq!((made.key.expires, &made.key.limits[..], ended.len()), (expires, &[limits][..], 0));
    for _ in 0..MOST_OF_AN_APPLICATION - 2 {
        site.clock.advance(Duration::from_millis(2));
        site.keys.make_for_application(&by_token, &wish).await.unwrap();
    }
    let (_, ended) = site.make_for_application(&by_token, &wish).await;
    assert_eq!(ended, [made.key.id], "what a token made goes, and never what the person gave");
    assert!(site.ids("alice").await.contains(&of_person.id));
    assert!(matches!(site.keys.make(&by_token, &wish).await, Err(KeysError::NotManaging)));
    assert!(matches!(site.keys.list(&by_token, None, None, 5).await, Err(KeysError::NotManaging)));
    assert!(matches!(site.keys.revoke(&by_token, of_person.id).await, Err(KeysError::NotManaging)));
    assert!(matches!(site.keys.regenerate(&by_token, of_person.id, None).await, Err(KeysError::NotManaging)));
    let workload = Manager { user: "ci:batch", ..by_token.clone() };
    assert!(matches!(site.keys.make_for_application(&workload, &wish).await, Err(KeysError::NoSuchUser)));
}

#[tokio::test]
async fn what_is_not_a_person_uses_up_nobodys_allowance_however_many_applications_it_names() {
    let site = Site::with(|settings| settings.max_per_user = 30).await;
    let own = site.make(&Wish::default()).await.key;
    let expires = site.clock.now() + Duration::from_secs(3600);
    let by_token = Manager { by: ManagedBy::Token { expires, limits: Limits::default() }, ..in_person() };
    for manager in [by(&own), by_token] {
        for number in 0..MOST_OF_AN_APPLICATION + 3 {
            site.clock.advance(Duration::from_millis(2));
            let wish = Wish { application: Some(format!("http://127.0.0.1/{number}")), ..Wish::default() };
            let (made, ended) = site.make_for_application(&manager, &wish).await;
            assert_eq!(ended.len(), usize::from(number >= MOST_OF_AN_APPLICATION));
            assert!(!ended.contains(&own.id) && site.ids("alice").await.contains(&made.key.id));
        }
    }
    assert_eq!(site.ids("alice").await.len(), 1 + 2 * MOST_OF_AN_APPLICATION);
}

#[tokio::test]
async fn a_line_of_keys_ends() {
    let site = Site::new().await;
    let mut last = site.managing(Limits::default()).await.key;
    let wish = Wish { manage_keys: true, ..Wish::default() };
    for _ in 0..MOST_ANCESTORS {
        last = site.keys.make(&by(&last), &wish).await.unwrap().key;
    }
    assert!(matches!(site.keys.make(&by(&last), &wish).await, Err(KeysError::TooDeep)));
}

#[tokio::test]
async fn with_a_key_goes_what_it_has_made() {
    let site = Site::with(|settings| settings.max_per_user = 3).await;
    let manager = site.managing(Limits::default()).await.key;
    let wish = Wish { manage_keys: true, ..Wish::default() };
    let child = site.keys.make(&by(&manager), &wish).await.unwrap();
    let grandchild = site.keys.make(&by(&child.key), &Wish::default()).await.unwrap();
    site.keys.revoke(&in_person(), manager.id).await.unwrap();
    assert!(site.ids("alice").await.is_empty());
    assert!(site.index("alice").await.is_empty(), "whoever reads takes the dead out");
    for dead in [&child, &grandchild] {
        assert!(!site.counts(dead.key.id, &dead.secret).await);
    }
    assert!(matches!(site.keys.make(&by(&manager), &Wish::default()).await, Err(KeysError::Ended)));
}

#[tokio::test]
async fn the_dead_make_room() {
    let site = Site::with(|settings| settings.max_per_user = 2).await;
    let manager = site.managing(Limits::default()).await.key;
    let child = site.keys.make(&by(&manager), &Wish::default()).await.unwrap();
    site.keys.revoke(&in_person(), manager.id).await.unwrap();
    site.make(&Wish::default()).await;
    site.make(&Wish::default()).await;
    assert!(!site.is_there::<Key>(&Key::place(child.key.id)).await);
    assert!(matches!(site.keys.make(&in_person(), &Wish::default()).await, Err(KeysError::Full)));
}

#[tokio::test]
async fn a_key_that_asks_for_an_application_ends_nothing_but_what_it_has_made() {
    let site = Site::with(|settings| settings.max_per_user = 100).await;
    let wish = Wish { application: Some("app".to_owned()), ..Wish::default() };
    let own = site.keys.make_for_application(&in_person(), &wish).await.unwrap();
    let elsewhere = site.make(&Wish::default()).await;
    for _ in 0..MOST_OF_AN_APPLICATION + 2 {
        site.clock.advance(Duration::from_millis(2));
        let child = site.keys.make_for_application(&by(&own.key), &wish).await.unwrap();
        assert!(site.ids("alice").await.contains(&child.key.id), "what made it is still there");
        assert!(site.counts(own.key.id, &own.secret).await);
    }
    let by_another = site.keys.make_for_application(&by(&elsewhere.key), &wish).await;
    assert!(matches!(by_another, Err(KeysError::Full)), "there is nothing of its own that could go");
    assert_eq!(site.ids("alice").await.len(), MOST_OF_AN_APPLICATION + 1);
}
