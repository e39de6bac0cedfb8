use lingpai_callback::{KeptPush, Quarantine, QuarantinedText};
use lingpai_model::{
    Instant,
    id::PushId,
    quarantine::{QuarantineReason, QuarantinedPush},
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};

use super::Group;
use crate::{
    answer::NoContent,
    auth::OperatorAuth,
    example,
    page::PageView,
    parameter::{self, CursorText, Limit, PushIdText},
    problem::{Problem, Result},
};

pub(crate) struct QuarantineApi {
    pub(super) quarantine: Quarantine,
}

/// Why a push is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "QuarantineReason", rename_all = "snake_case", remote = "QuarantineReason")]
enum ReasonView {
    /// It breaks the bounds of our parser, or misses what every message has.
    Unreadable,
    /// Nobody here knows the account: its authorization may still be under way.
    UnknownAuthorizer,
    /// It came by the path of one account, and is addressed to another.
    Misaddressed,
    /// It was sealed with a master key that is no longer in the ring.
    Unopenable,
}

/// An authentic push that could not be taken the usual way, without its text.
#[derive(Debug, Object)]
#[oai(rename = "QuarantinedPush", example)]
struct QuarantinedView {
    /// Its id.
    id: String,
    /// Why it is here.
    reason: ReasonView,
    /// The component that it was pushed to; null if the account is connected by its own secret.
    #[oai(nullable)]
    component_appid: Option<String>,
    /// The account that it is for; null if it was pushed to the component's event URL
    /// (授权事件接收URL).
    #[oai(nullable)]
    authorizer_appid: Option<String>,
    /// When it reached us.
    received_at: Instant,
    /// What was pushed, decrypted; only when one is looked at. What is no UTF-8 in it is shown as U+FFFD.
    /// Text of others: escape it.
    #[oai(skip_serializing_if_is_none)]
    text: Option<String>,
}

impl Example for QuarantinedView {
    fn example() -> Self {
        Self {
            id: example::PUSH_ID.to_owned(),
            reason: ReasonView::UnknownAuthorizer,
            component_appid: Some(example::COMPONENT_APPID.to_owned()),
            authorizer_appid: Some(example::AUTHORIZER_APPID.to_owned()),
            received_at: example::instant(),
            text: Some(example::MESSAGE_XML.to_owned()),
        }
    }
}

#[OpenApi(tag = "Group::Quarantine")]
impl QuarantineApi {
    /// List the pushes in quarantine.
    ///
    /// Newest first. They were answered, and nothing is lost: those of an account that nobody knew go on
    /// by themselves once it is known. For operators.
    #[oai(path = "/quarantine", method = "get", operation_id = "list_quarantine")]
    async fn list(
        &self,
        _auth: OperatorAuth,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<QuarantinedView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let found = self.quarantine.list(&page).await?;
        Ok(Json(PageView::of(found, QuarantinedView::from)))
    }

    /// Look at one push in quarantine.
    ///
    /// With its text: it may be a fan's message, so that looking is an entry of the audit trail. For
    /// operators.
    #[oai(path = "/quarantine/:id", method = "get", operation_id = "read_quarantine")]
    async fn get(
        &self,
        auth: OperatorAuth,
        /// The push.
        id: Path<PushIdText>,
    ) -> Result<Json<QuarantinedView>> {
        let QuarantinedText { kept, text } =
            self.quarantine.look(auth.caller(), &push_id(&id)?).await?;
        let text = Some(String::from_utf8_lossy(text.expose()).into_owned());
        Ok(Json(QuarantinedView { text, ..kept.into() }))
    }

    /// Let a push out of quarantine.
    ///
    /// It goes the usual way, as if it came now; nobody replies to it any more. While what kept it there
    /// is still so it stays (`still_unreadable`). For operators.
    #[oai(path = "/quarantine/:id/release", method = "post", operation_id = "release_quarantine")]
    async fn release(
        &self,
        auth: OperatorAuth,
        /// The push.
        id: Path<PushIdText>,
    ) -> Result<NoContent> {
        self.quarantine.release(auth.caller(), &push_id(&id)?).await?;
        Ok(NoContent)
    }
}

impl From<KeptPush> for QuarantinedView {
    fn from(kept: KeptPush) -> Self {
        let KeptPush { push, component_appid } = kept;
        let authorizer_appid = match push.what {
            QuarantinedPush::ToComponent(_) => None,
            QuarantinedPush::ToAccount { appid, .. } => Some(appid.to_string()),
        };
        Self {
            id: push.id.to_string(),
            reason: push.reason.into(),
            component_appid: component_appid.map(|appid| appid.to_string()),
            authorizer_appid,
            received_at: push.received_at,
            text: None,
        }
    }
}

/// Reads the id in a path; one that cannot be is one of no push.
fn push_id(text: &str) -> Result<PushId> {
    PushId::parse(text).map_err(|_| Problem::quarantine_not_found())
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        Appid,
        clock::Entropy,
        id::{AuthorizerId, ComponentId},
        quarantine::{Quarantined, QuarantinedFor},
    };
    use poem_openapi::types::ToJSON as _;
    use serde_json::{Value, json};

    use super::*;

    fn told(what: QuarantinedPush, component: Option<&str>) -> Value {
        let push = Quarantined {
            id: PushId::parse(example::PUSH_ID).unwrap(),
            what,
            reason: QuarantineReason::Unreadable,
            received_at: example::instant(),
        };
        let component_appid = component.map(|appid| Appid::parse(appid).unwrap());
        QuarantinedView::from(KeptPush { push, component_appid }).to_json().unwrap()
    }

    #[test]
    fn whose_push_it_is_is_told_as_operators_call_it() {
        let entropy = Entropy::seeded(1);
        let component = || ComponentId::new(example::instant(), &entropy);
        let account = AuthorizerId::new(example::instant(), &entropy);
        let appid = || Appid::parse(example::AUTHORIZER_APPID).unwrap();
        let to = |recipient| QuarantinedPush::ToAccount { recipient, appid: appid() };
        let (named, shop) = (example::COMPONENT_APPID, json!(example::AUTHORIZER_APPID));
        for (what, component, authorizer_appid) in [
            (QuarantinedPush::ToComponent(component()), Some(named), Value::Null),
            (to(QuarantinedFor::Component(component())), Some(named), shop.clone()),
            (to(QuarantinedFor::Account(account)), None, shop),
        ] {
            let told = told(what, component);
            assert_eq!(told["component_appid"], json!(component));
            assert_eq!(told["authorizer_appid"], authorizer_appid);
            assert_eq!((&told["reason"], told.get("text")), (&json!("unreadable"), None));
        }
    }

    #[test]
    fn reasons_are_written_as_the_model_writes_them() {
        for reason in QuarantineReason::ALL {
            assert_eq!(ReasonView::from(reason).to_json(), Some(reason.as_str().into()));
        }
    }
}
