//! Authorizations and the visits of browsers to them.

use lingpai_model::{
    Instant,
    authorization::{AccountKind, Authorization, AuthorizationState},
    caller::TenantScope,
    digest::Digest,
    id::{AuthorizationId, ComponentId, TenantId},
    page::{Page, PageRequest},
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::Expr,
};

use super::{AuthorizationRepo, Reader, Write, numbers_json, page, text};
use crate::{
    db::Handle,
    entity::{
        authorization_visits as visits,
        authorizations::{self, Column},
    },
    error::{Error, Result},
    seal::{KeyRing, Place},
};

/// How many browsers may go to WeChat from one link.
const MAX_VISITS: u64 = 32;

/// Which authorizations of a tenant are listed. Nothing given: all of them.
#[derive(Debug, Clone, Default)]
pub struct AuthorizationFilter {
    /// Only those that the tenant gave these words.
    pub reference: Option<String>,
    /// Only those that got so far.
    pub progress: Option<Progress>,
}

/// How far an authorization got, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Waiting, with a link that is still good.
    Pending,
    /// Waiting in vain: the link has ended.
    Expired,
    /// The authorizer is stored.
    Finished,
    /// The account belongs to another tenant.
    OwnedElsewhere,
    /// WeChat refused for good.
    Refused,
}

impl AuthorizationFilter {
    fn applied(
        &self,
        rows: sea_orm::Select<authorizations::Entity>,
        now: Instant,
    ) -> sea_orm::Select<authorizations::Entity> {
        let Self { reference, progress } = self;
        let rows = match reference {
            Some(reference) => rows.filter(Column::Reference.eq(text(reference))),
            None => rows,
        };
        let Some(progress) = progress else { return rows };
        let rows = rows.filter(Column::State.eq(progress.state()));
        match progress {
            Progress::Pending => rows.filter(Column::ExpiresAt.gt(now.timestamp_millis())),
            Progress::Expired => rows.filter(Column::ExpiresAt.lte(now.timestamp_millis())),
            Progress::Finished | Progress::OwnedElsewhere | Progress::Refused => rows,
        }
    }
}

impl Progress {
    /// The state that the rows have.
    fn state(self) -> &'static str {
        match self {
            Self::Pending | Self::Expired => "pending",
            Self::Finished => "finished",
            Self::OwnedElsewhere => "owned_elsewhere",
            Self::Refused => "refused",
        }
    }
}

impl<A> AuthorizationRepo<'_, A> {
    /// The tenant's authorization with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] alike for a missing one and another tenant's; [`Error::Unavailable`],
    /// [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn get(&self, scope: &TenantScope, id: &AuthorizationId) -> Result<Authorization> {
        let row = authorizations::Entity::find_by_id(id.as_str())
            .filter(Column::TenantId.eq(scope.tenant_id().as_str()))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read an authorization"))?;
        record(&self.at, row.ok_or_else(|| Error::not_found("authorization", id))?)
    }

    /// The tenant's authorizations that the filter lets through at `now`, the oldest first: whether a
    /// link has ended depends on the present.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn list(
        &self,
        scope: &TenantScope,
        (filter, now): (&AuthorizationFilter, Instant),
        request: &PageRequest,
    ) -> Result<Page<Authorization>> {
        let rows =
            authorizations::Entity::find().filter(Column::TenantId.eq(scope.tenant_id().as_str()));
        let rows = filter.applied(rows, now);
        let rows = page(rows, Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list authorizations"))?;
        let records = rows.into_iter().map(|row| record(&self.at, row)).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |authorization| authorization.id.as_str()))
    }

    /// The authorization with this id, whoever started it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find(&self, id: &AuthorizationId) -> Result<Option<Authorization>> {
        let row = authorizations::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an authorization"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }

    /// The authorization behind a link, for whoever holds the link.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find_by_link(&self, link: &Digest) -> Result<Option<Authorization>> {
        let row = authorizations::Entity::find().filter(Column::LinkDigest.eq(link.to_hex()));
        let row = row.one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("find an authorization by its link"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }

    /// The authorization that this component's `pre_auth_code` was issued to, for what comes back
    /// in an encrypted push.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find_by_pre_auth_code(
        &self,
        component: &ComponentId,
        pre_auth_code: &Digest,
    ) -> Result<Option<Authorization>> {
        let row = authorizations::Entity::find()
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::PreAuthCodeDigest.eq(pre_auth_code.to_hex()))
            .order_by_desc(Column::Id)
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("find an authorization by its pre_auth_code"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }
}

