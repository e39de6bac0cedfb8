//! WeChat's identifiers, read once at the door and trusted afterwards.

/// The appid of a component, an official account or a mini program.
///
/// Compared byte for byte: case counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Appid(String);

/// The text cannot be an appid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an appid is 1 to 64 of the characters a-z A-Z 0-9 _ -")]
pub struct InvalidAppid;

impl Appid {
    /// Reads an appid.
    ///
    /// WeChat's own are `wx` and 16 hexadecimal digits; only the alphabet and a length are checked,
    /// since nothing promises that form for ever.
    ///
    /// # Errors
    /// [`InvalidAppid`] when the text is empty, longer than 64 bytes or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidAppid> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidAppid) }
    }

    /// The appid as WeChat writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Appid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_closed() {
        assert!(Appid::parse("wx570bc396a51b8ff8").is_ok());
        for text in ["", "wx 1", "wx1 ", "wx/1", "微信", &"w".repeat(65), "wx\0"] {
            assert_eq!(Appid::parse(text), Err(InvalidAppid), "{text:?}");
        }
    }
}
