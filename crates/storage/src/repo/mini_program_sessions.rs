//! The last login of each fan in each mini program. The key of a session is sealed for its fan: it
//! opens in no other fan's row.

use lingpai_model::{
    Instant,
    id::{AuthorizerId, MiniProgramSessionId},
    mini_program_session::MiniProgramSession,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, IntoActiveModel as _, JoinType,
    QueryFilter as _, QuerySelect as _, RelationDef, Select,
    sea_query::{Expr, OnConflict},
};

use super::{MiniProgramSessionRepo, Reader, Write, sweep};
use crate::{
    db::Handle,
    entity::{
        authorizers,
        mini_program_sessions::{self, Column, Entity},
    },
    error::{Error, Result},
    seal::{KeyRing, Place},
};

/// How many ids one statement names.
const IDS_AT_ONCE: usize = 500;

/// A fan: the mini program's account, and his openid there.
type Fan<'a> = (&'a AuthorizerId, &'a str);

/// A session as it was read: later the fan may have logged in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMark {
    /// Its id.
    pub id: MiniProgramSessionId,
    /// When the fan had logged in last.
    pub updated_at: Instant,
}

impl<A> MiniProgramSessionRepo<'_, A> {
    /// The fan's session in the mini program.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find(
        &self,
        authorizer: &AuthorizerId,
        openid: &str,
    ) -> Result<Option<MiniProgramSession>> {
        let row = of_fan(authorizer, openid)
            .one(&self.at.conn)
            .await
            .map_err(self.at.failed("read the session of a fan"))?;
        row.map(|row| record(&self.at, row)).transpose()
    }

    /// Some of the sessions of before their account was last released: at most `limit`. What cannot be
    /// read is logged and left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_list_given_up(&self, limit: u64) -> Result<Vec<SessionMark>> {
        let account: RelationDef = Entity::belongs_to(authorizers::Entity)
            .from(Column::AuthorizerId)
            .to(authorizers::Column::Id)
            .into();
        let released_at = Expr::col((authorizers::Entity, authorizers::Column::ReleasedAt));
        let rows: Vec<(String, i64)> = Entity::find()
            .join(JoinType::InnerJoin, account)
            .filter(released_at.clone().is_not_null())
            .filter(released_at.gte(Expr::col((Entity, Column::UpdatedAt))))
            .select_only()
            .columns([Column::Id, Column::UpdatedAt])
            .limit(limit)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed("list the sessions of released mini programs"))?;
        let marks = rows.iter().filter_map(|(id, updated_at)| {
            let read = mark(id, *updated_at);
            read.inspect_err(|error| {
                tracing::error!(session.id = id, %error, "session {id} cannot be read");
            })
            .ok()
        });
        Ok(marks.collect())
    }
}

