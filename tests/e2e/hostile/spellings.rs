//! The ways to write a path that somebody, somewhere, reads as another one.

use std::collections::BTreeSet;

/// What stands where a slash should be.
const SLASHES: &[&[u8]] = &[
    b"//",
    b"///",
    b"\\",
    b"/\\",
    b"%2f",
    b"%2F",
    b"%252f",
    b"%25252f",
    b"%5c",
    b"%255C",
    b"%c0%af",
    b"\xc0\xaf",
    b"%e0%80%af",
    b"%f0%80%80%af",
    b"%u002f",
    b"%u2215",
    "／".as_bytes(),
    b"%ef%bc%8f",
    "∕".as_bytes(),
    "⁄".as_bytes(),
    b"%e2%81%84",
    b"/;/",
    b"/;x=1/",
    b"/%3b/",
    b"/./",
    b"/%2e/",
    b"/.;/",
    b"/x/../",
    b"/x/..;/",
    b"/x/%2e%2e/",
    b"/x/%2E./",
    b"/x/.%2e/",
    b"/x/%252e%252e/",
    b"/x/..%2f",
    b"/x%2f..%2f",
    b"/x/..\\",
    b"/x/%c0%ae%c0%ae/",
    b"/x/\xc0\xae\xc0\xae/",
    b"/x/%uff0e%uff0e/",
    "/x/．．/".as_bytes(),
    b"/../x/../",
    b"/.../",
    b"/%00/",
    b"/%20/",
    b"/ /",
    b"/\t/",
];

/// What stands behind a segment.
const TAILS: &[&[u8]] = &[
    b"/",
    b"//",
    b"/.",
    b"/..;/",
    b"/x/..",
    b"/%2e",
    b";",
    b";x",
    b";x=1",
    b";jsessionid=0",
    b"%3b",
    b"%3Bx=1",
    b",x",
    b"%00",
    b"\0",
    b"%2500",
    b"\0.jpg",
    b"%00.jpg",
    b"\t",
    b"%09",
    b"\x0b",
    b"%0a",
    b"%0d%0a",
    b"\r",
    b" ",
    b"%20",
    b"+",
    b"%a0",
    b"\xa0",
    b"\x7f",
    b"\xff",
    b"%ff",
    b".",
    b"..",
    b"%2e",
    b"%",
    b"%2",
    b"%zz",
    b"%3f",
    b"%3fx=1",
    b"%23",
    b"%23x",
    b"?",
    b"?x=1",
    b"#",
    b"#x",
    b":",
    b"::$DATA",
    b"~",
    b"*",
    b"'",
    b"\"",
    b"|",
    b"^",
    b"`",
    b"{}",
    b"<>",
    b"@",
    b"!",
    b"$",
    b"&",
    b"=",
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{301}".as_bytes(),
];

/// What stands before the path.
const HEADS: &[&[u8]] = &[
    b"/",
    b"//",
    b"/.",
    b"/..",
    b"/../..",
    b"/%2e",
    b"/%2e%2e",
    b"/%2f",
    b"/;",
    b"/;x=1",
    b"\\",
    b"/\\",
    b"/%5c",
    b"/ ",
    b"/\t",
    b"/%20",
    b"/%00",
    b"//api.weixin.qq.com",
    b"/\\api.weixin.qq.com",
    b"/http://api.weixin.qq.com",
    b"/https:/api.weixin.qq.com",
    b"/@api.weixin.qq.com",
    b":80",
    b"@api.weixin.qq.com",
    b".evil.example",
    b"/cgi-bin/user/get/../../..",
    b"/cgi-bin/user/get/..%2f..%2f..",
    b"/cgi-bin/user/get/%2e%2e/%2e%2e/%2e%2e",
    b"/cgi-bin/user/get/..\\..\\..",
    b"/cgi-bin/user/get/..;/..;/..;",
    b"/cgi-bin/user/get;",
    b"/cgi-bin/user/get;/..",
    b"/cgi-bin/user/get%00",
    b"/cgi-bin/user/get%0d%0aX:%20",
    b"/cgi-bin/user/get%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20",
    b"/cgi-bin/user/get%3f/..",
    b"/cgi-bin/user/get%23/..",
];

