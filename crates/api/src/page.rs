//! Lists in the API: `{items, next}`, read by cursor.

use std::{borrow::Cow, iter};

use lingpai_model::page::{Cursor, Page, PageRequest};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use serde_json::{Value, json};

use crate::problem::Result;

/// How many items a page has when the caller does not say.
pub(crate) const DEFAULT_LIMIT: u64 = 20;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct PageView<T> {
    /// The items, in the order of the list.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub(crate) next: Option<String>,
}

impl<T> PageView<T> {
    pub(crate) fn of<R>(page: Page<R>, each: impl FnMut(R) -> T) -> Self {
        let Page { items, next } = page.map(each);
        Self { items, next: next.map(|cursor| cursor.to_string()) }
    }
}

// By hand, not derived: the derived name of a generic type shows how it is made (`PageView_Tenant`).
impl<T: ToJSON> Type for PageView<T> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        let item = T::name();
        format!("{}Page", item.strip_suffix("Summary").unwrap_or(&item)).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |registry| {
            T::register(registry);
            let property = |schema: MetaSchemaRef, description, nullable| {
                let words =
                    MetaSchema { description: Some(description), nullable, ..MetaSchema::ANY };
                schema.merge(words)
            };
            let items = property(
                Vec::<T>::schema_ref(),
                "The items, in the order that the operation tells.",
                false,
            );
            let next = property(
                String::schema_ref(),
                "Send it as `cursor` to get the next page; null at the end of the list.",
                true,
            );
            MetaSchema {
                title: Some(Self::name().into_owned()),
                description: Some("One page of a list."),
                required: vec!["items"],
                properties: vec![("items", items), ("next", next)],
                ..MetaSchema::new("object")
            }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(iter::once(self))
    }
}

impl<T: ToJSON> ToJSON for PageView<T> {
    fn to_json(&self) -> Option<Value> {
        Some(json!({ "items": self.items.to_json(), "next": self.next }))
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

    #[test]
    fn the_end_of_a_list_is_said_with_null() {
        let page = PageView { items: vec!["a".to_owned()], next: None };
        assert_eq!(page.to_json(), Some(json!({ "items": ["a"], "next": null })));
        let page = PageView { next: Some("c".to_owned()), ..page };
        assert_eq!(page.to_json(), Some(json!({ "items": ["a"], "next": "c" })));
    }
}
