//! Section `[database]`: where the state lives.

use std::path::PathBuf;

use lingpai_model::Secret;
use url::Url;

use super::reader::{MASK, Reader};

const SCHEMES: [&str; 4] = ["sqlite://", "postgres://", "mysql://", "mariadb://"];
const WANTED: &str =
    "sqlite://PATH, postgres://…, mysql://… or mariadb://… (a database in memory keeps nothing)";

/// Where the state lives.
#[derive(Debug, Clone)]
pub struct Database {
    /// The URL, with whatever password is in it.
    pub url: Secret<String>,
    /// How many connections the pool may open.
    pub max_connections: u32,
    /// Whether commands that open the database bring its schema up to date first.
    pub auto_migrate: bool,
}

impl Database {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = read_url(reader);
        let max_connections = reader.number("database.max_connections", 1..=1000);
        let auto_migrate = reader.switch("database.auto_migrate");
        Some(Self {
            url: url?,
            max_connections: u32::try_from(max_connections?).ok()?,
            auto_migrate: auto_migrate?,
        })
    }

    /// The URL without its password, for people.
    #[must_use]
    pub fn masked_url(&self) -> String {
        masked_url(self.url.expose())
    }

    /// Whether it is a file of this machine, and not a server.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.url.expose().starts_with("sqlite://")
    }

    /// The folder of the SQLite file; `None` with the other databases.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        let path = self.url.expose().strip_prefix("sqlite://")?.split('?').next()?;
        let folder = PathBuf::from(path).parent()?.to_owned();
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder })
    }
}

/// `text` without a password; masked whole when it cannot be taken apart.
pub(super) fn masked_url(text: &str) -> String {
    if text.starts_with("sqlite://") {
        return text.to_owned();
    }
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    url.to_string()
}

fn read_url(reader: &mut Reader<'_>) -> Option<Secret<String>> {
    let inline = reader.secret("database.url");
    let file = reader.path("database.url_file");
    let (key, url) = match file {
        None => ("database.url", inline.unwrap_or_else(|| Secret::from(""))),
        Some(_) if !reader.is_default("database.url") => {
            reader.fault("database.url_file", "a file", "only one of url and url_file");
            return None;
        }
        Some(path) => ("database.url_file", reader.file("database.url_file", &path)?),
    };
    let text = url.expose().trim();
    let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    let fits = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('?'))
        && (text.starts_with("sqlite://") || Url::parse(text).is_ok())
        && !text.contains(":memory:")
        && !text.contains("mode=memory");
    if fits {
        return Some(Secret::from(text));
    }
    let shown = format!("{:?}", masked_url(text));
    reader.fault(key, &shown, WANTED);
    None
}
