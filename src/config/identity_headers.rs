//! The `identity_headers` section: the encoding of the headers that tell the upstream who is calling.

use super::values;
use crate::principal::HeaderEncoding;
use crate::yaml::decode::{Kind, Section, field};

pub const DOC: &str = "Identity headers (`X-Auth-Request-…`) that the upstream receives.";

const ENCODING: Kind<HeaderEncoding> = Kind {
    name: "`utf8` or `percent`",
    parse: |text| values::choice(text, &HeaderEncoding::ALL.map(|encoding| (encoding.as_str(), encoding))),
};

pub fn read(section: &mut Section<'_>) -> Option<HeaderEncoding> {
    let doc = "Encoding for requests whose access rule sets none. With `percent`, bytes outside visible ASCII, `%`, blanks, and \
               commas within a team are sent as `%XX`.";
    section.or_default(field("encoding", doc), &ENCODING, "utf8")
}
