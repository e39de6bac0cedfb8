//! Temporary media: uploaded bytes that can be fetched for three days.

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

/// One uploaded file.
#[derive(Clone)]
pub(crate) struct Media {
    pub(crate) appid: String,
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
    pub(crate) created_at: i64,
}

/// All uploaded files.
#[derive(Default)]
pub(crate) struct MediaStore(HashMap<String, Media>);

impl MediaStore {
    pub(crate) fn put(&mut self, media: Media) -> String {
        if self.0.len() >= MEDIA_KEPT {
            let oldest = self.0.iter().min_by_key(|(_, media)| media.created_at);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.0.remove(&id);
            }
        }
        let id = mint::media_id();
        self.0.insert(id.clone(), media);
        id
    }

    /// The file, for the account that uploaded it.
    pub(crate) fn get(&self, appid: &str, id: &str, now: i64) -> Result<Media, Refusal> {
        self.0
            .get(id)
            .filter(|media| media.appid == appid && now < media.created_at + MEDIA_LIFE_MS)
            .cloned()
            .ok_or_else(|| Refusal::new(refusal::WRONG_MEDIA_ID))
    }
}
