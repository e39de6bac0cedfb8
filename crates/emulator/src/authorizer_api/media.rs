//! Files: temporary media, permanent material, pictures of articles.

use std::sync::Arc;

use poem::http::header;
use serde_json::{Value, json};

use super::multipart::{self, Part};
use super::{ok, whole_json};
use crate::gateway::{Answer, ApiRequest};
use crate::refusal::{self, Refusal};
use crate::state::media::{Media, MediaKind, VideoWords};
use crate::state::mint;
use crate::world::World;

/// Whether files are uploaded to a path, so that its bodies may be large.
pub(crate) fn takes_files(path: &str) -> bool {
    let paths =
        ["/cgi-bin/media/upload", "/cgi-bin/media/uploadimg", "/cgi-bin/material/add_material"];
    paths.contains(&path)
}

pub(super) fn upload(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let kind = kind(request)?;
    let media = media(world, request, appid, kind)?;
    let created_at = media.created_at / 1000;
    let media_id = world.platform().media.put(media);
    // Source: WeChat docs, "Upload temporary media": a thumb's id has a name of its own.
    let name = if kind == MediaKind::Thumb { "thumb_media_id" } else { "media_id" };
    Ok(Answer::Json(json!({ "type": kind.as_str(), name: media_id, "created_at": created_at })))
}

pub(super) fn upload_picture(
    world: &Arc<World>,
    request: &ApiRequest,
    _: &str,
) -> Result<Answer, Refusal> {
    part(world, request)?;
    let url = format!("http://mmbiz.qpic.cn/mmbiz_jpg/{}/0", mint::media_id());
    Ok(Answer::Json(json!({ "url": url })))
}

pub(super) fn get(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let media_id = request.query("media_id");
    let media = world.platform().media.get(appid, media_id, world.now())?;
    // Source: WeChat docs, "Get temporary media": a video is told by its address.
    Ok(match media.kind {
        MediaKind::Video => Answer::Json(json!({ "video_url": video_url(media_id) })),
        MediaKind::Image | MediaKind::Voice | MediaKind::Thumb => file(media),
    })
}

pub(super) fn add_material(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let kind = kind(request)?;
    let mut media = media(world, request, appid, kind)?;
    if kind == MediaKind::Video {
        media.video = Some(video_words(request)?);
    }
    let media_id = world.platform().materials.put(media);
    let mut answer = json!({ "media_id": media_id });
    if matches!(kind, MediaKind::Image | MediaKind::Thumb) {
        answer["url"] = format!("http://mmbiz.qpic.cn/mmbiz_jpg/{media_id}/0").into();
    }
    Ok(Answer::Json(answer))
}

pub(super) fn get_material(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    let media_id = request.field("media_id");
    let media = world.platform().materials.get(appid, media_id, world.now())?;
    Ok(match &media.video {
        Some(words) => Answer::Json(json!({
            "title": words.title,
            "description": words.introduction,
            "down_url": video_url(media_id),
        })),
        None => file(media),
    })
}

pub(super) fn delete_material(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    whole_json(request)?;
    world.platform().materials.remove(appid, request.field("media_id"))?;
    Ok(ok())
}

pub(super) fn count_materials(
    world: &Arc<World>,
    _: &ApiRequest,
    appid: &str,
) -> Result<Answer, Refusal> {
    let platform = world.platform();
    let count = |kind| platform.materials.count(appid, kind);
    Ok(Answer::Json(json!({
        "voice_count": count(MediaKind::Voice),
        "video_count": count(MediaKind::Video),
        "image_count": count(MediaKind::Image),
        "news_count": 0,
    })))
}

fn kind(request: &ApiRequest) -> Result<MediaKind, Refusal> {
    let kind = MediaKind::parse(request.query("type"));
    kind.ok_or_else(|| Refusal::new(refusal::WRONG_MEDIA_TYPE))
}

/// The uploaded file, if it is there and not too large.
fn part(world: &Arc<World>, request: &ApiRequest) -> Result<Part, Refusal> {
    let part = multipart::media(content_type(request), &request.whole_body())
        .ok_or_else(|| Refusal::new(refusal::FILE_MISSING))?;
    if part.bytes.len() as u64 > world.switches().largest_media_bytes {
        return Err(Refusal::new(refusal::MEDIA_TOO_LARGE));
    }
    Ok(part)
}

fn media(
    world: &Arc<World>,
    request: &ApiRequest,
    appid: &str,
    kind: MediaKind,
) -> Result<Media, Refusal> {
    let part = part(world, request)?;
    Ok(Media {
        appid: appid.to_owned(),
        kind,
        filename: part.filename,
        content_type: part.content_type.unwrap_or_else(|| kind.content_type().to_owned()),
        bytes: part.bytes,
        created_at: world.now(),
        video: None,
    })
}

/// What a permanent video is called.
///
/// Source: WeChat docs, "Add permanent material": a form field `description` holds JSON with
/// `title` and `introduction`.
fn video_words(request: &ApiRequest) -> Result<VideoWords, Refusal> {
    let text = multipart::text(content_type(request), &request.whole_body(), "description");
    let json: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    let json = json.ok_or_else(|| Refusal::new(refusal::BAD_JSON))?;
    let word = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    Ok(VideoWords { title: word("title"), introduction: word("introduction") })
}

fn content_type(request: &ApiRequest) -> &str {
    let value = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

fn file(media: Media) -> Answer {
    Answer::File { content_type: media.content_type, filename: media.filename, bytes: media.bytes }
}

/// An address from which nothing can be had.
fn video_url(media_id: &str) -> String {
    format!("http://vweixinf.tc.qq.com/emulated/{media_id}.mp4")
}
