//! Authorizers: accounts that granted to a component, or are connected by their own secret.

use lingpai_model::{
    Appid, Instant,
    authorizer::{Authorizer, AuthorizerState, Connection, Profile, ProfileKind},
    caller::TenantScope,
    id::{AuthorizerId, ComponentId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

use super::{AuthorizerRepo, Reader, Write, numbers_json, page};
use crate::{
    cache::Changed,
    entity::authorizers::{self, Column, Entity},
    error::{Error, Result},
};

/// Which authorizers a list shows: those that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizerFilter {
    /// Those that granted to this component.
    pub component_appid: Option<Appid>,
    /// Those in this state, as [`AuthorizerState::as_str`] writes it.
    pub state: Option<&'static str>,
}

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
        let mut rows = Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        if let Some(component) = &filter.component_appid {
            rows = rows.filter(Column::ComponentAppid.eq(component.as_str()));
        }
        if let Some(state) = filter.state {
            rows = rows.filter(Column::State.eq(state));
        }
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list authorizers"))?;
        let records = rows.iter().map(record).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |authorizer| authorizer.id.as_str()))
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

    /// Adds an authorizer.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the account granted to this component before or the id is taken;
    /// [`Error::Unavailable`].
    pub async fn system_insert(&self, authorizer: &Authorizer) -> Result<()> {
        self.forget(authorizer.tenant_id.as_ref(), &authorizer.appid);
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

    fn forget(&self, owner: Option<&TenantId>, appid: &Appid) {
        if let Some(tenant) = owner {
            self.at.changed(Changed::Authorizer(tenant.clone(), appid.clone()));
        }
    }
}

/// A profile as its column keeps it.
#[derive(Serialize, Deserialize)]
struct ProfileJson {
    kind: Option<String>,
    nick_name: Option<String>,
    user_name: Option<String>,
    principal_name: Option<String>,
    alias: Option<String>,
    signature: Option<String>,
    head_img: Option<String>,
    qrcode_url: Option<String>,
    service_type: Option<i64>,
    verify_type: Option<i64>,
}

impl From<&Profile> for ProfileJson {
    fn from(profile: &Profile) -> Self {
        let p = profile.clone();
        Self {
            kind: p.kind.map(|kind| kind.as_str().to_owned()),
            nick_name: p.nick_name,
            user_name: p.user_name,
            principal_name: p.principal_name,
            alias: p.alias,
            signature: p.signature,
            head_img: p.head_img,
            qrcode_url: p.qrcode_url,
            service_type: p.service_type,
            verify_type: p.verify_type,
        }
    }
}

impl From<ProfileJson> for Profile {
    fn from(json: ProfileJson) -> Self {
        Self {
            kind: json.kind.as_deref().and_then(ProfileKind::parse),
            nick_name: json.nick_name,
            user_name: json.user_name,
            principal_name: json.principal_name,
            alias: json.alias,
            signature: json.signature,
            head_img: json.head_img,
            qrcode_url: json.qrcode_url,
            service_type: json.service_type,
            verify_type: json.verify_type,
        }
    }
}

/// The row of an authorizer.
pub(crate) fn row(authorizer: &Authorizer) -> authorizers::Model {
    let state_at = match &authorizer.state {
        AuthorizerState::Active => None,
        AuthorizerState::NeedsReauthorization { since: at } | AuthorizerState::Revoked { at } => {
            Some(at.timestamp_millis())
        }
    };
    let profile = ProfileJson::from(&authorizer.profile);
    authorizers::Model {
        id: authorizer.id.as_str().to_owned(),
        connection: authorizer.connection.as_str().to_owned(),
        component_id: authorizer.connection.component_id().map(ToString::to_string),
        component_appid: authorizer.connection.component_appid().map(ToString::to_string),
        tenant_id: authorizer.tenant_id.as_ref().map(|tenant| tenant.as_str().to_owned()),
        appid: authorizer.appid.as_str().to_owned(),
        state: authorizer.state.as_str().to_owned(),
        state_at,
        generation: authorizer.generation,
        granted_at: authorizer.granted_at.timestamp_millis(),
        listed_at: None,
        profile_json: serde_json::to_string(&profile).expect("texts and numbers are always JSON"),
        func_info_json: numbers_json(&authorizer.func_info),
        created_at: authorizer.created_at.timestamp_millis(),
        updated_at: authorizer.updated_at.timestamp_millis(),
    }
}

fn record(row: &authorizers::Model) -> Result<Authorizer> {
    let read = Reader { table: "authorizers", key: &row.id };
    let profile: ProfileJson = read.json(&row.profile_json)?;
    let tenant_id = row.tenant_id.as_deref().map(TenantId::parse).transpose();
    Ok(Authorizer {
        id: read.parsed(AuthorizerId::parse(&row.id))?,
        connection: connection(&read, row)?,
        tenant_id: read.parsed(tenant_id)?,
        appid: read.appid(&row.appid)?,
        state: state(&read, row)?,
        generation: row.generation,
        granted_at: read.instant(row.granted_at)?,
        profile: profile.into(),
        func_info: read.json(&row.func_info_json)?,
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
    })
}

fn connection(read: &Reader<'_>, row: &authorizers::Model) -> Result<Connection> {
    match (row.connection.as_str(), &row.component_id, &row.component_appid) {
        ("component", Some(id), Some(appid)) => Ok(Connection::Component {
            id: read.parsed(ComponentId::parse(id))?,
            appid: read.appid(appid)?,
        }),
        ("secret", None, None) => Ok(Connection::Secret),
        _ => Err(read.fault()),
    }
}

fn state(read: &Reader<'_>, row: &authorizers::Model) -> Result<AuthorizerState> {
    let at = read.instant_if_any(row.state_at)?;
    match row.state.as_str() {
        "active" => Ok(AuthorizerState::Active),
        "needs_reauthorization" => {
            Ok(AuthorizerState::NeedsReauthorization { since: read.present(at)? })
        }
        "revoked" => Ok(AuthorizerState::Revoked { at: read.present(at)? }),
        _ => Err(read.fault()),
    }
}