impl AuthorizationRepo<'_, Write> {
    /// Adds an authorization of the scope's tenant, whatever the record says of its owner.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id or link is taken; [`Error::Unavailable`].
    pub async fn insert(&self, scope: &TenantScope, authorization: &Authorization) -> Result<()> {
        self.at
            .insert_new(
                "add an authorization",
                "authorization",
                row(self.at.keys, scope.tenant_id(), authorization),
            )
            .await
    }

    /// Adds an authorization of the tenant that the record names, for whoever follows a link that
    /// was made for that tenant.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id or link is taken; [`Error::Unavailable`].
    pub async fn system_insert(&self, authorization: &Authorization) -> Result<()> {
        let row = row(self.at.keys, &authorization.tenant_id, authorization);
        self.at.insert_new("add an authorization", "authorization", row).await
    }

    /// Writes how far an authorization got.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn system_set_state(
        &self,
        id: &AuthorizationId,
        state: &AuthorizationState,
    ) -> Result<()> {
        let StateColumns { state, authorizer_appid, errcode, state_at } = state.into();
        let updated = authorizations::Entity::update_many()
            .col_expr(Column::State, Expr::val(state))
            .col_expr(Column::AuthorizerAppid, Expr::val(authorizer_appid))
            .col_expr(Column::Errcode, Expr::val(errcode))
            .col_expr(Column::StateAt, Expr::val(state_at))
            .filter(Column::Id.eq(id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("update an authorization"))?;
        if updated.rows_affected == 1 { Ok(()) } else { Err(Error::not_found("authorization", id)) }
    }

    /// Notes that a browser goes to WeChat. `false` when too many went from this link already, or
    /// the visit was opened before.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Query`] for an unknown authorization.
    pub async fn system_open_visit(
        &self,
        id: &AuthorizationId,
        visit: &Digest,
        opened_at: Instant,
    ) -> Result<bool> {
        let opened = visits::Entity::find().filter(visits::Column::AuthorizationId.eq(id.as_str()));
        let opened = opened.count(&self.at.conn).await;
        if opened.map_err(self.at.failed("count visits"))? >= MAX_VISITS {
            return Ok(false);
        }
        let row = visits::Model {
            authorization_id: id.as_str().to_owned(),
            visit_digest: visit.to_hex(),
            opened_at: opened_at.timestamp_millis(),
            closed_at: None,
        };
        self.at.insert_once("open a visit", row).await
    }

    /// Notes that a browser came back. `true` once for each visit that was opened.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_close_visit(
        &self,
        id: &AuthorizationId,
        visit: &Digest,
        closed_at: Instant,
    ) -> Result<bool> {
        let updated = visits::Entity::update_many()
            .col_expr(visits::Column::ClosedAt, Expr::val(closed_at.timestamp_millis()))
            .filter(visits::Column::AuthorizationId.eq(id.as_str()))
            .filter(visits::Column::VisitDigest.eq(visit.to_hex()))
            .filter(visits::Column::ClosedAt.is_null())
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("close a visit"))?;
        Ok(updated.rows_affected == 1)
    }
}

/// An authorization's state, spread over its columns.
struct StateColumns {
    state: &'static str,
    authorizer_appid: Option<String>,
    errcode: Option<i64>,
    state_at: Option<i64>,
}

