//! Section `[wechat]`: which WeChat to talk to.

use url::{Host, Url};

use super::reader::Reader;

/// Which WeChat to talk to.
#[derive(Debug, Clone)]
pub struct Wechat {
    /// WeChat's API.
    pub api_url: Url,
    /// WeChat's pages for browsers inside WeChat.
    pub open_url: Url,
    /// WeChat's pages for browsers on a desktop.
    pub mp_url: Url,
}

impl Wechat {
    /// Security invariant: plain http leaves this machine only with the test switch on, and the test
    /// switch is refused as soon as the installation is reached by https, which is how production is
    /// told from a test.
    pub(super) fn read(reader: &mut Reader<'_>, public_url: Option<&Url>) -> Option<Self> {
        let allow_insecure = reader.switch("wechat.allow_insecure");
        let [api_url, open_url, mp_url] = ["wechat.api_url", "wechat.open_url", "wechat.mp_url"]
            .map(|key| read_base(reader, key, allow_insecure != Some(false)));
        if allow_insecure == Some(true) && public_url.is_some_and(|url| url.scheme() == "https") {
            let wanted = "false, because server.public_url is https and so this is production";
            reader.fault("wechat.allow_insecure", "true", wanted);
            return None;
        }
        Some(Self { api_url: api_url?, open_url: open_url?, mp_url: mp_url? })
    }
}

fn read_base(reader: &mut Reader<'_>, key: &str, may_be_insecure: bool) -> Option<Url> {
    let url = reader.origin(key)?;
    if url.scheme() == "https" || is_loopback(&url) || may_be_insecure {
        return Some(url);
    }
    let wanted = "https, or http to this machine; wechat.allow_insecure = true lifts this in tests";
    reader.fault(key, &format!("{:?}", url.as_str()), wanted);
    None
}

/// Whether `url` names this very machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
