//! The frame of every page: the site's name and logo, and the navigation.

use std::sync::Arc;

use super::{
    Brand,
    assets::{CONTINUE_SCRIPT, PAGE_SCRIPT, STYLE},
};

/// The frame of a page. The default has the default brand and no navigation.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub brand: Arc<Brand>,
    /// The navigation; `None` if nobody is signed in.
    pub nav: Option<Nav>,
}

/// The signed-in user and the current page.
#[derive(Debug, Clone)]
pub struct Nav {
    /// The name, else the email, else the subject.
    pub name: String,
    /// True for administrators, who see the administration pages.
    pub administrator: bool,
    /// True if local accounts are enabled, so that there is a page of invitations.
    pub invites: bool,
    /// `None` for pages that are not in the navigation.
    pub current: Option<SitePage>,
}

/// A page that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SitePage {
    Account,
    Keys,
    Sessions,
    SignIn,
    Users,
    Invitations,
    RoleMap,
}

impl Frame {
    pub fn of(brand: &Arc<Brand>) -> Self {
        Self { brand: Arc::clone(brand), nav: None }
    }

    #[must_use]
    pub fn with_nav(self, nav: Nav) -> Self {
        Self { nav: Some(nav), ..self }
    }

    pub(super) fn style_href(&self) -> String {
        STYLE.href()
    }

    pub(super) fn can_invite(&self) -> bool {
        self.nav.as_ref().is_some_and(|nav| nav.invites)
    }

    pub(super) fn page_script(&self) -> String {
        PAGE_SCRIPT.href()
    }

    pub(super) fn continue_script(&self) -> String {
        CONTINUE_SCRIPT.href()
    }
}

impl Nav {
    /// The administration pages.
    pub(super) fn administration(&self) -> impl Iterator<Item = SitePage> {
        [SitePage::Users, SitePage::Invitations, SitePage::RoleMap]
            .into_iter()
            .filter(|place| self.invites || *place != SitePage::Invitations)
    }

    pub(super) fn is_at(&self, place: &SitePage) -> bool {
        self.current.as_ref() == Some(place)
    }
}

impl SitePage {
    /// The pages of every user.
    pub const OWN: [Self; 4] = [Self::Account, Self::Keys, Self::Sessions, Self::SignIn];

    /// The page's path, to which its forms are posted too.
    pub const fn href(self) -> &'static str {
        match self {
            Self::Account => "/vestibule/",
            Self::Keys => "/vestibule/keys",
            Self::Sessions => "/vestibule/sessions",
            Self::SignIn => "/vestibule/sign-in",
            Self::Users => "/vestibule/people",
            Self::Invitations => "/vestibule/invitations",
            Self::RoleMap => "/vestibule/role-map",
        }
    }

    /// The message id of the page's name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "nav-account",
            Self::Keys => "nav-keys",
            Self::Sessions => "nav-sessions",
            Self::SignIn => "nav-sign-in",
            Self::Users => "nav-people",
            Self::Invitations => "nav-invitations",
            Self::RoleMap => "nav-role-map",
        }
    }
}
