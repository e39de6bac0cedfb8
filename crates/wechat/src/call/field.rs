//! Fields as WeChat really writes them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{self, IgnoredAny},
};
use serde_json::{Deserializer, value::RawValue};

use super::optional_token;
use crate::secret::Secret;

/// How much of a text about an account is kept.
const MAX_TEXT_CHARS: usize = 2048;

/// The longest id of a person, or list of scopes, that is believed.
///
/// Assumed: ids of people have 28 characters today and scopes a few words.
const MAX_WORD_BYTES: usize = 128;

/// An integer, written as a number or as text; `null` and empty text are none.
pub(super) fn integer<'de, D: de::Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
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
pub(super) fn text<'de, D: de::Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(field)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }))
}

/// A text that is worth something only if it can be read.
pub(super) fn lenient_text<'de, D: de::Deserializer<'de>>(
    field: D,
) -> Result<Option<String>, D::Error> {
    let value = <&RawValue>::deserialize(field)?;
    Ok(serde_json::from_str(value.get()).ok())
}

/// Whether this can be an id, or what else is one plain word.
pub(super) fn is_word(text: &str) -> bool {
    (1..=MAX_WORD_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An object of which each field is read on its own: an odd one takes no other with it, and where
/// the object breaks off, what stood before that still counts. Of a repeated field the last value
/// that can be read counts. Nothing is copied but what is asked for.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// `None` for what is no object at all.
    pub(super) fn of(json: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(json).ok().filter(|json| json.starts_with('{')).map(Self)
    }

    /// A token or code that can be one.
    pub(super) fn token(self, name: &str) -> Option<Secret<String>> {
        self.read(name, |value| optional_token(serde_json::from_str(value.get()).ok()).ok()?)
    }

    /// A text about an account.
    pub(super) fn text(self, name: &str) -> Option<String> {
        self.read(name, |value| text(&mut Deserializer::from_str(value.get())).ok()?)
    }

    /// An id, or what else is one plain word. One that cannot be an id is none: cut, it would be
    /// another one.
    pub(super) fn word(self, name: &str) -> Option<String> {
        let word = |value: &RawValue| serde_json::from_str(value.get()).ok();
        self.read(name, |value| word(value).filter(|word: &String| is_word(word)))
    }

    pub(super) fn integer(self, name: &str) -> Option<i64> {
        self.read(name, |value| integer(&mut Deserializer::from_str(value.get())).ok()?)
    }

    pub(super) fn object(self, name: &str) -> Option<Self> {
        self.read(name, |value| Self::of(value.get().as_bytes()))
    }

    /// The `id` in an object such as `service_type_info`.
    pub(super) fn id_in(self, name: &str) -> Option<i64> {
        self.object(name)?.integer("id")
    }

    /// Whether there is such a field, whatever its value is unless `null`.
    pub(super) fn has(self, name: &str) -> bool {
        self.read(name, |value| (value.get() != "null").then_some(())).is_some()
    }

    /// What `read` makes of a list's entries, and how many there are with the odd ones that are
    /// left out.
    pub(super) fn list<T>(
        self,
        name: &str,
        mut read: impl FnMut(Self) -> Option<T>,
    ) -> Option<(Vec<T>, usize)> {
        let list = self.read(name, |value| value.get().starts_with('[').then_some(value))?;
        let (mut items, mut count) = (Vec::new(), 0);
        let entries = Entries(|value: &'a RawValue| {
            count += 1;
            items.extend(Self::of(value.get().as_bytes()).and_then(&mut read));
        });
        Deserializer::from_str(list.get()).deserialize_seq(entries).ok()?;
        Some((items, count))
    }

    /// The ids of `func_info`; entries without one say nothing.
    pub(super) fn func_info(self) -> Option<Vec<u32>> {
        let id = |entry: Self| u32::try_from(entry.id_in("funcscope_category")?).ok();
        self.list("func_info", id).map(|(ids, _)| ids)
    }

    fn read<T>(self, name: &str, read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        let mut last = None;
        let values = Values { name, keep: |value| last = read(value).or_else(|| last.take()) };
        // An error says that the object breaks off; what came before it has been kept.
        let _ = Deserializer::from_str(self.0).deserialize_map(values);
        last
    }
}

/// Hands over every value of one field.
struct Values<'n, F> {
    name: &'n str,
    keep: F,
}

impl<'de, F: FnMut(&'de RawValue)> de::Visitor<'de> for Values<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.name {
                (self.keep)(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Hands over every entry of a list.
struct Entries<F>(F);

impl<'de, F: FnMut(&'de RawValue)> de::Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            (self.0)(value);
        }
        Ok(())
    }
}
