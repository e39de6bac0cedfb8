//! Section `[secrets]`: the key that seals what is secret in the database.

use std::path::PathBuf;

use lingpai_model::Secret;
use lingpai_storage::KeyRing;

use super::reader::{MASK, Reader};

const TEXT: &str = "secrets.master_key";
const FILE: &str = "secrets.master_key_file";
const WANTED: &str = "base64 of 32 bytes, or lines `id:base64`, newest first";

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum MasterKeySource {
    /// It stands in the settings.
    Text(KeyRing),
    /// It stands in this file.
    File(PathBuf, KeyRing),
    /// The settings name none: one is made beside the database, or was on an earlier start.
    Made,
}

/// The key that seals what is secret in the database.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
}

impl Secrets {
    /// A file that is named and missing is a fault, not a reason to make a key: it is more likely a
    /// mount that failed, and what is sealed with a key that then vanishes is lost.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.secret(TEXT);
        let path = reader.path(FILE);
        let master_key = match (text, path) {
            (Some(_), Some(_)) => {
                reader.fault(FILE, "a file", "only one of master_key and master_key_file");
                return None;
            }
            (Some(text), None) => MasterKeySource::Text(parse(reader, TEXT, &text)?),
            (None, Some(path)) => {
                let text = reader.file(FILE, &path)?;
                MasterKeySource::File(path, parse(reader, FILE, &text)?)
            }
            (None, None) => MasterKeySource::Made,
        };
        Some(Self { master_key })
    }
}

fn parse(reader: &mut Reader<'_>, key: &str, text: &Secret<String>) -> Option<KeyRing> {
    match KeyRing::parse(text) {
        Ok(ring) => Some(ring),
        Err(error) => {
            reader.fault(key, MASK, &format!("{WANTED}; {error}"));
            None
        }
    }
}
