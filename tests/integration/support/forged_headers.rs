//! Header names that a server may read as one that only the gateway may set.

use serde_json::Value;

/// The value of forged headers.
pub const FORGED: &str = "forged-by-the-client";

/// The values of all headers that a server could read as this one: letter case is ignored, and CGI reads an underscore as a
/// dash.
pub fn values_of(received: &Value, name: &str) -> Vec<String> {
    let raw: Vec<&str> = received["rawHeaders"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let pairs = raw.chunks(2).filter(|pair| pair[0].to_ascii_lowercase().replace(['_', '.'], "-") == name);
    pairs.map(|pair| pair[1].to_owned()).collect()
}

/// The variants of a header name that a client may send.
pub fn spellings(name: &str) -> Vec<String> {
    let title: Vec<String> = name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    vec![
        name.to_owned(),
        name.to_ascii_uppercase(),
        title.join("-"),
        name.replace('-', "_"),
        name.to_ascii_uppercase().replace('-', "_"),
        name.replacen('-', "_", 1),
        title.join("_"),
        name.replace('-', "."),
    ]
}
