//! Components with their sealed secrets.

use lingpai_model::{
    Appid, Instant,
    component::{Component, ComponentWatch, Reconciliation},
    id::ComponentId,
    page::{Page, PageRequest},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

use super::{ComponentRepo, Reader, Write, page, text};
use crate::{
    cache::Changed,
    db::Handle,
    entity::components::{self, Column},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

impl<A> ComponentRepo<'_, A> {
    /// The component with this appid.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn find(&self, appid: &Appid) -> Result<Option<Component>> {
        let row = components::Entity::find().filter(Column::Appid.eq(appid.as_str()));
        let row = row.one(&self.at.conn).await.map_err(self.at.failed("read a component"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }

    /// The component with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn get(&self, id: &ComponentId) -> Result<Component> {
        let row = components::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read a component"))?;
        record(&self.at, row.ok_or_else(|| Error::not_found("component", id))?)
    }

    /// All components, the oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Component>> {
        let rows = page(components::Entity::find(), Column::Id, request).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("list components"))?;
        let records = rows.into_iter().map(|row| record(&self.at, row)).collect::<Result<_>>()?;
        Ok(Page::cut(records, request, |component| component.id.as_str()))
    }

    /// All components that can be read, the oldest first: an installation has a few. One that cannot
    /// is logged and left out, so that it holds up nobody else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn all(&self) -> Result<Vec<Component>> {
        let rows = components::Entity::find().order_by_asc(Column::Id).all(&self.at.conn).await;
        let rows = rows.map_err(self.at.failed("read all components"))?;
        let readable = rows.into_iter().filter_map(|row| {
            let id = row.id.clone();
            let read = record(&self.at, row);
            read.inspect_err(|error| {
                tracing::error!(component.id = id, %error, "component {id} cannot be read");
            })
            .ok()
        });
        Ok(readable.collect())
    }

    /// What is watched about the component.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn watch(&self, id: &ComponentId) -> Result<ComponentWatch> {
        let row = components::Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read what is watched about a component"))?;
        let row = row.ok_or_else(|| Error::not_found("component", id))?;
        let read = Reader { table: "components", key: &row.id };
        let report: Option<ReconciliationJson> =
            row.reconciliation_json.as_deref().map(|json| read.json(json)).transpose()?;
        let reconciliation = match (row.reconciled_at, report) {
            (Some(at), Some(report)) => Some(report.at(read.instant(at)?)),
            _ => None,
        };
        Ok(ComponentWatch {
            ticket_asked_at: read.instant_if_any(row.ticket_asked_at)?,
            ticket_late_since: read.instant_if_any(row.ticket_late_since)?,
            reconciliation,
        })
    }
}

impl ComponentRepo<'_, Write> {
    /// Adds a component.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when its id or appid is taken; [`Error::Unavailable`].
    pub async fn insert(&self, component: &Component) -> Result<()> {
        self.at.changed(Changed::Component(component.appid.clone()));
        self.at.insert_new("add a component", "component", row(self.at.keys, component)).await
    }

    /// The component with this appid, which nobody else changes until this transaction ends. SQLite has
    /// one writer anyway.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn lock(&self, appid: &Appid) -> Result<Option<Component>> {
        let row = components::Entity::find().filter(Column::Appid.eq(appid.as_str()));
        let row = row.lock_exclusive().one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("lock a component"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }

    /// Writes what an operator can change of a component: its name, its secrets, and whether it answers
    /// the publish test.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn update(&self, component: &Component) -> Result<()> {
        self.at.changed(Changed::Component(component.appid.clone()));
        let mut changed = row(self.at.keys, component).into_active_model().reset_all();
        let fixed = [
            Column::Id,
            Column::Appid,
            Column::TicketAskedAt,
            Column::TicketLateSince,
            Column::ReconciledAt,
            Column::ReconciliationJson,
            Column::CreatedAt,
        ];
        for column in fixed {
            changed.not_set(column);
        }
        let update = components::Entity::update_many().set(changed);
        if self.note(&component.id, "update a component", update).await? {
            Ok(())
        } else {
            Err(Error::not_found("component", &component.id))
        }
    }

    /// Notes at `at` that WeChat is being asked for tickets, and since when they are late, if they
    /// are. `false` when somebody else has noted that since `seen` was read.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_ticket_asked(
        &self,
        id: &ComponentId,
        seen: &ComponentWatch,
        at: Instant,
        late_since: Option<Instant>,
    ) -> Result<bool> {
        let late_since = late_since.map(|since| since.timestamp_millis());
        let as_seen = match seen.ticket_asked_at {
            Some(asked) => Column::TicketAskedAt.eq(asked.timestamp_millis()),
            None => Column::TicketAskedAt.is_null(),
        };
        let update = components::Entity::update_many()
            .col_expr(Column::TicketAskedAt, Expr::val(at.timestamp_millis()))
            .col_expr(Column::TicketLateSince, Expr::val(late_since))
            .filter(Condition::all().add(as_seen));
        self.note(id, "note that tickets are late", update).await
    }

    /// Notes that tickets come again.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_ticket_in_time(&self, id: &ComponentId) -> Result<()> {
        let update = components::Entity::update_many()
            .col_expr(Column::TicketAskedAt, Expr::val(None::<i64>))
            .col_expr(Column::TicketLateSince, Expr::val(None::<i64>));
        self.note(id, "note that tickets come again", update).await.map(drop)
    }

    /// Notes a reconciliation that went to its end.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_reconciliation(
        &self,
        id: &ComponentId,
        reconciliation: &Reconciliation,
    ) -> Result<()> {
        let report = ReconciliationJson::from(reconciliation);
        let json = serde_json::to_string(&report).expect("numbers are always JSON");
        let update = components::Entity::update_many()
            .col_expr(Column::ReconciledAt, Expr::val(reconciliation.at.timestamp_millis()))
            .col_expr(Column::ReconciliationJson, Expr::val(json));
        self.note(id, "note a reconciliation", update).await.map(drop)
    }

    async fn note(
        &self,
        id: &ComponentId,
        what: &'static str,
        update: UpdateMany<components::Entity>,
    ) -> Result<bool> {
        let update = update.filter(Column::Id.eq(id.as_str()));
        let updated = update.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
        Ok(updated.rows_affected == 1)
    }
}

