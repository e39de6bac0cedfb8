//! Authentic pushes that could not be taken the usual way. Those to components are rows of `pushes`,
//! those of accounts have a table of their own.

use lingpai_model::{
    Appid, Instant, Secret,
    caller::TenantScope,
    digest::Digest,
    id::{AuthorizerId, ComponentId, PushId},
    page::{Page, PageRequest},
    push::PushState,
    quarantine::{NewQuarantined, QuarantineReason, Quarantined, QuarantinedFor, QuarantinedPush},
};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, sea_query::Expr,
};

use super::{QuarantineRepo, Reader, Write, insert_unknown, page_backwards, sweep};
use crate::{
    db::{Db, Handle},
    entity::{
        authorizers, pushes,
        quarantined_messages::{Column, Entity, Model},
    },
    error::Result,
    repo::pushes::record as open_push,
    seal::{KeyRing, Place},
};

/// How many messages are opened at a time to look for a fan.
const OPENED_AT_ONCE: u64 = 64;

const ERASE: &str = "erase an account's messages in quarantine";

impl Db {
    /// Puts a message of an account into quarantine and returns once that is committed. One that is
    /// there already stays as it is.
    ///
    /// What arrives at the same time shares one commit, as with [`Db::record_arrival`].
    ///
    /// # Errors
    /// As [`Db::record_arrival`].
    pub async fn quarantine_message(&self, new: NewQuarantined) -> Result<()> {
        self.record_quarantined(row(self.keys(), &new)).await
    }
}

/// Records messages that are sealed already. One that was recorded before is left as it is.
pub(crate) async fn save(at: &Handle<'_>, rows: Vec<Model>) -> Result<()> {
    let key = |row: &Model| [row.appid.clone(), row.dedupe.clone()];
    let what = "put messages into quarantine";
    insert_unknown::<Entity>(at, what, rows, [Column::Appid, Column::Dedupe], key).await
}

impl<A> QuarantineRepo<'_, A> {
    /// Everything that is in quarantine, the newest first, without its text.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Quarantined>> {
        let mut all = self.messages(request).await?;
        all.extend(self.pushes(request).await?);
        all.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(Page::cut(all, request, |quarantined| quarantined.id.as_str()))
    }

    /// How many pushes are in quarantine.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn count(&self) -> Result<u64> {
        let what = "count what is in quarantine";
        let messages = Entity::find().count(&self.at.conn).await.map_err(self.at.failed(what))?;
        let pushes = pushes::Entity::find()
            .filter(pushes::Column::State.eq(PushState::Quarantined.as_str()))
            .count(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        Ok(messages + pushes)
    }

    /// The push with this id and its text, if it is in quarantine.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Unopenable`], [`crate::Error::Inconsistent`].
    pub async fn get(&self, id: &PushId) -> Result<Option<(Quarantined, Secret<Vec<u8>>)>> {
        let what = "read what is in quarantine";
        let message = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        if let Some(row) = message.map_err(self.at.failed(what))? {
            let payload = open(self.at.keys, &row)?;
            return Ok(Some((Columns::of(&row).record()?, payload)));
        }
        let push = pushes::Entity::find_by_id(id.as_str())
            .filter(pushes::Column::State.eq(PushState::Quarantined.as_str()))
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let Some(row) = push else { return Ok(None) };
        let payload = open_push(&self.at, &row)?.payload;
        Ok(Some((PushColumns::of(row).record()?, payload)))
    }

    /// Accounts of components that are known by now and have messages here that came before they
    /// were, up to `limit`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list_known(&self, limit: u64) -> Result<Vec<(ComponentId, Appid)>> {
        use authorizers::Column as Known;
        let same = |known: Known, column: Column| {
            Expr::col((authorizers::Entity, known)).equals((Entity, column))
        };
        let known = authorizers::Entity::find()
            .select_only()
            .column(Known::Id)
            .filter(same(Known::ComponentId, Column::ComponentId))
            .filter(same(Known::Appid, Column::Appid))
            .into_query();
        let rows: Vec<(String, String)> = Entity::find()
            .select_only()
            .columns([Column::ComponentId, Column::Appid])
            .distinct()
            .filter(Column::Reason.eq(QuarantineReason::UnknownAuthorizer.as_str()))
            .filter(Expr::exists(known))
            .limit(limit)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list accounts with messages in quarantine"))?;
        let parsed = rows.iter().map(|(component, appid)| {
            let read = Reader { table: "quarantined_messages", key: appid };
            Ok((read.parsed(ComponentId::parse(component))?, read.appid(appid)?))
        });
        parsed.collect()
    }

    /// Up to `limit` messages of an account of the component's that nobody knew when they came, the
    /// oldest first, with their texts; without it one that cannot be opened.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
    pub async fn list_waiting(
        &self,
        component: &ComponentId,
        appid: &Appid,
        limit: u64,
    ) -> Result<Vec<(Quarantined, Option<Secret<Vec<u8>>>)>> {
        let rows = Entity::find()
            .filter(Column::Appid.eq(appid.as_str()))
            .filter(Column::ComponentId.eq(component.as_str()))
            .filter(Column::Reason.eq(QuarantineReason::UnknownAuthorizer.as_str()))
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list messages that wait in quarantine"))?;
        let opened = rows.iter().map(|row| {
            let text = open(self.at.keys, row).inspect_err(|error| {
                tracing::error!(push.id = %row.id, %error, "push {} stays in quarantine", row.id);
            });
            Ok((Columns::of(row).record()?, text.ok()))
        });
        opened.collect()
    }

    async fn messages(&self, request: &PageRequest) -> Result<Vec<Quarantined>> {
        let rows = Entity::find().select_only().columns([
            Column::Id,
            Column::ComponentId,
            Column::AuthorizerId,
            Column::Appid,
            Column::Reason,
            Column::ReceivedAt,
        ]);
        let rows: Vec<Columns> = page_backwards(rows, Column::Id, request)
            .into_model()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list messages in quarantine"))?;
        rows.into_iter().map(Columns::record).collect()
    }

    async fn pushes(&self, request: &PageRequest) -> Result<Vec<Quarantined>> {
        use pushes::Column;
        let rows = pushes::Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::ComponentId,
                Column::QuarantineReason,
                Column::LastFailure,
                Column::ReceivedAt,
            ])
            .filter(Column::State.eq(PushState::Quarantined.as_str()));
        let rows: Vec<PushColumns> = page_backwards(rows, Column::Id, request)
            .into_model()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list pushes in quarantine"))?;
        rows.into_iter().map(PushColumns::record).collect()
    }
}

