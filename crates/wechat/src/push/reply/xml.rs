//! Replies as they are written and read.

use super::{Article, ParsedReply, Reply, ReplyError};
use crate::{
    push::{PushError, tree},
    xml::{Node, write_cdata},
};

impl Reply {
    /// The reply as WeChat reads it, before encryption: to the fan with the openid `to`, from the
    /// account with the original id `from`, at `at_secs` in Unix seconds.
    #[must_use]
    pub fn to_xml(&self, to: &str, from: &str, at_secs: i64) -> String {
        let mut xml = Writer(String::with_capacity(512));
        xml.0.push_str("<xml>");
        xml.element("ToUserName", to);
        xml.element("FromUserName", from);
        xml.number("CreateTime", &at_secs);
        xml.element("MsgType", self.msg_type());
        xml.body(self);
        xml.0.push_str("</xml>");
        xml.0
    }

    /// Its `MsgType`.
    #[must_use]
    pub fn msg_type(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Voice { .. } => "voice",
            Self::Video { .. } => "video",
            Self::Music { .. } => "music",
            Self::News { .. } => "news",
            Self::TransferCustomerService { .. } => "transfer_customer_service",
        }
    }

    /// Reads and checks a reply, decrypted: XML, or JSON with the same names. Elements that it does
    /// not need are ignored.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn parse(reply: impl AsRef<[u8]>) -> Result<ParsedReply, ReplyError> {
        let root = tree::parse(reply.as_ref()).map_err(|error| match error {
            PushError::Xml(error) => ReplyError::Xml(error),
            PushError::Json
            | PushError::Query(_)
            | PushError::Missing(_)
            | PushError::Malformed(_) => ReplyError::Json,
        })?;
        let parsed = ParsedReply {
            reply: read(&root)?,
            to_user_name: needed(&root, "ToUserName")?.to_owned(),
            from_user_name: needed(&root, "FromUserName")?.to_owned(),
        };
        parsed.reply.check()?;
        Ok(parsed)
    }
}

struct Writer(String);

impl Writer {
    fn body(&mut self, reply: &Reply) {
        match reply {
            Reply::Text { content } => self.element("Content", content),
            Reply::Image { media_id } => self.inside("Image", |xml| xml.media_id(media_id)),
            Reply::Voice { media_id } => self.inside("Voice", |xml| xml.media_id(media_id)),
            Reply::Video { media_id, title, description } => self.inside("Video", |xml| {
                xml.media_id(media_id);
                xml.optional("Title", title.as_deref());
                xml.optional("Description", description.as_deref());
            }),
            Reply::Music { title, description, music_url, hq_music_url, thumb_media_id } => {
                self.inside("Music", |xml| {
                    xml.optional("Title", title.as_deref());
                    xml.optional("Description", description.as_deref());
                    xml.optional("MusicUrl", music_url.as_deref());
                    xml.optional("HQMusicUrl", hq_music_url.as_deref());
                    xml.element("ThumbMediaId", thumb_media_id);
                });
            }
            Reply::News { articles } => {
                self.number("ArticleCount", &articles.len());
                self.inside("Articles", |xml| articles.iter().for_each(|one| xml.article(one)));
            }
            Reply::TransferCustomerService { kf_account: None } => {}
            Reply::TransferCustomerService { kf_account: Some(kf_account) } => {
                self.inside("TransInfo", |xml| xml.element("KfAccount", kf_account));
            }
        }
    }

    fn article(&mut self, article: &Article) {
        self.inside("item", |xml| {
            xml.element("Title", &article.title);
            xml.optional("Description", article.description.as_deref());
            xml.optional("PicUrl", article.pic_url.as_deref());
            xml.element("Url", &article.url);
        });
    }

    fn media_id(&mut self, media_id: &str) {
        self.element("MediaId", media_id);
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.element(name, text);
        }
    }

    fn element(&mut self, name: &str, text: &str) {
        self.inside(name, |xml| write_cdata(&mut xml.0, text));
    }

    fn number(&mut self, name: &str, number: &impl ToString) {
        self.inside(name, |xml| xml.0.push_str(&number.to_string()));
    }

    fn inside(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        write(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

fn read(root: &Node<'_>) -> Result<Reply, ReplyError> {
    match needed(root, "MsgType")? {
        "text" => Ok(Reply::Text { content: exact(root, "Content")? }),
        "image" => Ok(Reply::Image { media_id: media_id(inside(root, "Image")?)? }),
        "voice" => Ok(Reply::Voice { media_id: media_id(inside(root, "Voice")?)? }),
        "video" => {
            let video = inside(root, "Video")?;
            Ok(Reply::Video {
                media_id: media_id(video)?,
                title: optional(video, "Title"),
                description: optional(video, "Description"),
            })
        }
        "music" => {
            let music = inside(root, "Music")?;
            Ok(Reply::Music {
                title: optional(music, "Title"),
                description: optional(music, "Description"),
                music_url: optional(music, "MusicUrl"),
                hq_music_url: optional(music, "HQMusicUrl"),
                thumb_media_id: needed(music, "ThumbMediaId")?.to_owned(),
            })
        }
        "news" => read_news(root),
        "transfer_customer_service" => Ok(Reply::TransferCustomerService {
            kf_account: root.child("TransInfo").and_then(|info| optional(info, "KfAccount")),
        }),
        _ => Err(ReplyError::UnknownType),
    }
}

fn read_news(root: &Node<'_>) -> Result<Reply, ReplyError> {
    let articles = inside(root, "Articles")?.children_named("item").map(|item| {
        Ok(Article {
            title: needed(item, "Title")?.to_owned(),
            description: optional(item, "Description"),
            pic_url: optional(item, "PicUrl"),
            url: needed(item, "Url")?.to_owned(),
        })
    });
    let articles: Vec<Article> = articles.collect::<Result<_, ReplyError>>()?;
    if needed(root, "ArticleCount")?.parse() == Ok(articles.len()) {
        Ok(Reply::News { articles })
    } else {
        Err(ReplyError::WrongArticleCount)
    }
}

fn media_id(node: &Node<'_>) -> Result<String, ReplyError> {
    needed(node, "MediaId").map(str::to_owned)
}

fn inside<'n, 'a>(root: &'n Node<'a>, name: &'static str) -> Result<&'n Node<'a>, ReplyError> {
    root.child(name).ok_or(ReplyError::Missing(name))
}

fn needed<'n>(node: &'n Node<'_>, name: &'static str) -> Result<&'n str, ReplyError> {
    node.child_text(name).ok_or(ReplyError::Missing(name))
}

fn exact(node: &Node<'_>, name: &'static str) -> Result<String, ReplyError> {
    node.child(name).map(|child| child.text().to_owned()).ok_or(ReplyError::Missing(name))
}

fn optional(node: &Node<'_>, name: &str) -> Option<String> {
    node.child_text(name).map(str::to_owned)
}
