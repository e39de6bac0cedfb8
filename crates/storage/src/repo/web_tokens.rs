//! Whose web OAuth tokens there are. The tokens themselves stand where all tokens do.

use lingpai_model::{
    Instant,
    id::{AuthorizerId, WebTokenId},
    web_token::{WebGrant, WebTokenOwner},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QuerySelect as _, Select,
};

use super::{Reader, WebTokenRepo, Write};
use crate::{
    entity::web_tokens::{self, Column, Entity},
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
}

impl WebTokenRepo<'_, Write> {
    /// Adds a grant, or brings one up to date: all but its id and its owner.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`] when another grant of the same scope is there;
    /// [`crate::Error::Unavailable`].
    pub async fn system_upsert(&self, grant: &WebGrant, at: Instant) -> Result<()> {
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
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("renew a web grant"))?;
        if updated.rows_affected == 1 {
            return Ok(());
        }
        self.at.insert_new("add a web grant", "web grant", row).await
    }

    /// Erases a grant.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn system_erase(&self, id: &WebTokenId) -> Result<()> {
        let erased = Entity::delete_by_id(id.as_str()).exec(&self.at.conn).await;
        erased.map_err(self.at.failed("erase a web grant")).map(drop)
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
