//! Lists in the API: `{items, next}`, read by cursor.

use lingpai_model::page::{Cursor, Page, PageRequest};
use poem_openapi::{
    Object,
    types::{ParseFromJSON, ToJSON, Type},
};

use crate::problem::Result;

/// How many items a page has when the caller does not say.
const DEFAULT_LIMIT: u64 = 20;

/// One page of a list.
#[derive(Debug, Object)]
pub(crate) struct PageView<T: Type + ParseFromJSON + ToJSON> {
    /// The items, oldest first.
    pub(crate) items: Vec<T>,
    /// Send it as `cursor` to get the next page; null at the end of the list.
    #[oai(nullable)]
    pub(crate) next: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON> PageView<T> {
    pub(crate) fn of<R>(page: Page<R>, each: impl FnMut(R) -> T) -> Self {
        let Page { items, next } = page.map(each);
        Self { items, next: next.map(|cursor| cursor.to_string()) }
    }
}

/// Reads `limit` and `cursor`.
///
/// # Errors
/// A problem `invalid_field` that names the parameter.
pub(crate) fn request(limit: Option<u64>, cursor: Option<&str>) -> Result<PageRequest> {
    let after = cursor.map(Cursor::parse).transpose()?;
    Ok(PageRequest::new(limit.unwrap_or(DEFAULT_LIMIT), after)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn limits_and_cursors_are_checked() {
        assert_eq!(request(None, None).unwrap().limit(), DEFAULT_LIMIT);
        assert_eq!(request(Some(100), None).unwrap().limit(), 100);
        for (limit, cursor) in [(Some(0), None), (Some(101), None), (None, Some("?"))] {
            assert_eq!(request(limit, cursor).unwrap_err().code(), Code::InvalidField);
        }
    }
}