/// Letters that look like others, or become them when the case is folded.
const ALIKE: &[(char, &[&str])] = &[
    ('k', &["\u{212a}", "κ", "ｋ"]),
    ('s', &["\u{17f}", "ѕ", "ｓ"]),
    ('i', &["\u{131}", "\u{130}", "і", "ｉ"]),
    ('o', &["о", "ο", "ｏ", "0"]),
    ('c', &["с", "ｃ", "ⅽ"]),
    ('e', &["е", "ｅ", "é"]),
    ('n', &["ո", "ｎ", "ñ"]),
    ('t', &["т", "ｔ"]),
    ('p', &["р", "ｐ"]),
    ('-', &["‐", "－", "\u{ad}"]),
    ('_', &["＿"]),
];

/// Every spelling of `path` that is known here.
pub(super) fn all_of(path: &str) -> BTreeSet<Vec<u8>> {
    let mut all = few_of(path);
    all.extend(HEADS.iter().map(|head| [head, path.as_bytes()].concat()));
    for (at, _) in path.match_indices('/') {
        let (before, after) = (&path.as_bytes()[..at], &path.as_bytes()[at + 1..]);
        all.extend(SLASHES.iter().map(|slash| [before, slash, after].concat()));
        if at > 0 {
            // A query or a fragment ends the path: what is left of it is another one.
            let within = TAILS.iter().filter(|tail| !matches!(tail[0], b'?' | b'#'));
            let after = &path.as_bytes()[at..];
            all.extend(within.map(|tail| [before, tail, after].concat()));
        }
    }
    all.extend(TAILS.iter().map(|tail| [path.as_bytes(), tail].concat()));
    for (at, byte) in path.bytes().enumerate().skip(1) {
        all.extend(encoded(byte).into_iter().map(|it| with(path, at, it.as_bytes())));
        all.insert(with(path, at, &[0xc0 | byte >> 6, 0x80 | byte & 0x3f]));
    }
    for (at, letter) in path.char_indices() {
        for (_, others) in ALIKE.iter().filter(|(like, _)| *like == letter) {
            // What is plain ASCII is another path, and no other way to write this one.
            for other in others.iter().filter(|other| !other.is_ascii()) {
                all.insert(with(path, at, other.as_bytes()));
                let hex: String = other.bytes().map(|byte| format!("%{byte:02x}")).collect();
                all.insert(with(path, at, hex.as_bytes()));
            }
        }
    }
    all
}

/// The spellings that cost least to try: in another case, encoded, and with an empty segment.
pub(super) fn few_of(path: &str) -> BTreeSet<Vec<u8>> {
    let every_other = |(at, letter): (usize, char)| {
        if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter }
    };
    let texts = [
        path.to_owned(),
        path.to_ascii_uppercase(),
        path.char_indices().map(every_other).collect(),
        format!("/{path}"),
        format!("{path}/"),
        format!("{path}%00"),
        path.replacen('/', "/%2e/", 1),
        path.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        format!("/{}", path[1..].bytes().map(|byte| format!("%25{byte:02x}")).collect::<String>()),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// One byte in every escaped form.
fn encoded(byte: u8) -> [String; 5] {
    [
        format!("%{byte:02x}"),
        format!("%25{byte:02X}"),
        format!("%u00{byte:02x}"),
        format!("%c{:x}%{:02x}", byte >> 6, 0x80 | byte & 0x3f),
        format!("&#{byte};"),
    ]
}

/// `path` with the byte at `at` replaced.
fn with(path: &str, at: usize, piece: &[u8]) -> Vec<u8> {
    [&path.as_bytes()[..at], piece, &path.as_bytes()[at + 1..]].concat()
}
