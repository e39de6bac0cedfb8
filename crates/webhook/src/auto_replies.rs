use lingpai_model::{
    Appid,
    audit::Action,
    auto_reply::{AutoReplies, MAX_RULES, Trigger},
    caller::{Caller, TenantScope},
    id::AuthorizerId,
};

use crate::{Error, Result, WebhookBase, audit};

/// How many words one rule has at most.
const MAX_WORDS: usize = 50;

/// How long a word or key is at most, in bytes.
///
/// Source: WeChat docs, "Custom menu" (自定义菜单): a menu's `key` has at most 128 bytes. For words it
/// is our own bound.
const MAX_WORD_BYTES: usize = 128;

/// Keeps what accounts answer by themselves.
#[derive(Debug, Clone)]
pub struct AutoReplyRules {
    base: WebhookBase,
}

impl AutoReplyRules {
    /// A service on `base`.
    #[must_use]
    pub fn new(base: WebhookBase) -> Self {
        Self { base }
    }

    /// What one of the tenant's authorizers answers by itself: no rules if none were set.
    ///
    /// # Errors
    /// [`Error::AuthorizerUnknown`] alike for a missing one and another tenant's.
    pub async fn get(&self, scope: &TenantScope, appid: &Appid) -> Result<AutoReplies> {
        let authorizer = self.authorizer(scope, appid).await?;
        Ok(self.base.db.auto_replies().get(scope, &authorizer).await?)
    }

    /// Sets what an authorizer answers by itself, in place of what was set before.
    ///
    /// # Errors
    /// [`Error::AuthorizerUnknown`]; [`Error::BadTrigger`] for rules that are too many or never fit,
    /// [`Error::BadRule`] for a reply that WeChat would not take.
    pub async fn put(&self, caller: &Caller, appid: &Appid, replies: AutoReplies) -> Result<()> {
        check(&replies)?;
        let authorizer = self.authorizer(&caller.scope, appid).await?;
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        match tx.auto_replies().put(&caller.scope, &authorizer, &replies, now).await {
            Err(lingpai_storage::Error::NotFound { .. }) => return Err(unknown(appid)),
            other => other?,
        }
        let done = (Action::AutoRepliesChanged, appid.as_str());
        audit::append(&tx, &caller.act(), done, (now, &self.base.entropy)).await?;
        Ok(tx.commit().await?)
    }

    /// Removes what an authorizer answers by itself.
    ///
    /// # Errors
    /// [`Error::AuthorizerUnknown`].
    pub async fn remove(&self, caller: &Caller, appid: &Appid) -> Result<()> {
        let authorizer = self.authorizer(&caller.scope, appid).await?;
        let now = self.base.clock.now();
        let tx = self.base.db.begin().await?;
        tx.auto_replies().delete(&caller.scope, &authorizer).await?;
        let done = (Action::AutoRepliesChanged, appid.as_str());
        audit::append(&tx, &caller.act(), done, (now, &self.base.entropy)).await?;
        Ok(tx.commit().await?)
    }

    async fn authorizer(&self, scope: &TenantScope, appid: &Appid) -> Result<AuthorizerId> {
        match self.base.db.authorizers().get(scope, appid).await {
            Err(lingpai_storage::Error::NotFound { .. }) => Err(unknown(appid)),
            Err(error) => Err(error.into()),
            Ok(authorizer) => Ok(authorizer.id),
        }
    }
}

fn unknown(appid: &Appid) -> Error {
    Error::AuthorizerUnknown { appid: appid.clone() }
}

fn check(replies: &AutoReplies) -> Result<()> {
    if replies.rules.len() > MAX_RULES {
        return Err(Error::BadTrigger { why: "an account has at most 100 rules" });
    }
    for rule in &replies.rules {
        check_trigger(&rule.trigger)?;
        rule.reply.check()?;
    }
    Ok(())
}

fn check_trigger(trigger: &Trigger) -> Result<()> {
    let refused = |why| Err(Error::BadTrigger { why });
    let is_word = |word: &String| (1..=MAX_WORD_BYTES).contains(&word.len());
    match trigger {
        Trigger::MenuClick { key } if !is_word(key) => {
            refused("the key of a menu entry has 1 to 128 bytes")
        }
        Trigger::Keyword { words } | Trigger::Containing { words }
            if !(1..=MAX_WORDS).contains(&words.len()) || !words.iter().all(is_word) =>
        {
            refused("a rule has 1 to 50 words of 1 to 128 bytes each")
        }
        // A text is compared without the blanks around it.
        Trigger::Keyword { words } if words.iter().any(|word| word.trim() != word) => {
            refused("a keyword has no blanks around it")
        }
        Trigger::Subscribe
        | Trigger::AnyMessage
        | Trigger::MenuClick { .. }
        | Trigger::Keyword { .. }
        | Trigger::Containing { .. } => Ok(()),
    }
}
