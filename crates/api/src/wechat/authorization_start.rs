//! The start page: who asks whom for which rights. A real click leads to WeChat, because WeChat
//! opens its page only from a page on the registered domain.

use askama::Template;
use lingpai_authorizer::{AuthorizationPage, ConsentLinks};
use lingpai_model::{
    Instant,
    authorization::{AccountKind, LinkToken},
    caller::Via,
    quota::in_beijing,
};
use poem::{
    Endpoint, Request, Response,
    http::{StatusCode, header},
};
use qrcode::{EcLevel, QrCode, render::svg};

use super::{
    browser::Browser,
    html::{self, Nonce, Referrer, set_cookie},
    language::Language,
    logo::Logo,
    outcome::Outcome,
    pages::{AuthorizationPages, Link, Visit},
    return_cookie::ReturnCookie,
    rights,
};

/// `GET /authorize/{link}`.
pub(crate) struct StartPage(pub(super) AuthorizationPages);

impl Endpoint for StartPage {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(pages) = self;
        let visit = Visit::of(&request);
        match &visit.link {
            None => Ok(pages.show(&Outcome::UnknownLink, &visit)?),
            Some(Link::Renewal(text)) => self.renew(text, pages.via(&request), &visit).await,
            Some(Link::Authorization(link)) => self.open(link, &visit, Browser::of(&request)).await,
        }
    }
}

impl StartPage {
    /// Starts a new authorization and leads to its own start page.
    async fn renew(&self, text: &str, via: Via, visit: &Visit) -> poem::Result<Response> {
        let Self(pages) = self;
        let started = match pages.authorizations().renew(text, via).await {
            Ok(started) => started,
            Err(error) => return Ok(pages.show_failure(&error, visit)?),
        };
        let mut answer = Response::builder()
            .status(StatusCode::SEE_OTHER)
            .header(header::LOCATION, started.url.as_str())
            .finish();
        visit.remember_language(&mut answer);
        Ok(answer)
    }

    /// Shows what is asked, or how it ended.
    async fn open(
        &self,
        link: &LinkToken,
        visit: &Visit,
        browser: Browser,
    ) -> poem::Result<Response> {
        let Self(pages) = self;
        let page = match pages.authorizations().page(link).await {
            Ok(page) => page,
            Err(error) => return Ok(pages.show_failure(&error, visit)?),
        };
        if let Some(outcome) = Outcome::of(&page) {
            return Ok(pages.show_of(&outcome, visit, &page)?);
        }
        let consent = match pages.authorizations().open_visit(link).await {
            Ok(consent) => consent,
            Err(error) => return Ok(pages.show_failure(&error, visit)?),
        };
        let nonce = Nonce::draw(pages.entropy());
        let secs_left = pages.secs_until(page.authorization.expires_at);
        let logo = Logo::of(page.tenant_logo_url.as_deref());
        let url = pages.start_url(link);
        let qr = qr_code(&url);
        let template = StartTemplate {
            language: visit.language,
            nonce: nonce.as_str(),
            page: &page,
            logo: logo.as_ref(),
            rights: rights::names(&page.authorization.category_ids, visit.language),
            minutes_left: secs_left.div_euclid(60).max(1),
            until: beijing_time(page.authorization.expires_at),
            browser,
            consent: &consent,
            url: &url,
            qr: qr.as_deref(),
        };
        let mut answer =
            html::page(StatusCode::OK, &template, &nonce, Referrer::Origin, logo.as_ref())?;
        let cookie = ReturnCookie::of_link(link, pages.reach());
        set_cookie(&mut answer, &cookie.keep(&consent.state, secs_left));
        visit.remember_language(&mut answer);
        Ok(answer)
    }
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartTemplate<'a> {
    language: Language,
    nonce: &'a str,
    page: &'a AuthorizationPage,
    logo: Option<&'a Logo>,
    /// The permission sets asked for, by name; empty: those that the component publishes.
    rights: Vec<String>,
    minutes_left: i64,
    /// When the link ends, in Beijing.
    until: String,
    browser: Browser,
    consent: &'a ConsentLinks,
    /// The start page itself, to be opened elsewhere.
    url: &'a str,
    /// The same as a picture for a phone, markup of ours.
    qr: Option<&'a str>,
}

impl StartTemplate<'_> {
    /// What stands where the logo would: the first letter of the tenant's name.
    fn initial(&self) -> String {
        self.page.tenant_name.chars().next().map(|c| c.to_uppercase().collect()).unwrap_or_default()
    }

    /// Which accounts may grant.
    fn accounts(&self) -> String {
        let authorization = &self.page.authorization;
        let kind = match authorization.account_kind {
            AccountKind::OfficialAccount => {
                self.language.say("公众号", "Official account (公众号)")
            }
            AccountKind::MiniProgram => self.language.say("小程序", "Mini program (小程序)"),
            AccountKind::Any => {
                self.language.say("公众号或小程序", "Official account or mini program")
            }
        };
        // A named account wins over the kind.
        match (&authorization.appid, &self.page.authorizer_name) {
            (Some(appid), Some(name)) if !name.is_empty() => {
                self.language.say(format!("{name}（{appid}）"), format!("{name} ({appid})"))
            }
            (Some(appid), _) => appid.to_string(),
            (None, _) => kind.to_owned(),
        }
    }
}

