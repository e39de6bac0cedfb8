//! Repositories: rows in, records out, one file per noun.
//!
//! Each is reached as `db.tickets()` to read outside a transaction, or as `tx.tickets()` to read
//! and write inside one. Writing methods exist only on the latter.

mod account_secrets;
mod api_keys;
mod audit;
mod authorizations;
pub(crate) mod authorizers;
pub(crate) mod auto_replies;
mod components;
pub(crate) mod deliveries;
mod endpoints;
pub(crate) mod events;
mod exchanges;
mod files;
mod idempotency;
pub(crate) mod late_replies;
pub(crate) mod listener_replies;
mod listeners;
mod mini_program_sessions;
mod operators;
mod publish_checks;
pub(crate) mod pushes;
pub(crate) mod quarantine;
mod quotas;
mod redirect_uris;
mod refresh_tokens;
mod tenants;
pub(crate) mod tickets;
pub(crate) mod tokens;
mod usage;
mod web_authorizations;
mod web_tokens;

use std::{
    collections::{BTreeSet, HashSet},
    marker::PhantomData,
};

use lingpai_model::{Appid, Instant, digest::Digest, page::PageRequest};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select, sea_query::OnConflict,
};

pub use self::{
    audit::AuditFilter,
    authorizations::{AuthorizationFilter, Progress},
    authorizers::{AuthorizerFilter, Claim, SystemAuthorizerFilter},
    deliveries::{DeliveryCounts, DeliveryQuery},
    endpoints::EndpointLease,
    events::{ErasureScope, EventHead, EventMark, EventQuery},
    idempotency::{IdempotencyEntry, IdempotencyState},
    mini_program_sessions::SessionMark,
    tokens::{LeasedToken, TokenLease},
    usage::UsageFilter,
};
use crate::{
    db::{Db, Handle, Tx},
    error::{Error, Result},
};

/// How many rows a sweep erases at about most: those who write wait meanwhile.
const SWEPT_AT_ONCE: u64 = 10_000;

/// Reached from a [`Db`]: reads only.
#[derive(Debug, Clone, Copy)]
pub struct Read;

/// Reached from a [`Tx`]: reads and writes.
#[derive(Debug, Clone, Copy)]
pub struct Write;

macro_rules! repositories {
    ($($(#[doc = $doc:literal])+ $name:ident: $repo:ident;)+) => {
        $(
            $(#[doc = $doc])+
            pub struct $repo<'a, Access> {
                at: Handle<'a>,
                access: PhantomData<Access>,
            }
        )+

        impl Db {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $name(&self) -> $repo<'_, Read> {
                    $repo { at: self.handle(), access: PhantomData }
                }
            )+
        }

        impl Tx {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $name(&self) -> $repo<'_, Write> {
                    $repo { at: self.handle(), access: PhantomData }
                }
            )+
        }
    };
}

