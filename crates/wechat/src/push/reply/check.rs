//! What WeChat takes as a reply.

use super::{Article, MAX_ARTICLES, MAX_TEXT_BYTES, Reply, ReplyError};

/// The most bytes of a title, a description, a media id or the name of a clerk.
///
/// Assumed: WeChat names no limit; this one keeps a reply small and nobody reaches it.
const MAX_WORDS_BYTES: usize = 2048;

/// The most bytes of an address.
///
/// Assumed: as above.
const MAX_URL_BYTES: usize = 2048;

impl Reply {
    /// Whether WeChat takes it.
    ///
    /// # Errors
    /// [`ReplyError`] for what is missing, too long, or cannot be written.
    pub fn check(&self) -> Result<(), ReplyError> {
        match self {
            Self::Text { content } => needed("Content", content, MAX_TEXT_BYTES),
            Self::Image { media_id } | Self::Voice { media_id } => check_media_id(media_id),
            Self::Video { media_id, title, description } => {
                check_media_id(media_id)?;
                check_words(title.as_deref(), description.as_deref())
            }
            Self::Music { title, description, music_url, hq_music_url, thumb_media_id } => {
                needed("ThumbMediaId", thumb_media_id, MAX_WORDS_BYTES)?;
                check_words(title.as_deref(), description.as_deref())?;
                optional("MusicUrl", music_url.as_deref(), MAX_URL_BYTES)?;
                optional("HQMusicUrl", hq_music_url.as_deref(), MAX_URL_BYTES)
            }
            Self::News { articles } => {
                if !(1..=MAX_ARTICLES).contains(&articles.len()) {
                    return Err(ReplyError::ArticleCount);
                }
                articles.iter().try_for_each(Article::check)
            }
            Self::TransferCustomerService { kf_account: None } => Ok(()),
            Self::TransferCustomerService { kf_account: Some(kf_account) } => {
                needed("KfAccount", kf_account, MAX_WORDS_BYTES)
            }
        }
    }
}

impl Article {
    fn check(&self) -> Result<(), ReplyError> {
        needed("Title", &self.title, MAX_WORDS_BYTES)?;
        optional("Description", self.description.as_deref(), MAX_WORDS_BYTES)?;
        optional("PicUrl", self.pic_url.as_deref(), MAX_URL_BYTES)?;
        needed("Url", &self.url, MAX_URL_BYTES)
    }
}

fn check_media_id(media_id: &str) -> Result<(), ReplyError> {
    needed("MediaId", media_id, MAX_WORDS_BYTES)
}

fn check_words(title: Option<&str>, description: Option<&str>) -> Result<(), ReplyError> {
    optional("Title", title, MAX_WORDS_BYTES)?;
    optional("Description", description, MAX_WORDS_BYTES)
}

fn needed(element: &'static str, text: &str, most_bytes: usize) -> Result<(), ReplyError> {
    if text.trim().is_empty() {
        return Err(ReplyError::Missing(element));
    }
    if text.len() > most_bytes {
        return Err(ReplyError::TooLong { element, most_bytes });
    }
    if text.chars().all(is_writable) { Ok(()) } else { Err(ReplyError::Unwritable(element)) }
}

fn optional(
    element: &'static str,
    text: Option<&str>,
    most_bytes: usize,
) -> Result<(), ReplyError> {
    match text {
        Some(text) if !text.trim().is_empty() => needed(element, text, most_bytes),
        Some(_) | None => Ok(()),
    }
}

/// Whether XML 1.0 can have the character.
fn is_writable(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
