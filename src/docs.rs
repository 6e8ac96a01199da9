//! Test support that keeps generated parts of the documentation equal to the code.

mod log_events;
mod login_messages;
mod provider_examples;

use std::{fs, path::Path};

const BEGIN: &str = "<!-- reference: begin -->\n";
const END: &str = "<!-- reference: end -->";

/// Compares the text between the markers of a document with `generated`. With `UPDATE_DOCS=1` it writes the text instead.
pub(crate) fn assert_current(document: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("the document has a begin marker") + BEGIN.len();
    let end = text.find(END).expect("the document has an end marker");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{generated}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], generated, "{document} is out of date; run `make docs`");
}
