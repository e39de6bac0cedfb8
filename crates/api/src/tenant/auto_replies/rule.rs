//! One rule of what an account answers by itself: when it fits, and what is replied then.

use std::borrow::Cow;

use lingpai_model::auto_reply::{AutoReply, Reply, Trigger};
use poem_openapi::{
    Enum, Object,
    types::{Example, ParseFromJSON as _, ToJSON as _},
};

use crate::input::Lines;

/// When a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AutoReplyTrigger", rename_all = "snake_case")]
enum TriggerView {
    /// A fan follows the account.
    Subscribe,
    /// A fan taps the menu entry with this `key`.
    MenuClick,
    /// A fan's text is one of these `words`, but for blanks around it.
    Keyword,
    /// A fan's text has one of these `words` in it.
    Containing,
    /// A fan sends any message.
    AnyMessage,
}

/// Which kind of passive reply it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ReplyType", rename_all = "snake_case")]
enum ReplyTypeView {
    /// A text: `content`.
    Text,
    /// A picture: `media_id`.
    Image,
    /// A voice message: `media_id`.
    Voice,
    /// A video: `media_id`, and `title` and `description` if wanted.
    Video,
    /// Music: `thumb_media_id`, and `title`, `description`, `music_url` and `hq_music_url` if wanted.
    Music,
    /// Articles: `articles`.
    News,
    /// The fan is handed over to customer service: to `kf_account` if named.
    TransferCustomerService,
}

/// One article of a reply.
#[derive(Debug, Object)]
#[oai(rename = "Article", skip_serializing_if_is_none, example)]
struct ArticleView {
    /// Its title.
    #[oai(validator(min_length = 1, max_length = 256))]
    title: String,
    /// What it is about.
    #[oai(nullable, validator(max_length = 1024))]
    description: Option<String>,
    /// Where its picture is.
    #[oai(nullable, validator(max_length = 1024))]
    pic_url: Option<String>,
    /// Where it is read.
    #[oai(validator(min_length = 1, max_length = 1024))]
    url: String,
}

impl Example for ArticleView {
    fn example() -> Self {
        Self {
            title: "新书到店".to_owned(),
            description: Some("本周的五本".to_owned()),
            pic_url: None,
            url: "https://shop.example/books".to_owned(),
        }
    }
}

/// A passive reply (被动回复). Which fields it has is told by its type, and no other may be there.
#[derive(Debug, Object)]
#[oai(rename = "Reply", skip_serializing_if_is_none, example)]
struct ReplyView {
    /// Which kind of reply it is.
    #[oai(rename = "type")]
    reply_type: ReplyTypeView,
    /// The text, at most 2,048 bytes of UTF-8; may have several lines.
    #[oai(nullable)]
    content: Option<Lines<2048>>,
    /// The id of the picture, recording or video, as WeChat gave it for the upload.
    #[oai(nullable, validator(min_length = 1, max_length = 256))]
    media_id: Option<String>,
    /// Its title.
    #[oai(nullable, validator(min_length = 1, max_length = 256))]
    title: Option<String>,
    /// What it is.
    #[oai(nullable, validator(min_length = 1, max_length = 1024))]
    description: Option<String>,
    /// Where the music is.
    #[oai(nullable, validator(min_length = 1, max_length = 1024))]
    music_url: Option<String>,
    /// Where the music is in better quality.
    #[oai(nullable, validator(min_length = 1, max_length = 1024))]
    hq_music_url: Option<String>,
    /// The media id of the music's picture.
    #[oai(nullable, validator(min_length = 1, max_length = 256))]
    thumb_media_id: Option<String>,
    /// The articles. WeChat shows one as the answer to a message, and up to eight to an event.
    #[oai(nullable, validator(min_items = 1, max_items = 8))]
    articles: Option<Vec<ArticleView>>,
    /// The clerk of customer service.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    kf_account: Option<String>,
}

impl Example for ReplyView {
    fn example() -> Self {
        Self {
            reply_type: ReplyTypeView::Text,
            content: Some(Lines("新书到了,每天九点开门".to_owned())),
            media_id: None,
            title: None,
            description: None,
            music_url: None,
            hq_music_url: None,
            thumb_media_id: None,
            articles: None,
            kf_account: None,
        }
    }
}

/// One rule: when it fits, and what is replied then.
#[derive(Debug, Object)]
#[oai(rename = "AutoReply", skip_serializing_if_is_none, example)]
pub(super) struct RuleView {
    /// When it fits.
    on: TriggerView,
    /// The words, at most 128 bytes of UTF-8 each; for `keyword` and `containing`, which need them.
    #[oai(nullable, validator(min_items = 1, max_items = 50, min_length = 1, max_length = 128))]
    words: Option<Vec<String>>,
    /// `EventKey` of the menu entry; for `menu_click`, which needs it.
    #[oai(nullable, validator(min_length = 1, max_length = 128))]
    key: Option<String>,
    /// What is replied.
    reply: ReplyView,
}

impl Example for RuleView {
    fn example() -> Self {
        Self {
            on: TriggerView::Keyword,
            words: Some(vec!["营业时间".to_owned(), "hours".to_owned()]),
            key: None,
            reply: ReplyView::example(),
        }
    }
}

/// What is wrong with a rule, and in which field.
#[derive(Debug)]
pub(super) struct RuleFault {
    pub(super) field: &'static str,
    pub(super) says: Cow<'static, str>,
}

impl RuleFault {
    fn new(field: &'static str, says: impl Into<Cow<'static, str>>) -> Self {
        Self { field, says: says.into() }
    }
}

