//! A peer that goes on: it takes one JSON object a line and answers each with one.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How long a peer may think before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running peer. Dropping it kills it.
pub(super) struct Peer {
    child: Child,
    pipes: Option<Pipes>,
}

struct Pipes {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Pipes {
    fn ask(mut self, asked: &Value) -> Result<(Self, String)> {
        writeln!(self.to, "{asked}")?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok((self, line))
    }
}

impl Peer {
    /// Starts a peer; what it complains of is seen beside what the test prints.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take().context("it takes input")?;
        let from = BufReader::new(child.stdout.take().context("it gives output")?);
        Ok(Self { child, pipes: Some(Pipes { to, from }) })
    }

    /// Has it do one thing.
    pub(super) async fn ask(&mut self, asked: Value) -> Result<Value> {
        let pipes = self.pipes.take().context("the peer broke down before")?;
        let told = asked.to_string();
        let talk = tokio::task::spawn_blocking(move || pipes.ask(&asked));
        let Ok(answered) = tokio::time::timeout(PATIENCE, talk).await else {
            // Ends the thread that waits for it.
            self.child.kill()?;
            bail!("the peer did not answer {told}");
        };
        let (pipes, line) = answered??;
        ensure!(!line.is_empty(), "the peer broke down over {told}");
        self.pipes = Some(pipes);
        serde_json::from_str(&line).with_context(|| format!("the peer speaks no JSON: {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