impl MiniProgramSessionRepo<'_, Write> {
    /// Adds the session of a fan, or brings the one that he has in this mini program up to date: its
    /// key, when he logged in last, and his unionid where one is told. Id and first login stay. One of
    /// a later login is there already: it stays as it is.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] or [`Error::Query`] when another fan's session has this id;
    /// [`Error::Unavailable`].
    pub async fn system_upsert(&self, session: &MiniProgramSession) -> Result<()> {
        let row = row(self.at.keys, session);
        let fan = (&session.authorizer_id, session.openid.as_str());
        if self.id_of_fan(fan).await?.is_none() {
            self.insert_if_absent(row.clone()).await?;
        }
        let Some(id) = self.id_of_fan(fan).await? else {
            return Err(Error::AlreadyExists { what: "session of a fan" });
        };
        // Erased this moment: then the erasure came after this login.
        let Some(there) = self.lock(&id).await? else { return Ok(()) };
        if there.updated_at <= row.updated_at { self.renew(&id, row).await } else { Ok(()) }
    }

    /// Erases the fan's session in the mini program; returns how many there were.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_erase(&self, authorizer: &AuthorizerId, openid: &str) -> Result<u64> {
        let erased = Entity::delete_many()
            .filter(Column::AuthorizerId.eq(authorizer.as_str()))
            .filter(Column::Openid.eq(openid))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("erase the session of a fan"))?;
        Ok(erased.rows_affected)
    }

    /// Erases at most `limit` sessions in the mini program; returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_erase_some(&self, authorizer: &AuthorizerId, limit: u64) -> Result<u64> {
        let what = "erase the sessions of a mini program";
        let rows = Entity::find().filter(Column::AuthorizerId.eq(authorizer.as_str()));
        self.erase(what, rows.limit(limit)).await
    }

    /// Erases the fan's session in the mini program if he has not logged in since `until`; returns how
    /// many there were.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_erase_until(
        &self,
        authorizer: &AuthorizerId,
        openid: &str,
        until: Instant,
    ) -> Result<u64> {
        let Some(id) = self.id_of_fan((authorizer, openid)).await? else { return Ok(0) };
        let there = self.lock(&id).await?;
        if there.is_none_or(|there| there.updated_at > until.timestamp_millis()) {
            return Ok(0);
        }
        let erased = Entity::delete_by_id(id).exec(&self.at.conn).await;
        Ok(erased.map_err(self.at.failed("erase the session of a fan"))?.rows_affected)
    }

    /// Erases a session as it was read; `false` when it is gone, or the fan has logged in since.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn system_erase_if(&self, mark: &SessionMark) -> Result<bool> {
        let erased = Entity::delete_by_id(mark.id.as_str())
            .filter(Column::UpdatedAt.eq(mark.updated_at.timestamp_millis()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("erase a session"))?;
        Ok(erased.rows_affected == 1)
    }

    /// Erases some of the sessions of fans who have not logged in since `before`; returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn sweep(&self, before: Instant) -> Result<u64> {
        sweep::<Entity>(&self.at, "erase old sessions", Column::UpdatedAt, before).await
    }

    async fn erase(&self, what: &'static str, rows: Select<Entity>) -> Result<u64> {
        let ids: Vec<String> = rows
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .all(&self.at.conn)
            .await
            .map_err(self.at.failed(what))?;
        let mut erased = 0;
        for ids in ids.chunks(IDS_AT_ONCE) {
            let delete = Entity::delete_many().filter(Column::Id.is_in(ids));
            let deleted = delete.exec(&self.at.conn).await.map_err(self.at.failed(what))?;
            erased += deleted.rows_affected;
        }
        Ok(erased)
    }

    /// The id of the session that a fan has in a mini program.
    async fn id_of_fan(&self, (authorizer, openid): Fan<'_>) -> Result<Option<String>> {
        let id = of_fan(authorizer, openid).select_only().column(Column::Id);
        let id = id.into_tuple().one(&self.at.conn).await;
        id.map_err(self.at.failed("look for the session of a fan"))
    }

    /// The row with this id, which nobody else changes until this transaction ends.
    ///
    /// It is locked by its id alone. Two who came to it by different indexes would lock index and row
    /// in either order on MySQL, and stand in each other's way.
    async fn lock(&self, id: &str) -> Result<Option<mini_program_sessions::Model>> {
        let row = Entity::find_by_id(id).lock_exclusive().one(&self.at.conn).await;
        row.map_err(self.at.failed("lock the session of a fan"))
    }

    /// Adds the row, unless its fan has one. Another login of his may just be making it: an insert that
    /// would change nothing waits for that one; a refused insert leaves a lock on MySQL that two of us
    /// could hold, each in the other's way.
    async fn insert_if_absent(&self, row: mini_program_sessions::Model) -> Result<()> {
        let mut there = OnConflict::columns([Column::AuthorizerId, Column::Openid]);
        // Its own, not the new one: on MySQL a row of the same id would be taken for the fan's.
        there.value(Column::Openid, Expr::col((Entity, Column::Openid)));
        let insert = Entity::insert(row.into_active_model()).on_conflict(there);
        let inserted = insert.exec_without_returning(&self.at.conn).await;
        inserted.map_err(self.at.failed("keep the session of a fan")).map(drop)
    }

    /// Makes the row with this id tell what `row` does. A unionid that WeChat does not tell this time
    /// is not unlearnt.
    async fn renew(&self, id: &str, row: mini_program_sessions::Model) -> Result<()> {
        let mut update = Entity::update_many()
            .col_expr(Column::SessionKeySealed, Expr::val(row.session_key_sealed))
            .col_expr(Column::UpdatedAt, Expr::val(row.updated_at));
        if let Some(unionid) = row.unionid {
            update = update.col_expr(Column::Unionid, Expr::val(unionid));
        }
        let updated = update.filter(Column::Id.eq(id)).exec(&self.at.conn).await;
        updated.map_err(self.at.failed("renew the session of a fan")).map(drop)
    }
}

fn of_fan(authorizer: &AuthorizerId, openid: &str) -> Select<Entity> {
    Entity::find()
        .filter(Column::AuthorizerId.eq(authorizer.as_str()))
        .filter(Column::Openid.eq(openid))
}

fn mark(id: &str, updated_at: i64) -> Result<SessionMark> {
    let read = Reader { table: "mini_program_sessions", key: id };
    let id = read.parsed(MiniProgramSessionId::parse(id))?;
    Ok(SessionMark { id, updated_at: read.instant(updated_at)? })
}

fn row(keys: &KeyRing, session: &MiniProgramSession) -> mini_program_sessions::Model {
    let owner = [session.authorizer_id.as_str(), session.openid.as_str()];
    mini_program_sessions::Model {
        id: session.id.as_str().to_owned(),
        authorizer_id: owner[0].to_owned(),
        openid: owner[1].to_owned(),
        unionid: session.unionid.clone(),
        session_key_sealed: keys.seal_text(place(&owner), &session.session_key),
        created_at: session.created_at.timestamp_millis(),
        updated_at: session.updated_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: mini_program_sessions::Model) -> Result<MiniProgramSession> {
    let read = Reader { table: "mini_program_sessions", key: &row.id };
    let owner = [row.authorizer_id.as_str(), row.openid.as_str()];
    Ok(MiniProgramSession {
        id: read.parsed(MiniProgramSessionId::parse(&row.id))?,
        authorizer_id: read.parsed(AuthorizerId::parse(&row.authorizer_id))?,
        session_key: at.keys.open_text(place(&owner), &row.session_key_sealed)?,
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
        openid: row.openid,
        unionid: row.unionid,
    })
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place { table: "mini_program_sessions", column: "session_key_sealed", row }
}
