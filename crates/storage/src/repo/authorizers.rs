//! Authorizers: accounts that granted to a component, or are connected by their own secret.

mod filter;
mod row;

use lingpai_model::{
    Appid, Instant,
    authorizer::Authorizer,
    caller::TenantScope,
    id::{AuthorizerId, ComponentId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
    sea_query::Expr,
};

pub use self::filter::{AuthorizerFilter, Claim, SystemAuthorizerFilter};
use self::row::record;
pub(crate) use self::row::row;
use super::{AuthorizerRepo, Reader, Write, page};
use crate::{
    cache::Changed,
    entity::authorizers::{Column, Entity},
    error::{Error, Result},
};

impl<A> AuthorizerRepo<'_, A> {
    /// The tenant's authorizer with this appid. If it granted to several components, the one that
    /// is active comes first, then the newest grant.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Inconsistent`].
    pub async fn get(&self, scope: &TenantScope, appid: &Appid) -> Result<Authorizer> {
        let rows = Entity::find()
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .filter(Column::Appid.eq(appid.as_str()))
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("read an authorizer"))?;
        let best = rows.into_iter().max_by_key(|row| (row.state == "active", row.granted_at));
        record(&best.ok_or_else(|| Error::not_found("authorizer", appid))?)
    }

    /// The tenant's authorizers, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        filter: &AuthorizerFilter,
        request: &PageRequest,
    ) -> Result<Page<Authorizer>> {
        let own = Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        self.page(own.filter(filter.condition()), request).await
    }

    /// The authorizers of all tenants and of none, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_page(
        &self,
        filter: &SystemAuthorizerFilter,
        request: &PageRequest,
    ) -> Result<Page<Authorizer>> {
        self.page(Entity::find().filter(filter.condition()), request).await
    }

    /// How many authorizers there are in each state, as
    /// [`lingpai_model::authorizer::AuthorizerState::as_str`] writes it. States without any are left
    /// out.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_count_by_state(&self) -> Result<Vec<(String, u64)>> {
        let counts: Vec<(String, i64)> = Entity::find()
            .select_only()
            .column(Column::State)
            .column_as(Column::Id.count(), "authorizers")
            .group_by(Column::State)
            .order_by_asc(Column::State)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("count authorizers"))?;
        let count = |(state, count): (String, i64)| {
            let count =
                Reader { table: "authorizers", key: &state }.parsed(u64::try_from(count))?;
            Ok((state, count))
        };
        counts.into_iter().map(count).collect()
    }

    /// How many authorizers of all tenants and of none match `filter`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_count(&self, filter: &SystemAuthorizerFilter) -> Result<u64> {
        let rows = Entity::find().filter(filter.condition());
        rows.count(&self.at.conn).await.map_err(self.at.failed("count authorizers"))
    }

    /// The component's authorizer with this appid, whoever owns it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_find(
        &self,
        component: &ComponentId,
        appid: &Appid,
    ) -> Result<Option<Authorizer>> {
        let row = grant(component, appid)
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read an authorizer"))?;
        row.as_ref().map(record).transpose()
    }

    /// The authorizers with these ids, in no order.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list(&self, ids: &[AuthorizerId]) -> Result<Vec<Authorizer>> {
        let rows = Entity::find().filter(Column::Id.is_in(ids.iter().map(AuthorizerId::as_str)));
        self.all("read authorizers", rows).await
    }

    /// Every connection of the appid that has an owner, in no order; with `component`, only that to
    /// this component.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list_connected(
        &self,
        appid: &Appid,
        component: Option<&Appid>,
    ) -> Result<Vec<Authorizer>> {
        let mut rows = Entity::find()
            .filter(Column::Appid.eq(appid.as_str()))
            .filter(Column::TenantId.is_not_null());
        if let Some(component) = component {
            rows = rows.filter(Column::ComponentAppid.eq(component.as_str()));
        }
        self.all("read the connections of an account", rows).await
    }

    /// Those of the component's authorizers that have one of these appids, in no order.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list_by_appid(
        &self,
        component: &ComponentId,
        appids: &[&Appid],
    ) -> Result<Vec<Authorizer>> {
        let rows = Entity::find()
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::Appid.is_in(appids.iter().map(|appid| appid.as_str())));
        self.all("read authorizers", rows).await
    }

    /// Up to `limit` authorizers of the component whose grant should stand and that WeChat's list
    /// has not told of since `since`, the first by id behind `after`. Later grants are left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_list_unlisted(
        &self,
        component: &ComponentId,
        since: Instant,
        after: Option<&AuthorizerId>,
        limit: u64,
    ) -> Result<Vec<Authorizer>> {
        let since = since.timestamp_millis();
        let mut rows = Entity::find()
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::State.ne("revoked"))
            .filter(Column::GrantedAt.lt(since))
            .filter(
                Condition::any().add(Column::ListedAt.is_null()).add(Column::ListedAt.lt(since)),
            );
        if let Some(after) = after {
            rows = rows.filter(Column::Id.gt(after.as_str()));
        }
        let rows = rows.order_by_asc(Column::Id).limit(limit);
        self.all("list authorizers that WeChat does not list", rows).await
    }

    async fn page(&self, rows: Select<Entity>, request: &PageRequest) -> Result<Page<Authorizer>> {
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list authorizers"))?;
        let records = rows.iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |authorizer| authorizer.id.as_str()))
    }

    async fn all(&self, what: &'static str, rows: Select<Entity>) -> Result<Vec<Authorizer>> {
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed(what))?;
        rows.iter().map(record).collect()
    }
}

