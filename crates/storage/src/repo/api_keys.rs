//! API keys of tenants.

use lingpai_model::{
    Instant,
    api_key::{ApiKey, PreviousKey, Scope},
    id::{ApiKeyId, TenantId},
    network::Network,
    page::{Page, PageRequest},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, QueryFilter as _, QuerySelect as _, Select, sea_query::Expr,
};

use super::{ApiKeyRepo, Reader, Write, page, text};
use crate::{
    cache::Changed,
    entity::api_keys::{self, Column},
    error::{Error, Result},
};

impl<A> ApiKeyRepo<'_, A> {
    /// The key with this id, revoked or not. For authentication, which knows no tenant yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_find(&self, id: &ApiKeyId) -> Result<Option<ApiKey>> {
        let row = api_keys::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        row.map_err(self.at.failed("read an API key"))?.map(record).transpose()
    }

    /// The key of this tenant with this id, revoked or not. Operators ask this, so it takes an id,
    /// not a scope.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Inconsistent`].
    pub async fn system_get_for(&self, tenant: &TenantId, id: &ApiKeyId) -> Result<ApiKey> {
        let row = of(tenant, id).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an API key"))?;
        record(row.ok_or_else(|| Error::not_found("API key", id))?)
    }

    /// The keys of one tenant, the oldest first. Operators ask this, so it takes an id, not a scope.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn list(&self, tenant: &TenantId, request: &PageRequest) -> Result<Page<ApiKey>> {
        let rows = api_keys::Entity::find().filter(Column::TenantId.eq(tenant.as_str()));
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list API keys"))?;
        let keys = rows.into_iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(keys, request, |key| key.id.as_str()))
    }
}

fn of(tenant: &TenantId, id: &ApiKeyId) -> Select<api_keys::Entity> {
    api_keys::Entity::find_by_id(id.as_str()).filter(Column::TenantId.eq(tenant.as_str()))
}

impl ApiKeyRepo<'_, Write> {
    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn insert(&self, key: &ApiKey) -> Result<()> {
        self.at.changed(Changed::ApiKey(key.id.clone()));
        self.at.insert_new("add an API key", "API key", row(key)).await
    }

    /// The key of this tenant with this id, which nobody else changes until this transaction ends.
    /// SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn lock(&self, tenant: &TenantId, id: &ApiKeyId) -> Result<Option<ApiKey>> {
        let row = of(tenant, id).lock_exclusive().one(&self.at.conn).await;
        row.map_err(self.at.failed("lock an API key"))?.map(record).transpose()
    }

    /// Writes what an operator can change of a key: all but its id and tenant, when it was created
    /// and last used, and whether it is revoked.
    ///
    /// # Errors
    /// [`Error::NotFound`] when its tenant has no such key; [`Error::Unavailable`].
    pub async fn update(&self, key: &ApiKey) -> Result<()> {
        self.at.changed(Changed::ApiKey(key.id.clone()));
        let mut changed = row(key).into_active_model().reset_all();
        let fixed = [
            Column::Id,
            Column::TenantId,
            Column::LastUsedAt,
            Column::CreatedAt,
            Column::RevokedAt,
        ];
        for column in fixed {
            changed.not_set(column);
        }
        let updated = api_keys::Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(key.id.as_str()))
            .filter(Column::TenantId.eq(key.tenant_id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("update an API key"))?;
        match updated.rows_affected {
            1 => Ok(()),
            _ => Err(Error::not_found("API key", &key.id)),
        }
    }

    /// Notes when keys were last used; of two instants the later one stays. Keys that are not there
    /// are passed over. What is cached of them stays as it is: nobody is admitted by it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn touch(&self, used: &[(ApiKeyId, Instant)]) -> Result<()> {
        let mut used: Vec<_> = used.iter().collect();
        // In one order, so that two instances do not wait for each other.
        used.sort_unstable();
        for (id, at) in used {
            let at = at.timestamp_millis();
            let earlier =
                Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(at));
            api_keys::Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::val(at))
                .filter(Column::Id.eq(id.as_str()))
                .filter(earlier)
                .exec(&self.at.conn)
                .await
                .map_err(self.at.failed("note when a key was used"))?;
        }
        Ok(())
    }

    /// Revokes a key of this tenant; one that was revoked before stays as it was. `false` when the
    /// tenant has no such key.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn mark_revoked(
        &self,
        tenant: &TenantId,
        id: &ApiKeyId,
        revoked_at: Instant,
    ) -> Result<bool> {
        self.at.changed(Changed::ApiKey(id.clone()));
        let revoked_at = Expr::col(Column::RevokedAt).if_null(revoked_at.timestamp_millis());
        let updated = api_keys::Entity::update_many()
            .col_expr(Column::RevokedAt, revoked_at)
            .filter(Column::Id.eq(id.as_str()))
            .filter(Column::TenantId.eq(tenant.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("revoke an API key"))?;
        Ok(updated.rows_affected == 1)
    }
}

fn row(key: &ApiKey) -> api_keys::Model {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
    let networks: Vec<String> = key.networks.iter().map(ToString::to_string).collect();
    let previous = key.previous.as_ref();
    let millis = |at: Instant| at.timestamp_millis();
    api_keys::Model {
        id: key.id.as_str().to_owned(),
        tenant_id: key.tenant_id.as_str().to_owned(),
        name: text(&key.name),
        key_digest: key.key_digest.to_hex(),
        previous_digest: previous.map(|previous| previous.digest.to_hex()),
        previous_until: previous.map(|previous| millis(previous.until)),
        scopes_json: serde_json::to_string(&scopes).expect("words are always JSON"),
        networks_json: (!networks.is_empty())
            .then(|| serde_json::to_string(&networks).expect("words are always JSON")),
        requests_per_second: key.requests_per_second.map(i64::from),
        expires_at: key.expires_at.map(millis),
        last_used_at: key.last_used_at.map(millis),
        created_at: millis(key.created_at),
        revoked_at: key.revoked_at.map(millis),
    }
}

fn record(row: api_keys::Model) -> Result<ApiKey> {
    let read = Reader { table: "api_keys", key: &row.id };
    let scopes: Vec<String> = read.json(&row.scopes_json)?;
    Ok(ApiKey {
        id: read.parsed(ApiKeyId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        key_digest: read.digest(&row.key_digest)?,
        previous: previous(&read, &row)?,
        // A scope that only a newer program knows opens nothing here.
        scopes: scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
        networks: networks(&read, row.networks_json.as_deref())?,
        requests_per_second: read.count_if_any(row.requests_per_second)?,
        expires_at: read.instant_if_any(row.expires_at)?,
        last_used_at: read.instant_if_any(row.last_used_at)?,
        created_at: read.instant(row.created_at)?,
        revoked_at: read.instant_if_any(row.revoked_at)?,
        name: row.name,
    })
}

fn previous(read: &Reader<'_>, row: &api_keys::Model) -> Result<Option<PreviousKey>> {
    match (row.previous_digest.as_deref(), row.previous_until) {
        (None, None) => Ok(None),
        (Some(digest), Some(until)) => {
            Ok(Some(PreviousKey { digest: read.digest(digest)?, until: read.instant(until)? }))
        }
        _ => Err(read.fault()),
    }
}

/// A network that cannot be read is a fault: without it the key would be good from anywhere.
fn networks(read: &Reader<'_>, json: Option<&str>) -> Result<Vec<Network>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let texts: Vec<String> = read.json(json)?;
    texts.iter().map(|text| read.parsed(Network::parse(text))).collect()
}
