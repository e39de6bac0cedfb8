//! Reads the parts of an upload: the file named `media`, and texts beside it.

use bytes::Bytes;

/// An uploaded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) filename: String,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Bytes,
}

/// The part named `media`, if it has a file name, as WeChat demands. Its content type may be missing:
/// wechatpy sends none.
pub(super) fn media(content_type: &str, body: &Bytes) -> Option<Part> {
    let mut parts = Parts::of(content_type, body)?;
    let (head, bytes) = parts.find(|(head, _)| {
        parameter(head, "name") == Some("media") && parameter(head, "filename").is_some()
    })?;
    if bytes.is_empty() {
        return None;
    }
    Some(Part {
        filename: parameter(head, "filename")?.to_owned(),
        content_type: value(head, "content-type").map(str::to_owned),
        bytes,
    })
}

/// The text in the part with this name.
pub(super) fn text(content_type: &str, body: &Bytes, name: &str) -> Option<String> {
    let mut parts = Parts::of(content_type, body)?;
    let (_, bytes) = parts.find(|(head, _)| parameter(head, "name") == Some(name))?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// Walks through the parts of a body: head and content of each.
struct Parts<'a> {
    body: &'a Bytes,
    delimiter: String,
    rest: usize,
}

impl<'a> Parts<'a> {
    fn of(content_type: &str, body: &'a Bytes) -> Option<Self> {
        let delimiter = format!("--{}", boundary(content_type)?);
        let rest = after(body, 0, delimiter.as_bytes())?;
        Some(Self { body, delimiter, rest })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        if self.body[self.rest..].starts_with(b"--") {
            return None;
        }
        let head = self.rest + 2;
        let content = after(self.body, head, b"\r\n\r\n")?;
        let end = format!("\r\n{}", self.delimiter);
        self.rest = after(self.body, content, end.as_bytes())?;
        let bytes = self.body.slice(content..self.rest - end.len());
        Some((std::str::from_utf8(self.body.get(head..content)?).ok()?, bytes))
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|one| one.trim().strip_prefix("boundary="))?;
    let value = value.trim_matches('"');
    (!value.is_empty()).then_some(value)
}

/// The value of a line in a part's head.
fn value<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// A parameter of a part's `Content-Disposition`.
fn parameter<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    value(head, "content-disposition")?.split(';').find_map(|one| {
        let (name, value) = one.trim().split_once('=')?;
        (name == wanted).then(|| value.trim_matches('"'))
    })
}

/// The offset behind the next `needle` at or after `from`.
fn after(body: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let found = body.get(from..)?.windows(needle.len()).position(|window| window == needle)?;
    Some(from + found + needle.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=xyz";

    fn read(text: &str) -> Option<Part> {
        media(KIND, &Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn the_media_part_is_found_behind_another_one() {
        let part = read(
            "--xyz\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\n{}\r\n\
             --xyz\r\ncontent-disposition: form-data; name=\"media\"; filename=\"a.png\"\r\n\
             Content-Type: image/png\r\n\r\n\r\nbytes\r\n\r\n--xyz--\r\n",
        )
        .unwrap();
        assert_eq!(part.filename, "a.png");
        assert_eq!(part.content_type.as_deref(), Some("image/png"));
        assert_eq!(part.bytes, "\r\nbytes\r\n");
    }

    #[test]
    fn a_part_without_file_name_or_content_is_none() {
        for head in [
            "Content-Disposition: form-data; name=\"media\"\r\nContent-Type: image/png\r\n\r\nx",
            "Content-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\
             Content-Type: image/png\r\n\r\n",
            "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\
             Content-Type: image/png\r\n\r\nx",
        ] {
            assert_eq!(read(&format!("--xyz\r\n{head}\r\n--xyz--")), None, "{head}");
        }
    }

    #[test]
    fn a_file_without_content_type_is_taken() {
        let head = "Content-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\r\nx";
        let part = read(&format!("--xyz\r\n{head}\r\n--xyz--")).unwrap();
        assert_eq!((part.content_type, part.bytes.as_ref()), (None, b"x".as_slice()));
    }

    #[test]
    fn a_text_is_found_beside_the_file() {
        let body = Bytes::from_static(
            b"--xyz\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\
              Content-Type: video/mp4\r\n\r\nv\r\n\
              --xyz\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\n\
              {\"title\":\"\xe8\x8a\xb1\"}\r\n--xyz--",
        );
        assert_eq!(text(KIND, &body, "description").unwrap(), "{\"title\":\"花\"}");
        assert_eq!(text(KIND, &body, "title"), None);
    }

    #[test]
    fn broken_bodies_are_none() {
        for text in ["", "--xyz", "--xyz--", "--xyz\r\n", "--xyz\r\na: b\r\n\r\nno end"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(media("application/json", &Bytes::from_static(b"{}")), None);
    }
}
