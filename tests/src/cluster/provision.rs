//! Authorizers by the real flow: link, consent, push. Many, so several at a time.

use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::{Cluster, LONG};
use crate::{
    people::{Administrator, Program},
    processes::within,
};

/// How many administrators are at it at the same time.
const AT_A_TIME: usize = 8;

impl Cluster {
    /// Has every account authorize, and waits until all of them are stored.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn authorize_all(&self) -> Result<()> {
        let mut administrators = JoinSet::new();
        for number in 0..AT_A_TIME {
            let appids = self.appids.iter().skip(number).step_by(AT_A_TIME);
            let appids: Vec<String> = appids.cloned().collect();
            let (tenant, component) = (self.tenant(0), self.component.appid.clone());
            let emulator = Arc::clone(&self.emulator);
            administrators.spawn(async move {
                for appid in appids {
                    let (_, link) = tenant.start_authorization_of(&component, &appid).await?;
                    let page = Administrator::new("zh").open_start_page(&link).await?;
                    emulator.consent(page.desktop.as_str(), &appid, &[]).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = administrators.join_next().await {
            done??;
        }
        let tenant = self.tenant(0);
        within(LONG, "every authorizer is stored", async || {
            Ok((stored(&tenant).await? == self.appids.len()).then_some(()))
        })
        .await
    }
}

/// How many authorizers the tenant sees.
async fn stored(tenant: &Program) -> Result<usize> {
    let (mut count, mut next) = (0, String::new());
    loop {
        let page = tenant.get(&format!("/v1/authorizers?limit=100{next}")).await?;
        ensure!(page.status.is_success(), "the list was refused: {}", page.text);
        count += page.json["items"].as_array().map_or(0, Vec::len);
        match page.json["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(count),
        }
    }
}
