use poem::{Request, http::header::ACCEPT_LANGUAGE};

use super::return_cookie::cookie;

/// The name of the cookie that remembers a chosen language.
const COOKIE: &str = "lingpai-lang";

/// In which language a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Chinese, simplified.
    Zh,
    /// English.
    En,
}

impl Language {
    /// What `?lang=` says, else what was chosen before, else what the browser prefers, else
    /// Chinese.
    pub(super) fn of(request: &Request) -> Self {
        Self::chosen(request)
            .or_else(|| cookie(request, COOKIE).and_then(Self::parse))
            .or_else(|| {
                let header = request.headers().get(ACCEPT_LANGUAGE)?.to_str().ok()?;
                preferred(header)
            })
            .unwrap_or(Self::Zh)
    }

    /// What `?lang=` says.
    pub(super) fn chosen(request: &Request) -> Option<Self> {
        let query = request.uri().query()?.as_bytes();
        let mut pairs = url::form_urlencoded::parse(query);
        Self::parse(&pairs.find(|(name, _)| name == "lang")?.1)
    }

    /// The cookie that remembers this choice for a day.
    pub(super) fn cookie(self) -> String {
        format!("{COOKIE}={}; Path=/authorize; Max-Age=86400; HttpOnly; SameSite=Lax", self.tag())
    }

    /// What is said in this language.
    pub(super) fn say<T>(self, zh: T, en: T) -> T {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// As `?lang=` writes it.
    pub(super) fn tag(self) -> &'static str {
        self.say("zh", "en")
    }

    /// As HTML writes it.
    pub(super) fn html(self) -> &'static str {
        self.say("zh-CN", "en")
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Zh, Self::En].into_iter().find(|language| language.tag() == text)
    }
}

/// The language of ours that `Accept-Language` ranks highest; the first of equals.
fn preferred(header: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for range in header.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some(language) = Language::parse(tag.split('-').next().unwrap_or_default()) else {
            continue;
        };
        let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok());
        let quality: f32 = quality.unwrap_or(1.0);
        if quality > 0.0 && best.is_none_or(|(_, rank)| quality > rank) {
            best = Some((language, quality));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use poem::http::{Uri, header::COOKIE};

    use super::*;

    fn request(uri: &'static str, accept: &str, cookie: &str) -> Request {
        Request::builder()
            .uri(Uri::from_static(uri))
            .header(ACCEPT_LANGUAGE, accept)
            .header(COOKIE, cookie)
            .finish()
    }

    #[test]
    fn the_address_wins_over_the_cookie_and_the_cookie_over_the_browser() {
        let of = |uri, accept, cookie| Language::of(&request(uri, accept, cookie));
        assert_eq!(of("/?lang=en", "zh-CN", "lingpai-lang=zh"), Language::En);
        assert_eq!(of("/?x=1", "zh-CN", "lingpai-lang=en"), Language::En);
        assert_eq!(of("/?lang=fr", "en-GB", ""), Language::En);
        assert_eq!(of("/", "", ""), Language::Zh);
    }

    #[test]
    fn the_browsers_ranking_decides() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Zh)),
            ("fr, en-US;q=0.7, zh;q=0.3", Some(Language::En)),
            ("en;q=0, zh;q=0.1", Some(Language::Zh)),
            ("zh, en", Some(Language::Zh)),
            ("fr, *;q=0.5", None),
            (";;,q=", None),
        ] {
            assert_eq!(preferred(header), language, "{header}");
        }
    }
}
