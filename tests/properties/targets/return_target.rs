//! The redirect target of a login: never on another host, in any spelling.

use url::Url;
use vestibule::return_target::{LONGEST, ReturnTarget};

const HOST: &str = "llm.example.com";
const ORIGIN: &str = "https://llm.example.com";

pub fn holds(input: &[u8]) {
    let raw = String::from_utf8_lossy(input);
    let Ok(target) = ReturnTarget::parse(&raw, HOST) else { return };
    let text = target.as_str();
    assert!(text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic()), "{raw:?}");
    let origin = Url::parse(ORIGIN).expect("a URL");
    for url in [Url::parse(&format!("{ORIGIN}{text}")), origin.join(text)] {
        let url = url.unwrap_or_else(|error| panic!("{raw:?}: {error}"));
        assert_eq!((url.origin(), url.username(), url.password(), url.fragment()), (origin.origin(), "", None, None), "{raw:?}");
    }
    assert_eq!(ReturnTarget::parse(text, HOST), Ok(target.clone()), "{raw:?} twice");
    assert_eq!(ReturnTarget::try_from(String::from(target.clone())), Ok(target.clone()), "{raw:?} from the store");
    check_browsers_resolve_the_same_target(&raw, &target);
}

fn check_browsers_resolve_the_same_target(raw: &str, target: &ReturnTarget) {
    let ours = Url::parse(&format!("{ORIGIN}{target}")).expect("a URL");
    // A port that no browser knows is dropped with all the others.
    let Ok(theirs) = Url::parse(ORIGIN).expect("a URL").join(raw) else { return };
    assert_eq!((theirs.host_str(), theirs.path(), theirs.query()), (Some(HOST), ours.path(), ours.query()), "{raw:?}");
}
