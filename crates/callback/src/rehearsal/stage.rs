//! Pushes as WeChat makes them, to our own addresses.

use std::time::Duration;

use http::{HeaderValue, header::CONTENT_TYPE};
use lingpai_model::{
    Appid, Secret,
    clock::Entropy,
    component::{Component, Ticket},
    id::ComponentId,
};
use lingpai_webhook::{Outgoing, Sender};
use lingpai_wechat::{
    crypt::{
        Crypt, EncodingAesKey, KeySlot, Sealed, envelope_to_account, envelope_to_component,
        plain_signature,
    },
    push::{
        SealedReply,
        publish_test::TestAccount,
        reply::{ParsedReply, Reply},
    },
};
use url::Url;

use super::Rehearsals;

/// Who writes in a rehearsal: nobody's openid.
const FAN: &str = "oREHEARSAL-of-lingpai-000001";

/// One rehearsal: whose, and as whom it pushes.
pub(super) struct Stage<'a> {
    rehearsals: &'a Rehearsals,
    component: &'a Component,
}

/// What came back.
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

impl Heard {
    /// What was wrong with it, and what to do.
    pub(super) fn otherwise(&self, expected: &str) -> String {
        let what = match self.status {
            200 => format!("{} bytes that are something else", self.body.len()),
            status => format!("HTTP {status}"),
        };
        let cure = match self.status {
            200 => "see that nothing before lingpai changes its answers",
            403 => {
                "see that the instances behind this address share one database and one master key, \
                 and that nothing before them changes query or body"
            }
            404 | 405 | 301 | 302 | 307 | 308 => {
                "see that public_url leads to lingpai, without a redirect and with its whole path"
            }
            503 => "see that the database answers, and the log for what it refuses",
            _ => "see the log of whatever stands before lingpai",
        };
        format!("{expected} was expected, and {what} came: {cure}")
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(rehearsals: &'a Rehearsals, component: &'a Component) -> Self {
        Self { rehearsals, component }
    }

    pub(super) fn component_id(&self) -> &'a ComponentId {
        &self.component.id
    }

    /// A number that was not used before.
    pub(super) fn number(&self) -> String {
        number(&self.rehearsals.entropy)
    }

    /// Where the component's own events are pushed.
    pub(super) fn component_url(&self) -> Url {
        self.url(&["events"])
    }

    /// Checks the component's address as WeChat does when it is saved.
    pub(super) async fn check_url(&self, echostr: &str) -> Result<Heard, String> {
        let (timestamp, nonce) = (self.now().to_string(), self.number());
        let signature = plain_signature(&self.component.push_token, &timestamp, &nonce);
        let mut url = self.component_url();
        url.query_pairs_mut().extend_pairs([
            ("signature", signature.as_str()),
            ("timestamp", &timestamp),
            ("nonce", &nonce),
            ("echostr", echostr),
        ]);
        self.send(&url, None).await
    }

    /// Pushes a ticket that WeChat pushed before; it is the same ticket, so nothing changes.
    pub(super) async fn push_ticket(&self, ticket: &Ticket) -> Result<Heard, String> {
        let appid = &self.component.appid;
        let (issued_at, value) = (ticket.issued_at.timestamp(), ticket.value.expose());
        let xml = format!(
            "<xml><AppId>{appid}</AppId><CreateTime>{issued_at}</CreateTime>\
             <InfoType>component_verify_ticket</InfoType>\
             <ComponentVerifyTicket><![CDATA[{value}]]></ComponentVerifyTicket></xml>"
        );
        let sealed = self.seal(&self.component.push_token, &xml);
        let envelope = envelope_to_component(appid.as_str(), &sealed.encrypt);
        self.push(self.component_url(), &sealed, envelope).await
    }

    /// Pushes a fan's text to a test account.
    pub(super) async fn push_text(
        &self,
        account: &TestAccount,
        text: &str,
    ) -> Result<Heard, String> {
        let rest = format!(
            "<MsgType>text</MsgType><Content><![CDATA[{text}]]></Content><MsgId>{}</MsgId>",
            self.number()
        );
        self.push_message(account, &self.component.push_token, &rest).await
    }

    /// Pushes an event of a test account's fan.
    pub(super) async fn push_event(
        &self,
        account: &TestAccount,
        event: &str,
    ) -> Result<Heard, String> {
        let rest = format!(
            "<MsgType>event</MsgType><Event>{event}</Event><EventKey>{}</EventKey>",
            self.number()
        );
        self.push_message(account, &self.component.push_token, &rest).await
    }

