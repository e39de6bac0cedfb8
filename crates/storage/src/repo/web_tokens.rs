//! Whose web OAuth tokens there are. The tokens themselves stand where all tokens do.

use std::time::Duration;

use lingpai_model::{
    Instant,
    id::{AuthorizerId, WebTokenId},
    web_token::{WebGrant, WebTokenOwner},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, JoinType, QueryFilter as _, QuerySelect as _, RelationDef, Select,
    sea_query::Expr,
};

use super::{Reader, WebTokenRepo, Write};
use crate::{
    db::millis,
    entity::{
        authorizers,
        web_tokens::{self, Column, Entity},
    },
    error::Result,
};

impl<A> WebTokenRepo<'_, A> {
    /// The fan's grant of this scope to the authorizer.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_find(&self, owner: &WebTokenOwner) -> Result<Option<WebGrant>> {
        let row = of_fan(&owner.authorizer_id, &owner.openid)
            .filter(Column::Scope.eq(&owner.scope))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read whose a web token is"))?;
        row.map(record).transpose()
    }

    /// The grant with this id, whoever's it is.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_find_by_id(&self, id: &WebTokenId) -> Result<Option<WebGrant>> {
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read whose a web token is"))?;
        row.map(record).transpose()
    }

    /// All that the fan granted to the authorizer.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_list(
        &self,
        authorizer: &AuthorizerId,
        openid: &str,
    ) -> Result<Vec<WebGrant>> {
        let rows = of_fan(authorizer, openid).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list a fan's web tokens"))?;
        rows.into_iter().map(record).collect()
    }

    /// Some of what fans granted to the authorizer: at most `limit`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn system_list_some(
        &self,
        authorizer: &AuthorizerId,
        limit: u64,
    ) -> Result<Vec<WebGrant>> {
        let rows = Entity::find()
            .filter(Column::AuthorizerId.eq(authorizer.as_str()))
            .limit(limit)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list an account's web tokens"))?;
        rows.into_iter().map(record).collect()
    }

    /// Some of what fans had granted to accounts before these were last released: at most `limit`.
    /// `life` is how long a grant lasts. What cannot be read is logged and left out.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_list_given_up(&self, life: Duration, limit: u64) -> Result<Vec<WebGrant>> {
        let account: RelationDef = Entity::belongs_to(authorizers::Entity)
            .from(Column::AuthorizerId)
            .to(authorizers::Column::Id)
            .into();
        let released_at = Expr::col((authorizers::Entity, authorizers::Column::ReleasedAt));
        let rows = Entity::find()
            .join(JoinType::InnerJoin, account)
            .filter(released_at.clone().is_not_null())
            .filter(released_at.gte(Expr::col((Entity, Column::RefreshUntil)).sub(millis(life))))
            .limit(limit)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list web tokens of released accounts"))?;
        Ok(readable(rows))
    }

    /// Some of the grants that ended before `before`: at most `limit`. What cannot be read is logged and
    /// left out.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_list_ended(&self, before: Instant, limit: u64) -> Result<Vec<WebGrant>> {
        let rows = Entity::find()
            .filter(Column::RefreshUntil.lt(before.timestamp_millis()))
            .limit(limit)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list web tokens that have ended"))?;
        Ok(readable(rows))
    }
}

impl WebTokenRepo<'_, Write> {
    /// Adds a grant, or brings one up to date: all but its id and its owner. `false` when it is there
    /// already with a later end: it stays as it is.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`] when another grant of the same scope is there;
    /// [`crate::Error::Unavailable`].
    pub async fn system_upsert(&self, grant: &WebGrant, at: Instant) -> Result<bool> {
        let row = row(grant, at);
        let mut changed = row.clone().into_active_model().reset_all();
        for column in
            [Column::Id, Column::AuthorizerId, Column::Openid, Column::Scope, Column::CreatedAt]
        {
            changed.not_set(column);
        }
        let updated = Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(grant.id.as_str()))
            .filter(Column::RefreshUntil.lte(grant.refresh_until.timestamp_millis()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("renew a web grant"))?;
        if updated.rows_affected == 1 {
            return Ok(true);
        }
        let newer = Entity::find_by_id(grant.id.as_str()).one(&self.at.conn).await;
        if newer.map_err(self.at.failed("renew a web grant"))?.is_some() {
            return Ok(false);
        }
        self.at.insert_new("add a web grant", "web grant", row).await.map(|()| true)
    }

    /// Erases a grant.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_erase(&self, id: &WebTokenId) -> Result<()> {
        let erased = Entity::delete_by_id(id.as_str()).exec(&self.at.conn).await;
        erased.map_err(self.at.failed("erase a web grant")).map(drop)
    }

    /// Erases a grant that ends at `refresh_until`; `false` when there is none, or the fan has renewed
    /// it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_erase_if(&self, id: &WebTokenId, refresh_until: Instant) -> Result<bool> {
        let erased = Entity::delete_by_id(id.as_str())
            .filter(Column::RefreshUntil.eq(refresh_until.timestamp_millis()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("erase a web grant"))?;
        Ok(erased.rows_affected == 1)
    }
}

fn of_fan(authorizer: &AuthorizerId, openid: &str) -> Select<Entity> {
    Entity::find()
        .filter(Column::AuthorizerId.eq(authorizer.as_str()))
        .filter(Column::Openid.eq(openid))
}

fn row(grant: &WebGrant, at: Instant) -> web_tokens::Model {
    let at = at.timestamp_millis();
    web_tokens::Model {
        id: grant.id.as_str().to_owned(),
        authorizer_id: grant.owner.authorizer_id.as_str().to_owned(),
        openid: grant.owner.openid.clone(),
        scope: grant.owner.scope.clone(),
        unionid: grant.unionid.clone(),
        refresh_until: grant.refresh_until.timestamp_millis(),
        created_at: at,
        updated_at: at,
    }
}

/// The grants that can be read: one that cannot holds up no other.
fn readable(rows: Vec<web_tokens::Model>) -> Vec<WebGrant> {
    let grants = rows.into_iter().filter_map(|row| {
        let id = row.id.clone();
        let read = record(row);
        read.inspect_err(|error| {
            tracing::error!(web_grant.id = id, %error, "web grant {id} cannot be read");
        })
        .ok()
    });
    grants.collect()
}

fn record(row: web_tokens::Model) -> Result<WebGrant> {
    let read = Reader { table: "web_tokens", key: &row.id };
    Ok(WebGrant {
        id: read.parsed(WebTokenId::parse(&row.id))?,
        refresh_until: read.instant(row.refresh_until)?,
        owner: WebTokenOwner {
            authorizer_id: read.parsed(AuthorizerId::parse(&row.authorizer_id))?,
            openid: row.openid,
            scope: row.scope,
        },
        unionid: row.unionid,
    })
}
