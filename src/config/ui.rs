//! The `ui` section: appearance and language of the pages.

use std::fs;

use super::values;
use crate::pages::{Brand, text};
use crate::yaml::decode::{Kind, Section, field};
use crate::yaml::shown;

/// The appearance and language of the pages.
#[derive(Clone, Debug)]
pub struct Ui {
    pub brand: Brand,
    /// The content of a translation file.
    pub text: Option<String>,
}

pub const DOC: &str = "Appearance and language of the pages.";

pub fn read(section: &mut Section<'_>) -> Option<Ui> {
    let name = section.or_default(field("name", "Name of this site on the pages, up to 40 characters."), &NAME, "Vestibule");
    let logo = section.optional(
        field("logo_file", "SVG or PNG file of up to 256 KiB that replaces the logo. Read at start.").unset("the built-in logo"),
        &LOGO,
    );
    let accent = section.optional(
        field(
            "accent",
            "Color of buttons and links, as `#rrggbb`. If its contrast is too low in the light or dark theme, links get a darker \
             or lighter shade.",
        )
        .unset("`#4353c9`"),
        &ACCENT,
    );
    let text = section.optional(
        field(
            "text_file",
            "Translation of `templates/text/en.ftl` (Fluent). Read at start. Missing messages are shown in English.",
        )
        .unset("English"),
        &TEXT,
    );
    let (name, logo, accent) = (name?, logo?, accent?);
    match Brand::new(&name, logo, accent.as_deref()) {
        Ok(brand) => Some(Ui { brand, text: text? }),
        // Each field was validated before.
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
    name: "color",
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