repositories! {
    /// Components with their secrets.
    components: ComponentRepo;
    /// The last tickets of each component.
    tickets: TicketRepo;
    /// Every token that is kept alive.
    tokens: TokenRepo;
    /// Tenants.
    tenants: TenantRepo;
    /// API keys of tenants.
    api_keys: ApiKeyRepo;
    /// Operators.
    operators: OperatorRepo;
    /// Authorizations and the visits of browsers to them.
    authorizations: AuthorizationRepo;
    /// Authorizers.
    authorizers: AuthorizerRepo;
    /// The secrets of accounts that are connected by their own.
    account_secrets: AccountSecretRepo;
    /// Attempts of fans, from a tenant's page by way of WeChat's and back.
    web_authorizations: WebAuthorizationRepo;
    /// Whose web OAuth tokens there are.
    web_tokens: WebTokenRepo;
    /// The last login of each fan in each mini program.
    mini_program_sessions: MiniProgramSessionRepo;
    /// The history of every refresh token ever received.
    refresh_tokens: RefreshTokenRepo;
    /// Where tenants' administrators and fans may be sent.
    redirect_uris: RedirectUriRepo;
    /// Exchanges of authorization codes.
    exchanges: ExchangeRepo;
    /// What WeChat pushed.
    pushes: PushRepo;
    /// The tenants' event streams.
    events: EventRepo;
    /// Where tenants want their events.
    endpoints: EndpointRepo;
    /// Events on their way to endpoints.
    deliveries: DeliveryRepo;
    /// Who did what.
    audit: AuditRepo;
    /// Requests that clients may repeat, with the answers they got.
    idempotency: IdempotencyRepo;
    /// How often what was called.
    usage: UsageRepo;
    /// What was counted against quotas and allowances.
    quotas: QuotaRepo;
    /// Domain verification files.
    files: FileRepo;
    /// What accounts answer by themselves.
    auto_replies: AutoReplyRepo;
    /// Replies that came too late to be WeChat's answer.
    late_replies: LateReplyRepo;
    /// Programs of tenants that follow their events as they come.
    listeners: ListenerRepo;
    /// What listeners replied.
    listener_replies: ListenerReplyRepo;
    /// Pushes that could not be taken the usual way.
    quarantine: QuarantineRepo;
    /// What became of the steps of WeChat's publish test.
    publish_checks: PublishCheckRepo;
}

/// The rows behind the request's cursor, in the order of `id`, and one more to tell whether there
/// is a next page.
fn page<E: EntityTrait>(rows: Select<E>, id: E::Column, request: &PageRequest) -> Select<E> {
    let rows = match &request.after {
        Some(cursor) => rows.filter(id.gt(cursor.last_id())),
        None => rows,
    };
    rows.order_by_asc(id).limit(request.limit() + 1)
}

/// As [`page`], against the order of `id`.
fn page_backwards<E: EntityTrait>(
    rows: Select<E>,
    id: E::Column,
    request: &PageRequest,
) -> Select<E> {
    let rows = match &request.after {
        Some(cursor) => rows.filter(id.lt(cursor.last_id())),
        None => rows,
    };
    rows.order_by_desc(id).limit(request.limit() + 1)
}

