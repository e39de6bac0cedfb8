//! What tenants are told to do about refusals.

use lingpai_emulator::Fault;
use lingpai_model::{
    api_key::Scope,
    authorizer::{Authorizer, Connection},
    caller::Via,
};

use crate::site::{Site, USER_GET, with_scopes};

/// A path of the permission sets 8, 9 and more, none of which the account granted.
const CARDS: &str = "/card/create";

async fn hint(site: &Site, path: &str, errcode: i64) -> Option<String> {
    let fault = site.world.wechat.set_fault(Fault::errcode(path, errcode));
    let hint = site.get(path).await.unwrap().hint;
    site.world.wechat.clear_fault(fault);
    let hint = hint?.as_str().to_owned();
    assert!(hint.len() <= 512 && hint.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{hint}");
    Some(hint)
}

fn link(hint: &str) -> Option<&str> {
    hint.split_whitespace().find(|word| word.starts_with("https://"))
}

#[tokio::test]
async fn a_missing_permission_set_is_named_with_a_link_that_has_it_granted() {
    let site = Site::open().await;
    for errcode in [48001, 61007, 61016, 61017] {
        let hint = hint(&site, CARDS, errcode).await.expect("a hint");
        assert!(hint.contains("8 (cards)"), "{hint}");
        assert!(link(&hint).expect("a link").contains("/sub/authorize/r_"), "{hint}");
    }
    let hint = hint(&site, CARDS, 48001).await.expect("a hint");
    let text = link(&hint).expect("a link").rsplit('/').next().expect("its last part");
    let started = site.authorizations.renew(text, Via::default()).await.unwrap();
    assert_eq!(started.authorization.appid, Some(site.shop.appid.clone()));
}

#[tokio::test]
async fn an_account_that_granted_the_set_lacks_the_interface_itself() {
    let site = Site::open().await;
    let hint = hint(&site, USER_GET, 48001).await.expect("a hint");
    assert!(hint.contains("the account itself") && link(&hint).is_none(), "{hint}");
    // Of a path that nobody has listed, no set can be named.
    let hint = self::hint(&site, "/wxa/emulator/echo", 48001).await.expect("a hint");
    assert!(hint.contains("a permission set") && link(&hint).is_some(), "{hint}");
}

#[tokio::test]
async fn each_refusal_that_somebody_can_do_something_about_has_its_hint() {
    let site = Site::open().await;
    for (errcode, words, has_link) in [
        (61003, "no longer grants", true),
        (42007, "authorize again", true),
        (61023, "authorize again", true),
        (61004, "IP white list", false),
        (40164, "IP white list", false),
        (45009, "/quota?path=/cgi-bin/user/get", false),
        (45011, "more slowly", false),
        (44990, "more slowly", false),
        (44991, "more slowly", false),
        (41001, "check the path", false),
        (61014, "platform's own token", false),
    ] {
        let hint = hint(&site, USER_GET, errcode).await.expect("a hint");
        assert!(hint.contains(words), "{errcode}: {hint}");
        assert_eq!(link(&hint).is_some(), has_link, "{errcode}: {hint}");
    }
    for errcode in [-1, 40003, 43101, 47001] {
        assert_eq!(hint(&site, USER_GET, errcode).await, None, "{errcode}");
    }
}

#[tokio::test]
async fn an_account_with_a_secret_of_its_own_has_nothing_to_authorize() {
    let site = Site::open().await;
    let shop = site.shop.clone();
    assert!(site.renewals.link(&shop).is_some());
    let nobodys = Authorizer { tenant_id: None, ..shop.clone() };
    assert_eq!(site.renewals.link(&nobodys), None);
    let own = Authorizer { connection: Connection::Secret, ..shop };
    assert_eq!(site.renewals.link(&own), None);
}

#[tokio::test]
async fn a_key_that_may_not_start_authorizations_is_told_what_is_missing_without_a_link() {
    let mut site = Site::open().await;
    site.tenant = with_scopes(&site.tenant, &[Scope::WechatCall, Scope::AuthorizerRead]);
    for (path, errcode) in [(CARDS, 48001), (USER_GET, 61003), (USER_GET, 42007)] {
        let hint = hint(&site, path, errcode).await.expect("a hint");
        assert!(hint.contains("authorize again"), "{hint}");
        assert!(!hint.contains("r_") && link(&hint).is_none(), "{hint}");
    }
}
