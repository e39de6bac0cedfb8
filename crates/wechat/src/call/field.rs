//! Fields as WeChat really writes them.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// How much of a text about an account is kept.
const MAX_TEXT_CHARS: usize = 2048;

/// An integer, written as a number or as text; `null` and empty text are none.
pub(super) fn integer<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            i64::try_from(number).map(Some).map_err(|_| E::custom("an integer out of range"))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text.trim() {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_| E::custom("text that is no integer")),
            }
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    field.deserialize_any(Visitor)
}

/// A text about an account: `null` and empty text are none, a very long one is cut.
pub(super) fn text<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(field)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }))
}

/// An object of which only the `id` counts, such as `service_type_info`.
#[derive(Default, Deserialize)]
pub(super) struct WithId {
    #[serde(default, deserialize_with = "integer")]
    pub(super) id: Option<i64>,
}

/// One entry of `func_info`.
#[derive(Deserialize)]
pub(super) struct FuncInfo {
    #[serde(default)]
    funcscope_category: Option<WithId>,
}

/// The ids of `func_info`; entries without one say nothing.
pub(super) fn func_info(entries: &[FuncInfo]) -> Vec<u32> {
    entries
        .iter()
        .filter_map(|entry| entry.funcscope_category.as_ref()?.id)
        .filter_map(|id| u32::try_from(id).ok())
        .collect()
}
