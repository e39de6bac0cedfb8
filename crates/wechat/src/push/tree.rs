//! A decrypted message as a tree, whichever way it is written: XML, or the JSON that an account with
//! keys of its own may choose. The fields have the same names in both.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::PushError;
use crate::{
    json,
    xml::{MAX_BYTES, Node, XmlError},
};

/// The most values a JSON message may have: it is kept raw, and unread, beyond that. XML is held to
/// fewer elements.
const MAX_JSON_VALUES: usize = 4096;

/// How the text of an element is called that has child elements as well.
const MIXED_TEXT: &str = "#text";

/// Names a fan, in one letter case or another.
const OPENID: &str = "openid";

/// Holds JSON as text.
///
/// Source: WeChat docs, "Goods delivery push" (xpay_goods_deliver_notify) of mini games.
const PAYLOAD: &str = "Payload";

/// Reads a message, XML or JSON.
///
/// # Errors
/// [`PushError::Xml`] or [`PushError::Json`] when it breaks a bound.
pub(super) fn parse(document: &[u8]) -> Result<Node<'_>, PushError> {
    if is_json(document) { parse_json(document) } else { Ok(Node::parse(document)?) }
}

/// The message as JSON with every field kept.
///
/// # Errors
/// As [`parse`].
pub(super) fn to_json(document: &[u8]) -> Result<Value, PushError> {
    if is_json(document) {
        let json = mended(document)?;
        return serde_json::from_slice(&json).map_err(|_| PushError::Json);
    }
    let root = Node::parse(document)?;
    Ok(Value::Object(object_of(&root)))
}

/// The first openid that stands in or below `node`, however its name is written.
pub(super) fn openid_in(node: &Node<'_>) -> Option<String> {
    let named = node.children().iter().find(|child| child.name().eq_ignore_ascii_case(OPENID));
    let openid = named.map(|child| child.text().trim()).filter(|text| !text.is_empty());
    openid.map(str::to_owned).or_else(|| node.children().iter().find_map(openid_below))
}

fn openid_below(child: &Node<'_>) -> Option<String> {
    let text = child.text();
    if child.name() == PAYLOAD && is_json(text.as_bytes()) {
        return openid_in(&parse_json(text.as_bytes()).ok()?);
    }
    openid_in(child)
}

fn is_json(document: &[u8]) -> bool {
    document.trim_ascii_start().starts_with(b"{")
}

fn value_of(node: &Node<'_>) -> Value {
    if node.children().is_empty() {
        Value::String(node.text().to_owned())
    } else {
        Value::Object(object_of(node))
    }
}

/// Children by name; those that share a name become a list.
fn object_of(node: &Node<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    if !node.text().is_empty() {
        object.insert(MIXED_TEXT.to_owned(), Value::String(node.text().to_owned()));
    }
    // Elements and repeated names are few: the reader bounds them.
    for child in node.children() {
        if object.contains_key(child.name()) {
            continue;
        }
        let mut same: Vec<Value> = node.children_named(child.name()).map(value_of).collect();
        let value = if same.len() == 1 { same.remove(0) } else { Value::Array(same) };
        object.insert(child.name().to_owned(), value);
    }
    object
}

/// A copy that can be parsed: strings that WeChat should not send but may are made readable.
fn mended(document: &[u8]) -> Result<Vec<u8>, PushError> {
    if document.len() > MAX_BYTES {
        return Err(XmlError::TooLarge.into());
    }
    if !json::is_shallow(document) {
        return Err(PushError::Json);
    }
    let mut json = document.to_vec();
    json::mend_strings(&mut json);
    Ok(json)
}

fn parse_json(document: &[u8]) -> Result<Node<'static>, PushError> {
    let json = mended(document)?;
    let mut left = MAX_JSON_VALUES;
    let mut source = serde_json::Deserializer::from_slice(&json);
    let root = Element { name: "json", left: &mut left, place: Place::Root };
    let mut found = root.deserialize(&mut source).map_err(|_| PushError::Json)?;
    source.end().map_err(|_| PushError::Json)?;
    found.pop().ok_or(PushError::Json)
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the message itself: its names must not repeat, as in XML.
    Root,
    Below,
}

/// Makes elements called `name` of one JSON value: none of `null`, one for each entry of a list.
struct Element<'n> {
    name: &'n str,
    /// How many more values may come.
    left: &'n mut usize,
    place: Place,
}

impl Element<'_> {
    fn leaf(self, text: impl fmt::Display) -> Vec<Node<'static>> {
        vec![Node::made(self.name.to_owned(), Cow::Owned(text.to_string()), Vec::new())]
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Vec<Node<'static>>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Vec<Node<'static>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.leaf(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.leaf(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.leaf(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.leaf(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.leaf(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        let place = Place::Below;
        while let Some(entry) =
            list.next_element_seed(Element { name: self.name, left: &mut *self.left, place })?
        {
            elements.extend(entry);
        }
        Ok(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names: Vec<String> = Vec::new();
        let mut children = Vec::new();
        let place = Place::Below;
        while let Some(name) = map.next_key::<Name>()? {
            children.extend(map.next_value_seed(Element {
                name: &name.0,
                left: &mut *self.left,
                place,
            })?);
            names.push(name.0);
        }
        names.sort_unstable();
        if self.place == Place::Root && names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("a name is repeated"));
        }
        Ok(vec![Node::made(self.name.to_owned(), Cow::Borrowed(""), children)])
    }
}

#[derive(Deserialize)]
struct Name(String);
