//! Domain verification files: what WeChat looks for at the root of a domain, to see whose it is.

use std::fmt;

use crate::{Instant, id::TenantId};

/// One file, served at the root of our domain under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationFile {
    /// Its name, unique in the installation.
    pub name: FileName,
    /// All that is in it.
    pub content: FileContent,
    /// Whose it is; the operator's if no tenant's.
    pub tenant_id: Option<TenantId>,
    /// When it was uploaded.
    pub created_at: Instant,
}

/// The name of a verification file, as in `MP_verify_x1.txt`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(String);

/// The text cannot be the name of a verification file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a file name is 1 to 64 of the characters a-z A-Z 0-9 _ - and then `.txt`, and none that \
     crawlers and others look for, like `robots.txt`"
)]
pub struct InvalidFileName;

/// How long a name may be without its ending.
const MAX_STEM: usize = 64;
const ENDING: &str = ".txt";

/// How the names begin that WeChat draws for one of its domains' checks.
const WECHATS: [&str; 2] = ["MP_verify_", "WW_verify_"];

/// How many letters and digits a name has at least that is nothing else.
const LEAST_DRAWN: usize = 10;

/// What others than WeChat look for at the root of a domain: no tenant speaks there for all.
const SPOKEN_FOR: [&str; 6] = ["robots", "ads", "app-ads", "security", "humans", "llms"];

impl FileName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidFileName`] when it has another form, or others than WeChat look for it.
    pub fn parse(text: &str) -> Result<Self, InvalidFileName> {
        let stem = text.strip_suffix(ENDING).ok_or(InvalidFileName)?;
        let fits = (1..=MAX_STEM).contains(&stem.len())
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let is_spoken_for = SPOKEN_FOR.iter().any(|name| name.eq_ignore_ascii_case(stem));
        if fits && !is_spoken_for { Ok(Self(text.to_owned())) } else { Err(InvalidFileName) }
    }

    /// Whether it is one of those that WeChat draws: `MP_verify_` or `WW_verify_` with letters and
    /// digits, or at least ten letters and digits. Others than WeChat are asked for none of them.
    ///
    /// Source: WeChat docs, "Domain names" (JS接口安全域名, 业务域名): `MP_verify_….txt`, WeCom's
    /// `WW_verify_….txt`. Observed of mini programs: ten letters and digits.
    #[must_use]
    pub fn is_wechats(&self) -> bool {
        let stem = self.0.strip_suffix(ENDING).unwrap_or(&self.0);
        let (drawn, least) = match WECHATS.iter().find_map(|begin| stem.strip_prefix(begin)) {
            Some(drawn) => (drawn, 1),
            None => (stem, LEAST_DRAWN),
        };
        drawn.len() >= least && drawn.bytes().all(|b| b.is_ascii_alphanumeric())
    }

    /// The name with its ending.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a verification file may hold: one line, so that no page and no script can hide in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent(String);

/// The text cannot be in a verification file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a verification file holds one line of 1 to 512 visible ASCII characters, without spaces")]
pub struct InvalidFileContent;

const MAX_CONTENT: usize = 512;

impl FileContent {
    /// Reads what is to be in a file.
    ///
    /// # Errors
    /// [`InvalidFileContent`] when it is empty, too long, or has other characters than visible ones.
    pub fn parse(text: &str) -> Result<Self, InvalidFileContent> {
        let fits =
            (1..=MAX_CONTENT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidFileContent) }
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<FileContent> for String {
    fn from(content: FileContent) -> Self {
        content.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_names_are_read() {
        for name in ["MP_verify_0aZ-9.txt", "0123456789.txt", &format!("{}.txt", "a".repeat(64))] {
            assert_eq!(FileName::parse(name).expect("a name").as_str(), name);
        }
    }

    #[test]
    fn wechats_names_are_known_by_their_form() {
        let is_wechats = |stem: &str| FileName::parse(&format!("{stem}.txt")).unwrap().is_wechats();
        let long = "a".repeat(64);
        for stem in ["MP_verify_0aZ9", "WW_verify_x", "0123456789", "aBcDeFgHiJ", &long] {
            assert!(is_wechats(stem), "{stem}");
        }
        for stem in [
            "MP_verify_",
            "MP_verify_a-b",
            "mp_verify_a1",
            "XX_verify_a1",
            "012345678",
            "a",
            "dns-prefetch",
            "google_verification",
            "0123456789_",
        ] {
            assert!(!is_wechats(stem), "{stem}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let long = format!("{}.txt", "a".repeat(65));
        for name in
            ["", ".txt", "a", "a.html", "a.TXT", "a.b.txt", "../a.txt", "a/b.txt", "é.txt", &long]
        {
            assert_eq!(FileName::parse(name), Err(InvalidFileName), "{name:?}");
        }
    }

    #[test]
    fn names_that_others_look_for_are_refused_in_any_case() {
        for stem in SPOKEN_FOR {
            for stem in [stem.to_owned(), stem.to_uppercase()] {
                assert_eq!(FileName::parse(&format!("{stem}.txt")), Err(InvalidFileName), "{stem}");
            }
        }
        assert!(FileName::parse("robots2.txt").is_ok());
    }

    #[test]
    fn content_is_one_short_line() {
        for content in ["a", &"a".repeat(512), "d41d8cd98f00b204"] {
            assert_eq!(String::from(FileContent::parse(content).expect("a line")), content);
        }
        for content in ["", "a\n", "a b", "微", "\u{7f}", &"a".repeat(513)] {
            assert_eq!(FileContent::parse(content), Err(InvalidFileContent), "{content:?}");
        }
    }
}
