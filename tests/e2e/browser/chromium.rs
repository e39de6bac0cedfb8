//! A real Chromium, driven by `tests/browser/drive.mjs`: one JSON command and one answer a line.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use lingpai_tests::visitor::WECHAT;
use serde_json::{Value, json};

/// A screen and the person before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    /// For the names of pictures.
    pub(crate) name: &'static str,
    width: u32,
    height: u32,
    locale: &'static str,
    user_agent: Option<&'static str>,
    dark: bool,
}

/// Another browser on a phone.
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// Before a computer, in Chinese.
pub(crate) const DESK: Person = Person {
    name: "desktop-zh",
    width: 1280,
    height: 800,
    locale: "zh-CN",
    user_agent: None,
    dark: false,
};
/// Before a computer, in English and in the dark.
pub(crate) const DESK_EN: Person =
    Person { name: "desktop-en", locale: "en-US", dark: true, ..DESK };
/// On a phone, in WeChat, in Chinese.
pub(crate) const PHONE: Person = Person {
    name: "phone-zh",
    width: 390,
    height: 844,
    locale: "zh-CN",
    user_agent: Some(WECHAT),
    dark: false,
};
/// On a phone, outside of WeChat, in English.
pub(crate) const PHONE_EN: Person =
    Person { name: "phone-en", locale: "en-US", user_agent: Some(SAFARI), ..PHONE };

/// Everybody.
pub(crate) const EVERYBODY: [Person; 4] = [DESK, DESK_EN, PHONE, PHONE_EN];

/// Something on the network that is not there: the browser gets this instead.
pub(crate) struct Served {
    /// Its address.
    pub(crate) url: &'static str,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// Its body.
    pub(crate) body: &'static str,
}

/// A running browser with one page. Dropping it ends it.
pub(crate) struct Chromium {
    driver: Child,
    pipes: Arc<Mutex<Option<Pipes>>>,
    served: Vec<Value>,
    shots: PathBuf,
}

