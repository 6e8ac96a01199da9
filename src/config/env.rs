//! Applies environment variables to the parsed file: `VESTIBULE__STORE__URL` is `store.url`, `VESTIBULE__PROVIDERS__0__ISSUER`
//! is `providers[0].issuer`.

use crate::yaml::tree::{MapEntry, Node, NodeValue};
use crate::yaml::{Mistake, Place};

pub const PREFIX: &str = "VESTIBULE__";

/// Applies every variable with the prefix to the tree, and ignores all others. Shorter names are applied first, so that
/// `…__PROVIDERS__0__ID` changes the list of `…__PROVIDERS`.
pub fn overlay(root: &mut Node, variables: &[(String, String)]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut overrides = Vec::new();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match segments(name) {
            Ok(segments) => overrides.push((segments, name, value)),
            Err(text) => mistakes.push(Mistake::new("", Place::Variable(name.clone()), text)),
        }
    }
    overrides.sort();
    for (segments, variable, value) in overrides {
        let mut overlay = Overlay { variable, value, path: String::new(), mistakes: &mut mistakes };
        overlay.set(root, &segments);
    }
    mistakes
}

/// LiteLLM's variables for lists: comma-separated values that are added to the configured ones.
const LISTS: [(&str, &str, &str); 2] =
    [("OAUTH_ALLOWED_REDIRECT_SCHEMES", "apps", "redirect_schemes"), ("OAUTH_ALLOWED_ORIGINS", "apps", "origins")];

/// Adds the values of [`LISTS`] to the tree's lists.
pub fn append_lists(root: &mut Node, variables: &[(String, String)]) {
    for (name, section, field) in LISTS {
        let Some((_, value)) = variables.iter().find(|(variable, _)| variable == name) else { continue };
        let place = || Place::Variable(name.to_owned());
        let Some(list) = child(root, section, place).and_then(|section| child(section, field, place)) else { continue };
        if list.is_null() {
            list.value = NodeValue::Seq(Vec::new());
        }
        // A value that is not a list is reported elsewhere.
        let NodeValue::Seq(nodes) = &mut list.value else { continue };
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let is_listed = nodes.iter().any(|node| matches!(&node.value, NodeValue::Scalar(scalar) if scalar.text == item));
            if !is_listed {
                nodes.push(Node::raw(place(), item.to_owned()));
            }
        }
    }
}

/// Returns the value of a field, and creates it if it is missing. `None` if the node can't have fields.
fn child<'n>(node: &'n mut Node, key: &str, place: impl Fn() -> Place) -> Option<&'n mut Node> {
    if node.is_null() {
        node.value = NodeValue::Map(Vec::new());
    }
    let NodeValue::Map(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(MapEntry { key: key.to_owned(), place: place(), value: Node::null(place()) });
        entries.len() - 1
    });
    Some(&mut entries[index].value)
}

/// Returns the variable that overrides the field at a path such as `providers[0].issuer`.
pub fn variable_of(path: &str) -> String {
    let name = path.replace("[]", "[0]").replace('[', "__").replace(']', "").replace('.', "__");
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathSegment {
    Index(usize),
    Name(String),
}

struct Overlay<'a> {
    variable: &'a str,
    value: &'a str,
    path: String,
    mistakes: &'a mut Vec<Mistake>,
}

impl Overlay<'_> {
    fn set(&mut self, node: &mut Node, segments: &[PathSegment]) {
        let Some((first, rest)) = segments.split_first() else {
            *node = Node::raw(self.place(), self.value.to_owned());
            return;
        };
        self.open(node, first);
        match (&mut node.value, first) {
            (NodeValue::Map(entries), _) => self.set_field(entries, first, rest),
            (NodeValue::Seq(nodes), PathSegment::Index(index)) => self.set_element(nodes, *index, rest),
            (NodeValue::Seq(_), PathSegment::Name(_)) => {
                let example = format!("{}__0__…", variable_of(&self.path));
                self.complain(format!("is a list: give the element's number, as in {example}"));
            }
            (NodeValue::Scalar(_), _) => self.complain("is a single value and has no fields".to_owned()),
            (NodeValue::Broken, _) => {}
        }
    }

    /// Converts the node to a list or map: parses a variable's text, and replaces an empty value.
    fn open(&mut self, node: &mut Node, first: &PathSegment) {
        let taken = std::mem::replace(node, Node::null(self.place()));
        let parsed = taken.expanded(&self.path);
        self.mistakes.extend(parsed.mistakes);
        *node = parsed.root;
        if node.is_null() {
            let value = match first {
                PathSegment::Index(_) => NodeValue::Seq(Vec::new()),
                PathSegment::Name(_) => NodeValue::Map(Vec::new()),
            };
            *node = Node { place: self.place(), value };
        }
    }

    fn set_field(&mut self, entries: &mut Vec<MapEntry>, segment: &PathSegment, rest: &[PathSegment]) {
        let key = match segment {
            PathSegment::Index(index) => index.to_string(),
            PathSegment::Name(name) => name.clone(),
        };
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(&key);
        let place = self.place();
        let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            entries.push(MapEntry { key, place: place.clone(), value: Node::null(place.clone()) });
            entries.len() - 1
        });
        if rest.is_empty() {
            entries[index].place = place;
        }
        self.set(&mut entries[index].value, rest);
    }

    fn set_element(&mut self, nodes: &mut Vec<Node>, index: usize, rest: &[PathSegment]) {
        if index > nodes.len() {
            let next = nodes.len();
            self.complain(format!("has {next} elements, so the next number is {next}, not {index}"));
            return;
        }
        self.path.push_str(&format!("[{index}]"));
        if index == nodes.len() {
            nodes.push(Node::null(self.place()));
        }
        self.set(&mut nodes[index], rest);
    }

    fn place(&self) -> Place {
        Place::Variable(self.variable.to_owned())
    }

    fn complain(&mut self, text: String) {
        self.mistakes.push(Mistake::new(self.path.clone(), self.place(), text));
    }
}