impl RuleView {
    /// The rule in words of the services.
    pub(super) fn parsed(self) -> Result<AutoReply, RuleFault> {
        let Self { on, words, key, reply } = self;
        Ok(AutoReply { trigger: trigger(on, words, key)?, reply: reply.parsed()? })
    }
}

impl From<AutoReply> for RuleView {
    fn from(rule: AutoReply) -> Self {
        let (on, words, key) = match rule.trigger {
            Trigger::Subscribe => (TriggerView::Subscribe, None, None),
            Trigger::MenuClick { key } => (TriggerView::MenuClick, None, Some(key)),
            Trigger::Keyword { words } => (TriggerView::Keyword, Some(words), None),
            Trigger::Containing { words } => (TriggerView::Containing, Some(words), None),
            Trigger::AnyMessage => (TriggerView::AnyMessage, None, None),
        };
        Self { on, words, key, reply: ReplyView::of(&rule.reply) }
    }
}

fn trigger(
    on: TriggerView,
    words: Option<Vec<String>>,
    key: Option<String>,
) -> Result<Trigger, RuleFault> {
    let none = |field, is_given| {
        if is_given { Err(RuleFault::new(field, "such a rule has none of this")) } else { Ok(()) }
    };
    let takes_words = matches!(on, TriggerView::Keyword | TriggerView::Containing);
    none("words", words.is_some() && !takes_words)?;
    none("key", key.is_some() && on != TriggerView::MenuClick)?;
    let words = || words.ok_or_else(|| RuleFault::new("words", "such a rule needs this field"));
    Ok(match on {
        TriggerView::Subscribe => Trigger::Subscribe,
        TriggerView::MenuClick => {
            let key = key.ok_or_else(|| RuleFault::new("key", "such a rule needs this field"))?;
            Trigger::MenuClick { key }
        }
        TriggerView::Keyword => Trigger::Keyword { words: words()? },
        TriggerView::Containing => Trigger::Containing { words: words()? },
        TriggerView::AnyMessage => Trigger::AnyMessage,
    })
}

impl ReplyView {
    /// The reply in words of the services, which have the same names for the same things.
    fn parsed(&self) -> Result<Reply, RuleFault> {
        let json = self.to_json().unwrap_or_default();
        // Its words name fields and kinds, all of them known, and no value.
        serde_json::from_value(json).map_err(|error| RuleFault::new("reply", error.to_string()))
    }

    fn of(reply: &Reply) -> Self {
        let json = serde_json::to_value(reply).ok();
        Self::parse_from_json(json).expect("a test reads every kind of reply so")
    }
}

#[cfg(test)]
mod tests {
    use lingpai_model::auto_reply::AutoReplies;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        input,
        problem::{Code, Problem},
        tenant::auto_replies::{AutoRepliesView, NewAutoReplies},
    };

    fn read(rules: &Value) -> Result<AutoReplies, Problem> {
        let body = json!({ "rules": rules }).to_string();
        input::read::<NewAutoReplies>(body.as_bytes())?.try_into()
    }

    fn text(content: &str) -> Value {
        json!({ "type": "text", "content": content })
    }

    #[test]
    fn every_trigger_and_every_reply_comes_back_as_it_was_set() {
        let article = json!({ "title": "t", "url": "https://shop.example/" });
        let whole = json!({ "title": "t", "description": "d", "pic_url": "p", "url": "u" });
        let rules = json!([
            { "on": "subscribe", "reply": text("welcome\nto the shop") },
            { "on": "menu_click", "key": "V1", "reply": { "type": "image", "media_id": "m" } },
            { "on": "keyword", "words": ["a", "b"], "reply": { "type": "voice", "media_id": "m" } },
            { "on": "containing", "words": ["c"], "reply": { "type": "video", "media_id": "m", "title": "t" } },
            { "on": "any_message", "reply": { "type": "music", "thumb_media_id": "m", "hq_music_url": "u" } },
            { "on": "any_message", "reply": { "type": "news", "articles": [article, whole] } },
            { "on": "any_message", "reply": { "type": "transfer_customer_service" } },
            { "on": "any_message", "reply": { "type": "transfer_customer_service", "kf_account": "k" } },
        ]);
        let told = AutoRepliesView::from(read(&rules).unwrap()).to_json().unwrap();
        assert_eq!(told["rules"], rules);
        assert_eq!(read(&json!([])).unwrap(), AutoReplies::default());
    }

    #[test]
    fn a_fault_names_its_rule_and_its_field_and_no_value() {
        for (rule, field) in [
            (json!({ "on": "keyword", "reply": text("canary") }), "rules[1].words"),
            (json!({ "on": "keyword", "words": [], "reply": text("canary") }), "rules[1].words"),
            (
                json!({ "on": "subscribe", "words": ["canary"], "reply": text("x") }),
                "rules[1].words",
            ),
            (json!({ "on": "menu_click", "reply": text("canary") }), "rules[1].key"),
            (json!({ "on": "any_message", "key": "canary", "reply": text("x") }), "rules[1].key"),
            (json!({ "on": "canary", "reply": text("x") }), "rules[1].on"),
            (json!({ "on": "any_message" }), "rules[1].reply"),
            (json!({ "on": "any_message", "reply": { "type": "text" } }), "rules[1].reply"),
            (
                json!({ "on": "any_message", "reply": { "type": "image", "content": "canary" } }),
                "rules[1].reply",
            ),
            (
                json!({ "on": "any_message", "reply": { "type": "text", "content": "x", "canary": 1 } }),
                "rules[1].reply.canary",
            ),
        ] {
            let problem =
                read(&json!([{ "on": "subscribe", "reply": text("x") }, rule])).unwrap_err();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
            assert!(!problem.detail().contains("canary"), "{problem}");
        }
    }
}
