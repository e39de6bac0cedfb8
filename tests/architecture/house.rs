//! The workspace as the rules see it: manifests, and sources without comments and texts.

use std::{fs, path::Path, path::PathBuf, sync::LazyLock};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Our own packages, with the dependencies their manifests declare.
pub(crate) static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the manifests")
        .packages
});

/// The name of a package of ours without its prefix, which is also its folder's: `wechat`.
pub(crate) fn short(package: &str) -> &str {
    package.strip_prefix("lingpai-").unwrap_or(package)
}

/// Whether a dependency is part of what is shipped, or of tests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Shipped,
    TestsOnly,
}

/// What `package` names in its manifest: name, use, and whether a feature has to switch it on.
pub(crate) fn names(package: &Package) -> impl Iterator<Item = (&str, Use, bool)> {
    package.dependencies.iter().map(|dependency| {
        let of = match dependency.kind {
            DependencyKind::Development => Use::TestsOnly,
            _ => Use::Shipped,
        };
        (dependency.name.as_str(), of, dependency.optional)
    })
}

/// One Rust file of the workspace.
pub(crate) struct Source {
    /// From the root, with `/`: `crates/model/src/id.rs`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// Its lines without comments, and with every text literal emptied.
    pub(crate) code: Vec<String>,
    /// The line at which unit tests begin; the number of lines if there are none.
    tests_from: usize,
}

impl Source {
    fn read(root: &Path, file: &Path) -> Self {
        let path = file.strip_prefix(root).expect("found below the root");
        let path = path.to_str().expect("our paths are ASCII").replace('\\', "/");
        let text = fs::read_to_string(file).expect("our sources are UTF-8");
        let code: Vec<String> = code_of(&text).lines().map(str::to_owned).collect();
        let tests_from = if is_test_file(&path) { 0 } else { unit_tests_begin(&code) };
        Self { path, text, code, tests_from }
    }

    /// The lines that are shipped, with their numbers.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take(self.tests_from)
    }

    /// All lines, with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// Lines of code before the unit tests, and with them. Blank lines and comments do not count.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let filled = |line: &&String| !line.trim().is_empty();
        let shipped = self.code.iter().take(self.tests_from).filter(filled).count();
        (shipped, self.code.iter().filter(filled).count())
    }
}

/// Every Rust file of the workspace, sorted by path.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let root = root();
    let mut files = Vec::new();
    for folder in ["crates", "migrations", "tests"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    files.iter().map(|file| Source::read(&root, file)).collect()
});

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "target" | "node_modules") {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Files that hold nothing but tests, benchmarks and what these need.
pub(crate) fn is_test_file(path: &str) -> bool {
    let stem = path.rsplit('/').next().unwrap_or_default();
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || stem == "tests.rs"
        || path == "crates/storage/src/testing.rs"
        || path.starts_with("crates/storage/src/testing/")
}

/// Unit tests stand at the foot of a file: from `#[cfg(test)]` before a `mod … {` to the end.
fn unit_tests_begin(code: &[String]) -> usize {
    (0..code.len())
        .find(|&at| {
            code[at].trim() == "#[cfg(test)]"
                && code[at + 1..]
                    .iter()
                    .map(|line| line.trim())
                    .find(|line| !line.is_empty() && !line.starts_with("#["))
                    .is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        })
        .unwrap_or(code.len())
}

/// The identifiers of a line of code.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Fails with every breach at once, and with what to do about them.
#[track_caller]
pub(crate) fn hold(rule: &str, remedy: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}\n{remedy}\n  - {}\n", breaches.join("\n  - "));
}

/// `text` with comments taken out and text literals emptied; lines stay where they are.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_comment(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment(&chars, at),
            '"' => plain_text(&chars, at, &mut code),
            '\'' => character(&chars, at),
            'r' if !code.ends_with(is_word) || code.ends_with('b') => {
                raw_text(&chars, at, &mut code)
            }
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().filter(|c| **c == '\n'));
            at = end;
        }
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_comment(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

fn block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn plain_text(chars: &[char], at: usize, code: &mut String) -> usize {
    code.push_str("\"\"");
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// The end of a raw text that begins at the `r`, or `at` itself if none does.
fn raw_text(chars: &[char], at: usize, code: &mut String) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    code.push_str("\"\"");
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    chars[open + 1..]
        .windows(closing.len())
        .position(|window| window == closing)
        .map_or(chars.len(), |length| open + 1 + length + closing.len())
}

/// The end of a character literal, or `at` itself for a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => chars[at + 3..]
            .iter()
            .position(|c| *c == '\'')
            .map_or(chars.len(), |length| at + 3 + length + 1),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
fn comments_and_texts_are_not_code() {
    let code = code_of(
        "let a = \"x // not\\\" a comment\"; // said\nlet b = r#\"raw \"y\" text\"#; /* z /* in */ \n */ let c = b\"v\";",
    );
    assert_eq!(code, "let a = \"\"; \nlet b = \"\"; \n let c = b\"\";");
}

#[test]
fn characters_do_not_open_a_text_and_lifetimes_stay() {
    assert_eq!(code_of("f::<'a>('\"', '\\'', x) // y"), "f::<'a>(, , x) ");
}

#[test]
fn unit_tests_are_told_from_what_is_shipped() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(unit_tests_begin(&lines("a\n#[cfg(test)]\nmod tests {\n}")), 1);
    assert_eq!(unit_tests_begin(&lines("a\n#[cfg(test)]\nfn helper() {}\n")), 3);
}

#[test]
fn the_whole_house_is_seen() {
    assert!(PACKAGES.len() >= 12, "packages seen: {}", PACKAGES.len());
    for package in PACKAGES.iter() {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        let folder = folder.strip_prefix(root()).expect("our packages lie below the root");
        assert!(
            SOURCES.iter().any(|source| source.path.starts_with(folder.as_str())),
            "no source of {} was found",
            package.name
        );
    }
}
