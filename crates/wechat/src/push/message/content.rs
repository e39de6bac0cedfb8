//! What fans send: the content of messages. Nothing here is needed, so nothing here fails.

use std::fmt;

use super::{EVENT, event::MessageEvent};
use crate::push::field::Fields;

/// What one message or event tells below the common elements. Its `Debug` shows the kind only.
///
/// Source: WeChat docs, "Receive standard messages" (接收普通消息), "Receive event pushes"
/// (接收事件推送) and, for mini programs, "Receive messages and events" (客服消息).
#[derive(Clone, PartialEq, Eq)]
pub enum MessageContent {
    /// `text`.
    Text {
        /// `Content`, blanks included; empty if there is none.
        content: String,
        /// `bizmsgmenuid`: the entry of a menu message that was tapped, in place of typing.
        bizmsgmenuid: Option<String>,
    },
    /// `image`.
    Image {
        /// `PicUrl`: where the picture is.
        pic_url: Option<String>,
        /// `MediaId`.
        media_id: Option<String>,
    },
    /// `voice`.
    Voice {
        /// `MediaId`.
        media_id: Option<String>,
        /// `Format`: amr, speex.
        format: Option<String>,
        /// `MediaId16K`: the same in better quality.
        media_id_16k: Option<String>,
        /// `Recognition`: the words, where recognition is on.
        recognition: Option<String>,
    },
    /// `video`.
    Video {
        /// `MediaId`.
        media_id: Option<String>,
        /// `ThumbMediaId`: its picture.
        thumb_media_id: Option<String>,
    },
    /// `shortvideo`.
    ShortVideo {
        /// `MediaId`.
        media_id: Option<String>,
        /// `ThumbMediaId`: its picture.
        thumb_media_id: Option<String>,
    },
    /// `location`: `Location_X`, `Location_Y`, `Scale`, `Label`.
    Location(Place),
    /// `link`.
    Link {
        /// `Title`.
        title: Option<String>,
        /// `Description`.
        description: Option<String>,
        /// `Url`.
        url: Option<String>,
    },
    /// `miniprogrampage`: a card of a mini program.
    MiniProgramPage {
        /// `Title`.
        title: Option<String>,
        /// `AppId`: the mini program.
        appid: Option<String>,
        /// `PagePath`: its page.
        page_path: Option<String>,
        /// `ThumbUrl`: where the card's picture is.
        thumb_url: Option<String>,
        /// `ThumbMediaId`: its media id.
        thumb_media_id: Option<String>,
    },
    /// `file`.
    ///
    /// Observed: nowhere documented.
    File {
        /// `Title`: its name.
        title: Option<String>,
        /// `Description`.
        description: Option<String>,
        /// `FileKey`.
        file_key: Option<String>,
        /// `FileMd5`.
        file_md5: Option<String>,
        /// `FileTotalLen`: its bytes.
        file_total_len: Option<String>,
    },
    /// `event`.
    Event(MessageEvent),
    /// A kind of message that we do not know.
    Other,
}

/// A place that a fan chose or is at. Numbers are told as they were sent; `Debug` shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// `Location_X`, or `Latitude` in the event.
    pub latitude: Option<String>,
    /// `Location_Y`, or `Longitude` in the event.
    pub longitude: Option<String>,
    /// `Scale` of the map, or `Precision` in the event.
    pub scale: Option<String>,
    /// `Label`: the address in words.
    pub label: Option<String>,
    /// `Poiname`: the name of the friends' circle entry.
    pub poiname: Option<String>,
}

impl Place {
    pub(super) fn read(fields: Fields<'_, '_>) -> Self {
        Self {
            latitude: fields.text("Location_X"),
            longitude: fields.text("Location_Y"),
            scale: fields.text("Scale"),
            label: fields.text("Label"),
            poiname: fields.text("Poiname"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place(…)")
    }
}

impl MessageContent {
    pub(super) fn read(msg_type: &str, fields: Fields<'_, '_>) -> Self {
        match msg_type.to_ascii_lowercase().as_str() {
            "text" => Self::Text {
                content: fields.exact("Content").unwrap_or_default(),
                bizmsgmenuid: fields.text("bizmsgmenuid"),
            },
            "location" => Self::Location(Place::read(fields)),
            "link" => Self::Link {
                title: fields.text("Title"),
                description: fields.text("Description"),
                url: fields.text("Url"),
            },
            "miniprogrampage" => Self::MiniProgramPage {
                title: fields.text("Title"),
                appid: fields.text("AppId"),
                page_path: fields.text("PagePath"),
                thumb_url: fields.text("ThumbUrl"),
                thumb_media_id: fields.text("ThumbMediaId"),
            },
            EVENT => Self::Event(MessageEvent::read(fields)),
            msg_type => Self::read_media(msg_type, fields),
        }
    }

    /// Whether it is an event that may name a fan beside its sender.
    pub(super) fn may_name_a_fan(&self) -> bool {
        let Self::Event(event) = self else { return false };
        matches!(event, MessageEvent::OfStore(_) | MessageEvent::OfArea(_) | MessageEvent::Other)
    }

    fn read_media(msg_type: &str, fields: Fields<'_, '_>) -> Self {
        let media_id = fields.text("MediaId");
        let thumb_media_id = fields.text("ThumbMediaId");
        match msg_type {
            "image" => Self::Image { pic_url: fields.text("PicUrl"), media_id },
            "voice" => Self::Voice {
                media_id,
                format: fields.text("Format"),
                media_id_16k: fields.text("MediaId16K"),
                recognition: fields.text("Recognition"),
            },
            "video" => Self::Video { media_id, thumb_media_id },
            "shortvideo" => Self::ShortVideo { media_id, thumb_media_id },
            "file" => Self::File {
                title: fields.text("Title"),
                description: fields.text("Description"),
                file_key: fields.text("FileKey"),
                file_md5: fields.text("FileMd5"),
                file_total_len: fields.text("FileTotalLen"),
            },
            _ => Self::Other,
        }
    }
}

impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text",
            Self::Image { .. } => "Image",
            Self::Voice { .. } => "Voice",
            Self::Video { .. } => "Video",
            Self::ShortVideo { .. } => "ShortVideo",
            Self::Location(_) => "Location",
            Self::Link { .. } => "Link",
            Self::MiniProgramPage { .. } => "MiniProgramPage",
            Self::File { .. } => "File",
            Self::Event(event) => return write!(f, "Event({event:?})"),
            Self::Other => "Other",
        })
    }
}
