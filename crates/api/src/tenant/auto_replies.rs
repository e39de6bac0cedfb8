//! What accounts answer by themselves, without a server of the tenant's.

mod rule;

use lingpai_model::auto_reply::AutoReplies;
use lingpai_webhook::AutoReplyRules;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};

use self::rule::RuleView;
use super::{Group, authorizer_appid};
use crate::{
    answer::NoContent,
    auth::{EndpointWrite, EventRead, TenantAuth},
    input::Input,
    parameter::AppidText,
    problem::{Problem, Result},
};

pub(crate) struct AutoRepliesApi {
    pub(super) auto_replies: AutoReplyRules,
}

/// What an account is to answer by itself.
#[derive(Debug, Object)]
#[oai(rename = "NewAutoReplies", example)]
struct NewAutoReplies {
    /// The rules, in the order in which they are tried: the first that fits replies.
    #[oai(validator(max_items = 100))]
    rules: Vec<RuleView>,
}

impl Example for NewAutoReplies {
    fn example() -> Self {
        Self { rules: vec![RuleView::example()] }
    }
}

impl TryFrom<NewAutoReplies> for AutoReplies {
    type Error = Problem;

    fn try_from(input: NewAutoReplies) -> Result<Self> {
        let rules = input.rules.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| {
            rule.parsed().map_err(|fault| {
                Problem::invalid_field(format!("rules[{index}].{}", fault.field), fault.says)
            })
        });
        Ok(Self { rules: rules.collect::<Result<_>>()? })
    }
}

/// What an account answers by itself.
#[derive(Debug, Object)]
#[oai(rename = "AutoReplies", example)]
struct AutoRepliesView {
    /// The rules, in the order in which they are tried: the first that fits replies.
    rules: Vec<RuleView>,
}

impl Example for AutoRepliesView {
    fn example() -> Self {
        Self { rules: NewAutoReplies::example().rules }
    }
}

impl From<AutoReplies> for AutoRepliesView {
    fn from(replies: AutoReplies) -> Self {
        Self { rules: replies.rules.into_iter().map(RuleView::from).collect() }
    }
}

#[OpenApi(tag = "Group::AutoReplies")]
impl AutoRepliesApi {
    /// Set what an account answers by itself.
    ///
    /// In place of what it answered before. A rule that fits replies before any endpoint is asked; the
    /// message is an event and is delivered all the same. Within seconds it holds everywhere. What a
    /// mini program replies goes to the fan as a customer-service message, since WeChat takes no
    /// content from it as the answer to a push. Needs the scope `endpoint:write`.
    #[oai(
        path = "/authorizers/:appid/auto-replies",
        method = "put",
        operation_id = "set_auto_replies"
    )]
    async fn put(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The account's appid.
        appid: Path<AppidText>,
        input: Input<NewAutoReplies>,
    ) -> Result<Json<AutoRepliesView>> {
        let (appid, replies) = (authorizer_appid(&appid)?, AutoReplies::try_from(input.0)?);
        self.auto_replies.put(auth.caller(), &appid, replies.clone()).await?;
        Ok(Json(replies.into()))
    }

    /// Look what an account answers by itself.
    ///
    /// Without rules it answers nothing. Needs the scope `event:read`.
    #[oai(
        path = "/authorizers/:appid/auto-replies",
        method = "get",
        operation_id = "get_auto_replies"
    )]
    async fn get(
        &self,
        auth: TenantAuth<EventRead>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<Json<AutoRepliesView>> {
        let replies = self.auto_replies.get(auth.scope(), &authorizer_appid(&appid)?).await?;
        Ok(Json(replies.into()))
    }

    /// Have an account answer nothing by itself.
    ///
    /// All its rules are removed. Needs the scope `endpoint:write`.
    #[oai(
        path = "/authorizers/:appid/auto-replies",
        method = "delete",
        operation_id = "remove_auto_replies"
    )]
    async fn remove(
        &self,
        auth: TenantAuth<EndpointWrite>,
        /// The account's appid.
        appid: Path<AppidText>,
    ) -> Result<NoContent> {
        self.auto_replies.remove(auth.caller(), &authorizer_appid(&appid)?).await?;
        Ok(NoContent)
    }
}
