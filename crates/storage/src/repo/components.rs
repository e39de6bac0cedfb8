//! Components with their sealed secrets.

use lingpai_model::{
    Appid,
    component::Component,
    id::ComponentId,
    page::{Page, PageRequest},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

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
}

fn row(keys: &KeyRing, component: &Component) -> components::Model {
    let id = component.id.as_str();
    let seal = |column, secret| keys.seal_text(place(column, &[id]), secret);
    components::Model {
        id: id.to_owned(),
        appid: component.appid.as_str().to_owned(),
        name: text(&component.name),
        appsecret_sealed: seal("appsecret_sealed", &component.appsecret),
        push_token_sealed: seal("push_token_sealed", &component.push_token),
        encoding_aes_key_sealed: seal("encoding_aes_key_sealed", &component.encoding_aes_key),
        previous_encoding_aes_key_sealed: component
            .previous_encoding_aes_key
            .as_ref()
            .map(|key| seal("previous_encoding_aes_key_sealed", key)),
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
        encoding_aes_key: open("encoding_aes_key_sealed", &row.encoding_aes_key_sealed)?,
        previous_encoding_aes_key: row
            .previous_encoding_aes_key_sealed
            .as_deref()
            .map(|sealed| open("previous_encoding_aes_key_sealed", sealed))
            .transpose()?,
        created_at: read.instant(row.created_at)?,
        updated_at: read.instant(row.updated_at)?,
        name: row.name,
    })
}

fn place<'a>(column: &'static str, row: &'a [&'a str]) -> Place<'a> {
    Place { table: "components", column, row }
}
