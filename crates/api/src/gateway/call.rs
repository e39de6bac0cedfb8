//! Calls with a virtual token: it stands for a key and an account, and the real token takes its
//! place.

use lingpai_authorizer::Proxy;
use lingpai_model::{Appid, caller::Caller};
use lingpai_tenant::{Error, Subject, SubjectKind, VirtualCaller, VirtualTokens};
use poem::{Request, Response};

use super::{Entrance, refusal::Refusal};
use crate::{forward, problem::Problem, routes::Services};

/// Makes calls for whoever shows a virtual token.
pub(super) struct Calls {
    tokens: VirtualTokens,
    proxy: Proxy,
}

impl Calls {
    pub(super) fn new(services: &Services) -> Self {
        Self { tokens: services.virtual_tokens.clone(), proxy: services.proxy.clone() }
    }

    /// Calls `raw_path` of WeChat's as `request` asks.
    pub(super) async fn make(
        &self,
        entrance: &Entrance,
        request: Request,
        raw_path: String,
    ) -> Result<Response, Refusal> {
        let shown = shown_token(request.uri().query().unwrap_or_default());
        let shown = shown.ok_or_else(Refusal::token_missing)?;
        let verifying =
            self.tokens.authenticate(SubjectKind::Account, shown, entrance.via(&request));
        let verified = entrance.verify(verifying).await?;
        let (caller, appid) = of_account(verified.map_err(|error| refused(error, shown))?)?;
        let held = entrance.admit(&caller).await?;
        let answered = self.forwarded(entrance, (&caller, &appid), (request, raw_path)).await;
        Ok(entrance.tell(held, answered))
    }

    /// What WeChat answers the caller, who was let in.
    async fn forwarded(
        &self,
        entrance: &Entrance,
        (caller, appid): (&Caller, &Appid),
        (request, raw_path): (Request, String),
    ) -> Result<Response, Refusal> {
        let _seat = entrance.pool.seat_soon().await?;
        let call = forward::call_of(request, raw_path);
        let answered = self.proxy.call(caller, appid, call).await;
        Ok(forward::answer_of(answered.map_err(Problem::from)?))
    }
}

/// The virtual token in a raw query. Nothing needs to be decoded: a virtual token has no character
/// that is ever written otherwise.
fn shown_token(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("access_token="))
}

/// Who calls, and for which account.
fn of_account(verified: VirtualCaller) -> Result<(Caller, Appid), Refusal> {
    match verified.subject {
        Subject::Account(appid) => Ok((verified.caller, appid)),
        Subject::WebToken(_) | Subject::WebRefresh(_) => Err(Refusal::token_of_fan()),
    }
}

/// Why `shown` is not taken for an account's token.
fn refused(error: Error, shown: &str) -> Refusal {
    match error {
        Error::VirtualTokenRefused => match SubjectKind::claimed_by(shown) {
            Some(SubjectKind::WebToken | SubjectKind::WebRefresh) => Refusal::token_of_fan(),
            Some(SubjectKind::Account) | None => Refusal::token_refused(),
        },
        Error::VirtualTokenExpired => Refusal::token_expired(),
        error => Problem::from(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_taken_from_its_own_pair_only() {
        for (query, token) in [
            ("access_token=lpv_1", Some("lpv_1")),
            ("a=1&access_token=lpv_1&b=2", Some("lpv_1")),
            ("access_token=lpv_1&access_token=lpv_2", Some("lpv_1")),
            ("access_token=", Some("")),
            ("", None),
            ("access_token", None),
            ("my_access_token=lpv_1", None),
            ("component_access_token=lpv_1", None),
            ("a=access_token=lpv_1", None),
        ] {
            assert_eq!(shown_token(query), token, "{query}");
        }
    }
}
