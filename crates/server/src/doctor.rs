//! `lingpai doctor`: what is wrong with this installation, in words, with what to do next.

use std::{fmt, time::Duration};

use lingpai_component_token::TICKET_LATE_AFTER;
use lingpai_model::{
    Instant,
    clock::{Entropy, SharedClock},
    component::Component,
    page::PageRequest,
    token::{TokenFailure, TokenKey},
};
use lingpai_storage::Db;
use tokio::net::TcpStream;
use url::Url;

use crate::{
    database,
    master_key::{MasterKey, Origin, is_readable_by_others},
    settings::{Settings, is_loopback},
};

/// How far our clock may be from the database's before anything suffers.
const CLOCK_TOLERANCE: chrono::Duration = chrono::Duration::seconds(5);

/// How long WeChat may take to accept a connection.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// It works, but not as it should in production.
    Warn,
    /// Something does not work.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do, unless all is well.
    pub next_step: Option<String>,
}

impl Finding {
    fn ok(subject: &str, seen: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            verdict: Verdict::Ok,
            seen: seen.into(),
            next_step: None,
        }
    }

    fn warn(subject: &str, seen: impl Into<String>, next_step: impl Into<String>) -> Self {
        let finding = Self::ok(subject, seen);
        Self { verdict: Verdict::Warn, next_step: Some(next_step.into()), ..finding }
    }

    fn fail(subject: &str, seen: impl Into<String>, next_step: impl Into<String>) -> Self {
        let finding = Self::ok(subject, seen);
        Self { verdict: Verdict::Fail, next_step: Some(next_step.into()), ..finding }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{word}  {}: {}", self.subject, self.seen)?;
        self.next_step.iter().try_for_each(|step| write!(f, "\n      next: {step}"))
    }
}

/// Looks at everything and leaves nothing out: a check that cannot run says why.
///
/// Like every command that opens the database, it brings the schema up to date first unless the
/// settings forbid it.
pub async fn examine(settings: &Settings, clock: &SharedClock, entropy: &Entropy) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "complete and consistent")];
    findings.push(public_url(&settings.server.public_url));
    match database::connect(settings, entropy).await {
        Ok((db, key)) => {
            findings.push(key_file(&key));
            findings.push(Finding::ok(
                "database",
                format!("{}, {}", settings.database.masked_url(), db.durability()),
            ));
            let schema = schema(settings, &db).await;
            let is_current = schema.verdict == Verdict::Ok;
            findings.push(schema);
            findings.push(clocks(&db, clock.now()).await);
            if is_current {
                findings.push(key_fits(settings, &db, &key).await);
                findings.extend(components(settings, &db).await);
            }
            db.close().await;
        }
        Err(error) => findings.push(Finding::fail(
            "database",
            format!("{error:#}"),
            "put this right and run `lingpai doctor` again; the checks behind it were left out",
        )),
    }
    findings.push(upstream(&settings.wechat.api_url).await);
    findings
}

fn public_url(url: &Url) -> Finding {
    let subject = "public URL";
    if is_loopback(url) {
        Finding::warn(
            subject,
            format!("{url} is this machine: WeChat cannot push to it"),
            "set server.public_url to the https address under which the internet reaches lingpai",
        )
    } else if url.scheme() == "https" {
        Finding::ok(subject, url.as_str())
    } else {
        Finding::warn(
            subject,
            format!("{url} is not https: pages and API keys would travel in clear"),
            "put a TLS proxy in front and set server.public_url to its https address",
        )
    }
}

fn key_file(key: &MasterKey) -> Finding {
    let subject = "master key";
    match &key.origin {
        Origin::Settings => Finding::ok(subject, "given in the settings"),
        Origin::File(path) | Origin::Made(path) => {
            let shown = path.display();
            if is_readable_by_others(path) == Some(true) {
                Finding::warn(
                    subject,
                    format!("{shown} can be read by others than its owner"),
                    format!("chmod 600 {shown}"),
                )
            } else {
                Finding::ok(subject, format!("{shown}, readable by its owner only"))
            }
        }
    }
}

