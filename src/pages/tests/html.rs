//! As much of HTML as the tests have to read.

/// All tags of a page, without their closing bracket. Ours have none in an attribute, since it is escaped there.
pub fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices('<').map(|(at, _)| html[at..].split('>').next().expect("a beginning"))
}

/// An attribute's value, as it stands in the page.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// The content of the first element with this name.
pub fn inner_of<'a>(html: &'a str, name: &str) -> Option<&'a str> {
    let rest = &html[html.find(&format!("<{name}"))?..];
    let rest = &rest[rest.find('>')? + 1..];
    Some(&rest[..rest.find(&format!("</{name}>"))?])
}

/// Every element is closed, and inside the one that it was opened in.
#[track_caller]
pub fn assert_balanced(page: &str, html: &str) {
    const VOID: [&str; 8] = ["!DOCTYPE", "meta", "link", "input", "br", "img", "path", "hr"];
    let mut open = Vec::new();
    for tag in tags(html) {
        let inside = tag.trim_start_matches('<');
        let name = inside.trim_start_matches('/').split([' ', '/', '\n']).next().expect("a beginning");
        match inside.starts_with('/') {
            true => assert_eq!(open.pop(), Some(name), "{page}: </{name}> in {html}"),
            false if VOID.contains(&name) => {}
            false => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "{page}: {html}");
}
