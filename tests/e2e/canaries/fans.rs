//! What fans do on pages and in a mini program, and what tenants then ask, each also in vain.

use anyhow::{Context as _, Result};
use lingpai_emulator::{AccountConfig, Emulator, Fault, FaultKind};
use lingpai_tests::{
    people::{Administrator, Answer, Program},
    processes::eventually,
    shop::Shop,
    visitor::{Choice, Visitor, led_to, parameter},
    world::{ORDERS, SHOP},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

/// The mini program's fan.
const FAN: &str = "oOrders00000000000000000fan1";

/// A tenant whose fans come, and what is seen of it.
pub(super) struct Fans<'a> {
    emulator: &'a Emulator,
    lingpai: &'a Url,
    tenant: &'a Program,
    /// What fans and tenant were answered.
    pub(super) told: Vec<String>,
    /// What was shown once, or stood in addresses and cookies.
    pub(super) secrets: Vec<String>,
}

impl<'a> Fans<'a> {
    pub(super) fn of(emulator: &'a Emulator, lingpai: &'a Url, tenant: &'a Program) -> Self {
        Self { emulator, lingpai, tenant, told: Vec::new(), secrets: Vec::new() }
    }

    /// On pages of an account that granted to the component, and of one connected by its secret.
    pub(super) async fn visit_pages(&mut self, account: &AccountConfig) -> Result<()> {
        let connect = json!({ "connection": "secret", "appid": account.appid, "appsecret": account.appsecret });
        self.tenant.post("/v1/authorizers", &connect).await?.expect(StatusCode::CREATED)?;
        for (appid, exchange) in [
            (SHOP, "/sns/oauth2/component/access_token"),
            (&account.appid, "/sns/oauth2/access_token"),
        ] {
            let places = (self.lingpai.clone(), self.lingpai.clone());
            let origin = format!("https://{appid}.example");
            let shop = Shop::new(self.tenant.clone(), places, appid, origin);
            shop.register().await?;
            let openid = self.sign_in(&shop).await?;
            self.sign_in_by_sdk(&shop, exchange).await?;
            self.open_page(appid, &openid).await?;
        }
        Ok(())
    }

    /// The code that a fan brings to the shop, and the one that WeChat gave for him.
    async fn come(&mut self, shop: &Shop) -> Result<[String; 2]> {
        let mut fan = Visitor::default();
        let back = fan.decide(&shop.way_in("snsapi_userinfo", "s7"), Choice::Allow).await?;
        let cookies: Vec<String> = fan.cookies(self.lingpai).map(str::to_owned).collect();
        assert_eq!(cookies.len(), 1, "the browser keeps something of the way out");
        self.secrets.extend(cookies);
        self.secrets.push(parameter(&back, "state").context("a state")?);
        self.told.push(Visitor::default().open(&back).await?.text);
        let answer = fan.open(&back).await?;
        let home = led_to(&answer)?;
        self.told.push(answer.text);
        let [ours, wechats] = [&home, &back].map(|url| parameter(url, "code").context("a code"));
        let codes = [ours?, wechats?];
        self.secrets.extend_from_slice(&codes);
        Ok(codes)
    }

    /// By the tenant's own program; gives the fan.
    async fn sign_in(&mut self, shop: &Shop) -> Result<String> {
        let [code, _] = self.come(shop).await?;
        let exchange = ("/v1/oauth/exchange", json!({ "code": code }));
        let signed_in = self.ask(&exchange).await?.expect(StatusCode::OK)?;
        self.ask(&exchange).await?.expect(StatusCode::CONFLICT)?;
        signed_in.field("openid")
    }

