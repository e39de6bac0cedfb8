//! A query that a stranger's browser brings, read to the letter: what two readers could take for two
//! different things is refused, and nothing is decoded twice.

/// The longest query that is looked at, in bytes: every parameter at its longest, encoded, fits in.
const MAX_BYTES: usize = 8 * 1024;

/// The most parameters. WeChat's own have seven names, and SDKs add one or two.
const MAX_PARAMETERS: usize = 32;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The parameters of a query, each name once.
#[derive(Debug)]
pub(super) struct RawQuery<'a>(Vec<(&'a str, String)>);

/// Why a query is not looked at any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueryFault {
    /// It is too long, or has too many parameters.
    TooLong,
    /// A parameter has no `=`, or a name of other than letters, digits, `_`, `-` and `.`.
    Name,
    /// This name stands there twice, in whichever letters.
    Repeated(String),
    /// The value of this name is not percent-encoded UTF-8, or has control characters.
    Value(String),
}

impl<'a> RawQuery<'a> {
    /// Reads `raw` as it came with the request.
    ///
    /// Security invariant: names are compared as they are spelled. One that had to be decoded could
    /// be another for whoever reads it next, so it is refused.
    pub(super) fn read(raw: &'a str) -> Result<Self, QueryFault> {
        if raw.len() > MAX_BYTES {
            return Err(QueryFault::TooLong);
        }
        let mut read: Vec<(&str, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(QueryFault::Name)?;
            if !is_plain_name(name) {
                return Err(QueryFault::Name);
            }
            if read.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(QueryFault::Repeated(name.to_owned()));
            }
            if read.len() == MAX_PARAMETERS {
                return Err(QueryFault::TooLong);
            }
            let value = decoded(value).ok_or_else(|| QueryFault::Value(name.to_owned()))?;
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// Takes the value of `name` out, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

fn is_plain_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

/// A value decoded once; `None` for what no browser writes into a query.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match *first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                byte_of(*digits)?
            }
            visible @ 0x21..=0x7e => visible,
            _ => return None,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

fn byte_of([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &str) -> Result<Option<String>, QueryFault> {
        RawQuery::read(raw).map(|mut query| query.take("a"))
    }

    #[test]
    fn values_are_decoded_once() {
        for (raw, read) in [
            ("a=", ""),
            ("a=b=c", "b=c"),
            ("a=%3d%3D", "=="),
            ("a=%253D", "%3D"),
            ("a=b+c%2Bd", "b c+d"),
            ("a=%E4%BB%A4%E7%89%8C", "令牌"),
            ("&&a=1&&b=2&", "1"),
            ("A=1", ""),
        ] {
            let told = value(raw).unwrap_or_else(|fault| panic!("{raw}: {fault:?}"));
            assert_eq!(told.unwrap_or_default(), read, "{raw}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        let of = |name: &str| name.to_owned();
        for (raw, fault) in [
            ("a", QueryFault::Name),
            ("a=1&b", QueryFault::Name),
            ("=1", QueryFault::Name),
            ("%61=1", QueryFault::Name),
            ("a%00=1", QueryFault::Name),
            ("a+=1", QueryFault::Name),
            ("a[]=1", QueryFault::Name),
            ("a;b=1", QueryFault::Name),
            ("a=1&a=1", QueryFault::Repeated(of("a"))),
            ("a=1&A=2", QueryFault::Repeated(of("A"))),
            ("a=1&b=2&a=", QueryFault::Repeated(of("a"))),
            ("a=%", QueryFault::Value(of("a"))),
            ("a=%4", QueryFault::Value(of("a"))),
            ("a=%4g", QueryFault::Value(of("a"))),
            ("a=%+1", QueryFault::Value(of("a"))),
            ("a=%u0041", QueryFault::Value(of("a"))),
            ("a=%ff", QueryFault::Value(of("a"))),
            ("a=%c0%af", QueryFault::Value(of("a"))),
            ("a=%ed%a0%80", QueryFault::Value(of("a"))),
            ("a=%00", QueryFault::Value(of("a"))),
            ("a=%0d%0aLocation:", QueryFault::Value(of("a"))),
            ("a=%7f", QueryFault::Value(of("a"))),
            ("a=%c2%85", QueryFault::Value(of("a"))),
            ("a=令", QueryFault::Value(of("a"))),
            ("a=b c", QueryFault::Value(of("a"))),
        ] {
            assert_eq!(value(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn no_query_is_too_long_to_be_refused() {
        assert_eq!(value(&format!("a={}", "x".repeat(8 * 1024))), Err(QueryFault::TooLong));
        let many = |count| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(value(&many(32)), Ok(None));
        assert_eq!(value(&many(33)), Err(QueryFault::TooLong));
        assert_eq!(value(&format!("{}=1", "n".repeat(65))), Err(QueryFault::Name));
    }
}
