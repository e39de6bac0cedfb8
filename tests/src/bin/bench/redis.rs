//! Redis: what hands out stored texts as fast as anything does, where it is installed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lingpai_tests::processes::{eventually, free_url};
use tokio::net::TcpStream;

use crate::{Sample, load::CONNECTIONS, machine::Watch};

/// How many `GET`s are sent as fast as they are answered: some seconds of them.
const GETS: u32 = 400_000;

/// How often each key is written before, on average: keys are drawn, and none must be missing.
const WRITES_PER_KEY: u32 = 20;

/// A running Redis that keeps nothing on disk. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Child,
    port: u16,
    keys: u32,
    value_bytes: usize,
}

impl Redis {
    /// Starts one with this many keys. `None` when there is none here.
    ///
    /// # Errors
    /// When it does not start or the keys cannot be written.
    pub(crate) async fn start(
        folder: &Path,
        keys: u32,
        value_bytes: usize,
    ) -> Result<Option<Self>> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        let port = free_url()?.port().context("an address has a port")?;
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server did not start")?;
        let redis = Self { server, port, keys, value_bytes };
        eventually("redis-server listens", async || {
            Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(()))
        })
        .await?;
        redis.benchmark("set", keys * WRITES_PER_KEY)?;
        Ok(Some(redis))
    }

    /// Has it read keys as fast as it answers.
    ///
    /// # Errors
    /// When `redis-benchmark` fails.
    pub(crate) fn take(&self) -> Result<Sample> {
        let watch = Watch::start(self.server.id())?;
        let printed = self.benchmark("get", GETS)?;
        let cores = watch.stop()?;
        // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",
        // "p99_latency_ms","max_latency_ms"
        let row = printed.lines().last().context("redis-benchmark printed nothing")?;
        let column = |at: usize| -> Result<f64> {
            let text = row.split(',').nth(at).with_context(|| format!("too short: {row}"))?;
            Ok(text.trim_matches('"').parse()?)
        };
        Ok(Sample {
            rate: column(1)?,
            cores,
            p50_ms: column(4)?,
            p99_ms: column(6)?,
            calm_p99_ms: f64::NAN,
        })
    }

    fn benchmark(&self, test: &str, requests: u32) -> Result<String> {
        let output = Command::new("redis-benchmark")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--csv", "-t", test])
            .args(["-n", &requests.to_string(), "-r", &self.keys.to_string()])
            .args(["-d", &self.value_bytes.to_string(), "-c", &CONNECTIONS.to_string()])
            .output()
            .context("redis-benchmark could not be started; it comes with Redis")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "redis-benchmark failed: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