    /// By an SDK; once WeChat refuses its code and repeats it.
    async fn sign_in_by_sdk(&mut self, shop: &Shop, exchange: &str) -> Result<()> {
        let [code, wechats] = self.come(shop).await?;
        let errmsg = Some(format!("invalid code: {wechats}"));
        let echo = FaultKind::Errcode { errcode: 40029, errmsg };
        self.emulator.set_fault(Fault::new(exchange, echo).times(1));
        assert_eq!(self.sns_exchange(shop, &code).await?["errcode"], 40029);

        let [code, _] = self.come(shop).await?;
        let got = self.sns_exchange(shop, &code).await?;
        let refresh = text(&got, "refresh_token")?;
        let renew = [
            ("appid", shop.appid.as_str()),
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh),
        ];
        let newer = self.sns("oauth2/refresh_token", &renew).await?;
        let (access, openid) = (text(&newer, "access_token")?, text(&newer, "openid")?);
        for token in [access.as_str(), &refresh, "lpw_no_token"] {
            let me = [("access_token", token), ("openid", &openid)];
            self.sns("userinfo", &me).await?;
            self.sns("auth", &me).await?;
        }
        self.secrets.extend([text(&got, "access_token")?, refresh]);
        self.secrets.extend([access, text(&newer, "refresh_token")?]);
        Ok(())
    }

    async fn sns_exchange(&mut self, shop: &Shop, code: &str) -> Result<Value> {
        let query = [
            ("appid", shop.appid.as_str()),
            ("secret", self.tenant.key()),
            ("code", code),
            ("grant_type", "authorization_code"),
        ];
        self.sns("oauth2/access_token", &query).await
    }

    async fn sns(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = self.lingpai.join(&format!("gateway/sns/{path}"))?;
        let answer = Answer::read(self.tenant.http().get(url).query(query).send().await?).await?;
        self.told.push(answer.text);
        Ok(answer.json)
    }

    /// The tenant asks who the fan is, WeChat having forgotten his token, and signs a page and a card.
    async fn open_page(&mut self, appid: &str, openid: &str) -> Result<()> {
        self.emulator.kill_web_token(openid);
        for (what, body) in [
            ("user-info", json!({ "openid": openid })),
            ("js-sdk-config", json!({ "url": "https://shop.example/p" })),
            ("card-signature", json!({ "card_id": "pCard" })),
        ] {
            let path = format!("/v1/authorizers/{appid}/{what}");
            self.ask(&(&path, body)).await?.expect(StatusCode::OK)?;
            self.ask(&(&path, json!({ "url": "", "openid": 7 }))).await?;
        }
        Ok(())
    }

    /// In a mini program: its server checks what a fan signed and reads what he encrypted.
    pub(super) async fn use_mini_program(&mut self, component_appid: &str) -> Result<()> {
        let (_, link) = self.tenant.start_authorization(component_appid).await?;
        Administrator::new("zh").authorize(&link, ORDERS).await?;
        let shown = format!("/v1/authorizers/{ORDERS}");
        eventually("the mini program is stored", async || {
            Ok(self.tenant.get(&shown).await?.status.is_success().then_some(()))
        })
        .await?;
        let sessions = format!("{shown}/mini-program-sessions");
        let code = self.emulator.mint_js_code(ORDERS, FAN);
        let log_in = (sessions.as_str(), json!({ "js_code": code }));
        self.ask(&log_in).await?.expect(StatusCode::OK)?;
        self.ask(&log_in).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;

        let raw_data = r#"{"nickName":"CANARYname"}"#;
        let signature = self.emulator.sign_for_fan(ORDERS, FAN, raw_data);
        let signed = json!({ "openid": FAN, "raw_data": raw_data, "signature": signature });
        self.ask(&(&format!("{sessions}/signature-check"), signed))
            .await?
            .expect(StatusCode::OK)?;

        let path = format!("{sessions}/decryption");
        let data = json!({ "phoneNumber": "CANARYphone" });
        let sealed = |(encrypted_data, iv): (String, String)| json!({ "openid": FAN, "encrypted_data": encrypted_data, "iv": iv });
        let readable = sealed(self.emulator.encrypt_for_fan(ORDERS, FAN, &data));
        // Who asks for this is to read it, and nobody else.
        let read = self.tenant.post_once(&path, &readable, "decryption").await?;
        assert_eq!(read.expect(StatusCode::OK)?.field("data.phoneNumber")?, "CANARYphone");
        // The fan has another session key from here on, which the server has not asked for.
        self.secrets.push(self.emulator.session_key(ORDERS, FAN));
        let unused = self.emulator.mint_js_code(ORDERS, FAN);
        let unreadable = sealed(self.emulator.encrypt_for_fan(ORDERS, FAN, &data));
        self.ask(&(&path, unreadable)).await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;

        let refused = FaultKind::Errcode { errcode: 40029, errmsg: Some(format!("bad {unused}")) };
        let login = "/sns/component/jscode2session";
        self.emulator.set_fault(Fault::new(login, refused).times(1));
        self.ask(&(&sessions, json!({ "js_code": unused }))).await?;
        Ok(())
    }

    /// A call of the tenant's whose answer may be kept for whoever asks again.
    async fn ask(&mut self, (path, body): &(&str, Value)) -> Result<Answer> {
        let once = format!("fans-{}", self.told.len());
        let answer = self.tenant.post_once(path, body, &once).await?;
        self.told.push(answer.text.clone());
        Ok(answer)
    }
}

fn text(answer: &Value, name: &str) -> Result<String> {
    let found = answer[name].as_str();
    Ok(found.with_context(|| format!("no {name} in {answer}"))?.to_owned())
}
