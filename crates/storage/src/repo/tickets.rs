//! The last tickets of each component.

use std::collections::BTreeSet;

use lingpai_model::{Instant, component::Ticket, id::ComponentId};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};

use super::{Reader, TicketRepo, insert_unknown};
use crate::{
    db::Handle,
    entity::component_tickets::{self, Column, Entity},
    error::Result,
    seal::{KeyRing, Place},
};

/// How many tickets of a component are kept.
const KEPT: u64 = 10;
/// How many surplus tickets one save removes at most; what is left goes with the next.
const PRUNED: u64 = 100;

impl<A> TicketRepo<'_, A> {
    /// The newest ticket of the component, by the time inside its push, unless all are older than
    /// `not_before`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn newest(
        &self,
        component: &ComponentId,
        not_before: Instant,
    ) -> Result<Option<Ticket>> {
        let rows =
            newest_first(component).filter(Column::IssuedAt.gte(not_before.timestamp_millis()));
        let row = rows.one(&self.at.conn).await.map_err(self.at.failed("read a ticket"))?;
        row.as_ref().map(|row| record(&self.at, row)).transpose()
    }

    /// The kept tickets of the component that are not older than `not_before`, the newest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, component: &ComponentId, not_before: Instant) -> Result<Vec<Ticket>> {
        let rows =
            newest_first(component).filter(Column::IssuedAt.gte(not_before.timestamp_millis()));
        let rows = rows.all(&self.at.conn).await.map_err(self.at.failed("list tickets"))?;
        rows.iter().map(|row| record(&self.at, row)).collect()
    }
}

/// Saves tickets that are sealed already and keeps the last ten of each component. A ticket that is
/// there already is left as it is.
pub(crate) async fn save(at: &Handle<'_>, rows: Vec<component_tickets::Model>) -> Result<()> {
    let components: BTreeSet<String> = rows.iter().map(|row| row.component_id.clone()).collect();
    let columns = [Column::ComponentId, Column::TicketDigest];
    let key =
        |row: &component_tickets::Model| [row.component_id.clone(), row.ticket_digest.clone()];
    insert_unknown::<Entity>(at, "save tickets", rows, columns, key).await?;
    for component in components {
        prune(at, &component).await?;
    }
    Ok(())
}

/// Removes what is older than the last ten.
async fn prune(at: &Handle<'_>, component: &str) -> Result<()> {
    let what = "remove old tickets";
    let surplus: Vec<String> = ordered(Entity::find())
        .select_only()
        .column(Column::TicketDigest)
        .filter(Column::ComponentId.eq(component))
        .offset(KEPT)
        .limit(PRUNED)
        .into_tuple()
        .all(&at.conn)
        .await
        .map_err(at.failed(what))?;
    if surplus.is_empty() {
        return Ok(());
    }
    Entity::delete_many()
        .filter(Column::ComponentId.eq(component))
        .filter(Column::TicketDigest.is_in(surplus))
        .exec(&at.conn)
        .await
        .map_err(at.failed(what))?;
    Ok(())
}

fn newest_first(component: &ComponentId) -> Select<Entity> {
    ordered(Entity::find().filter(Column::ComponentId.eq(component.as_str())))
}

fn ordered(rows: Select<Entity>) -> Select<Entity> {
    rows.order_by_desc(Column::IssuedAt)
        .order_by_desc(Column::ReceivedAt)
        .order_by_desc(Column::TicketDigest)
}

/// The sealed row of a ticket.
pub(crate) fn row(keys: &KeyRing, ticket: &Ticket) -> component_tickets::Model {
    let digest = ticket.digest().to_hex();
    let component = ticket.component_id.as_str();
    component_tickets::Model {
        component_id: component.to_owned(),
        value_sealed: keys.seal_text(place(&[component, &digest]), &ticket.value),
        ticket_digest: digest,
        issued_at: ticket.issued_at.timestamp_millis(),
        received_at: ticket.received_at.timestamp_millis(),
    }
}

/// The ticket in a row, opened.
pub(crate) fn record(at: &Handle<'_>, row: &component_tickets::Model) -> Result<Ticket> {
    let read = Reader { table: "component_tickets", key: &row.component_id };
    Ok(Ticket {
        component_id: read.parsed(ComponentId::parse(&row.component_id))?,
        value: at
            .keys
            .open_text(place(&[&row.component_id, &row.ticket_digest]), &row.value_sealed)?,
        issued_at: read.instant(row.issued_at)?,
        received_at: read.instant(row.received_at)?,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "component_tickets", column: "value_sealed", row }
}
