//! What is checked and mended before JSON of others is parsed.

/// The deepest that JSON of others may nest.
const MAX_DEPTH: usize = 32;

/// Whether `json` nests at most [`MAX_DEPTH`] levels. It need not be valid otherwise.
pub(crate) fn is_shallow(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match (in_string, byte) {
            (true, b'\\') => {
                bytes.next();
            }
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Makes strings readable that WeChat should not send but may: bytes that are no UTF-8 and bare
/// control characters become blanks, and halves of surrogate pairs become U+FFFD. Works in place;
/// the length stays.
pub(crate) fn mend_strings(json: &mut [u8]) {
    mend_encoding(json);
    let mut in_string = false;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                at += mend_escape(&mut json[at..]);
                continue;
            }
            0..=0x1f if in_string => json[at] = b' ',
            _ => {}
        }
        at += 1;
    }
}

fn mend_encoding(mut json: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(json) {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(json.len(), |length| start + length);
        json[start..end].fill(b' ');
        json = &mut json[end..];
    }
}

/// Mends the escape at the head of `json` and gives how many bytes it has.
fn mend_escape(json: &mut [u8]) -> usize {
    match (escaped_unit(json), escaped_unit(json.get(6..).unwrap_or_default())) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
        (Some(0xd800..=0xdfff), _) => {
            json[2..6].copy_from_slice(b"fffd");
            6
        }
        (Some(_), _) => 6,
        (None, _) => 2,
    }
}

/// The UTF-16 unit of a `\uxxxx` at the head of `json`.
fn escaped_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(is_shallow(&nested(32)));
        assert!(!is_shallow(&nested(33)));
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(40), "{".repeat(40));
        assert!(is_shallow(text.as_bytes()));
    }

    #[test]
    fn strings_are_mended_and_nothing_else_is_touched() {
        let mut json = b"{\n\"a\":\"x\x01\\ud800y\\ude00\\ud83d\\ude00\\\\ud800\\\"\"\n}".to_vec();
        mend_strings(&mut json);
        let value: serde_json::Value = serde_json::from_slice(&json).expect("it is readable now");
        assert_eq!(value["a"], "x \u{fffd}y\u{fffd}\u{1f600}\\ud800\"");
        assert_eq!(json[1], b'\n');
    }

    #[test]
    fn what_is_no_utf8_becomes_blank() {
        let mut json = b"\"a\xffb\xe4\xb8\"\xe4\xb8\xad\xe4".to_vec();
        mend_strings(&mut json);
        assert_eq!(json, "\"a b  \"中 ".as_bytes());
    }

    #[test]
    fn a_cut_escape_is_left_alone() {
        for cut in [&b"\"\\"[..], b"\"\\u", b"\"\\ud80", b"\"\\ud800"] {
            let mut json = cut.to_vec();
            mend_strings(&mut json);
            assert_eq!(json.len(), cut.len());
        }
    }
}