impl From<&AuthorizationState> for StateColumns {
    fn from(state: &AuthorizationState) -> Self {
        let (state, appid, errcode, at) = match state {
            AuthorizationState::Pending => ("pending", None, None, None),
            AuthorizationState::Finished { authorizer_appid, at } => {
                ("finished", Some(authorizer_appid), None, Some(at))
            }
            AuthorizationState::OwnedElsewhere { authorizer_appid, at } => {
                ("owned_elsewhere", Some(authorizer_appid), None, Some(at))
            }
            AuthorizationState::Refused { errcode, at } => {
                ("refused", None, Some(*errcode), Some(at))
            }
        };
        Self {
            state,
            authorizer_appid: appid.map(ToString::to_string),
            errcode,
            state_at: at.map(Instant::timestamp_millis),
        }
    }
}

fn row(
    keys: &KeyRing,
    tenant_id: &TenantId,
    authorization: &Authorization,
) -> authorizations::Model {
    let a = authorization;
    let StateColumns { state, authorizer_appid, errcode, state_at } = (&a.state).into();
    let [component, tenant, id] = [a.component_id.as_str(), tenant_id.as_str(), a.id.as_str()];
    authorizations::Model {
        id: id.to_owned(),
        tenant_id: tenant.to_owned(),
        component_id: component.to_owned(),
        account_kind: a.account_kind.as_str().to_owned(),
        appid: a.appid.as_ref().map(|appid| appid.as_str().to_owned()),
        category_ids_json: numbers_json(&a.category_ids),
        return_url: a.return_url.as_deref().map(text),
        reference: a.reference.as_deref().map(text),
        purpose: a.purpose.as_deref().map(text),
        link_digest: a.link_digest.to_hex(),
        pre_auth_code_digest: Authorization::pre_auth_code_digest(&a.pre_auth_code).to_hex(),
        pre_auth_code_sealed: keys.seal_text(place(&[component, tenant, id]), &a.pre_auth_code),
        state: state.to_owned(),
        authorizer_appid,
        errcode,
        state_at,
        created_at: a.created_at.timestamp_millis(),
        expires_at: a.expires_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: authorizations::Model) -> Result<Authorization> {
    let read = Reader { table: "authorizations", key: &row.id };
    let place_row = [row.component_id.as_str(), row.tenant_id.as_str(), row.id.as_str()];
    Ok(Authorization {
        id: read.parsed(AuthorizationId::parse(&row.id))?,
        tenant_id: read.parsed(TenantId::parse(&row.tenant_id))?,
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        account_kind: read.present(AccountKind::parse(&row.account_kind))?,
        appid: read.appid_if_any(row.appid.as_deref())?,
        category_ids: read.json(&row.category_ids_json)?,
        link_digest: read.digest(&row.link_digest)?,
        pre_auth_code: at.keys.open_text(place(&place_row), &row.pre_auth_code_sealed)?,
        state: state(&read, &row)?,
        created_at: read.instant(row.created_at)?,
        expires_at: read.instant(row.expires_at)?,
        return_url: row.return_url,
        reference: row.reference,
        purpose: row.purpose,
    })
}

fn state(read: &Reader<'_>, row: &authorizations::Model) -> Result<AuthorizationState> {
    if row.state == "pending" {
        return Ok(AuthorizationState::Pending);
    }
    let at = read.instant(read.present(row.state_at)?)?;
    if row.state == "refused" {
        return Ok(AuthorizationState::Refused { errcode: read.present(row.errcode)?, at });
    }
    let authorizer_appid = read.appid(read.present(row.authorizer_appid.as_deref())?)?;
    match row.state.as_str() {
        "finished" => Ok(AuthorizationState::Finished { authorizer_appid, at }),
        "owned_elsewhere" => Ok(AuthorizationState::OwnedElsewhere { authorizer_appid, at }),
        _ => Err(read.fault()),
    }
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "authorizations", column: "pre_auth_code_sealed", row }
}
