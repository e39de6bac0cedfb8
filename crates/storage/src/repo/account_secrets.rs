//! The secrets of accounts that are connected by their own.

use lingpai_model::{
    Appid, Secret,
    authorizer::{AccountSecret, TokenApi},
    id::AuthorizerId,
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};

use super::{AccountSecretRepo, Reader, Write};
use crate::{
    cache::Changed,
    db::Handle,
    entity::account_secrets::{self, Column, Entity},
    error::{Error, Result},
    seal::{KeyRing, Place},
};

impl<A> AccountSecretRepo<'_, A> {
    /// The secret of the account with this appid, whoever entered it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_find(&self, appid: &Appid) -> Result<Option<AccountSecret>> {
        let row = Entity::find().filter(Column::Appid.eq(appid.as_str()));
        let row =
            row.one(&self.at.conn).await.map_err(self.at.failed("read an account's secret"))?;
        row.as_ref().map(|row| record(&self.at, row)).transpose()
    }

    /// The secret of this authorizer.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Unopenable`], [`Error::Inconsistent`].
    pub async fn system_get(&self, id: &AuthorizerId) -> Result<AccountSecret> {
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let row = row.map_err(self.at.failed("read an account's secret"))?;
        record(&self.at, &row.ok_or_else(|| Error::not_found("secret of authorizer", id))?)
    }
}

impl AccountSecretRepo<'_, Write> {
    /// Erases the secret of this authorizer. Without one nothing happens.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Inconsistent`].
    pub async fn system_erase(&self, id: &AuthorizerId) -> Result<()> {
        let what = "erase an account's secret";
        let row = Entity::find_by_id(id.as_str()).one(&self.at.conn).await;
        let Some(row) = row.map_err(self.at.failed(what))? else { return Ok(()) };
        let read = Reader { table: "account_secrets", key: &row.authorizer_id };
        self.at.changed(Changed::AccountSecret(read.appid(&row.appid)?));
        let erased = Entity::delete_by_id(id.as_str()).exec(&self.at.conn).await;
        erased.map_err(self.at.failed(what)).map(drop)
    }

    /// Adds a secret.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when one of this account is there; [`Error::Unavailable`].
    pub async fn system_insert(&self, secret: &AccountSecret) -> Result<()> {
        self.at.changed(Changed::AccountSecret(secret.appid.clone()));
        self.at.insert_new("add an account's secret", "account", row(self.at.keys, secret)).await
    }

    /// Replaces the secret of its authorizer by another of the same account.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Unavailable`].
    pub async fn system_update(&self, secret: &AccountSecret) -> Result<()> {
        self.at.changed(Changed::AccountSecret(secret.appid.clone()));
        let mut changed = row(self.at.keys, secret).into_active_model().reset_all();
        for column in [Column::AuthorizerId, Column::Appid, Column::CreatedAt] {
            changed.not_set(column);
        }
        let updated = Entity::update_many()
            .set(changed)
            .filter(Column::AuthorizerId.eq(secret.authorizer_id.as_str()))
            .exec(&self.at.conn)
            .await
            .map_err(self.at.failed("replace an account's secret"))?;
        match updated.rows_affected {
            1 => Ok(()),
            _ => Err(Error::not_found("secret of authorizer", &secret.authorizer_id)),
        }
    }
}

fn row(keys: &KeyRing, secret: &AccountSecret) -> account_secrets::Model {
    let id = [secret.authorizer_id.as_str()];
    let seal = |column, value: &Secret<String>| keys.seal_text(place(column, &id), value);
    let key = secret.encoding_aes_key.as_ref();
    account_secrets::Model {
        authorizer_id: id[0].to_owned(),
        appid: secret.appid.as_str().to_owned(),
        appsecret_sealed: seal(APPSECRET, &secret.appsecret),
        token_api: secret.token_api.as_str().to_owned(),
        push_token_sealed: secret.push_token.as_ref().map(|value| seal(PUSH_TOKEN, value)),
        encoding_aes_key_sealed: key.map(|value| seal(ENCODING_AES_KEY, value)),
        created_at: secret.created_at.timestamp_millis(),
    }
}

fn record(at: &Handle<'_>, row: &account_secrets::Model) -> Result<AccountSecret> {
    let read = Reader { table: "account_secrets", key: &row.authorizer_id };
    let id = [row.authorizer_id.as_str()];
    let open = |column, sealed: &[u8]| at.keys.open_text(place(column, &id), sealed);
    let open_if_any =
        |column, sealed: Option<&[u8]>| sealed.map(|sealed| open(column, sealed)).transpose();
    let token_api = TokenApi::ALL.into_iter().find(|api| api.as_str() == row.token_api);
    Ok(AccountSecret {
        authorizer_id: read.parsed(AuthorizerId::parse(&row.authorizer_id))?,
        appid: read.appid(&row.appid)?,
        appsecret: open(APPSECRET, &row.appsecret_sealed)?,
        token_api: read.present(token_api)?,
        push_token: open_if_any(PUSH_TOKEN, row.push_token_sealed.as_deref())?,
        encoding_aes_key: open_if_any(ENCODING_AES_KEY, row.encoding_aes_key_sealed.as_deref())?,
        created_at: read.instant(row.created_at)?,
    })
}

const APPSECRET: &str = "appsecret_sealed";
const PUSH_TOKEN: &str = "push_token_sealed";
const ENCODING_AES_KEY: &str = "encoding_aes_key_sealed";

fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "account_secrets", column, row }
}
