//! The files that pages refer to, and the names under which browsers keep them.

use std::borrow::Cow;

use super::Brand;

/// The path of the files.
pub const ASSETS: &str = "/vestibule/assets/";

/// A file as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub content_type: &'static str,
    pub cache_control: &'static str,
    /// True if the name has the tag of this content.
    pub is_current: bool,
    /// An SVG that is not ours: the operator's logo.
    pub is_svg_of_others: bool,
    pub body: Cow<'static, [u8]>,
}

/// A file whose name carries a tag of its content, so that browsers may cache it permanently.
#[derive(Debug, Clone)]
pub struct File {
    kind: AssetKind,
    tag: u64,
    body: Cow<'static, [u8]>,
}

/// The kind of a file, which determines its name and content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetKind {
    Style,
    Icon,
    PageScript,
    ContinueScript,
    Theme,
    SvgLogo,
    PngLogo,
}

pub(super) static STYLE: File = File::built_in(AssetKind::Style, include_bytes!("../../templates/style.css"));
pub(super) static ICON: File = File::built_in(AssetKind::Icon, include_bytes!("../../templates/icon.svg"));
pub(super) static PAGE_SCRIPT: File = File::built_in(AssetKind::PageScript, include_bytes!("../../templates/page.js"));
pub(super) static CONTINUE_SCRIPT: File =
    File::built_in(AssetKind::ContinueScript, include_bytes!("../../templates/continue.js"));

/// The file behind `/vestibule/assets/{name}`.
///
/// During a rollout a page of one version may request the file from a pod of another version. It receives that pod's
/// file, which the browser must not cache.
pub fn asset(brand: &Brand, name: &str) -> Option<Asset> {
    let (stem, rest) = name.split_once('.')?;
    let (tag, extension) = rest.split_once('.')?;
    let built_in = [&STYLE, &ICON, &PAGE_SCRIPT, &CONTINUE_SCRIPT];
    let file = built_in.into_iter().chain(brand.files()).find(|file| file.kind.name() == (stem, extension))?;
    let is_current = tag == file.tag();
    Some(Asset {
        content_type: file.kind.content_type(),
        is_current,
        cache_control: if is_current { "public, max-age=31536000, immutable" } else { "no-store" },
        is_svg_of_others: file.kind == AssetKind::SvgLogo,
        body: file.body.clone(),
    })
}

impl File {
    const fn built_in(kind: AssetKind, body: &'static [u8]) -> Self {
        Self { kind, tag: content_tag(body), body: Cow::Borrowed(body) }
    }

    pub(super) fn new(kind: AssetKind, body: Vec<u8>) -> Self {
        Self { kind, tag: content_tag(&body), body: Cow::Owned(body) }
    }

    /// The file's URL.
    pub fn href(&self) -> String {
        let (stem, extension) = self.kind.name();
        format!("{ASSETS}{stem}.{}.{extension}", self.tag())
    }

    pub fn content_type(&self) -> &'static str {
        self.kind.content_type()
    }

    fn tag(&self) -> String {
        format!("{:016x}", self.tag)
    }
}

impl AssetKind {
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Style => ("style", "css"),
            Self::Theme => ("theme", "css"),
            Self::Icon => ("icon", "svg"),
            Self::SvgLogo => ("logo", "svg"),
            Self::PngLogo => ("logo", "png"),
            Self::PageScript => ("page", "js"),
            Self::ContinueScript => ("continue", "js"),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Style | Self::Theme => "text/css; charset=utf-8",
            Self::Icon | Self::SvgLogo => "image/svg+xml",
            Self::PngLogo => "image/png",
            Self::PageScript | Self::ContinueScript => "text/javascript; charset=utf-8",
        }
    }
}

/// FNV-1a: tells two versions of a file apart, which is all that a cache needs.
const fn content_tag(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branded() -> Brand {
        Brand::new("Acme", Some(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()), Some("#c0392b")).expect("a brand")
    }

    fn name(file: &File) -> String {
        file.href().strip_prefix(ASSETS).expect("files are there").to_owned()
    }

    #[test]
    fn every_file_is_served_for_good_under_its_name() {
        let brand = branded();
        let files: Vec<&File> = [&STYLE, &ICON, &PAGE_SCRIPT, &CONTINUE_SCRIPT].into_iter().chain(brand.files()).collect();
        assert_eq!(files.len(), 6);
        for file in files {
            let asset = asset(&brand, &name(file)).expect("it is ours");
            assert!(asset.cache_control.contains("immutable"), "{asset:?}");
            assert_eq!((asset.body.as_ref(), asset.content_type), (file.body.as_ref(), file.content_type()));
        }
    }

    #[test]
    fn another_versions_asset_is_served_but_not_kept() {
        let asset = asset(&Brand::default(), "style.0123456789abcdef.css").expect("the stylesheet");
        assert_eq!(asset.body, STYLE.body);
        assert_eq!(asset.cache_control, "no-store");
    }

    #[test]
    fn an_unknown_asset_is_absent() {
        for name in ["", "style", "style.css", "icon.1.css", "a.b.c", "style.1.css.map", "logo.1.svg", "theme.1.css"] {
            assert_eq!(asset(&Brand::default(), name), None, "{name}");
        }
    }

    #[test]
    fn only_an_svg_logo_is_an_svg_of_others() {
        let brand = branded();
        let is_of_others = |name: &str| asset(&brand, name).expect("the file").is_svg_of_others;
        assert!(is_of_others("logo.0.svg") && !is_of_others("icon.0.svg"));
    }
}
