//! The elements of a decrypted push.

use super::PushError;
use crate::{id::Appid, secret::Secret, xml::Node};

/// The elements of a push, read by name. Case counts: `AppId` and `appid` are two different things.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n, 'a>(pub(super) &'n Node<'a>);

impl<'n, 'a> Fields<'n, 'a> {
    pub(super) fn needed(self, name: &'static str) -> Result<&'n str, PushError> {
        self.0.child_text(name).ok_or(PushError::Missing(name))
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        self.0.child_text(name).map(str::to_owned)
    }

    /// The text as it stands, blanks included; `None` when there is none at all.
    pub(super) fn exact(self, name: &str) -> Option<String> {
        self.0.child(name).map(|child| child.text().to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn secret(self, name: &str) -> Option<Secret<String>> {
        self.0.child_text(name).map(Secret::from)
    }

    pub(super) fn number(self, name: &'static str) -> Result<Option<i64>, PushError> {
        self.0
            .child_text(name)
            .map(|text| text.parse().map_err(|_| PushError::Malformed(name)))
            .transpose()
    }

    pub(super) fn appid(self, name: &'static str) -> Result<Appid, PushError> {
        Appid::parse(self.needed(name)?).map_err(|_| PushError::Malformed(name))
    }

    pub(super) fn inside(self, name: &str) -> Option<Fields<'n, 'a>> {
        self.0.child(name).map(Fields)
    }

    /// Everything of this name, in order.
    pub(super) fn each<T>(self, name: &'n str, read: impl Fn(Fields<'n, 'a>) -> T) -> Vec<T> {
        self.0.children_named(name).map(|child| read(Fields(child))).collect()
    }

    /// The entries of `list`.
    ///
    /// Assumed: one entry stands in `list` itself, several stand in elements of their own below it.
    pub(super) fn list<T>(
        self,
        read: impl Fn(Fields<'n, 'a>) -> Result<T, PushError>,
    ) -> Result<Vec<T>, PushError> {
        let Some(list) = self.0.child("list") else { return Ok(Vec::new()) };
        if list.child("appid").is_some() {
            return Ok(vec![read(Fields(list))?]);
        }
        list.children().iter().map(|entry| read(Fields(entry))).collect()
    }
}
