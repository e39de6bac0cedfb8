//! Calls that concern the component itself: ticket, token, pre-auth code.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Answer, AnswerError, Call, done, field, lifetime, needed_token, parse};
use crate::secret::Secret;

/// How long WeChat honours a `component_verify_ticket`, counted from its `CreateTime`.
///
/// Source: WeChat docs, "Verification ticket" (component_verify_ticket): valid for 12 hours.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Asks WeChat to push tickets (again). It takes no token, so it always works.
///
/// Source: WeChat docs, "Start pushing the ticket" (api_start_push_ticket).
pub const START_PUSH_TICKET: Call =
    Call { name: "api_start_push_ticket", path: "/cgi-bin/component/api_start_push_ticket" };

/// Turns ticket and secret into the component's access token.
///
/// Source: WeChat docs, "Get component_access_token" (api_component_token).
pub const COMPONENT_TOKEN: Call =
    Call { name: "api_component_token", path: "/cgi-bin/component/api_component_token" };

/// Gets the code that one authorization begins with.
///
/// Source: WeChat docs, "Get pre_auth_code" (api_create_preauthcode).
pub const CREATE_PREAUTHCODE: Call =
    Call { name: "api_create_preauthcode", path: "/cgi-bin/component/api_create_preauthcode" };

/// Body of [`START_PUSH_TICKET`].
#[derive(Serialize)]
pub struct StartPushTicketRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// Its app secret. Named `component_secret` in this one call.
    pub component_secret: &'a str,
}

/// Body of [`COMPONENT_TOKEN`].
#[derive(Serialize)]
pub struct ComponentTokenRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
    /// Its app secret.
    pub component_appsecret: &'a str,
    /// A ticket that is not older than twelve hours.
    pub component_verify_ticket: &'a str,
}

/// Body of [`CREATE_PREAUTHCODE`].
#[derive(Serialize)]
pub struct CreatePreauthcodeRequest<'a> {
    /// The component.
    pub component_appid: &'a str,
}

/// Answer of [`START_PUSH_TICKET`]: WeChat pushes, or pushed all along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushTicketStarted;

impl Answer for PushTicketStarted {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        done(json).map(|()| Self)
    }
}

/// Answer of [`COMPONENT_TOKEN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentAccessToken {
    /// The token.
    pub component_access_token: Secret<String>,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

impl Answer for ComponentAccessToken {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            component_access_token: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            expires_in: Option<i64>,
        }
        let wire: Wire = parse(json)?;
        Ok(Self {
            component_access_token: needed_token(wire.component_access_token)?,
            expires_in: lifetime(wire.expires_in)?,
        })
    }
}

/// Answer of [`CREATE_PREAUTHCODE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreAuthCode {
    /// The code.
    pub pre_auth_code: Secret<String>,
    /// How long it lives from now on: the text says 1800 s, examples 600, so only this counts.
    pub expires_in: Duration,
}

impl Answer for PreAuthCode {
    fn read(json: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            pre_auth_code: Option<String>,
            #[serde(default, deserialize_with = "field::integer")]
            expires_in: Option<i64>,
        }
        let wire: Wire = parse(json)?;
        Ok(Self {
            pre_auth_code: needed_token(wire.pre_auth_code)?,
            expires_in: lifetime(wire.expires_in)?,
        })
    }
}
