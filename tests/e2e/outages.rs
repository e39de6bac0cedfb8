//! When something below is away.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use lingpai_emulator::EmulatorConfig;
use lingpai_tests::{needs, site::Site};
use reqwest::StatusCode;
use serde_json::json;

/// Holds the database's write lock in another process until told to let go.
struct Lock(Child);

impl Lock {
    fn take(python: &str, database: &std::path::Path) -> Result<Self> {
        let script = "import sqlite3, sys\n\
                      db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      db.execute('BEGIN IMMEDIATE')\n\
                      print('held', flush=True)\n\
                      sys.stdin.readline()\n\
                      db.execute('ROLLBACK')\n";
        let mut child = Command::new(python)
            .args(["-c", script])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        let stdout = child.stdout.take().context("the lock's holder can speak")?;
        BufReader::new(stdout).read_line(&mut said)?;
        anyhow::ensure!(said.trim() == "held", "the lock was not taken: {said}");
        Ok(Self(child))
    }

    fn let_go(mut self) -> Result<()> {
        self.0.stdin.take().context("the lock's holder listens")?.write_all(b"\n")?;
        self.0.wait()?;
        Ok(())
    }
}

#[tokio::test]
async fn a_push_that_cannot_be_committed_is_never_answered_with_success() -> Result<()> {
    let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(()) };
    let site = Site::open(EmulatorConfig::for_tests(), &[]).await?;
    let lock = Lock::take(&python, &site.dir.path().join("lingpai.db"))?;
    let refused = site.emulator.push_ticket().await;
    // The emulator waits five seconds, as WeChat does: there was an answer, and it says "repeat".
    assert_eq!(refused.status, Some(503), "{refused:?}");
    assert_ne!(refused.body, "success");
    lock.let_go()?;
    let accepted = site.emulator.push_ticket().await;
    assert!(accepted.is_accepted(), "{accepted:?}");
    let path = format!("/admin/v1/components/{}", site.component.appid);
    let shown = site.operator.get(&path).await?.expect(StatusCode::OK)?;
    assert_ne!(shown.json["ticket"], json!(null));
    Ok(())
}
