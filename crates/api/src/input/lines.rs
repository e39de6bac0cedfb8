//! Texts of several lines.

use std::{borrow::Cow, iter};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// How the documents tell that a text may have several lines.
const FORMAT: &str = "multiline";

/// A text of 1 to `MOST` characters that may have line feeds and tabs in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines<const MOST: usize>(pub(crate) String);

/// Whether the text of this schema may have `c` in it, which is a control character.
pub(super) fn may_have(schema: &MetaSchema, c: char) -> bool {
    schema.format == Some(FORMAT) && matches!(c, '\n' | '\r' | '\t')
}

impl<const MOST: usize> Type for Lines<MOST> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("string_{FORMAT}").into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MOST),
            ..MetaSchema::new_with_format("string", FORMAT)
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(iter::once(self))
    }
}

impl<const MOST: usize> ParseFromJSON for Lines<MOST> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text)),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl<const MOST: usize> ToJSON for Lines<MOST> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}