struct Pipes {
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Chromium {
    /// Starts the browser that `scripts/test-browser.sh` prepared in `folder`.
    pub(crate) fn start(folder: &str, served: &[Served]) -> Result<Self> {
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/browser/drive.mjs");
        let mut driver = Command::new("node")
            .arg(driver)
            .arg(folder)
            .arg(Path::new(folder).join("chromium"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start")?;
        let asks = driver.stdin.take().context("a piped standard input")?;
        let says = BufReader::new(driver.stdout.take().context("a piped standard output")?);
        let shots = shots_folder();
        std::fs::create_dir_all(&shots)?;
        let served = served
            .iter()
            .map(|it| json!({ "url": it.url, "type": it.media_type, "body": it.body }));
        Ok(Self {
            driver,
            pipes: Arc::new(Mutex::new(Some(Pipes { asks, says }))),
            served: served.collect(),
            shots,
        })
    }

    /// A new person with an empty browser takes over.
    pub(crate) async fn person(&self, person: Person) -> Result<()> {
        let Person { width, height, locale, user_agent, dark, .. } = person;
        let served = &self.served;
        self.ask(json!({
            "do": "person", "width": width, "height": height, "locale": locale, "dark": dark,
            "user_agent": user_agent, "serve": served,
        }))
        .await?;
        Ok(())
    }

    /// Types an address; gives the HTTP status.
    pub(crate) async fn open(&self, url: &str) -> Result<u64> {
        let status = self.ask(json!({ "do": "open", "url": url })).await?;
        status.as_u64().context("a status is a number")
    }

    /// Clicks, and waits until the page or a later one shows `then`.
    pub(crate) async fn click(&self, selector: &str, then: &str) -> Result<()> {
        self.ask(json!({ "do": "click", "selector": selector })).await?;
        self.wait(then).await
    }

    /// Waits until the page or a later one shows this.
    pub(crate) async fn wait(&self, selector: &str) -> Result<()> {
        self.ask(json!({ "do": "wait", "selector": selector })).await?;
        Ok(())
    }

    /// Chooses an account on WeChat's page.
    pub(crate) async fn choose(&self, appid: &str) -> Result<()> {
        let selector = format!("input[name=authorizer_appid][value={appid}]");
        self.ask(json!({ "do": "tick", "selector": selector, "to": true })).await?;
        Ok(())
    }

    /// Takes the tick off a permission set on WeChat's page.
    pub(crate) async fn decline_set(&self, id: u32) -> Result<()> {
        let selector = format!("input[name=func_scope][value='{id}']");
        self.ask(json!({ "do": "tick", "selector": selector, "to": false })).await?;
        Ok(())
    }

    /// What a page says: `text`, `url`, `title` or `html`.
    pub(crate) async fn see(&self, what: &str) -> Result<String> {
        let seen = self.ask(json!({ "do": "see" })).await?;
        seen[what].as_str().map(str::to_owned).with_context(|| format!("no {what} in {seen}"))
    }

    /// Whether this takes up room on the page.
    pub(crate) async fn shows(&self, selector: &str) -> Result<bool> {
        let shown = self.ask(json!({ "do": "shows", "selector": selector })).await?;
        shown.as_bool().context("a yes or a no")
    }

    /// Where a link leads.
    pub(crate) async fn href(&self, selector: &str) -> Result<String> {
        let href = self.ask(json!({ "do": "href", "selector": selector })).await?;
        href.as_str().map(str::to_owned).with_context(|| format!("{selector} leads nowhere"))
    }

    /// How wide the pictures on the page are, by their own measure; 0 for one that did not come.
    pub(crate) async fn pictures(&self) -> Result<Vec<u64>> {
        let measured = self.ask(json!({ "do": "measure" })).await?;
        let pictures = measured["pictures"].as_array().context("a list")?;
        Ok(pictures.iter().filter_map(Value::as_u64).collect())
    }

    /// Takes a picture of the whole page, and checks that it fits the screen.
    pub(crate) async fn shoot(&self, person: Person, name: &str) -> Result<()> {
        let path = self.shots.join(format!("{name}-{}.png", person.name));
        self.ask(json!({ "do": "shot", "path": path })).await?;
        let measured = self.ask(json!({ "do": "measure" })).await?;
        ensure!(measured["overflow"] == 0, "{name} is too wide for {}: {measured}", person.name);
        Ok(())
    }

    /// What was asked of the network since the last time; the browser complained of nothing.
    pub(crate) async fn asked(&self) -> Result<Vec<String>> {
        let mut traffic = self.ask(json!({ "do": "traffic" })).await?;
        let complaints = traffic["complaints"].as_array().context("a list")?;
        ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
        Ok(serde_json::from_value(traffic["asked"].take())?)
    }

    async fn ask(&self, command: Value) -> Result<Value> {
        let pipes = Arc::clone(&self.pipes);
        let mut answer = tokio::task::spawn_blocking(move || {
            let mut pipes = pipes.lock().unwrap_or_else(PoisonError::into_inner);
            let Pipes { asks, says } = pipes.as_mut().context("the browser has ended")?;
            writeln!(asks, "{command}")?;
            asks.flush()?;
            let mut line = String::new();
            says.read_line(&mut line)?;
            ensure!(!line.is_empty(), "the driver ended over {command}");
            Ok(serde_json::from_str::<Value>(&line)?)
        })
        .await??;
        if let Some(error) = answer["error"].as_str() {
            bail!("the browser: {error}");
        }
        Ok(answer["value"].take())
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its standard input ends, and with it the driver and the browser.
        *self.pipes.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.driver.wait();
    }
}

/// Where the pictures go.
#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn shots_folder() -> PathBuf {
    std::env::var_os("LINGPAI_TEST_SHOTS").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser-shots"),
        PathBuf::from,
    )
}
