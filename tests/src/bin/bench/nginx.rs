//! nginx: the yardstick, and WeChat's stand-in where the emulator would be what is measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use lingpai_tests::processes::free_url;
use tokio::{net::TcpStream, time::sleep};

/// How often is looked whether it listens.
const POLL: Duration = Duration::from_millis(20);

/// A running nginx. Dropping it stops it with its workers.
#[derive(Debug)]
pub(crate) struct Nginx {
    master: Child,
    folder: PathBuf,
    /// Host and port.
    pub(crate) address: String,
}

impl Nginx {
    /// Starts one with this inside its `http` block; `$ADDRESS` stands for where it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(folder: &Path, http: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let address = free_url()?.authority().to_owned();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {kind};\n"))
            .concat();
        // Everything that a busy proxy in production would be given, and no log per request.
        let config = format!(
            "worker_processes auto;\npid nginx.pid;\nerror_log error.log;\ndaemon off;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n{temporary}  access_log off;\n  tcp_nodelay on;\n  server_tokens off;\n  \
             keepalive_requests 100000000;\n  keepalive_timeout 300s;\n{}\n}}\n",
            http.replace("$ADDRESS", &address)
        );
        fs::write(folder.join("nginx.conf"), config)?;
        let master =
            program(&folder).stdin(Stdio::null()).spawn().context("nginx did not start")?;
        let mut nginx = Self { master, folder, address };
        nginx.wait_until_listening().await?;
        Ok(nginx)
    }

    async fn wait_until_listening(&mut self) -> Result<()> {
        for _ in 0..250 {
            if let Some(status) = self.master.try_wait()? {
                let said = fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
                bail!("nginx ended with {status}: {said}");
            }
            if TcpStream::connect(&self.address).await.is_ok() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("nginx does not listen on {}", self.address)
    }

    /// The process id of its master.
    pub(crate) fn id(&self) -> u32 {
        self.master.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killing the master would leave its workers behind: it has to be told.
        let told = program(&self.folder).args(["-s", "stop"]).stderr(Stdio::null()).status();
        if told.is_ok_and(|status| status.success()) {
            let _ = self.master.wait();
        }
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    command.arg("-e").arg(folder.join("error.log"));
    command
}

/// Its version.
pub(crate) fn version() -> Result<String> {
    let output = Command::new("nginx").arg("-v").output().context("nginx is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(said.rsplit('/').next().unwrap_or_default().to_owned())
}