fn segments(name: &str) -> Result<Vec<PathSegment>, &'static str> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    rest.split("__").map(segment).collect()
}

fn segment(text: &str) -> Result<PathSegment, &'static str> {
    let is_field = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if text.is_empty() || text.starts_with('_') {
        return Err("is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL");
    }
    if !text.bytes().all(is_field) {
        return Err("is not a field name: use capital letters, as in VESTIBULE__STORE__URL");
    }
    Ok(match text.parse::<usize>() {
        Ok(index) if index.to_string() == text => PathSegment::Index(index),
        _ => PathSegment::Name(text.to_ascii_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Subset, parse};
    use rstest::rstest;

    /// Applies the variables to the document and formats the result on one line.
    fn overlaid(document: &str, variables: &[(&str, &str)]) -> (String, Vec<String>) {
        let mut root = parse(document, Subset::Plain).root;
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mistakes = overlay(&mut root, &variables);
        (outline(&root), mistakes.iter().map(ToString::to_string).collect())
    }

    fn outline(node: &Node) -> String {
        match &node.value {
            NodeValue::Scalar(scalar) => scalar.text.clone(),
            NodeValue::Map(entries) => {
                let inner: Vec<_> = entries.iter().map(|e| format!("{}: {}", e.key, outline(&e.value))).collect();
                format!("{{{}}}", inner.join(", "))
            }
            NodeValue::Seq(nodes) => format!("[{}]", nodes.iter().map(outline).collect::<Vec<_>>().join(", ")),
            NodeValue::Broken => "broken".to_owned(),
        }
    }

    #[rstest]
    #[case("", &[("VESTIBULE__A__B", "x")], "{a: {b: x}}")]
    #[case("a: {b: y, c: z}", &[("VESTIBULE__A__B", "x")], "{a: {b: x, c: z}}")]
    #[case("a:", &[("VESTIBULE__A__B", "x")], "{a: {b: x}}")]
    #[case("l: [{a: 1}, {a: 2}]", &[("VESTIBULE__L__1__A", "3")], "{l: [{a: 1}, {a: 3}]}")]
    #[case("l: [{a: 1}]", &[("VESTIBULE__L__1__A", "2")], "{l: [{a: 1}, {a: 2}]}")]
    #[case("", &[("VESTIBULE__L__1", "b"), ("VESTIBULE__L__0", "a")], "{l: [a, b]}")]
    #[case("l: [a, b]", &[("VESTIBULE__L__1", "c")], "{l: [a, c]}")]
    #[case("", &[("VESTIBULE__L__0__B", "y"), ("VESTIBULE__L", "[{a: x}]")], "{l: [{a: x, b: y}]}")]
    #[case("", &[("VESTIBULE__A", "  [raw: text ")], "{a:   [raw: text }")]
    #[case("a: 1", &[("VESTIBULE_B", "x"), ("OTHER", "y"), ("vestibule__c", "z")], "{a: 1}")]
    fn variables_override_the_tree(#[case] document: &str, #[case] variables: &[(&str, &str)], #[case] expected: &str) {
        assert_eq!(overlaid(document, variables), (expected.to_owned(), vec![]));
    }

    #[test]
    fn elements_are_ordered_by_their_numbers() {
        let names: Vec<_> = (0..12).rev().map(|i| format!("VESTIBULE__L__{i}")).collect();
        let values: Vec<_> = (0..12).rev().map(|i| i.to_string()).collect();
        let variables: Vec<_> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let (tree, mistakes) = overlaid("", &variables);
        assert_eq!(tree, "{l: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}");
        assert!(mistakes.is_empty());
    }

    #[rstest]
    #[case("l: [a]", "VESTIBULE__L__2", "l (VESTIBULE__L__2): has 1 elements, so the next number is 1, not 2")]
    #[case("l: [a]", "VESTIBULE__L__X", "l (VESTIBULE__L__X): is a list: give the element's number, as in VESTIBULE__L__0__…")]
    #[case("l: [a]", "VESTIBULE__L__00", "l (VESTIBULE__L__00): is a list: give the element's number, as in VESTIBULE__L__0__…")]
    #[case("a: 1", "VESTIBULE__A__B", "a (VESTIBULE__A__B): is a single value and has no fields")]
    #[case("", "VESTIBULE__", "VESTIBULE__: is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL")]
    #[case("", "VESTIBULE__A__", "VESTIBULE__A__: is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL")]
    #[case(
        "",
        "VESTIBULE__A___B",
        "VESTIBULE__A___B: is not a field name: separate names with `__`, as in VESTIBULE__STORE__URL"
    )]
    #[case("", "VESTIBULE__store", "VESTIBULE__store: is not a field name: use capital letters, as in VESTIBULE__STORE__URL")]
    fn unknown_names_are_mistakes(#[case] document: &str, #[case] variable: &str, #[case] expected: &str) {
        assert_eq!(overlaid(document, &[(variable, "x")]).1, [expected]);
    }

    #[test]
    fn a_variable_is_derived_from_the_path() {
        assert_eq!(variable_of("public_url"), "VESTIBULE__PUBLIC_URL");
        assert_eq!(variable_of("providers[].client_secret"), "VESTIBULE__PROVIDERS__0__CLIENT_SECRET");
        assert_eq!(variable_of("providers[2].scopes[1]"), "VESTIBULE__PROVIDERS__2__SCOPES__1");
    }
}