/// One account's grant to one component.
fn grant(component: &ComponentId, appid: &Appid) -> Select<Entity> {
    Entity::find()
        .filter(Column::ComponentId.eq(component.as_str()))
        .filter(Column::Appid.eq(appid.as_str()))
}

impl AuthorizerRepo<'_, Write> {
    /// The component's authorizer with this appid, which nobody else changes until this transaction
    /// ends. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_lock(
        &self,
        component: &ComponentId,
        appid: &Appid,
    ) -> Result<Option<Authorizer>> {
        let row = grant(component, appid)
            .lock_exclusive()
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("lock an authorizer"))?;
        row.as_ref().map(record).transpose()
    }

    /// The authorizer with this id, whoever owns it, which nobody else changes until this transaction
    /// ends. SQLite has one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_lock_by_id(&self, id: &AuthorizerId) -> Result<Option<Authorizer>> {
        let row = Entity::find_by_id(id.as_str()).lock_exclusive().one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("lock an authorizer"))?;
        row.as_ref().map(record).transpose()
    }

    /// The authorizer with this id, whoever owns it, which nobody changes until this transaction ends,
    /// while others may hold it so as well. Do not change it in the same transaction: two who do wait
    /// for each other.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_share_by_id(&self, id: &AuthorizerId) -> Result<Option<Authorizer>> {
        let row = Entity::find().from_raw_sql(self.at.sharing(Entity::find_by_id(id.as_str())));
        let row = row.one(&self.at.conn).await.map_err(self.at.failed("share an authorizer"))?;
        row.as_ref().map(record).transpose()
    }

    /// Adds an authorizer.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the account granted to this component before or the id is taken;
    /// [`Error::Unavailable`].
    pub async fn system_insert(&self, authorizer: &Authorizer) -> Result<()> {
        self.forget(authorizer.tenant_id.as_ref(), &authorizer.appid);
        self.forget_account(authorizer);
        self.at.insert_new("add an authorizer", "authorizer", row(authorizer)).await
    }

    /// Notes that WeChat's list told of these authorizers at `at`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_mark_listed(&self, ids: &[AuthorizerId], at: Instant) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::ListedAt, Expr::val(at.timestamp_millis()))
            .filter(Column::Id.is_in(ids.iter().map(AuthorizerId::as_str)))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("note that authorizers are listed"))
            .map(drop)
    }

    /// Writes everything that can change of an authorizer: all but its id, connection, appid and
    /// first grant.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a newer grant was stored meanwhile; [`Error::NotFound`],
    /// [`Error::Unavailable`].
    pub async fn system_update(&self, authorizer: &Authorizer) -> Result<()> {
        let what = "update an authorizer";
        let owner: Option<Option<String>> = Entity::find_by_id(authorizer.id.as_str())
            .select_only()
            .column(Column::TenantId)
            .into_tuple()
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let owner = owner.ok_or_else(|| Error::not_found("authorizer", &authorizer.id))?;
        let owner = owner.and_then(|owner| TenantId::parse(&owner).ok());
        self.forget(owner.as_ref(), &authorizer.appid);
        self.forget(authorizer.tenant_id.as_ref(), &authorizer.appid);
        self.forget_account(authorizer);

        let mut changed = row(authorizer).into_active_model().reset_all();
        let fixed = [
            Column::Id,
            Column::Connection,
            Column::ComponentId,
            Column::ComponentAppid,
            Column::Appid,
            Column::ListedAt,
            Column::CreatedAt,
        ];
        for column in fixed {
            changed.not_set(column);
        }
        let updated = Entity::update_many()
            .set(changed)
            .filter(Column::Id.eq(authorizer.id.as_str()))
            .filter(Column::Generation.lte(authorizer.generation))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        if updated.rows_affected == 1 {
            Ok(())
        } else {
            Err(Error::Fenced { key: authorizer.id.to_string() })
        }
    }

    fn forget_account(&self, authorizer: &Authorizer) {
        let component = authorizer.connection.component_id().cloned();
        let appid = authorizer.appid.clone();
        self.at.changed(Changed::Account(authorizer.id.clone(), component, appid));
    }

    fn forget(&self, owner: Option<&TenantId>, appid: &Appid) {
        if let Some(tenant) = owner {
            self.at.changed(Changed::Authorizer(tenant.clone(), appid.clone()));
        }
    }
}
