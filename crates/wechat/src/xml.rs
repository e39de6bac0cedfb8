//! A bounded reader for the XML that WeChat sends, and the little that is written.
//!
//! It reads events and builds a tree of borrowed text. serde is refused here: it stumbles over
//! repeated and empty elements, and it would hide the bounds. The reader underneath accepts much that
//! is no document (cut input, two roots, text outside, NUL); all of that is refused here.

use std::{borrow::Cow, fmt};

use quick_xml::{
    events::{BytesRef, BytesStart, Event},
    reader::Reader,
};

/// The most bytes a document may have.
pub const MAX_BYTES: usize = 256 * 1024;
/// The deepest an element may stand; the root stands at 1.
pub const MAX_DEPTH: usize = 16;
/// The most elements a document may have, the root included.
pub const MAX_ELEMENTS: usize = 512;
/// The most attributes an element may have.
pub const MAX_ATTRIBUTES: usize = 8;

/// Why a document was refused. It tells nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// More than [`MAX_BYTES`].
    #[error("the document is larger than 256 KiB")]
    TooLarge,
    /// Bytes that are not UTF-8.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// A NUL byte.
    #[error("the document contains NUL")]
    Nul,
    /// A DOCTYPE.
    #[error("the document has a DOCTYPE")]
    Doctype,
    /// A processing instruction.
    #[error("the document has a processing instruction")]
    ProcessingInstruction,
    /// More than [`MAX_DEPTH`] levels.
    #[error("the document is nested too deep")]
    TooDeep,
    /// More than [`MAX_ELEMENTS`].
    #[error("the document has too many elements")]
    TooManyElements,
    /// More than [`MAX_ATTRIBUTES`] on one element.
    #[error("an element has too many attributes")]
    TooManyAttributes,
    /// Two children of the root have the same name: nobody can say which one counts.
    #[error("a top-level element is repeated")]
    RepeatedElement,
    /// A second root.
    #[error("the document has two roots")]
    SecondRoot,
    /// Text before or after the root, or no root at all.
    #[error("there is text outside the root")]
    TextOutsideRoot,
    /// The input ends before the root does, or before it begins.
    #[error("the document is cut off")]
    Truncated,
    /// A reference to an entity that is not one of the five of XML.
    #[error("the document refers to an unknown entity")]
    UnknownEntity,
    /// Anything else that is not well-formed.
    #[error("the document is not well-formed")]
    Malformed,
}

/// An element with its text and its children. Attributes are counted and forgotten.
///
/// Its `Debug` shows names, never text.
#[derive(Clone, PartialEq, Eq)]
pub struct Node<'a> {
    name: String,
    text: Cow<'a, str>,
    children: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    /// Reads one whole document and gives its root.
    ///
    /// # Errors
    /// The first [`XmlError`] that is met.
    pub fn parse(document: &'a [u8]) -> Result<Self, XmlError> {
        if document.len() > MAX_BYTES {
            return Err(XmlError::TooLarge);
        }
        let text = std::str::from_utf8(document).map_err(|_| XmlError::NotUtf8)?;
        if text.contains('\0') {
            return Err(XmlError::Nul);
        }
        let mut reader = Reader::from_str(text);
        let mut builder = Builder::default();
        while builder.take(reader.read_event().map_err(|_| XmlError::Malformed)?)? {}
        builder.finish()
    }

    /// Its name, as written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own text: text, CDATA sections and references joined, as they stand. Blanks between child
    /// elements are left out.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its child elements, in order.
    #[must_use]
    pub fn children(&self) -> &[Node<'a>] {
        &self.children
    }

    /// The first child of this name; case counts.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name without surrounding blanks; `None` when there is no
    /// such child or no text in it.
    #[must_use]
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// All children of this name, in order; case counts.
    pub(crate) fn children_named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The same element, freed from the document.
    #[must_use]
    pub fn into_owned(self) -> Node<'static> {
        Node {
            name: self.name,
            text: Cow::Owned(self.text.into_owned()),
            children: self.children.into_iter().map(Node::into_owned).collect(),
        }
    }

    /// An element that was not read from XML.
    pub(crate) fn made(name: String, text: Cow<'a, str>, children: Vec<Self>) -> Self {
        Self { name, text, children }
    }

    fn append(&mut self, piece: Cow<'a, str>) {
        if self.text.is_empty() {
            self.text = piece;
        } else if !piece.is_empty() {
            self.text.to_mut().push_str(&piece);
        }
    }

    /// Forgets text that only lays out the children.
    fn drop_layout(&mut self) {
        if self.text.trim_ascii().is_empty() {
            self.text = Cow::Borrowed("");
        }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.children.is_empty() {
            return Ok(());
        }
        f.debug_list().entries(&self.children).finish()
    }
}

