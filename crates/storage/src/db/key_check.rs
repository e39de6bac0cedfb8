//! A wrong master key is told at start, before anything is read or sealed with it.

use lingpai_model::Instant;
use sea_orm::EntityTrait as _;

use super::Handle;
use crate::{
    entity::installation,
    error::{Error, Result},
    seal::Place,
};

const ROW: &str = "installation";
const KNOWN: &[u8] = b"lingpai";
const PLACE: Place<'static> = Place { table: "installation", column: "check_sealed", row: &[ROW] };

/// Opens the value that the first start sealed, or seals it.
pub(super) async fn run(at: &Handle<'_>, now: Instant) -> Result<()> {
    if let Some(row) = find(at).await? {
        return compare(at, &row);
    }
    let row = installation::Model {
        id: ROW.to_owned(),
        check_sealed: at.keys.seal(PLACE, KNOWN),
        created_at: now.timestamp_millis(),
    };
    if at.insert_once("seal the installation", row).await? {
        return Ok(());
    }
    // Another instance started for the first time in the same moment.
    match find(at).await? {
        Some(row) => compare(at, &row),
        None => Err(Error::inconsistent("installation", ROW)),
    }
}

async fn find(at: &Handle<'_>) -> Result<Option<installation::Model>> {
    let found = installation::Entity::find_by_id(ROW).one(&at.conn).await;
    found.map_err(at.failed("read the installation"))
}

fn compare(at: &Handle<'_>, row: &installation::Model) -> Result<()> {
    if at.keys.holds(PLACE, &row.check_sealed, KNOWN) { Ok(()) } else { Err(Error::WrongMasterKey) }
}
