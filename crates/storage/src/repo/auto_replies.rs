//! What accounts answer by themselves. The rules are their owner's: another one, later, has none
//! until it sets its own.

use lingpai_model::{
    Instant,
    auto_reply::{AutoReplies, AutoReply, Reply, Trigger},
    caller::TenantScope,
    id::AuthorizerId,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QuerySelect as _,
    QueryTrait as _, sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};

use super::{AutoReplyRepo, Reader, Write};
use crate::{
    cache::Changed,
    entity::{
        authorizers,
        auto_replies::{self, Column, Entity},
    },
    error::{Error, Result},
};

impl<A> AutoReplyRepo<'_, A> {
    /// What the tenant's authorizer answers by itself: no rules if the tenant set none.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn get(&self, scope: &TenantScope, authorizer: &AuthorizerId) -> Result<AutoReplies> {
        let row = Entity::find_by_id(authorizer.as_str())
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read automatic replies"))?;
        row.as_ref().map_or_else(|| Ok(AutoReplies::default()), record)
    }

    /// What the authorizer answers by itself: no rules if its present owner set none.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_get(&self, authorizer: &AuthorizerId) -> Result<AutoReplies> {
        let owner = authorizers::Entity::find_by_id(authorizer.as_str())
            .select_only()
            .column(authorizers::Column::TenantId)
            .into_query();
        let row = Entity::find_by_id(authorizer.as_str())
            .filter(Column::TenantId.in_subquery(owner))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read automatic replies"))?;
        row.as_ref().map_or_else(|| Ok(AutoReplies::default()), record)
    }
}

impl AutoReplyRepo<'_, Write> {
    /// Sets what the tenant's authorizer answers by itself, in place of what was set before.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing authorizer and another tenant's;
    /// [`Error::Unavailable`].
    pub async fn put(
        &self,
        scope: &TenantScope,
        authorizer: &AuthorizerId,
        replies: &AutoReplies,
        at: Instant,
    ) -> Result<()> {
        let what = "set automatic replies";
        let owned = authorizers::Entity::find_by_id(authorizer.as_str())
            .filter(authorizers::Column::TenantId.eq(scope.tenant_id().as_str()))
            .lock_exclusive();
        let owned = owned.one(&self.at.conn).await.map_err(self.at.failed(what))?;
        owned.ok_or_else(|| Error::not_found("authorizer", authorizer))?;
        self.at.changed(Changed::AutoReplies(authorizer.clone()));
        let row = auto_replies::Model {
            authorizer_id: authorizer.as_str().to_owned(),
            tenant_id: scope.tenant_id().to_string(),
            rules_json: json(replies),
            updated_at: at.timestamp_millis(),
        };
        let mut again = OnConflict::column(Column::AuthorizerId);
        again.update_columns([Column::TenantId, Column::RulesJson, Column::UpdatedAt]);
        Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(&self.at.conn)
            .await
            .map_err(self.at.failed(what))
            .map(drop)
    }

    /// Removes what the tenant's authorizer answers by itself. `false` when the tenant had set
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete(&self, scope: &TenantScope, authorizer: &AuthorizerId) -> Result<bool> {
        self.at.changed(Changed::AutoReplies(authorizer.clone()));
        let deleted = Entity::delete_by_id(authorizer.as_str())
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("remove automatic replies"))?;
        Ok(deleted.rows_affected == 1)
    }
}

/// A rule as its column keeps it, and as the API writes it.
#[derive(Serialize, Deserialize)]
struct RuleJson {
    #[serde(flatten)]
    trigger: TriggerJson,
    reply: Reply,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
enum TriggerJson {
    Subscribe,
    MenuClick { key: String },
    Keyword { words: Vec<String> },
    Containing { words: Vec<String> },
    AnyMessage,
}

impl From<&Trigger> for TriggerJson {
    fn from(trigger: &Trigger) -> Self {
        match trigger {
            Trigger::Subscribe => Self::Subscribe,
            Trigger::MenuClick { key } => Self::MenuClick { key: key.clone() },
            Trigger::Keyword { words } => Self::Keyword { words: words.clone() },
            Trigger::Containing { words } => Self::Containing { words: words.clone() },
            Trigger::AnyMessage => Self::AnyMessage,
        }
    }
}

impl From<TriggerJson> for Trigger {
    fn from(trigger: TriggerJson) -> Self {
        match trigger {
            TriggerJson::Subscribe => Self::Subscribe,
            TriggerJson::MenuClick { key } => Self::MenuClick { key },
            TriggerJson::Keyword { words } => Self::Keyword { words },
            TriggerJson::Containing { words } => Self::Containing { words },
            TriggerJson::AnyMessage => Self::AnyMessage,
        }
    }
}

/// About how many bytes they take.
pub(crate) fn bytes(replies: &AutoReplies) -> usize {
    json(replies).len() + replies.rules.len() * size_of::<AutoReply>()
}

fn json(replies: &AutoReplies) -> String {
    let rules = replies.rules.iter();
    let rules: Vec<RuleJson> = rules
        .map(|rule| RuleJson { trigger: (&rule.trigger).into(), reply: rule.reply.clone() })
        .collect();
    serde_json::to_string(&rules).expect("texts and lists of texts are always JSON")
}

fn record(row: &auto_replies::Model) -> Result<AutoReplies> {
    let read = Reader { table: "auto_replies", key: &row.authorizer_id };
    let rules: Vec<RuleJson> = read.json(&row.rules_json)?;
    let rules = rules
        .into_iter()
        .map(|rule| AutoReply { trigger: rule.trigger.into(), reply: rule.reply })
        .collect();
    Ok(AutoReplies { rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_as_the_api_writes_them() {
        let keyword = Trigger::Keyword { words: vec!["价格".to_owned()] };
        let reply = Reply::Text { content: "¥ 1".to_owned() };
        let replies = AutoReplies { rules: vec![AutoReply { trigger: keyword, reply }] };
        assert_eq!(
            json(&replies),
            r#"[{"on":"keyword","words":["价格"],"reply":{"type":"text","content":"¥ 1"}}]"#
        );
    }
}
