//! Erasures: what is kept of fans goes, at once and for good.

use lingpai_callback::Erasures;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};

use super::{Group, authorizer_appid};
use crate::{
    auth::{EventErase, TenantAuth},
    example,
    input::Input,
    parameter::AppidText,
    problem::Result,
};

pub(crate) struct ErasuresApi {
    pub(super) erasures: Erasures,
}

/// Whose data is to go.
#[derive(Debug, Object)]
#[oai(rename = "NewErasure", skip_serializing_if_is_none, example)]
struct NewErasure {
    /// Only what is kept of this fan; absent: everything about the account.
    #[oai(nullable, validator(min_length = 1, max_length = 64))]
    openid: Option<String>,
}

impl Example for NewErasure {
    fn example() -> Self {
        Self { openid: Some(example::OPENID.to_owned()) }
    }
}

/// What was erased.
#[derive(Debug, Object)]
#[oai(rename = "Erasure", example)]
struct ErasureView {
    /// How many events were erased, each with its deliveries.
    erased: u64,
}

impl Example for ErasureView {
    fn example() -> Self {
        Self { erased: 17 }
    }
}

#[OpenApi(tag = "Group::Events")]
impl ErasuresApi {
    /// Erase what is kept of an account's fans.
    ///
    /// Of one fan or of all: events, also those in quarantine, deliveries under way and ended, replies
    /// that wait to be sent, tokens of web authorizations, and sessions of mini programs; without a fan
    /// also lingpai's own events about the account. What was sent to your endpoints is beyond our reach.
    /// It cannot be undone. Needs the scope `event:erase`.
    #[oai(path = "/authorizers/:appid/erasures", method = "post", operation_id = "erase_fans")]
    async fn erase(
        &self,
        auth: TenantAuth<EventErase>,
        /// The account's appid.
        appid: Path<AppidText>,
        input: Input<NewErasure>,
    ) -> Result<Json<ErasureView>> {
        let (appid, caller) = (authorizer_appid(&appid)?, auth.caller());
        let erased = match input.0.openid.as_deref() {
            Some(openid) => self.erasures.erase_fan(caller, &appid, openid).await?,
            None => self.erasures.erase_authorizer(caller, &appid).await?,
        };
        Ok(Json(ErasureView { erased }))
    }
}
