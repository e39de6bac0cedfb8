//! A row in `tokens` for each token of the two older tables, due at once where it is still wanted.
//!
//! Sealed values cannot move: they are bound to the place they were sealed for. The access tokens
//! are fetched anew; the refresh tokens are in `refresh_tokens`, which stays as it is.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{ConnectionTrait as _, DbErr, DeriveMigrationName},
};

/// Every component's token is wanted.
const COMPONENTS: &str = "\
    INSERT INTO tokens (owner_id, kind, generation, due_at, failures, leased_until, lease_epoch) \
    SELECT old.component_id, 'component_access_token', 1, 0, 0, 0, 0 \
    FROM component_tokens AS old \
    WHERE NOT EXISTS (SELECT 1 FROM tokens AS taken \
        WHERE taken.owner_id = old.component_id AND taken.kind = 'component_access_token')";

/// An authorizer's token is wanted while its grant stands.
const AUTHORIZERS: &str = "\
    INSERT INTO tokens (owner_id, kind, generation, due_at, failures, leased_until, lease_epoch) \
    SELECT old.authorizer_id, 'authorizer_access_token', old.generation, \
        CASE WHEN owner.state = 'active' THEN 0 END, 0, 0, 0 \
    FROM authorizer_tokens AS old \
    JOIN authorizers AS owner ON owner.id = old.authorizer_id \
    WHERE NOT EXISTS (SELECT 1 FROM tokens AS taken \
        WHERE taken.owner_id = old.authorizer_id AND taken.kind = 'authorizer_access_token')";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        for seed in [COMPONENTS, AUTHORIZERS] {
            database.execute_unprepared(seed).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        // They go with their table; until then they are what a repetition would put there.
        Ok(())
    }
}
