//! The start page: who asks whom for which rights. A real click leads to WeChat, because WeChat
//! opens its page only from a page on the registered domain.

use askama::Template;
use lingpai_authorizer::{AuthorizationPage, ConsentLinks, funcscope_name};
use lingpai_model::authorization::AccountKind;
use poem::{Endpoint, Request, Response, http::StatusCode};
use qrcode::{EcLevel, QrCode, render::svg};

use super::{
    html::{self, Nonce, Referrer, set_cookie},
    language::Language,
    outcome::Outcome,
    pages::{AuthorizationPages, Visit},
    return_cookie::ReturnCookie,
};

/// `GET /authorize/{link}`.
pub(crate) struct StartPage(pub(super) AuthorizationPages);

impl Endpoint for StartPage {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Self(pages) = self;
        let visit = Visit::of(&request);
        let Some(link) = &visit.link else {
            return Ok(pages.show(&Outcome::UnknownLink, &visit)?);
        };
        let page = match pages.authorizations().page(link).await {
            Ok(page) => page,
            Err(error) => return Ok(pages.show_failure(&error, &visit)?),
        };
        if let Some(outcome) = Outcome::of(&page) {
            return Ok(pages.show(&outcome, &visit)?);
        }
        let consent = match pages.authorizations().open_visit(link).await {
            Ok(consent) => consent,
            Err(error) => return Ok(pages.show_failure(&error, &visit)?),
        };
        let nonce = Nonce::draw(pages.entropy());
        let secs_left = pages.secs_until(page.authorization.expires_at);
        let qr = qr_code(&pages.start_url(link));
        let template = StartTemplate {
            language: visit.language,
            nonce: nonce.as_str(),
            page: &page,
            rights: rights(&page.authorization.category_ids, visit.language),
            minutes_left: secs_left.div_euclid(60).max(1),
            consent: &consent,
            qr: qr.as_deref(),
        };
        let mut answer = html::page(StatusCode::OK, &template, &nonce, Referrer::Origin)?;
        let cookie = ReturnCookie::of(link, pages.is_https());
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
    /// The permission sets asked for, by name; empty: those that the component publishes.
    rights: Vec<String>,
    minutes_left: i64,
    consent: &'a ConsentLinks,
    /// The start page as a picture for a phone, markup of ours.
    qr: Option<&'a str>,
}

impl StartTemplate<'_> {
    /// Which accounts may grant.
    fn accounts(&self) -> String {
        let authorization = &self.page.authorization;
        let kind = match (self.language, authorization.account_kind) {
            (Language::Zh, AccountKind::OfficialAccount) => "公众号",
            (Language::Zh, AccountKind::MiniProgram) => "小程序",
            (Language::Zh, AccountKind::Any) => "公众号或小程序",
            (Language::En, AccountKind::OfficialAccount) => "Official account (公众号)",
            (Language::En, AccountKind::MiniProgram) => "Mini program (小程序)",
            (Language::En, AccountKind::Any) => "Official account or mini program",
        };
        // A named account wins over the kind.
        authorization.appid.as_ref().map_or_else(|| kind.to_owned(), ToString::to_string)
    }
}

/// The names of permission sets; one without a published name by its number.
fn rights(ids: &[u32], language: Language) -> Vec<String> {
    ids.iter()
        .map(|id| match (funcscope_name(*id), language) {
            (Some(name), Language::Zh) => name.zh.clone(),
            (Some(name), Language::En) => name.en.clone(),
            (None, Language::Zh) => format!("权限集 {id}"),
            (None, Language::En) => format!("permission set {id}"),
        })
        .collect()
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
            ..page
        }
    }

    fn rendered(language: Language) -> String {
        let page = page_of_hostile_names();
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
            rights: rights(&page.authorization.category_ids, language),
            minutes_left: 30,
            consent: &consent,
            qr: qr.as_deref(),
        };
        template.render().unwrap()
    }

    #[test]
    fn names_of_others_are_escaped_in_both_languages() {
        for language in [Language::Zh, Language::En] {
            let html = rendered(language);
            assert!(!html.contains("<img"), "{html}");
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
    fn the_picture_for_phones_is_bare_svg() {
        let svg = qr_code("https://lingpai.example/authorize/0").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
    }
}
