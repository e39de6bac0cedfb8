//! Lists are read page by page, by cursor: a row that appears meanwhile moves nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// How many rows one page may hold.
pub const MAX_LIMIT: u64 = 100;

/// Where a page begins and how long it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The cursor handed out with the page before; `None` for the first page.
    pub after: Option<Cursor>,
    /// At most this many rows, 1 to [`MAX_LIMIT`].
    limit: u64,
}

impl PageRequest {
    /// A request for at most `limit` rows behind `after`.
    ///
    /// # Errors
    /// [`InvalidPage::Limit`] when `limit` is not 1 to [`MAX_LIMIT`].
    pub fn new(limit: u64, after: Option<Cursor>) -> Result<Self, InvalidPage> {
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(Self { after, limit })
        } else {
            Err(InvalidPage::Limit)
        }
    }

    /// The first page, as long as a page may be.
    #[must_use]
    pub fn first() -> Self {
        Self { after: None, limit: MAX_LIMIT }
    }

    /// The request for the page that begins at `next`, as long as this one.
    #[must_use]
    pub fn following(&self, next: Cursor) -> Self {
        Self { after: Some(next), limit: self.limit }
    }

    /// At most this many rows.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Builds the answer to `request` from up to `limit + 1` rows: the one too many only tells
    /// that there is a next page.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> &str) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| Cursor(key(last).to_owned()));
        Self { items: rows, next }
    }

    /// The same page with every row turned into something else.
    #[must_use]
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}

/// A place in a list: the id of the last row seen. Opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Reads the text a caller brings back.
    ///
    /// # Errors
    /// [`InvalidPage::Cursor`] when we did not write it.
    pub fn parse(text: &str) -> Result<Self, InvalidPage> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPage::Cursor)?;
        let id = String::from_utf8(bytes).map_err(|_| InvalidPage::Cursor)?;
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidPage::Cursor);
        }
        Ok(Self(id))
    }

    /// The id of the last row seen.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// The request for a page makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    /// The limit is out of bounds.
    #[error("a page holds 1 to {MAX_LIMIT} rows")]
    Limit,
    /// The cursor was not handed out by us.
    #[error("the cursor is not one that this list handed out")]
    Cursor,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("tnt_{i}")).collect()
    }

    #[test]
    fn a_next_page_is_told_only_when_there_is_one() {
        let request = PageRequest::new(2, None).expect("a fair limit");
        let page = Page::cut(rows(3), &request, String::as_str);
        assert_eq!(page.items.len(), 2);
        let cursor = page.next.expect("a third row waits");
        assert_eq!(Cursor::parse(&cursor.to_string()).expect("ours").last_id(), "tnt_1");
        assert_eq!(Page::cut(rows(2), &request, String::as_str).next, None);
    }

    #[test]
    fn foreign_cursors_and_limits_are_refused() {
        for text in ["", "%%", "AA", &URL_SAFE_NO_PAD.encode("x".repeat(65))] {
            assert_eq!(Cursor::parse(text), Err(InvalidPage::Cursor), "{text:?}");
        }
        assert_eq!(PageRequest::new(0, None), Err(InvalidPage::Limit));
        assert_eq!(PageRequest::new(101, None), Err(InvalidPage::Limit));
    }
}