/// The document as far as it was read.
#[derive(Default)]
struct Builder<'a> {
    open: Vec<Node<'a>>,
    root: Option<Node<'a>>,
    elements: usize,
}

impl<'a> Builder<'a> {
    /// Takes one event; `false` at the end of the input.
    fn take(&mut self, event: Event<'a>) -> Result<bool, XmlError> {
        match event {
            Event::Start(start) => self.start(&start)?,
            Event::Empty(start) => {
                self.start(&start)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text.into_inner())?,
            Event::CData(text) => self.inside()?.append(text.into_inner()),
            Event::GeneralRef(reference) => {
                let character = resolve(&reference)?;
                self.inside()?.append(Cow::Owned(character.to_string()));
            }
            Event::Comment(_) => {}
            Event::Decl(_) if self.elements == 0 => {}
            Event::Decl(_) | Event::PI(_) => return Err(XmlError::ProcessingInstruction),
            Event::DocType(_) => return Err(XmlError::Doctype),
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.root.is_some() {
            return Err(XmlError::SecondRoot);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        if self.elements == MAX_ELEMENTS {
            return Err(XmlError::TooManyElements);
        }
        for (count, attribute) in start.attributes().enumerate() {
            attribute.map_err(|_| XmlError::Malformed)?;
            if count == MAX_ATTRIBUTES {
                return Err(XmlError::TooManyAttributes);
            }
        }
        self.elements += 1;
        if let Some(parent) = self.open.last_mut() {
            parent.drop_layout();
        }
        let name = start.name().into_inner().to_owned();
        self.open.push(Node { name, text: Cow::Borrowed(""), children: Vec::new() });
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut node) = self.open.pop() else { return };
        if !node.children.is_empty() {
            node.drop_layout();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), XmlError> {
        if self.open.is_empty() && text.trim_ascii().is_empty() {
            return Ok(());
        }
        self.inside()?.append(text);
        Ok(())
    }

    fn inside(&mut self) -> Result<&mut Node<'a>, XmlError> {
        self.open.last_mut().ok_or(XmlError::TextOutsideRoot)
    }

    fn finish(self) -> Result<Node<'a>, XmlError> {
        let root = self.root.ok_or(XmlError::Truncated)?;
        let mut names: Vec<&str> = root.children.iter().map(Node::name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(XmlError::RepeatedElement);
        }
        Ok(root)
    }
}

/// The character a reference stands for. Entities are never expanded beyond the five of XML, and a
/// number that is no character, 0 among them, is an error of the reader.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
        return Ok(character);
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(XmlError::UnknownEntity),
    }
}

/// Appends `text` as CDATA, in several sections where it contains `]]>`.
pub(crate) fn write_cdata(xml: &mut String, text: &str) {
    xml.push_str("<![CDATA[");
    let mut parts = text.split("]]>");
    xml.push_str(parts.next().unwrap_or_default());
    for part in parts {
        xml.push_str("]]]]><![CDATA[>");
        xml.push_str(part);
    }
    xml.push_str("]]>");
}