impl QuarantineRepo<'_, Write> {
    /// Notes why a message of an account stays in quarantine.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn note_reason(&self, id: &PushId, reason: QuarantineReason) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::Reason, Expr::val(reason.as_str()))
            .filter(Column::Id.eq(id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("note why a message is in quarantine"))
            .map(drop)
    }

    /// Takes a message of an account out of quarantine: it was recorded the usual way, or is not
    /// wanted. `false` when it is not there.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn delete_message(&self, id: &PushId) -> Result<bool> {
        let deleted = Entity::delete_by_id(id.as_str()).exec(&self.at.conn).await;
        let deleted = deleted.map_err(self.at.failed("take a message out of quarantine"))?;
        Ok(deleted.rows_affected == 1)
    }

    /// Hands a push to a component back to the workers, as if it had just come. `false` when it is
    /// not in quarantine.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn release_push(&self, id: &PushId) -> Result<bool> {
        use pushes::{Column, Entity};
        let updated = Entity::update_many()
            .col_expr(Column::State, Expr::val(PushState::Pending.as_str()))
            .col_expr(Column::Attempts, Expr::val(0_i64))
            .col_expr(Column::LeasedUntil, Expr::val(0_i64))
            .col_expr(Column::LastFailure, Expr::val(None::<String>))
            .col_expr(Column::QuarantineReason, Expr::val(None::<String>))
            .filter(Column::Id.eq(id.as_str()))
            .filter(Column::State.eq(PushState::Quarantined.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("let a push out of quarantine"))?;
        Ok(updated.rows_affected == 1)
    }

    /// Erases all messages in quarantine of the tenant's account with this appid; returns how many.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn erase(&self, scope: &TenantScope, appid: &Appid) -> Result<u64> {
        let erased = Entity::delete_many().filter(of_account(scope, appid)).exec(&self.at.conn);
        let erased = erased.await.map_err(self.at.failed(ERASE))?;
        Ok(erased.rows_affected)
    }

    /// Erases the messages in quarantine of the tenant's account with this appid in which the fan's
    /// openid stands, also those that cannot be read otherwise; returns how many. One that cannot be
    /// opened tells nobody of anybody, and stays.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn erase_fan(&self, scope: &TenantScope, appid: &Appid, openid: &str) -> Result<u64> {
        let (mut erased, mut after) = (0, String::new());
        loop {
            let rows = Entity::find()
                .filter(of_account(scope, appid))
                .filter(Column::Id.gt(&after))
                .order_by_asc(Column::Id)
                .limit(OPENED_AT_ONCE)
                .all(&self.at.conn)
                .await
                .map_err(self.at.failed(ERASE))?;
            let Some(last) = rows.last() else { return Ok(erased) };
            after.clone_from(&last.id);
            let names_him = |row: &&Model| {
                open(self.at.keys, row).is_ok_and(|text| stands_in(openid, text.expose()))
            };
            let his: Vec<&str> = rows.iter().filter(names_him).map(|row| row.id.as_str()).collect();
            let delete = Entity::delete_many().filter(Column::Id.is_in(his)).exec(&self.at.conn);
            erased += delete.await.map_err(self.at.failed(ERASE))?.rows_affected;
        }
    }

    /// Erases messages that came before `before`, the oldest first and not all at once; returns how
    /// many, 0 when none is left.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        let what = "erase old messages in quarantine";
        sweep::<Entity>(&self.at, what, Column::ReceivedAt, before).await
    }
}

