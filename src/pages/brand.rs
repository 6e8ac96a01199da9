//! The operator's brand: a name, a logo and an accent color.

use std::fmt;

use super::{
    assets::{AssetKind, File, ICON},
    theme::{self, ColorError},
};

/// The maximum length of a site's name, in characters. It shares one line with the user's name.
const LONGEST_NAME: usize = 40;

/// It is sent with each page's first visit.
const LARGEST_LOGO: usize = 256 << 10;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The brand that all pages share. It is created once.
#[derive(Debug, Clone)]
pub struct Brand {
    pub name: String,
    pub logo: Option<File>,
    /// A stylesheet after the common one; `None` for the default colors.
    pub theme: Option<File>,
}

/// A setting of the brand is invalid.
#[derive(Debug, PartialEq, Eq)]
pub enum BrandError {
    Name,
    LogoTooLarge,
    LogoFormat,
    Accent(ColorError),
}

impl Brand {
    /// `logo` is an SVG or PNG file's content, `accent` a color as `#rrggbb`.
    pub fn new(name: &str, logo: Option<Vec<u8>>, accent: Option<&str>) -> Result<Self, BrandError> {
        let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !fits || name.trim() != name {
            return Err(BrandError::Name);
        }
        let logo = logo.map(|content| Ok(File::new(logo_kind(&content)?, content))).transpose()?;
        let theme = accent.map(theme::css).transpose().map_err(BrandError::Accent)?;
        let theme = theme.map(|css| File::new(AssetKind::Theme, css.into_bytes()));
        Ok(Self { name: name.to_owned(), logo, theme })
    }

    /// The icon that browsers show beside the page's title.
    pub fn icon(&self) -> &File {
        self.logo.as_ref().unwrap_or(&ICON)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.logo.iter().chain(&self.theme)
    }
}

/// Detects the kind from the content, since a browser trusts the declared type.
fn logo_kind(content: &[u8]) -> Result<AssetKind, BrandError> {
    if content.len() > LARGEST_LOGO {
        return Err(BrandError::LogoTooLarge);
    }
    if content.starts_with(PNG) {
        return Ok(AssetKind::PngLogo);
    }
    let text = std::str::from_utf8(content).map_err(|_| BrandError::LogoFormat)?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_svg = text.starts_with("<svg") || (text.starts_with("<?xml") || text.starts_with("<!")) && text.contains("<svg");
    if is_svg { Ok(AssetKind::SvgLogo) } else { Err(BrandError::LogoFormat) }
}

impl Default for Brand {
    fn default() -> Self {
        Self { name: "Vestibule".to_owned(), logo: None, theme: None }
    }
}

impl fmt::Display for BrandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => {
                write!(f, "the name must have 1 to {LONGEST_NAME} characters, no control characters, and no blanks at its ends")
            }
            Self::LogoTooLarge => write!(f, "the logo must not be larger than {} KiB", LARGEST_LOGO >> 10),
            Self::LogoFormat => f.write_str("the logo must be an SVG or a PNG file"),
            Self::Accent(error) => write!(f, "the accent color {error}"),
        }
    }
}

impl std::error::Error for BrandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_a_logo_is_detected_from_its_content() {
        assert_eq!(logo_kind(b"\x89PNG\r\n\x1a\nrest"), Ok(AssetKind::PngLogo));
        for svg in ["<svg/>", "\u{feff} <svg></svg>", "<?xml version=\"1.0\"?><svg/>", "<!-- mine --><svg/>"] {
            assert_eq!(logo_kind(svg.as_bytes()), Ok(AssetKind::SvgLogo), "{svg}");
        }
        for other in ["", "GIF89a", "<html></html>", "<!doctype html><p>x"] {
            assert_eq!(logo_kind(other.as_bytes()), Err(BrandError::LogoFormat), "{other}");
        }
        assert_eq!(logo_kind(&vec![b' '; LARGEST_LOGO + 1]), Err(BrandError::LogoTooLarge));
    }

    #[test]
    fn names_with_line_breaks_or_outer_blanks_or_too_many_characters_are_rejected() {
        for name in ["", " Acme", "a\nb", &"n".repeat(41)] {
            assert_eq!(Brand::new(name, None, None).err(), Some(BrandError::Name), "{name:?}");
        }
        assert_eq!(Brand::new("Acme 社", None, None).expect("a name").name, "Acme 社");
    }

    #[test]
    fn an_invalid_color_is_rejected() {
        let error = Brand::new("Acme", None, Some("red")).expect_err("an invalid color").to_string();
        assert_eq!(error, "the accent color must be written as #rrggbb, such as #4353c9");
    }

    #[test]
    fn a_logo_replaces_the_icon() {
        let brand = Brand::new("Acme", Some(b"<svg/>".to_vec()), None).expect("a brand");
        assert!(brand.icon().href().contains("/logo."));
        assert!(Brand::default().icon().href().contains("/icon."));
    }
}
