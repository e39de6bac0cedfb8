//! Uploaded files: temporary ones for three days, permanent ones until they are deleted.

use std::collections::HashMap;

use bytes::Bytes;

use crate::refusal::{self, Refusal};
use crate::state::mint;

/// How long temporary media can be fetched.
///
/// Source: WeChat docs, "Upload temporary media": "media files are kept for 3 days".
const MEDIA_LIFE_MS: i64 = 3 * 24 * 3600 * 1000;

/// How many are kept; the oldest goes first.
const MEDIA_KEPT: usize = 32;

/// How many bytes are kept, beside the newest file; the oldest goes first.
const BYTES_KEPT: usize = 512 * 1024 * 1024;

/// What an uploaded file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaKind {
    Image,
    Voice,
    Video,
    Thumb,
}

/// What a permanent video is called.
#[derive(Debug, Clone)]
pub(crate) struct VideoWords {
    pub(crate) title: String,
    pub(crate) introduction: String,
}

/// One uploaded file.
#[derive(Clone)]
pub(crate) struct Media {
    pub(crate) appid: String,
    pub(crate) kind: MediaKind,
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
    pub(crate) created_at: i64,
    /// Of permanent videos only.
    pub(crate) video: Option<VideoWords>,
}

/// All uploaded files of one sort.
pub(crate) struct MediaStore {
    files: HashMap<String, Media>,
    /// Without one they are kept for good.
    life_ms: Option<i64>,
}

impl MediaKind {
    /// The kind by the name it has in a query.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Image, Self::Voice, Self::Video, Self::Thumb];
        all.into_iter().find(|kind| kind.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Thumb => "thumb",
        }
    }

    /// What a file of this kind is when nobody says.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Image | Self::Thumb => "image/jpeg",
            Self::Voice => "audio/amr",
            Self::Video => "video/mp4",
        }
    }
}

impl MediaStore {
    pub(crate) fn temporary() -> Self {
        Self { files: HashMap::new(), life_ms: Some(MEDIA_LIFE_MS) }
    }

    pub(crate) fn permanent() -> Self {
        Self { files: HashMap::new(), life_ms: None }
    }

    pub(crate) fn put(&mut self, media: Media) -> String {
        let bytes = |files: &HashMap<String, Media>| -> usize {
            files.values().map(|media| media.bytes.len()).sum()
        };
        while self.files.len() >= MEDIA_KEPT || bytes(&self.files) > BYTES_KEPT {
            let oldest = self.files.iter().min_by_key(|(_, media)| media.created_at);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { break };
            self.files.remove(&id);
        }
        let id = mint::media_id();
        self.files.insert(id.clone(), media);
        id
    }

    /// The file, for the account that uploaded it.
    pub(crate) fn get(&self, appid: &str, id: &str, now: i64) -> Result<Media, Refusal> {
        let lives = |media: &&Media| self.life_ms.is_none_or(|life| now < media.created_at + life);
        let found = self.files.get(id).filter(|media| media.appid == appid).filter(lives);
        found.cloned().ok_or_else(|| Refusal::new(refusal::WRONG_MEDIA_ID))
    }

    /// Deletes a file of the account that uploaded it.
    pub(crate) fn remove(&mut self, appid: &str, id: &str) -> Result<(), Refusal> {
        if self.files.get(id).is_none_or(|media| media.appid != appid) {
            return Err(Refusal::new(refusal::WRONG_MEDIA_ID));
        }
        self.files.remove(id);
        Ok(())
    }

    /// How many files of a kind the account has.
    pub(crate) fn count(&self, appid: &str, kind: MediaKind) -> usize {
        let of_account = self.files.values().filter(|media| media.appid == appid);
        of_account.filter(|media| media.kind == kind).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(created_at: i64) -> Media {
        Media {
            appid: "wx1".to_owned(),
            kind: MediaKind::Image,
            filename: "a.jpg".to_owned(),
            content_type: "image/jpeg".to_owned(),
            bytes: Bytes::from_static(b"x"),
            created_at,
            video: None,
        }
    }

    fn is_there(store: &MediaStore, appid: &str, id: &str, now: i64) -> bool {
        store.get(appid, id, now).is_ok()
    }

    #[test]
    fn temporary_media_end_after_three_days_and_material_does_not() {
        let (mut temporary, mut permanent) = (MediaStore::temporary(), MediaStore::permanent());
        let ids = [temporary.put(media(0)), permanent.put(media(0))];
        assert!(is_there(&temporary, "wx1", &ids[0], MEDIA_LIFE_MS - 1));
        assert!(!is_there(&temporary, "wx1", &ids[0], MEDIA_LIFE_MS));
        assert!(is_there(&permanent, "wx1", &ids[1], 1000 * MEDIA_LIFE_MS));
    }

    #[test]
    fn a_file_is_its_accounts_own() {
        let mut store = MediaStore::permanent();
        let id = store.put(media(0));
        assert!(!is_there(&store, "wx2", &id, 0));
        assert!(store.remove("wx2", &id).is_err());
        assert_eq!(store.count("wx1", MediaKind::Image), 1);
        assert_eq!(store.count("wx2", MediaKind::Image), 0);
        assert!(store.remove("wx1", &id).is_ok());
        assert!(store.remove("wx1", &id).is_err());
    }

    #[test]
    fn the_oldest_file_goes_first() {
        let mut store = MediaStore::permanent();
        let ids: Vec<String> = (0..=MEDIA_KEPT as i64).map(|at| store.put(media(at))).collect();
        assert!(!is_there(&store, "wx1", &ids[0], 0));
        assert!(is_there(&store, "wx1", &ids[1], 0));
        assert_eq!(store.files.len(), MEDIA_KEPT);
    }
}