/// Hours and minutes in Beijing.
fn beijing_time(at: Instant) -> String {
    in_beijing(at).format("%H:%M").to_string()
}

/// An SVG for a phone to scan; `None` for an address that no code can hold.
fn qr_code(url: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(url, EcLevel::M).ok()?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(180, 180).build();
    // Inside a page the XML declaration has no place.
    Some(image.split_once("?>").map_or(image.clone(), |(_, svg)| svg.to_owned()))
}

#[cfg(test)]
mod tests {
    use lingpai_model::{
        authorization::{Authorization, LinkToken},
        clock::Entropy,
    };
    use url::Url;

    use super::*;
    use crate::sample;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

    fn page_of_hostile_names() -> AuthorizationPage {
        let page = sample::page(Authorization {
            category_ids: vec![1, 999],
            purpose: Some(HOSTILE.to_owned()),
            ..sample::authorization()
        });
        AuthorizationPage {
            component_name: HOSTILE.to_owned(),
            tenant_name: HOSTILE.to_owned(),
            tenant_logo_url: Some("https://cdn.example/l.png?a=\"><script>".to_owned()),
            ..page
        }
    }

    fn rendered(language: Language) -> String {
        rendered_in(language, Browser::Other)
    }

    fn rendered_in(language: Language, browser: Browser) -> String {
        let page = page_of_hostile_names();
        let logo = Logo::of(page.tenant_logo_url.as_deref());
        let url = |text| Url::parse(text).unwrap();
        let consent = ConsentLinks {
            desktop: url("https://mp.weixin.qq.com/cgi-bin/componentloginpage?a=1&b=%22"),
            mobile: url(
                "https://open.weixin.qq.com/wxaopen/safe/bindcomponent?a=1#wechat_redirect",
            ),
            state: LinkToken::draw(&Entropy::seeded(1)),
        };
        let qr = qr_code("https://lingpai.example/authorize/0");
        let template = StartTemplate {
            language,
            nonce: "n0",
            page: &page,
            logo: logo.as_ref(),
            rights: rights::names(&page.authorization.category_ids, language),
            minutes_left: 30,
            until: beijing_time(page.authorization.expires_at),
            browser,
            consent: &consent,
            url: "https://lingpai.example/authorize/0",
            qr: qr.as_deref(),
        };
        template.render().unwrap()
    }

    #[test]
    fn names_of_others_are_escaped_in_both_languages() {
        for language in [Language::Zh, Language::En] {
            let html = rendered(language);
            assert_eq!(html.matches("<img").count(), 1, "the logo alone: {html}");
            assert!(html.matches("&#60;img").count() >= 3, "names and purpose are shown: {html}");
            assert!(!html.contains("canary"));
            assert!(!html.contains("<script") && html.contains("<style nonce=\"n0\">"));
        }
        assert!(rendered(Language::Zh).contains("消息管理"));
        assert!(rendered(Language::En).contains("permission set 999"));
    }

    #[test]
    fn the_links_to_wechat_are_complete() {
        let html = rendered(Language::En);
        let href = |id: &str| {
            let tag = html.split("<a ").find(|tag| tag.contains(&format!("id=\"{id}\""))).unwrap();
            tag.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&")
        };
        assert_eq!(
            href("authorize"),
            "https://mp.weixin.qq.com/cgi-bin/componentloginpage?a=1&b=%22"
        );
        assert!(href("authorize-mobile").ends_with("?a=1#wechat_redirect"));
    }

    #[test]
    fn the_logo_is_fetched_without_telling_from_where() {
        let html = rendered(Language::En);
        let img = html.split("<img ").nth(1).unwrap().split('>').next().unwrap();
        assert!(img.contains("src=\"https://cdn.example/l.png?a=%22%3E%3Cscript%3E\""), "{img}");
        assert!(img.contains("referrerpolicy=\"no-referrer\""), "{img}");
    }

    #[test]
    fn only_outside_of_wechat_one_is_told_to_open_it_there() {
        let says = |browser| rendered_in(Language::En, browser).contains("inside WeChat");
        assert!(says(Browser::Other) && !says(Browser::WechatOnPhone));
    }

    #[test]
    fn the_end_is_told_in_beijing_time() {
        assert_eq!(beijing_time(chrono::DateTime::UNIX_EPOCH), "08:00");
    }

    #[test]
    fn the_picture_for_phones_is_bare_svg() {
        let svg = qr_code("https://lingpai.example/authorize/0").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
    }
}
