//! The `ui` section: appearance and language of the pages.

use std::fs;

use super::values;
use crate::origin::PublicUrl;
use crate::pages::{Brand, text};
use crate::yaml::decode::{Field, Kind, Section, field};
use crate::yaml::shown;

/// The appearance and language of the pages.
#[derive(Clone, Debug)]
pub struct Ui {
    pub brand: Brand,
    /// The brands of further origins, by their hosts.
    pub origin_brands: Vec<(String, Brand)>,
    /// The content of a translation file.
    pub text: Option<String>,
}

pub const DOC: &str = "Appearance and language of the pages.";

const ORIGIN_BRANDS: &str = "Appearance of pages for users of a further origin: its sign-in page at `public_url`, and the pages on \
                             the origin itself.";

const LOGO_FILE: Field = field("logo_file", "SVG or PNG file of up to 256 KiB that replaces the logo. Read at start.");

const ACCENT_COLOR: Field = field(
    "accent",
    "Color of buttons and links, as `#rrggbb`. If its contrast is too low in the light or dark theme, links get a darker or \
     lighter shade.",
);

/// The settings of a brand.
#[derive(Clone)]
struct BrandFields {
    name: String,
    logo: Option<Vec<u8>>,
    accent: Option<String>,
}

/// `further` are the configured origins; `None` if they have a mistake.
pub fn read(section: &mut Section<'_>, further: Option<&[PublicUrl]>) -> Option<Ui> {
    let name = section.or_default(field("name", "Name of this site on the pages, up to 40 characters."), &NAME, "Vestibule");
    let logo = section.optional(LOGO_FILE.unset("the built-in logo"), &LOGO);
    let accent = section.optional(ACCENT_COLOR.unset("`#4353c9`"), &ACCENT);
    let fields = name.zip(logo).zip(accent).map(|((name, logo), accent)| BrandFields { name, logo, accent });
    let mut known = Vec::new();
    let origins = section.sections("origins", ORIGIN_BRANDS, |entry| read_origin(entry, further, fields.as_ref(), &mut known));
    let text = section.optional(
        field(
            "text_file",
            "Translation of `templates/text/en.ftl` (Fluent). Read at start. Missing messages are shown in English.",
        )
        .unset("English"),
        &TEXT,
    );
    let brand = fields.and_then(|fields| fields.brand(section));
    Some(Ui { brand: brand?, origin_brands: origins?, text: text? })
}

/// Reads the brand of one origin. Fields that are not set are those of all pages.
fn read_origin(
    section: &mut Section<'_>,
    further: Option<&[PublicUrl]>,
    common: Option<&BrandFields>,
    known: &mut Vec<String>,
) -> Option<(String, Brand)> {
    let origin = section.required(field("origin", "One of `origins`."), &values::PUBLIC_URL);
    let name = section.optional(field("name", "Name on the pages.").unset("`ui.name`"), &NAME);
    let logo = section.optional(LOGO_FILE.unset("`ui.logo_file`"), &LOGO);
    let accent = section.optional(ACCENT_COLOR.unset("`ui.accent`"), &ACCENT);
    let host = require_further(section, &origin?, further, known);
    let (name, logo, accent, common) = (name?, logo?, accent?, common?.clone());
    let fields = BrandFields { name: name.unwrap_or(common.name), logo: logo.or(common.logo), accent: accent.or(common.accent) };
    fields.brand(section).zip(host).map(|(brand, host)| (host, brand))
}

/// Returns the host of an origin that has no other entry.
fn require_further(
    section: &mut Section<'_>,
    origin: &PublicUrl,
    further: Option<&[PublicUrl]>,
    known: &mut Vec<String>,
) -> Option<String> {
    let host = origin.host().to_owned();
    let mistake = match further {
        Some(further) if !further.contains(origin) => "is not one of `origins`",
        _ if known.contains(&host) => "has another entry; keep one of them",
        _ => {
            known.push(host.clone());
            return Some(host);
        }
    };
    section.complain("origin", mistake);
    None
}

impl BrandFields {
    fn brand(self, section: &mut Section<'_>) -> Option<Brand> {
        // Each field was validated before.
        Brand::new(&self.name, self.logo, self.accent.as_deref())
            .map_err(|error| section.complain("name", error.to_string()))
            .ok()
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
