//! Reads the one part of an upload: the file named `media`.

use bytes::Bytes;

/// An uploaded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) filename: String,
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
}

/// The part named `media`, if it has a file name and a content type, as WeChat demands.
pub(super) fn media(content_type: &str, body: &Bytes) -> Option<Part> {
    let boundary = boundary(content_type)?;
    let delimiter = format!("--{boundary}");
    let mut rest = after(body, 0, delimiter.as_bytes())?;
    loop {
        if body[rest..].starts_with(b"--") {
            return None;
        }
        let head = rest + 2;
        let content = after(body, head, b"\r\n\r\n")?;
        let next = after(body, content, format!("\r\n{delimiter}").as_bytes())?;
        let lines = std::str::from_utf8(body.get(head..content)?).ok()?;
        let bytes = body.slice(content..next - delimiter.len() - 2);
        if let Some((filename, content_type)) = file_head(lines) {
            return (!bytes.is_empty()).then_some(Part { filename, content_type, bytes });
        }
        rest = next;
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

/// File name and content type of a part's head, if the part is named `media`.
fn file_head(lines: &str) -> Option<(String, String)> {
    let value = |wanted: &str| {
        lines.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let disposition = value("content-disposition")?;
    let parameter = |wanted: &str| {
        disposition.split(';').find_map(|one| {
            let (name, value) = one.trim().split_once('=')?;
            (name == wanted).then(|| value.trim_matches('"').to_owned())
        })
    };
    if parameter("name")? != "media" {
        return None;
    }
    Some((parameter("filename")?, value("content-type")?.to_owned()))
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
        assert_eq!((part.filename.as_str(), part.content_type.as_str()), ("a.png", "image/png"));
        assert_eq!(part.bytes, "\r\nbytes\r\n");
    }

    #[test]
    fn a_part_without_file_name_or_content_is_none() {
        for head in [
            "Content-Disposition: form-data; name=\"media\"\r\nContent-Type: image/png\r\n\r\nx",
            "Content-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\r\nx",
            "Content-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\
             Content-Type: image/png\r\n\r\n",
            "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\
             Content-Type: image/png\r\n\r\nx",
        ] {
            assert_eq!(read(&format!("--xyz\r\n{head}\r\n--xyz--")), None, "{head}");
        }
    }

    #[test]
    fn broken_bodies_are_none() {
        for text in ["", "--xyz", "--xyz--", "--xyz\r\n", "--xyz\r\na: b\r\n\r\nno end"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(media("application/json", &Bytes::from_static(b"{}")), None);
    }
}