async fn schema(settings: &Settings, db: &Db) -> Finding {
    let subject = "schema";
    let brought = if settings.database.auto_migrate {
        database::migrate(db).await.map(|_| ())
    } else {
        Ok(())
    };
    let pending = match brought {
        Ok(()) => db.pending_migrations().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match pending {
        Ok(pending) if pending.is_empty() => Finding::ok(subject, "up to date"),
        Ok(pending) => Finding::fail(
            subject,
            format!("{} step(s) behind: {}", pending.len(), pending.join(", ")),
            "run `lingpai migrate`",
        ),
        Err(error) => Finding::fail(
            subject,
            format!("{error:#}"),
            "see that the database user may change tables, then run `lingpai migrate`",
        ),
    }
}

async fn key_fits(settings: &Settings, db: &Db, key: &MasterKey) -> Finding {
    let subject = "sealing";
    match database::check_key(settings, db, key).await {
        Ok(()) => Finding::ok(subject, "the master key opens what is stored"),
        Err(error) => Finding::fail(
            subject,
            format!("{error:#}"),
            "restore the master key from its copy: without it every stored secret is lost",
        ),
    }
}

async fn clocks(db: &Db, ours: Instant) -> Finding {
    let subject = "clock";
    match db.now().await {
        Ok(theirs) => {
            let apart = (ours - theirs).abs();
            let seen = format!("{} ms from the database's", apart.num_milliseconds());
            if apart <= CLOCK_TOLERANCE {
                Finding::ok(subject, seen)
            } else {
                let step = "synchronize both machines by NTP: tokens are refreshed by these clocks";
                Finding::fail(subject, seen, step)
            }
        }
        Err(error) => Finding::fail(
            subject,
            format!("the database's cannot be read: {error}"),
            "look at the database's own log",
        ),
    }
}

/// Tickets and tokens of every component, by the database's clock: by it they are kept.
async fn components(settings: &Settings, db: &Db) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut request = PageRequest::first();
    let Ok(now) = db.now().await else {
        // That the clock cannot be read was said before.
        return findings;
    };
    loop {
        let page = match db.components().list(&request).await {
            Ok(page) => page,
            Err(error) => {
                let step = "look at the database's own log";
                findings.push(Finding::fail("components", error.to_string(), step));
                return findings;
            }
        };
        for component in &page.items {
            findings.push(ticket(settings, db, component, now).await);
            findings.push(component_token(db, component, now).await);
        }
        match page.next {
            Some(next) => request = request.following(next),
            None => break,
        }
    }
    if findings.is_empty() {
        findings.push(Finding::warn(
            "components",
            "none is registered",
            "`lingpai operator-key create NAME`, then POST /admin/v1/components",
        ));
    }
    findings
}

async fn ticket(settings: &Settings, db: &Db, component: &Component, now: Instant) -> Finding {
    let subject = format!("ticket of {}", component.appid);
    let step = format!(
        "on the open platform, register {}wechat/components/{}/events for authorization events with \
         the push token and message key stored here, and see that the internet reaches it",
        settings.server.public_url, component.appid
    );
    match db.tickets().newest(&component.id, Instant::UNIX_EPOCH).await {
        Ok(Some(ticket)) => {
            let age = now - ticket.received_at;
            let seen = format!("the newest came {} s ago", age.num_seconds());
            if age <= TICKET_LATE_AFTER {
                Finding::ok(&subject, seen)
            } else {
                Finding::fail(&subject, format!("{seen}, WeChat sends one every 600 s"), step)
            }
        }
        Ok(None) => Finding::fail(&subject, "none came yet", step),
        Err(error) => Finding::fail(&subject, error.to_string(), "look at the database's own log"),
    }
}

async fn component_token(db: &Db, component: &Component, now: Instant) -> Finding {
    let subject = format!("component_access_token of {}", component.appid);
    let kept = match db.tokens().find(&TokenKey::Component(component.id.clone())).await {
        Ok(kept) => kept,
        Err(error) => {
            return Finding::fail(&subject, error.to_string(), "look at the database's own log");
        }
    };
    let failure = kept.as_ref().and_then(|kept| kept.failure.as_ref());
    let ends = kept.as_ref().and_then(|kept| kept.token.as_ref()).map(|token| token.expires_at);
    match (ends.filter(|ends| now < *ends), failure) {
        (Some(ends), None) => Finding::ok(&subject, format!("good until {ends}")),
        (Some(ends), Some(failure)) => {
            let seen = format!("good until {ends}, but {}", failed(failure));
            Finding::warn(&subject, seen, TOKEN_STEP)
        }
        (None, Some(failure)) => {
            Finding::fail(&subject, format!("none is good, and {}", failed(failure)), TOKEN_STEP)
        }
        (None, None) => Finding::warn(
            &subject,
            "none is good now",
            "nothing, if none was needed yet: it is got as soon as a ticket is here",
        ),
    }
}

/// What helps in most cases when a component's token cannot be refreshed.
const TOKEN_STEP: &str = "compare appid, secret and white list with the open platform's console; \
                          POST /admin/v1/components/{appid}/token-refresh tries at once";

fn failed(failure: &TokenFailure) -> String {
    let TokenFailure { at, reason, in_a_row } = failure;
    format!("the last {in_a_row} refreshes failed, the latest at {at}: {reason}")
}

async fn upstream(url: &Url) -> Finding {
    let subject = "WeChat";
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let connect = tokio::time::timeout(REACH_TIMEOUT, TcpStream::connect((host, port)));
    let step = "see that this machine may call out to it: name resolution, firewall, route";
    match connect.await {
        Ok(Ok(_)) => Finding::ok(subject, format!("{host}:{port} accepts connections")),
        Ok(Err(error)) => Finding::fail(subject, format!("{host}:{port}: {error}"), step),
        Err(_) => Finding::fail(subject, format!("{host}:{port} does not answer"), step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str) -> Verdict {
        public_url(&Url::parse(url).expect("a URL")).verdict
    }

    #[test]
    fn only_a_public_https_url_is_well() {
        assert_eq!(verdict("https://lingpai.example"), Verdict::Ok);
        assert_eq!(verdict("http://lingpai.example"), Verdict::Warn);
        assert_eq!(verdict("https://localhost"), Verdict::Warn);
        assert_eq!(verdict("http://127.0.0.1:8080"), Verdict::Warn);
    }

    #[test]
    fn whatever_is_not_well_says_what_to_do() {
        let finding = Finding::fail("clock", "9000 ms from the database's", "synchronize");
        assert_eq!(
            finding.to_string(),
            "FAIL  clock: 9000 ms from the database's\n      next: synchronize"
        );
    }
}
