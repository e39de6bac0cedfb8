//! Looks at rows that tests must see and no shipped code reads back.

use lingpai_model::{
    Secret,
    authorizer::Authorizer,
    component::Ticket,
    delivery::Delivery,
    event::Event,
    id::{ComponentId, EndpointId, PushId, TenantId},
    push::PushState,
    token::KeptToken,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, sea_query::Expr,
};

use crate::{
    Db,
    db::Handle,
    entity::{
        authorizers, component_tickets, deliveries, delivery_attempts, endpoints, events, pushes,
        tokens,
    },
    repo,
};

/// A push as it is kept.
#[derive(Debug, Clone)]
pub struct KeptPush {
    /// The decrypted message.
    pub payload: Secret<Vec<u8>>,
    /// `InfoType` as sent, cut to 64 characters.
    pub info_type: String,
    /// How far it got.
    pub state: PushState,
    /// Why the last attempt to act on it failed.
    pub last_failure: Option<String>,
}

/// The push with this id.
///
/// # Panics
/// When the row cannot be read: a test cannot go on then.
pub async fn kept_push(db: &Db, id: &PushId) -> Option<KeptPush> {
    let at = db.handle();
    let row = pushes::Entity::find_by_id(id.as_str()).one(&at.conn).await.expect("it is read")?;
    Some(kept(&at, row))
}

/// All pushes, the oldest first.
///
/// # Panics
/// When a row cannot be read: a test cannot go on then.
pub async fn kept_pushes(db: &Db) -> Vec<KeptPush> {
    let at = db.handle();
    let rows = pushes::Entity::find().order_by_asc(pushes::Column::Id).all(&at.conn).await;
    rows.expect("they are read").into_iter().map(|row| kept(&at, row)).collect()
}

fn kept(at: &Handle<'_>, row: pushes::Model) -> KeptPush {
    let state = PushState::ALL.into_iter().find(|state| state.as_str() == row.state);
    KeptPush {
        payload: repo::pushes::record(at, &row).expect("it opens").payload,
        state: state.expect("a state of ours"),
        info_type: row.info_type,
        last_failure: row.last_failure,
    }
}

/// How many pushes are in `state`.
///
/// # Panics
/// When they cannot be counted: a test cannot go on then.
pub async fn count_pushes(db: &Db, state: PushState) -> u64 {
    let rows = pushes::Entity::find().filter(pushes::Column::State.eq(state.as_str()));
    rows.count(&db.handle().conn).await.expect("they are counted")
}

/// Adds many authorizers with their tokens in few statements: to see what a large installation does.
///
/// # Panics
/// When they cannot be added: a test cannot go on then.
pub async fn add_authorizers(db: &Db, all: &[(Authorizer, KeptToken)]) {
    let at = db.store().writing();
    let authorizers =
        all.iter().map(|(authorizer, _)| repo::authorizers::row(authorizer).into_active_model());
    let tokens = all.iter().map(|(_, kept)| repo::tokens::row(at.keys, kept).into_active_model());
    authorizers::Entity::insert_many(authorizers)
        .exec_without_returning(&at.conn)
        .await
        .expect("they are added");
    tokens::Entity::insert_many(tokens)
        .exec_without_returning(&at.conn)
        .await
        .expect("they are added");
}

/// How many events WeChat pushed to accounts.
///
/// # Panics
/// When they cannot be counted: a test cannot go on then.
pub async fn count_messages(db: &Db) -> u64 {
    let rows = events::Entity::find().filter(events::Column::PayloadSealed.is_not_null());
    rows.count(&db.handle().conn).await.expect("they are counted")
}

/// All deliveries of all tenants, the oldest first.
///
/// # Panics
/// When a row cannot be read: a test cannot go on then.
pub async fn kept_deliveries(db: &Db) -> Vec<Delivery> {
    let at = db.handle();
    let rows = deliveries::Entity::find().order_by_asc(deliveries::Column::Id).all(&at.conn).await;
    let rows = rows.expect("they are read");
    rows.iter().map(|row| repo::deliveries::record(row).expect("a delivery of ours")).collect()
}

/// How many attempts at deliveries were recorded.
///
/// # Panics
/// When they cannot be counted: a test cannot go on then.
pub async fn count_attempts(db: &Db) -> u64 {
    let rows = delivery_attempts::Entity::find();
    rows.count(&db.handle().conn).await.expect("they are counted")
}

/// Ends the lease of an endpoint as time would: whoever holds it does not know.
///
/// # Panics
/// When it cannot be ended: a test cannot go on then.
pub async fn end_endpoint_lease(db: &Db, id: &EndpointId) {
    use endpoints::{Column, Entity};
    Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::val(0_i64))
        .filter(Column::Id.eq(id.as_str()))
        .exec(&db.store().writing().conn)
        .await
        .expect("it is ended");
}

/// All kept tickets of a component, the newest by its inner time first.
///
/// # Panics
/// When a row cannot be read: a test cannot go on then.
pub async fn kept_tickets(db: &Db, component: &ComponentId) -> Vec<Ticket> {
    use component_tickets::{Column, Entity};
    let at = db.handle();
    let rows = Entity::find().filter(Column::ComponentId.eq(component.as_str()));
    let rows = rows.order_by_desc(Column::IssuedAt).all(&at.conn).await.expect("they are read");
    rows.iter().map(|row| repo::tickets::record(&at, row).expect("it opens")).collect()
}

/// The event stream of a tenant, the operator's if of none; the oldest first.
///
/// # Panics
/// When a row cannot be read: a test cannot go on then.
pub async fn kept_events(db: &Db, tenant: Option<&TenantId>) -> Vec<Event> {
    use events::{Column, Entity};
    let rows = Entity::find().filter(match tenant {
        Some(tenant) => Column::TenantId.eq(tenant.as_str()),
        None => Column::TenantId.is_null(),
    });
    let rows = rows.order_by_asc(Column::Id).all(&db.handle().conn).await.expect("they are read");
    let record = |row| repo::events::record(db.keys(), row).expect("it opens");
    rows.into_iter().map(record).collect()
}
