//! The real binaries as processes of their own: to be looked at, killed and started again.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use url::Url;

use crate::people::http_client;

/// How often a condition is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(50);

/// How long a process may take to be ready before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `lingpai` or `lingpai-emulator`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    /// Where it listens.
    pub url: Url,
    /// Everything it printed.
    pub log: PathBuf,
}

/// How to start a process: which binary, with which words and settings.
#[derive(Debug, Clone)]
pub struct Start {
    program: PathBuf,
    name: String,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    url: Url,
    log: PathBuf,
}

impl Start {
    /// A `lingpai serve` on a free port, with its database, master key and log in `dir`.
    ///
    /// # Errors
    /// When the binary was not built or no port is free.
    pub fn service(dir: &Path, emulator: &Url, settings: &[(&str, &str)]) -> Result<Self> {
        let url = free_url()?;
        let mut start = Self::of("lingpai", dir, url)?;
        start.args.push("serve".into());
        let listen = start.url.authority().to_owned();
        let database = format!("sqlite://{}", dir.join("lingpai.db").display());
        let public_url = start.url.as_str().trim_end_matches('/').to_owned();
        for (key, value) in [
            ("LINGPAI_SERVER__LISTEN", listen.as_str()),
            ("LINGPAI_SERVER__PUBLIC_URL", &public_url),
            ("LINGPAI_DATABASE__URL", &database),
            ("LINGPAI_WECHAT__API_URL", emulator.as_str()),
            ("LINGPAI_WECHAT__OPEN_URL", emulator.as_str()),
            ("LINGPAI_WECHAT__MP_URL", emulator.as_str()),
        ] {
            start.env.push((key.to_owned(), value.to_owned()));
        }
        start.env.extend(settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Ok(start)
    }

    /// A `lingpai-emulator` on a free port that pushes to `service`, with its log in `dir`.
    ///
    /// # Errors
    /// When the binary was not built or no port is free.
    pub fn emulator(dir: &Path, args: &[&str]) -> Result<Self> {
        let mut start = Self::of("lingpai-emulator", dir, free_url()?)?;
        start.args.push("--listen".into());
        start.args.push(start.url.authority().to_owned().into());
        start.args.extend(args.iter().map(Into::into));
        Ok(start)
    }

    /// The same process on this address instead of a free port.
    ///
    /// # Panics
    /// When the address is none.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        let old = self.url.authority().to_owned();
        self.url = format!("http://{address}/").parse().expect("an address makes a URL");
        for arg in &mut self.args {
            if *arg == *old {
                *arg = address.into();
            }
        }
        for (_, value) in &mut self.env {
            *value = value.replace(&old, address);
        }
        self
    }

    fn of(name: &str, dir: &Path, url: Url) -> Result<Self> {
        let program = binary(name)?;
        let log = dir.join(format!("{name}.log"));
        let (args, env) = (Vec::new(), Vec::new());
        Ok(Self { program, name: name.to_owned(), args, env, url, log })
    }

    /// Where it will listen.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where everything it prints goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it ends at once or does not answer.
    pub async fn run(&self) -> Result<Process> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", self.program.display()))?;
        let (url, log) = (self.url.clone(), self.log.clone());
        let mut process = Process { child, name: self.name.clone(), url, log };
        process.wait_until_ready().await?;
        Ok(process)
    }

    /// Starts another command of the same binary that stays, with these settings alone; what it prints
    /// goes to a log of its own beside this one's. It has nothing to be ready by.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn companion(
        &self,
        args: &[&str],
        settings: &[(&str, String)],
        name: &str,
    ) -> Result<Process> {
        let log = self.log.with_file_name(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(&self.program)
            .args(args)
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Process { child, name: name.to_owned(), url: self.url.clone(), log })
    }

    /// Runs another command of the same binary with the same settings and gives what it printed on
    /// its standard output.
    ///
    /// # Errors
    /// When the command fails.
    pub fn command(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .output()?;
        let [told, said] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
        ensure!(output.status.success(), "{} {args:?} failed: {said}{told}", self.name);
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Process {
    async fn wait_until_ready(&mut self) -> Result<()> {
        let ready = self.url.join("readyz")?;
        let http = http_client();
        let patience = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < patience {
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} ended with {status}:\n{said}", self.name);
            }
            if http.get(ready.clone()).send().await.is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("{} was not ready after {PATIENCE:?}; see {}", self.name, self.log.display())
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it where it stands, as `kill -STOP` does: it holds what it holds and learns nothing.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on after [`Process::freeze`].
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        // The shell's own `kill` is there wherever a shell is.
        let command = format!("kill {signal} {}", self.id());
        let sent = Command::new("sh").args(["-c", &command]).status()?;
        ensure!(sent.success(), "{} did not get the signal {signal}", self.name);
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed before; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address with a port that is free now.
///
/// # Errors
/// When none is.
pub fn free_url() -> Result<Url> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(format!("http://{}/", listener.local_addr()?).parse()?)
}

/// The folder of the built binaries: beside this one, or one above for tests.
fn binary(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folders = here.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not built beside {}; run `cargo build --bins`", here.display())
    })
}

/// Waits until `condition` holds.
///
/// # Errors
/// When it does not within a minute, or looking at it fails.
pub async fn eventually<T>(
    what: &str,
    condition: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    within(PATIENCE, what, condition).await
}

/// Waits until `condition` holds, for conditions that take long.
///
/// # Errors
/// When it does not within `patience`, or looking at it fails.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    condition: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let end = tokio::time::Instant::now() + patience;
    while tokio::time::Instant::now() < end {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("after {patience:?} still not: {what}")
}
