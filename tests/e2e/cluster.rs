//! Several real instances on one PostgreSQL under every fault that token keeping has to bear, each
//! in a small form. `make soak-tokens` runs the large ones.

use anyhow::Result;
use lingpai_storage::testing::Backend;
use lingpai_tests::{
    needs,
    trials::{
        Cold, Cut, Expiries, Frozen, KilledTokens, Kills, LeaseEnd, LostAnswers, Report, Stage,
        Wipe, Wiped,
    },
};

/// Runs a trial on PostgreSQL, if there is one.
async fn on_postgresql(trial: impl AsyncFnOnce(&Stage) -> Result<Report>) -> Result<()> {
    let Some(url) = needs("LINGPAI_TEST_POSTGRES_URL") else { return Ok(()) };
    let stage = Stage { backend: Backend::Postgres(url), tell: |_| {} };
    trial(&stage).await?.hold()
}

fn two_expiries(instances: usize) -> Expiries {
    let own = Vec::new();
    Expiries { instances, authorizers: 6, expiries: 2, life_secs: 6, callers: 4, own }
}

#[tokio::test]
async fn tokens_are_refreshed_once_per_expiry_by_three_instances() -> Result<()> {
    on_postgresql(async |stage| two_expiries(3).run(stage).await).await
}

#[tokio::test]
async fn shifted_clocks_change_nothing() -> Result<()> {
    let Some(library) = needs("LINGPAI_TEST_FAKETIME") else { return Ok(()) };
    let shifts = ["", "+3h", "-3h"];
    on_postgresql(async |stage| two_expiries(3).with_clocks(&library, &shifts).run(stage).await)
        .await
}

#[tokio::test]
async fn fifty_cold_callers_cause_one_call_when_wechat_takes_three_seconds() -> Result<()> {
    let trial = Cold { instances: 2, callers: 50, answer_ms: 3000 };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn killed_refreshers_lose_no_refresh_token() -> Result<()> {
    let trial = Kills { instances: 1, authorizers: 8, kills: 6, callers: 2 };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn a_holder_that_wakes_too_late_changes_nothing() -> Result<()> {
    let trial = Frozen { lease_end: LeaseEnd::Taken };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn tokens_killed_under_load_are_refreshed_once_each_and_nobody_notices() -> Result<()> {
    let trial = KilledTokens { instances: 2, authorizers: 6, callers: 6, times: 2 };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn wiped_refresh_tokens_come_back_with_nobodys_help() -> Result<()> {
    let wipes = vec![Wipe::InUse, Wipe::History, Wipe::HistoryAndInfo];
    let trial = Wiped { instances: 2, authorizers: 6, wipes, limit: None };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn answers_lost_after_the_effect_lose_no_refresh_token() -> Result<()> {
    let trial = LostAnswers { instances: 2, authorizers: 4, times: 1, callers: 2 };
    on_postgresql(async |stage| trial.run(stage).await).await
}

#[tokio::test]
async fn connections_cut_around_a_commit_lose_no_refresh_token() -> Result<()> {
    let trial = Cut { instances: 2, authorizers: 8, rounds: 3, callers: 2 };
    on_postgresql(async |stage| trial.run(stage).await).await
}
