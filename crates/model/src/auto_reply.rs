//! What an account answers by itself: replies that its tenant set and that need no server.

pub use lingpai_wechat::push::reply::{Article, Reply};

/// The most rules of one account.
pub const MAX_RULES: usize = 100;

/// What one account answers by itself: the first rule that fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoReplies {
    /// The rules, in the order in which they are tried; at most [`MAX_RULES`].
    pub rules: Vec<AutoReply>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoReply {
    /// When it fits.
    pub trigger: Trigger,
    /// What is replied then.
    pub reply: Reply,
}

/// When a rule fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A fan follows the account.
    Subscribe,
    /// A fan taps the menu entry with this key.
    MenuClick {
        /// `EventKey` of the entry.
        key: String,
    },
    /// A fan's text is one of these words, but for blanks around it.
    Keyword {
        /// The words.
        words: Vec<String>,
    },
    /// A fan's text has one of these words in it.
    Containing {
        /// The words.
        words: Vec<String>,
    },
    /// A fan sends any message.
    AnyMessage,
}

/// What a message is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A text of a fan.
    Text(&'a str),
    /// Any other message of a fan.
    OtherMessage,
    /// A fan follows the account.
    Subscribe,
    /// A fan taps a menu entry with this key.
    MenuClick(&'a str),
    /// Anything else.
    OtherEvent,
}

impl AutoReplies {
    /// The reply of the first rule that fits.
    #[must_use]
    pub fn to(&self, heard: Heard<'_>) -> Option<&Reply> {
        self.rules.iter().find(|rule| rule.trigger.fits(heard)).map(|rule| &rule.reply)
    }
}

impl Trigger {
    fn fits(&self, heard: Heard<'_>) -> bool {
        match (self, heard) {
            (Self::Subscribe, Heard::Subscribe) => true,
            (Self::MenuClick { key }, Heard::MenuClick(tapped)) => key == tapped,
            (Self::Keyword { words }, Heard::Text(text)) => {
                words.iter().any(|word| word == text.trim())
            }
            (Self::Containing { words }, Heard::Text(text)) => {
                words.iter().any(|word| text.contains(word.as_str()))
            }
            (Self::AnyMessage, heard) => matches!(heard, Heard::Text(_) | Heard::OtherMessage),
            (
                Self::Subscribe
                | Self::MenuClick { .. }
                | Self::Keyword { .. }
                | Self::Containing { .. },
                _,
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(trigger: Trigger, content: &str) -> AutoReply {
        AutoReply { trigger, reply: Reply::Text { content: content.to_owned() } }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_rule_that_fits_replies() {
        let replies = AutoReplies {
            rules: vec![
                rule(Trigger::Keyword { words: words(&["价格", "price"]) }, "keyword"),
                rule(Trigger::Containing { words: words(&["价"]) }, "containing"),
                rule(Trigger::Subscribe, "welcome"),
                rule(Trigger::MenuClick { key: "V1".to_owned() }, "menu"),
                rule(Trigger::AnyMessage, "any"),
            ],
        };
        let replied = |heard| match replies.to(heard) {
            Some(Reply::Text { content }) => content.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(replied(Heard::Text(" 价格\n")), "keyword");
        assert_eq!(replied(Heard::Text("请问价格")), "containing");
        assert_eq!(replied(Heard::Text("hello")), "any");
        assert_eq!(replied(Heard::OtherMessage), "any");
        assert_eq!(replied(Heard::Subscribe), "welcome");
        assert_eq!(replied(Heard::MenuClick("V1")), "menu");
        assert_eq!(replies.to(Heard::MenuClick("V2")), None);
        assert_eq!(replies.to(Heard::OtherEvent), None);
        assert_eq!(AutoReplies::default().to(Heard::Text("x")), None);
    }
}
