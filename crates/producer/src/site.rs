//! Names of sites.

use std::fmt;

use thiserror::Error;

/// Longest name of a site, bytes: that of a DNS name.
const SITE_BYTES_MAX: usize = 253;

/// Why a text is no name of a site.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SiteError {
    /// Nothing there.
    #[error("site name is empty: give one such as example.com")]
    Empty,
    /// Longer than 253 bytes.
    #[error("site name has {0} bytes: at most {SITE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Something else than letters, digits, dot, underscore and hyphen.
    #[error(
        "site name has {0:?}: only A-Z a-z 0-9 . _ - are allowed, without https:// and without a path"
    )]
    Character(char),
}

/// Name of a site: 1 to 253 of `a-z 0-9 . _ -`, lower case. Usually its host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(Box<str>);

impl Site {
    /// Reads a name, turning it into lower case.
    ///
    /// # Errors
    /// Empty, too long, or with characters that no site name has.
    pub fn parse(text: &str) -> Result<Site, SiteError> {
        if text.is_empty() {
            return Err(SiteError::Empty);
        }
        if text.len() > SITE_BYTES_MAX {
            return Err(SiteError::TooLong(text.len()));
        }
        let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if let Some(odd) = text.chars().find(odd) {
            return Err(SiteError::Character(odd));
        }
        Ok(Site(text.to_ascii_lowercase().into()))
    }

    /// The name, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_lowers_them() {
        assert_eq!(
            Site::parse("Blog.Example-1_x").unwrap().as_str(),
            "blog.example-1_x"
        );
        assert_eq!(Site::parse(""), Err(SiteError::Empty));
        assert_eq!(Site::parse(&"a".repeat(254)), Err(SiteError::TooLong(254)));
        assert_eq!(Site::parse("https://x"), Err(SiteError::Character(':')));
        assert_eq!(Site::parse("exämple"), Err(SiteError::Character('ä')));
    }
}