    /// Pushes a text that somebody signed who does not know the push token.
    pub(super) async fn push_foreign(&self, account: &TestAccount) -> Result<Heard, String> {
        let rest = "<MsgType>text</MsgType><Content>hello</Content><MsgId>1</MsgId>";
        self.push_message(account, &Secret::new(self.number()), rest).await
    }

    /// Whether a push to `account` was replied to with this text.
    pub(super) fn is_reply(
        &self,
        account: &TestAccount,
        heard: &Heard,
        expected: &str,
    ) -> Result<(), String> {
        let reply = (heard.status == 200).then(|| self.read_reply(&heard.body)).flatten();
        let parsed = reply.ok_or_else(|| heard.otherwise("an encrypted reply"))?;
        let is_text = matches!(&parsed.reply, Reply::Text { content } if content == expected);
        let is_swapped = parsed.to_user_name == FAN && parsed.from_user_name == account.user_name;
        if is_text && is_swapped {
            return Ok(());
        }
        Err(format!(
            "the reply {expected} was expected, and another came: see that no other program answers \
             at this address"
        ))
    }

    fn read_reply(&self, body: &[u8]) -> Option<ParsedReply> {
        let sealed = SealedReply::parse(body).ok()?;
        let crypt = self.crypt(&self.component.push_token);
        let opened = crypt.open(&sealed.query, &sealed.encrypt).ok()?;
        Reply::parse(std::str::from_utf8(&opened.plaintext).ok()?).ok()
    }

    async fn push_message(
        &self,
        account: &TestAccount,
        push_token: &Secret<String>,
        rest: &str,
    ) -> Result<Heard, String> {
        let (to, at) = (account.user_name, self.now());
        let xml = format!(
            "<xml><ToUserName>{to}</ToUserName><FromUserName>{FAN}</FromUserName>\
             <CreateTime>{at}</CreateTime>{rest}</xml>"
        );
        let sealed = self.seal(push_token, &xml);
        let envelope = envelope_to_account(to, &sealed.encrypt);
        self.push(self.url(&["authorizers", account.appid, "events"]), &sealed, envelope).await
    }

    async fn push(&self, mut url: Url, sealed: &Sealed, envelope: String) -> Result<Heard, String> {
        url.query_pairs_mut().extend_pairs([
            ("timestamp", sealed.timestamp.to_string().as_str()),
            ("nonce", &sealed.nonce),
            ("encrypt_type", "aes"),
            ("msg_signature", &sealed.msg_signature),
        ]);
        self.send(&url, Some(envelope)).await
    }

    async fn send(&self, url: &Url, body: Option<String>) -> Result<Heard, String> {
        let sender: &Sender = &self.rehearsals.sender;
        let unreachable = |why: &dyn std::fmt::Display| {
            let origin = url.origin().ascii_serialization();
            format!(
                "{origin} could not be called: {why}; see that public_url is the address by which \
                 WeChat reaches lingpai, and its name, certificate and firewall"
            )
        };
        let destination = sender.judge(url.as_str()).map_err(|refusal| unreachable(&refusal))?;
        let outgoing = match body {
            Some(body) => Outgoing::post(destination, body)
                .with_header(CONTENT_TYPE, HeaderValue::from_static("text/xml")),
            None => Outgoing::get(destination),
        };
        let answer = sender.send(outgoing).await.map_err(|error| unreachable(&error))?;
        Ok(Heard { status: answer.status, body: answer.body.to_vec(), took: answer.took })
    }

    fn url(&self, rest: &[&str]) -> Url {
        let mut url = self.rehearsals.public_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let component = self.component.appid.as_str();
            segments.pop_if_empty().extend(["wechat", "components", component]).extend(rest);
        }
        url
    }

    fn seal(&self, push_token: &Secret<String>, xml: &str) -> Sealed {
        let random = self.rehearsals.entropy.bytes();
        let crypt = self.crypt(push_token);
        crypt.seal(xml.as_bytes(), KeySlot::Current, self.now(), &self.number(), random)
    }

    fn crypt(&self, push_token: &Secret<String>) -> Crypt {
        let appid: Appid = self.component.appid.clone();
        let key = EncodingAesKey::parse(self.component.encoding_aes_key.expose());
        let key = key.expect("a key that is none is refused when a component is registered");
        Crypt::new(push_token.clone(), appid, key, None)
    }

    fn now(&self) -> i64 {
        self.rehearsals.clock.now().timestamp()
    }
}

fn number(entropy: &Entropy) -> String {
    (u64::from_be_bytes(entropy.bytes()) >> 1).to_string()
}