/// A reconciliation as its column keeps it.
#[derive(Serialize, Deserialize)]
struct ReconciliationJson {
    listed: u32,
    recovered: u32,
    found: u32,
    withdrawn: u32,
}

impl From<&Reconciliation> for ReconciliationJson {
    fn from(reconciliation: &Reconciliation) -> Self {
        let Reconciliation { listed, recovered, found, withdrawn, .. } = *reconciliation;
        Self { listed, recovered, found, withdrawn }
    }
}

impl ReconciliationJson {
    fn at(self, at: Instant) -> Reconciliation {
        let Self { listed, recovered, found, withdrawn } = self;
        Reconciliation { at, listed, recovered, found, withdrawn }
    }
}

fn row(keys: &KeyRing, component: &Component) -> components::Model {
    let id = component.id.as_str();
    let seal = |column, secret| keys.seal_text(place(column, &[id]), secret);
    let previous = component.previous_push_token.as_ref();
    components::Model {
        id: id.to_owned(),
        appid: component.appid.as_str().to_owned(),
        name: text(&component.name),
        appsecret_sealed: seal("appsecret_sealed", &component.appsecret),
        push_token_sealed: seal("push_token_sealed", &component.push_token),
        previous_push_token_sealed: previous
            .map(|(token, _)| seal("previous_push_token_sealed", token)),
        previous_push_token_until: previous.map(|(_, until)| until.timestamp_millis()),
        encoding_aes_key_sealed: seal("encoding_aes_key_sealed", &component.encoding_aes_key),
        previous_encoding_aes_key_sealed: component
            .previous_encoding_aes_key
            .as_ref()
            .map(|key| seal("previous_encoding_aes_key_sealed", key)),
        encoding_aes_key_changed_at: component
            .encoding_aes_key_changed_at
            .map(|at| at.timestamp_millis()),
        answers_publish_test: component.answers_publish_test,
        ticket_asked_at: None,
        ticket_late_since: None,
        reconciled_at: None,
        reconciliation_json: None,
        created_at: component.created_at.timestamp_millis(),
        updated_at: component.updated_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: components::Model) -> Result<Component> {
    let read = Reader { table: "components", key: &row.id };
    let open = |column, sealed: &[u8]| at.keys.open_text(place(column, &[&row.id]), sealed);
    Ok(Component {
        id: read.parsed(ComponentId::parse(&row.id))?,
        appid: read.appid(&row.appid)?,
        appsecret: open("appsecret_sealed", &row.appsecret_sealed)?,
        push_token: open("push_token_sealed", &row.push_token_sealed)?,
        previous_push_token: match (&row.previous_push_token_sealed, row.previous_push_token_until)
        {
            (None, None) => None,
            (Some(sealed), Some(until)) => {
                Some((open("previous_push_token_sealed", sealed)?, read.instant(until)?))
            }
            _ => return Err(read.fault()),
        },
        encoding_aes_key: open("encoding_aes_key_sealed", &row.encoding_aes_key_sealed)?,
        previous_encoding_aes_key: row
            .previous_encoding_aes_key_sealed
            .as_deref()
            .map(|sealed| open("previous_encoding_aes_key_sealed", sealed))
            .transpose()?,
        encoding_aes_key_changed_at: read.instant_if_any(row.encoding_aes_key_changed_at)?,
        answers_publish_test: row.answers_publish_test,
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
        name: row.name,
    })
}

fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "components", column, row }
}
