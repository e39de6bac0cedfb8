//! A reply as a message of customer service, for when it comes too late to be one.

use serde_json::{Map, Value, json};

use super::{Article, Reply};

impl Reply {
    /// The body of `custom/send` to the fan with this openid; `None` for a transfer, which is no
    /// message.
    ///
    /// Of several articles the first is sent.
    ///
    /// Source: WeChat docs, "Customer service messages" (客服接口-发消息): the fields of each type, and
    /// since 2018 one article at most.
    #[must_use]
    pub fn to_customer_message(&self, openid: &str) -> Option<Value> {
        let body = match self {
            Self::Text { content } => json!({ "content": content }),
            Self::Image { media_id } | Self::Voice { media_id } => json!({ "media_id": media_id }),
            Self::Video { media_id, title, description } => with_given(
                &[("media_id", media_id)],
                &[("title", title), ("description", description)],
            ),
            Self::Music { title, description, music_url, hq_music_url, thumb_media_id } => {
                with_given(
                    &[("thumb_media_id", thumb_media_id)],
                    &[
                        ("title", title),
                        ("description", description),
                        ("musicurl", music_url),
                        ("hqmusicurl", hq_music_url),
                    ],
                )
            }
            Self::News { articles } => json!({ "articles": [articles.first()?.to_json()] }),
            Self::TransferCustomerService { .. } => return None,
        };
        let mut message = Map::new();
        message.insert("touser".to_owned(), Value::from(openid));
        message.insert("msgtype".to_owned(), Value::from(self.msg_type()));
        message.insert(self.msg_type().to_owned(), body);
        Some(Value::Object(message))
    }
}

impl Article {
    fn to_json(&self) -> Value {
        with_given(
            &[("title", &self.title), ("url", &self.url)],
            &[("description", &self.description), ("picurl", &self.pic_url)],
        )
    }
}

/// An object of texts: those that must be there, and those that are.
fn with_given(needed: &[(&str, &String)], optional: &[(&str, &Option<String>)]) -> Value {
    let given = optional.iter().filter_map(|(name, text)| Some((*name, text.as_ref()?)));
    let fields = needed.iter().copied().chain(given);
    Value::Object(
        fields.map(|(name, text)| (name.to_owned(), Value::from(text.as_str()))).collect(),
    )
}
