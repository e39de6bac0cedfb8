//! What events have to bear, each in a small form. `make soak-events` runs the large ones.

use anyhow::Result;
use lingpai_storage::testing::Backend;
use lingpai_tests::{
    needs,
    trials::{KilledPushes, Pace, Pushed, Report, Stage},
};

/// Runs a trial on SQLite.
async fn on_sqlite(trial: impl AsyncFnOnce(&Stage) -> Result<Report>) -> Result<()> {
    trial(&Stage { backend: Backend::Sqlite, tell: |_| {} }).await?.hold()
}

/// Runs a trial on PostgreSQL, if there is one.
async fn on_postgresql(trial: impl AsyncFnOnce(&Stage) -> Result<Report>) -> Result<()> {
    let Some(url) = needs("LINGPAI_TEST_POSTGRES_URL") else { return Ok(()) };
    trial(&Stage { backend: Backend::Postgres(url), tell: |_| {} }).await?.hold()
}

fn three_hundred_a_second(messages: u64, copies: u64) -> Pushed {
    Pushed { instances: 1, authorizers: 3, messages, copies, per_second: 300, pace: Pace::Told }
}

fn killed(instances: usize) -> KilledPushes {
    KilledPushes { instances, authorizers: 3, kills: 3, per_second: 100 }
}

#[tokio::test]
async fn every_push_is_answered_and_delivered_once_while_other_endpoints_are_broken() -> Result<()>
{
    on_sqlite(async |stage| three_hundred_a_second(600, 1).run(stage).await).await
}

#[tokio::test]
async fn on_postgresql_too_broken_endpoints_cost_no_push_and_no_delivery() -> Result<()> {
    on_postgresql(async |stage| three_hundred_a_second(600, 1).run(stage).await).await
}

#[tokio::test]
async fn of_many_copies_of_a_message_there_is_one_event() -> Result<()> {
    on_sqlite(async |stage| three_hundred_a_second(100, 4).run(stage).await).await
}

#[tokio::test]
async fn of_many_copies_at_two_instances_there_is_one_event() -> Result<()> {
    let trial = Pushed { instances: 2, ..three_hundred_a_second(100, 4) };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn what_was_answered_with_success_survives_kill_9_and_is_delivered() -> Result<()> {
    on_sqlite(async |stage| killed(1).run(stage).await).await
}

#[tokio::test]
async fn what_one_of_two_instances_answered_survives_its_kill_9() -> Result<()> {
    on_postgresql(async |stage| killed(2).run(stage).await).await
}
