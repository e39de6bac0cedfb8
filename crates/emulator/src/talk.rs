//! What was said between accounts and fans, for the control page.

use std::collections::BTreeMap;

use lingpai_wechat::push::message::{MessagePush, MessageType};
use serde_json::Value;

use crate::pages;
use crate::pusher::PushRecord;
use crate::replies;
use crate::state::accounts::SentMessage;
use crate::world::World;

/// How many lines of each account are shown.
const LINES: usize = 12;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Fan,
    /// The account, within the answer to a push.
    Reply,
    /// The account, by a customer-service or template message.
    CustomerService,
}

/// One line of a talk.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at_ms: i64,
    pub(crate) openid: String,
    pub(crate) speaker: Speaker,
    pub(crate) words: String,
    /// What the fan is shown is WeChat's notice that the account is out of order.
    pub(crate) is_fault: bool,
}

/// The last lines of the accounts that are shown, by appid, in order.
pub(crate) fn talks(world: &World) -> BTreeMap<String, Vec<Line>> {
    let mut talks: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    {
        let platform = world.platform();
        let shown = platform.accounts.values().filter(|account| !account.is_of_publish_test);
        for account in shown.take(pages::ACCOUNTS_SHOWN) {
            let lines = account.messages.iter().map(sent);
            talks.insert(account.config.appid.clone(), lines.collect());
        }
    }
    for record in world.pusher.records() {
        if let Some(talk) = record.appid.as_ref().and_then(|appid| talks.get_mut(appid)) {
            pushed(&record, talk);
        }
    }
    for talk in talks.values_mut() {
        talk.sort_by_key(|line| line.at_ms);
        talk.drain(..talk.len().saturating_sub(LINES));
    }
    talks
}

fn sent(message: &SentMessage) -> Line {
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    let words =
        body["text"]["content"].as_str().map_or_else(|| message.body.clone(), str::to_owned);
    Line {
        at_ms: message.at_ms,
        openid: message.openid.clone(),
        speaker: Speaker::CustomerService,
        words,
        is_fault: false,
    }
}

/// What the fan wrote or did, unless it is a repetition, and what he was shown.
fn pushed(record: &PushRecord, talk: &mut Vec<Line>) {
    let Ok(push) = MessagePush::parse(record.plaintext.as_bytes()) else { return };
    let line = |speaker, words| Line {
        at_ms: record.at_ms,
        openid: push.from_user_name.clone(),
        speaker,
        words,
        is_fault: false,
    };
    if record.attempt == 1 {
        let words = match (push.text(), push.message_type()) {
            (Some(text), _) => text.to_owned(),
            (None, MessageType::Message(name) | MessageType::Event(name)) => format!("[{name}]"),
        };
        talk.push(line(Speaker::Fan, words));
    }
    if let Some(reply) = &record.reply {
        talk.push(line(Speaker::Reply, replies::in_words(reply)));
    }
    if let Some(why) = &record.invalid_reply {
        talk.push(Line { is_fault: true, ..line(Speaker::Reply, why.clone()) });
    }
}
