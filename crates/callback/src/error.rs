use lingpai_model::{Appid, id::PushId};

/// Why a push is not answered with `success`.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It does not verify. Which check failed is not told, so this carries nothing.
    #[error("the push does not verify")]
    Unverified,
    /// It could not be recorded, or nobody knows whether it was: WeChat shall repeat it.
    #[error("the push could not be recorded")]
    Unrecorded(#[source] lingpai_storage::Error),
    /// What it asks to be erased could not be, or nobody knows whether it was: WeChat shall repeat
    /// it.
    #[error("what the push asks to be erased could not be")]
    Unerased(#[source] lingpai_authorizer::Error),
}

impl Refusal {
    /// Whether repeating the same push cannot help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Unverified)
    }
}

/// What can go wrong after the answer: while acting on what was recorded, and for operators who look
/// after it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recorded push no longer reads as what it was recorded as.
    #[error("the recorded push {id} cannot be read")]
    Unreadable {
        /// Which push.
        id: PushId,
        /// Why.
        #[source]
        source: lingpai_wechat::push::PushError,
    },
    /// There is no such push in quarantine.
    #[error("there is no push {id} in quarantine")]
    QuarantineNotFound {
        /// The id that was asked for.
        id: PushId,
    },
    /// What kept the push in quarantine still does: it stays there.
    #[error("the push {id} stays in quarantine: {why}")]
    StillQuarantined {
        /// Which push.
        id: PushId,
        /// What keeps it there.
        why: &'static str,
    },
    /// There is no such component.
    #[error("there is no component {appid}")]
    ComponentNotFound {
        /// The appid that was asked for.
        appid: Appid,
    },
    /// The account's or the grant's part failed.
    #[error(transparent)]
    Authorizer(#[from] lingpai_authorizer::Error),
    /// The part of tenants' endpoints failed.
    #[error(transparent)]
    Webhook(#[from] lingpai_webhook::Error),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] lingpai_storage::Error),
}