/// A row of `quarantined_messages` without its payload.
#[derive(sea_orm::FromQueryResult)]
struct Columns {
    id: String,
    component_id: Option<String>,
    authorizer_id: Option<String>,
    appid: String,
    reason: String,
    received_at: i64,
}

impl Columns {
    fn of(row: &Model) -> Self {
        Self {
            id: row.id.clone(),
            component_id: row.component_id.clone(),
            authorizer_id: row.authorizer_id.clone(),
            appid: row.appid.clone(),
            reason: row.reason.clone(),
            received_at: row.received_at,
        }
    }

    fn record(self) -> Result<Quarantined> {
        let read = Reader { table: "quarantined_messages", key: &self.id };
        let recipient = match (&self.component_id, &self.authorizer_id) {
            (Some(id), None) => QuarantinedFor::Component(read.parsed(ComponentId::parse(id))?),
            (None, Some(id)) => QuarantinedFor::Account(read.parsed(AuthorizerId::parse(id))?),
            (None, None) | (Some(_), Some(_)) => return Err(read.fault()),
        };
        let appid = read.appid(&self.appid)?;
        Ok(Quarantined {
            id: read.parsed(PushId::parse(&self.id))?,
            what: QuarantinedPush::ToAccount { recipient, appid },
            reason: reason(&read, &self.reason)?,
            received_at: read.instant(self.received_at)?,
        })
    }
}

/// A row of `pushes`, as far as it is about quarantine.
#[derive(sea_orm::FromQueryResult)]
struct PushColumns {
    id: String,
    component_id: String,
    quarantine_reason: Option<String>,
    last_failure: Option<String>,
    received_at: i64,
}

impl PushColumns {
    fn of(row: pushes::Model) -> Self {
        Self {
            id: row.id,
            component_id: row.component_id,
            quarantine_reason: row.quarantine_reason,
            last_failure: row.last_failure,
            received_at: row.received_at,
        }
    }

    fn record(self) -> Result<Quarantined> {
        let read = Reader { table: "pushes", key: &self.id };
        let reason = match (&self.quarantine_reason, &self.last_failure) {
            (Some(reason), _) => self::reason(&read, reason)?,
            // As programs of the release before wrote it: only opening could fail.
            (None, Some(_)) => QuarantineReason::Unopenable,
            (None, None) => QuarantineReason::Unreadable,
        };
        let component = read.parsed(ComponentId::parse(&self.component_id))?;
        Ok(Quarantined {
            id: read.parsed(PushId::parse(&self.id))?,
            what: QuarantinedPush::ToComponent(component),
            reason,
            received_at: read.instant(self.received_at)?,
        })
    }
}

/// The messages that were verified for the tenant's account with this appid.
fn of_account(scope: &TenantScope, appid: &Appid) -> Condition {
    use authorizers::Column as Owned;
    let owned = |column| {
        authorizers::Entity::find()
            .select_only()
            .column(column)
            .filter(Owned::TenantId.eq(scope.tenant_id().as_str()))
            .filter(Owned::Appid.eq(appid.as_str()))
            .into_query()
    };
    let verified_for_it = Condition::any()
        .add(Column::ComponentId.in_subquery(owned(Owned::ComponentId)))
        .add(Column::AuthorizerId.in_subquery(owned(Owned::Id)));
    Condition::all().add(Column::Appid.eq(appid.as_str())).add(verified_for_it)
}

fn stands_in(openid: &str, text: &[u8]) -> bool {
    !openid.is_empty() && text.windows(openid.len()).any(|window| window == openid.as_bytes())
}

fn reason(read: &Reader<'_>, text: &str) -> Result<QuarantineReason> {
    read.present(QuarantineReason::ALL.into_iter().find(|reason| reason.as_str() == text))
}

/// The sealed row of a message. Its digest is told apart by recipient and account.
fn row(keys: &KeyRing, new: &NewQuarantined) -> Model {
    let (component, authorizer) = match &new.recipient {
        QuarantinedFor::Component(id) => (Some(id.as_str()), None),
        QuarantinedFor::Account(id) => (None, Some(id.as_str())),
    };
    let recipient = component.or(authorizer).unwrap_or_default();
    let dedupe = new.dedupe.to_hex();
    let parts = [recipient, new.appid.as_str(), &dedupe].map(str::as_bytes);
    Model {
        id: new.id.as_str().to_owned(),
        component_id: component.map(ToOwned::to_owned),
        authorizer_id: authorizer.map(ToOwned::to_owned),
        appid: new.appid.as_str().to_owned(),
        dedupe: Digest::of(&parts).to_hex(),
        payload_sealed: keys.seal_bytes(place(&[recipient, new.id.as_str()]), &new.payload),
        reason: new.reason.as_str().to_owned(),
        received_at: new.received_at.timestamp_millis(),
    }
}

fn open(keys: &KeyRing, row: &Model) -> Result<Secret<Vec<u8>>> {
    let recipient = row.component_id.as_deref().or(row.authorizer_id.as_deref());
    keys.open(place(&[recipient.unwrap_or_default(), &row.id]), &row.payload_sealed)
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "quarantined_messages", column: "payload_sealed", row }
}
