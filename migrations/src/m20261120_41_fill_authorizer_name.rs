//! Kind and name of the authorizers that were there before their columns. Where the profile cannot be
//! read, or has something else in their place, they stay empty until it is read from WeChat anew.

use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{ConnectionTrait as _, DbBackend, DbErr, DeriveMigrationName},
};

const SQLITE: &str = "\
    UPDATE authorizers SET \
        kind = CASE \
            WHEN json_extract(profile_json, '$.kind') IN ('official_account', 'mini_program') \
            THEN json_extract(profile_json, '$.kind') END, \
        nick_name = CASE WHEN json_type(profile_json, '$.nick_name') = 'text' \
            THEN json_extract(profile_json, '$.nick_name') END \
    WHERE kind IS NULL AND nick_name IS NULL AND json_valid(profile_json)";

const MYSQL: &str = "\
    UPDATE authorizers SET \
        kind = CASE \
            WHEN JSON_UNQUOTE(JSON_EXTRACT(profile_json, '$.kind')) \
                IN ('official_account', 'mini_program') \
            THEN JSON_UNQUOTE(JSON_EXTRACT(profile_json, '$.kind')) END, \
        nick_name = CASE WHEN JSON_TYPE(JSON_EXTRACT(profile_json, '$.nick_name')) = 'STRING' \
            THEN JSON_UNQUOTE(JSON_EXTRACT(profile_json, '$.nick_name')) END \
    WHERE kind IS NULL AND nick_name IS NULL AND JSON_VALID(profile_json)";

/// PostgreSQL cannot be asked whether a text is JSON before its release 16. So all rows are tried at
/// once, and one by one only if one of them is none; the refusals are of the class of errors that
/// speak of data.
const POSTGRES: &str = "\
    DO $$ \
    DECLARE one RECORD; \
    BEGIN \
        UPDATE authorizers SET \
            kind = CASE WHEN profile_json::json ->> 'kind' IN ('official_account', 'mini_program') \
                THEN profile_json::json ->> 'kind' END, \
            nick_name = CASE WHEN json_typeof(profile_json::json -> 'nick_name') = 'string' \
                THEN profile_json::json ->> 'nick_name' END \
        WHERE kind IS NULL AND nick_name IS NULL; \
    EXCEPTION WHEN data_exception THEN \
        FOR one IN SELECT id FROM authorizers WHERE kind IS NULL AND nick_name IS NULL LOOP \
            BEGIN \
                UPDATE authorizers SET \
                    kind = CASE \
                        WHEN profile_json::json ->> 'kind' IN ('official_account', 'mini_program') \
                        THEN profile_json::json ->> 'kind' END, \
                    nick_name = CASE \
                        WHEN json_typeof(profile_json::json -> 'nick_name') = 'string' \
                        THEN profile_json::json ->> 'nick_name' END \
                WHERE id = one.id; \
            EXCEPTION WHEN data_exception THEN NULL; \
            END; \
        END LOOP; \
    END $$";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let fill = match manager.get_database_backend() {
            DbBackend::Sqlite => SQLITE,
            DbBackend::Postgres => POSTGRES,
            _ => MYSQL,
        };
        manager.get_connection().execute_unprepared(fill).await.map(drop)
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        // What was filled in goes with its columns; until then it is what a repetition would put
        // there.
        Ok(())
    }
}
