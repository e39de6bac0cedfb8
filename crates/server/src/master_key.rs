//! The master key: given, or made on the first start.
//!
//! A made key lies beside the database as `master.key`, readable by its owner only. It is on disk,
//! durably, before anything is sealed with it: a key that was only in memory when the machine died
//! would take every secret with it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use lingpai_model::{Secret, clock::Entropy};
use lingpai_storage::KeyRing;

use crate::settings::{MasterKeySource, Settings};

/// The name of a key that was made here.
const FILE_NAME: &str = "master.key";

/// Where a master key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the settings.
    Settings,
    /// From a file that was there.
    File(PathBuf),
    /// Made just now, into this file.
    Made(PathBuf),
}

/// A master key and where it came from.
#[derive(Debug)]
pub struct MasterKey {
    /// The key.
    pub ring: KeyRing,
    /// Where it came from.
    pub origin: Origin,
}

impl MasterKey {
    /// Takes the key that the settings name; makes one when they name none and none was made yet.
    ///
    /// # Errors
    /// A made key cannot be read or written, or is not one.
    pub fn obtain(settings: &Settings, entropy: &Entropy) -> anyhow::Result<Self> {
        match &settings.secrets.master_key {
            MasterKeySource::Text(ring) => {
                Ok(Self { ring: ring.clone(), origin: Origin::Settings })
            }
            MasterKeySource::File(path, ring) => {
                Ok(Self { ring: ring.clone(), origin: Origin::File(path.clone()) })
            }
            MasterKeySource::Made => {
                let path = path_of_made_key(settings);
                // A folder that cannot be looked into is no reason to make another key.
                if path.try_exists().unwrap_or(true) {
                    Self::read(&path)
                } else {
                    Self::make(path, entropy)
                }
            }
        }
    }

    /// Takes back a key that was made just now and turned out to be of no use: the database is
    /// sealed with another one, so nothing was sealed with this.
    pub fn discard(&self) {
        if let Origin::Made(path) = &self.origin
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "the unused master key could not be removed");
        }
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).map(Secret::from).with_context(|| {
            format!("the master key {shown} cannot be read; make it readable for this user")
        })?;
        let ring = KeyRing::parse(&text).with_context(|| {
            format!("{shown} holds no master key: it is base64 of 32 bytes, or lines `id:base64`")
        })?;
        Ok(Self { ring, origin: Origin::File(path.to_owned()) })
    }

    fn make(path: PathBuf, entropy: &Entropy) -> anyhow::Result<Self> {
        let (ring, text) = KeyRing::generate(entropy);
        match write_durably(&path, &text, entropy) {
            Ok(()) => {
                let shown = path.display();
                tracing::warn!(
                    "a master key was made and written to {shown}: keep a copy elsewhere"
                );
                Ok(Self { ring, origin: Origin::Made(path) })
            }
            // Another process started at the same moment: its key is the one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(&path),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "a master key cannot be written to {}; make its folder writable or give a key \
                     in secrets.master_key_file",
                    path.display()
                )
            }),
        }
    }
}

/// Where a key is made when the settings name none.
#[must_use]
pub fn path_of_made_key(settings: &Settings) -> PathBuf {
    settings.database.folder().unwrap_or_else(|| PathBuf::from("./data")).join(FILE_NAME)
}

/// Whether others than the owner may read the key in `path`; `None` when that cannot be told.
#[must_use]
pub fn is_readable_by_others(path: &Path) -> Option<bool> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o077 != 0)
}

/// Writes `text` to `path`, which must not exist, so that it is whole whenever it is there at all.
fn write_durably(path: &Path, text: &Secret<String>, entropy: &Entropy) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let suffix = u64::from_be_bytes(entropy.bytes());
    let draft = path.with_extension(format!("{suffix:016x}.new"));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.expose().as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&draft, path)
    })();
    fs::remove_file(&draft)?;
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::settings::Sources;

    fn beside(folder: &Path) -> Settings {
        let url = format!("sqlite://{}/data/lingpai.db", folder.display());
        let environment = vec![("LINGPAI_DATABASE__URL".into(), OsString::from(url))];
        Settings::load(&Sources { file: None, environment }).expect("good settings")
    }

    #[test]
    fn a_key_is_made_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = beside(folder.path());
        let made = MasterKey::obtain(&settings, &Entropy::system()).expect("it can be made");
        let path = folder.path().join("data/master.key");
        assert_eq!(made.origin, Origin::Made(path.clone()));
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(is_readable_by_others(&path), Some(false));
        let text = fs::read_to_string(&path).expect("it can be read");

        let again = MasterKey::obtain(&settings, &Entropy::system()).expect("it is there");
        assert_eq!(again.origin, Origin::File(path.clone()));
        assert_eq!(fs::read_to_string(&path).expect("it can be read"), text);
        let left = fs::read_dir(path.parent().expect("a folder")).expect("it can be listed");
        assert_eq!(left.count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "theirs").expect("a file");
        let error = write_durably(&path, &Secret::from("ours"), &Entropy::system());
        assert_eq!(error.expect_err("it exists").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("it can be read"), "theirs");
    }

    #[test]
    fn a_made_key_that_was_damaged_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = beside(folder.path());
        fs::create_dir(folder.path().join("data")).expect("a folder");
        fs::write(folder.path().join("data/master.key"), "canary").expect("a file");
        let error = MasterKey::obtain(&settings, &Entropy::system()).expect_err("it is no key");
        let text = format!("{error:#}");
        assert!(text.contains("holds no master key") && !text.contains("canary"), "{text}");
    }
}
