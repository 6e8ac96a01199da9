//! The `ui` section: whose pages these are, and in which language.

use std::fs;

use super::values;
use crate::pages::{Brand, text};
use crate::yaml::decode::{Kind, Section, field};
use crate::yaml::shown;

/// How the pages look, and what they say.
#[derive(Clone, Debug)]
pub struct Ui {
    pub brand: Brand,
    /// A translation of the pages, as it was read.
    pub text: Option<String>,
}

pub const DOC: &str = "How the pages look, and their language.";

pub fn read(section: &mut Section<'_>) -> Option<Ui> {
    let name = section.or_default(field("name", "What the pages call this site, up to 40 characters."), &NAME, "Vestibule");
    let logo = section.optional(
        field("logo_file", "An SVG or PNG file of up to 256 KiB in the place of the mark, read at the start.").unset("the mark"),
        &LOGO,
    );
    let accent = section.optional(
        field(
            "accent",
            "The colour of buttons and links, as `#rrggbb`. Where it has too little contrast in light or dark, links get a \
             darker or lighter one of it.",
        )
        .unset("`#4353c9`"),
        &ACCENT,
    );
    let text = section.optional(
        field(
            "text_file",
            "A translation of `templates/text/en.ftl` (Fluent), read at the start. What it leaves out is said in English.",
        )
        .unset("English"),
        &TEXT,
    );
    let (name, logo, accent) = (name?, logo?, accent?);
    match Brand::new(&name, logo, accent.as_deref()) {
        Ok(brand) => Some(Ui { brand, text: text? }),
        // Each was judged by itself before.
        Err(error) => {
            section.complain("name", error.to_string());
            None
        }
    }
}

const NAME: Kind<String> = Kind {
    name: values::NAME.name,
    parse: |text| Brand::new(text, None, None).map(|brand| brand.name).map_err(|error| error.to_string()),
};

const ACCENT: Kind<String> = Kind {
    name: "colour",
    parse: |text| Brand::new("x", None, Some(text)).map(|_| text.to_owned()).map_err(|error| error.to_string()),
};

const LOGO: Kind<Vec<u8>> = Kind {
    name: values::FILE.name,
    parse: |text| {
        let content = fs::read(text).map_err(|error| format!("{} can't be read: {error}", shown(text)))?;
        Brand::new("x", Some(content.clone()), None).map(|_| content).map_err(|error| error.to_string())
    },
};

const TEXT: Kind<String> = Kind {
    name: values::FILE.name,
    parse: |path| {
        let content = fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", shown(path)))?;
        text::check(content.clone()).map(|()| content).map_err(|error| error.to_string())
    },
};