/// Inserts those of `rows` that are not there yet; of several with the same key, the first.
///
/// A row is told from others by the two `columns`, its component or account first, which hold its
/// `key`.
async fn insert_unknown<E>(
    at: &Handle<'_>,
    what: &'static str,
    rows: Vec<E::Model>,
    columns: [E::Column; 2],
    key: impl Fn(&E::Model) -> [String; 2],
) -> Result<()>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: Send,
{
    let mut rows = fold(rows, &key);
    // In one order, so that two who insert the same do not each wait for the other.
    rows.sort_by_cached_key(&key);
    if !at.skips_one_key() {
        let known = known::<E>(at, what, &rows, (columns, &key)).await?;
        rows.retain(|row| !known.contains(&key(row)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = E::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model));
    if at.skips_one_key() {
        // Asking first would make PostgreSQL look through all rows of the component or account.
        insert = insert.on_conflict(OnConflict::columns(columns).do_nothing().to_owned());
    }
    insert.exec_without_returning(&at.conn).await.map_err(at.failed(what)).map(drop)
}

/// The keys among those of `rows` that are there already.
async fn known<E: EntityTrait>(
    at: &Handle<'_>,
    what: &'static str,
    rows: &[E::Model],
    (columns, key): ([E::Column; 2], impl Fn(&E::Model) -> [String; 2]),
) -> Result<HashSet<[String; 2]>> {
    let [components, keys]: [BTreeSet<String>; 2] =
        [0, 1].map(|part| rows.iter().map(|row| key(row)[part].clone()).collect());
    let known: Vec<(String, String)> = E::find()
        .select_only()
        .columns(columns)
        .filter(columns[0].is_in(components))
        .filter(columns[1].is_in(keys))
        .into_tuple()
        .all(&at.conn)
        .await
        .map_err(at.failed(what))?;
    Ok(known.into_iter().map(<[String; 2]>::from).collect())
}

/// How many rows of one kind a statement inserts at most where rows come in great and differing
/// numbers: a connection keeps a statement of each number that it has seen.
const INSERTED_AT_ONCE: usize = 64;

/// Keeps the first of each key.
fn fold<T>(rows: Vec<T>, key: impl Fn(&T) -> [String; 2]) -> Vec<T> {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.into_iter().filter(|row| seen.insert(key(row))).collect()
}

/// Erases rows whose instant in `column` is before `before`, the oldest first: about
/// [`SWEPT_AT_ONCE`], and more only of one instant. Returns how many.
async fn sweep<E: EntityTrait>(
    at: &Handle<'_>,
    what: &'static str,
    column: E::Column,
    before: Instant,
) -> Result<u64> {
    let old = column.lt(before.timestamp_millis());
    let next: Option<i64> = E::find()
        .select_only()
        .column(column)
        .filter(old.clone())
        .order_by_asc(column)
        .offset(SWEPT_AT_ONCE)
        .limit(1)
        .into_tuple()
        .one(&at.conn)
        .await
        .map_err(at.failed(what))?;
    let mut delete = E::delete_many().filter(old);
    if let Some(next) = next {
        delete = delete.filter(column.lte(next));
    }
    Ok(delete.exec(&at.conn).await.map_err(at.failed(what))?.rows_affected)
}

/// Free text as a text column takes it: PostgreSQL refuses NUL in every encoding.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The reason of a failure as it is kept: enough to understand it, never a whole answer.
fn reason(reason: &str) -> String {
    text(&reason.chars().take(500).collect::<String>())
}

/// Reads the columns of one row back; what does not fit makes the row inconsistent.
struct Reader<'a> {
    table: &'static str,
    key: &'a str,
}

impl Reader<'_> {
    fn fault(&self) -> Error {
        Error::inconsistent(self.table, self.key)
    }

    /// What parsing gave, or the fault of the row.
    fn parsed<T, E>(&self, parsed: Result<T, E>) -> Result<T> {
        parsed.map_err(|_| self.fault())
    }

    /// What is there, or the fault of the row.
    fn present<T>(&self, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.fault())
    }

    fn instant(&self, millis: i64) -> Result<Instant> {
        self.present(Instant::from_timestamp_millis(millis))
    }

    fn instant_if_any(&self, millis: Option<i64>) -> Result<Option<Instant>> {
        millis.map(|millis| self.instant(millis)).transpose()
    }

    fn digest(&self, hex: &str) -> Result<Digest> {
        self.present(Digest::from_hex(hex))
    }

    fn appid(&self, text: &str) -> Result<Appid> {
        self.parsed(Appid::parse(text))
    }

    fn appid_if_any(&self, text: Option<&str>) -> Result<Option<Appid>> {
        text.map(|text| self.appid(text)).transpose()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, json: &str) -> Result<T> {
        self.parsed(serde_json::from_str(json))
    }

    fn count(&self, number: i64) -> Result<u32> {
        self.parsed(u32::try_from(number))
    }

    fn count_if_any(&self, number: Option<i64>) -> Result<Option<u32>> {
        number.map(|number| self.count(number)).transpose()
    }
}

/// Writes a list of numbers as JSON.
fn numbers_json(numbers: &[u32]) -> String {
    serde_json::to_string(numbers).expect("numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_key_is_kept() {
        let rows = vec![("a", 1), ("b", 2), ("a", 3)];
        let kept = fold(rows, |row| [row.0.to_owned(), String::new()]);
        assert_eq!(kept, [("a", 1), ("b", 2)]);
    }

    #[test]
    fn text_loses_nul_and_nothing_else() {
        assert_eq!(text("小店 🍜\0\n"), "小店 🍜\u{fffd}\n");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(reason(&"微".repeat(600)), "微".repeat(500));
    }
}
