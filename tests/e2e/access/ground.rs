//! The ground that the matrix stands on: one object of each kind, names of objects that nobody has,
//! and every key that is not the right one.

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::{AccountConfig, EmulatorConfig};
use lingpai_model::api_key::Scope;
use lingpai_tests::{
    fans::FAN,
    people::{Program, http_client},
    shop::Shop,
    visitor::{Choice, Visitor},
    world::{FLOWERS, ORDERS, SHOP, World},
};
use reqwest::{Client, StatusCode};
use serde_json::json;

/// A tenant id, a key id and so on that were never drawn.
const NOBODYS_ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// How long the key lives that is going to have expired.
const SHORT_LIFE: Duration = Duration::minutes(10);

/// The name of one object of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// An authorizer's appid.
    pub(super) appid: String,
    /// An authorization's id.
    pub(super) authorization: String,
    /// A registered redirect URI.
    pub(super) uri: String,
    /// A verification file.
    pub(super) file: String,
    /// A tenant's id.
    pub(super) tenant: String,
    /// The id of one of its keys.
    pub(super) key: String,
    /// An operator's id.
    pub(super) operator: String,
    /// A component's appid.
    pub(super) component: String,
    /// The id of an authorizer that a tenant owns.
    pub(super) owned: String,
    /// The ids of two authorizers that nobody owns.
    pub(super) waiting: [String; 2],
    /// An account's appid and secret, to be connected by them.
    pub(super) account: (String, String),
    /// The operator's own verification file.
    pub(super) operators_file: String,
    /// An endpoint's id.
    pub(super) endpoint: String,
    /// The id of a message's event.
    pub(super) event: String,
    /// The id of its delivery to the endpoint.
    pub(super) delivery: String,
    /// The id of a push in quarantine that can be let out.
    pub(super) quarantined: String,
    /// A mini program's appid.
    pub(super) orders: String,
    /// The one-time code that a fan brought along.
    pub(super) code: String,
    /// The code that the mini program got for its fan.
    pub(super) js_code: String,
    /// What the mini program got encrypted, with its initialization vector.
    pub(super) encrypted: (String, String),
}

impl Names {
    /// Names that nobody has, each as long as a real one.
    pub(super) fn of_nobody() -> Self {
        let id = |prefix: &str| format!("{prefix}_{NOBODYS_ULID}");
        Self {
            appid: "wx0000000000000000".to_owned(),
            authorization: id("atn"),
            uri: "https://shop.example/nobody".to_owned(),
            file: "WW_verify_nobody.txt".to_owned(),
            tenant: id("tnt"),
            key: id("key"),
            operator: id("opr"),
            component: "wx1111111111111111".to_owned(),
            owned: id("aut"),
            waiting: [id("aut"), id("aut")],
            account: ("wx2222222222222222".to_owned(), "0".repeat(32)),
            operators_file: "WW_verify_nothing.txt".to_owned(),
            endpoint: id("end"),
            event: id("evt"),
            delivery: id("dlv"),
            quarantined: id("psh"),
            orders: "wx3333333333333333".to_owned(),
            code: format!("lpc_{NOBODYS_ULID}{}", "A".repeat(43)),
            js_code: "nobody's".to_owned(),
            encrypted: ("A".repeat(64), "A".repeat(22) + "=="),
        }
    }
}

/// A world with one object of each kind, all of them one tenant's.
pub(super) struct Ground {
    pub(super) world: World,
    pub(super) http: Client,
    pub(super) owner: Program,
    /// The owner's page, which fans come back to.
    shop: Shop,
    /// What there is.
    pub(super) names: Names,
}

impl Ground {
    /// Makes it.
    pub(super) async fn prepare() -> Result<Self> {
        let config = EmulatorConfig { many_accounts: 2, ..EmulatorConfig::for_tests() };
        let world = World::start_with(config, None).await?;
        world.push_ticket().await?;
        let (tenant, owner) = world.operator.create_tenant("花店").await?;
        world.authorize(&owner, ORDERS).await?;
        let authorization = world.authorize(&owner, SHOP).await?.field("id")?;
        let (key, _) = world.operator.create_key(&tenant, &json!({ "name": "spare" })).await?;
        let operators = "/admin/v1/operators";
        let operator = world.operator.post(operators, &json!({ "name": "spare" })).await?;
        let operator = operator.expect(StatusCode::CREATED)?.field("id")?;
        let waiting = AccountConfig::generated(1).appid;
        // Nobody knows the account yet.
        world.says(FLOWERS, "too early").await?;
        let quarantined = world.operator.get("/admin/v1/quarantine").await?.field("items.0.id")?;
        let [endpoint, event, delivery] = delivered(&world, &owner).await?;
        let places = (world.base.clone(), world.base.clone());
        let shop = Shop::new(owner.clone(), places, SHOP, "https://shop.example/theirs");
        shop.register().await?;
        let names = Names {
            appid: SHOP.to_owned(),
            authorization,
            uri: shop.back(),
            file: "WW_verify_theirs.txt".to_owned(),
            component: world.component.appid.clone(),
            waiting: unclaimed(&world, [FLOWERS, &waiting]).await?,
            owned: authorizer_id(&world, ORDERS).await?,
            account: account(&world, &AccountConfig::generated(2).appid)?,
            operators_file: "WW_verify_operator.txt".to_owned(),
            endpoint,
            event,
            delivery,
            quarantined,
            orders: ORDERS.to_owned(),
            ..Names { tenant, key, operator, ..Names::of_nobody() }
        };
        let content = json!({ "name": names.file, "content": "0123456789abcdef" });
        owner.post("/v1/files", &content).await?.expect(StatusCode::CREATED)?;
        let content = json!({ "name": names.operators_file, "content": "0123456789abcdef" });
        let uploaded = world.operator.post("/admin/v1/files", &content).await?;
        uploaded.expect(StatusCode::CREATED)?;
        Ok(Self { world, http: http_client(), owner, shop, names })
    }

    /// A fan writes again, signs in at the shop's page and opens the mini program: the event is one that
    /// can be replied to, and the codes are good.
    pub(super) async fn hear_again(&mut self) -> Result<()> {
        self.world.says(SHOP, "hello again").await?;
        let listed = self.owner.get("/v1/events?type=message.*").await?;
        self.names.event = listed.field("items.0.id")?;
        let mut fan = Visitor::default();
        let code = self.shop.code_of(&mut fan, "snsapi_userinfo", Choice::Allow).await?;
        self.names.code = code.context("the fan brings a code")?;
        let emulator = &self.world.emulator;
        self.names.js_code = emulator.mint_js_code(ORDERS, FAN);
        let data =
            json!({ "watermark": { "appid": ORDERS, "timestamp": self.world.wechat_secs() } });
        self.names.encrypted = emulator.encrypt_for_fan(ORDERS, FAN, &data);
        Ok(())
    }

    /// A key of the owner with these scopes and nothing else said.
    pub(super) async fn key_with(&self, scopes: &[&str]) -> Result<String> {
        let key = json!({ "name": "narrow", "scopes": scopes });
        let (_, program) = self.world.operator.create_key(&self.names.tenant, &key).await?;
        Ok(program.key().to_owned())
    }

    /// A key of the owner with every scope but this one.
    pub(super) async fn key_without(&self, scope: &str) -> Result<String> {
        let others: Vec<&str> =
            Scope::ALL.iter().map(|scope| scope.as_str()).filter(|it| *it != scope).collect();
        self.key_with(&others).await
    }

    /// Keys of the owner that open nothing: what each is, and its text.
    pub(super) async fn dead_keys(&self) -> Result<Vec<(&'static str, String)>> {
        let (operator, tenant) = (&self.world.operator, &self.names.tenant);
        let (id, revoked) = operator.create_key(tenant, &json!({ "name": "revoked" })).await?;
        revoked.get("/v1/key").await?.expect(StatusCode::OK)?;
        let path = format!("/admin/v1/tenants/{tenant}/api-keys/{id}");
        for _ in 0..2 {
            // A key that has ended stays ended; saying so again is no error.
            operator.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
        }
        let end = lingpai_model::clock::Clock::now(&self.world.clock) + SHORT_LIFE;
        let expiring = json!({ "name": "expiring", "expires_at": end });
        let (_, expired) = operator.create_key(tenant, &expiring).await?;
        expired.get("/v1/key").await?.expect(StatusCode::OK)?;
        self.world.advance(SHORT_LIFE);
        let text = self.owner.key();
        let changed =
            format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { 1 } else { 0 });
        Ok(vec![
            ("a revoked key", revoked.key().to_owned()),
            ("an expired key", expired.key().to_owned()),
            ("a malformed key", "lpk_made_up".to_owned()),
            ("a mistyped key", changed),
        ])
    }

    /// Keys of operators that open nothing.
    pub(super) async fn dead_operator_keys(&self) -> Result<Vec<(&'static str, String)>> {
        let operators = "/admin/v1/operators";
        let created = self.world.operator.post(operators, &json!({ "name": "leaver" })).await?;
        let created = created.expect(StatusCode::CREATED)?;
        let (id, key) = (created.field("id")?, created.field("key")?);
        let revoked = self.world.operator.with_key(&key);
        revoked.get(operators).await?.expect(StatusCode::OK)?;
        let path = format!("{operators}/{id}");
        self.world.operator.delete(&path).await?.expect(StatusCode::NO_CONTENT)?;
        let text = self.world.operator.key();
        let changed =
            format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { 1 } else { 0 });
        Ok(vec![
            ("a revoked key", key),
            ("a malformed key", "lpo_made_up".to_owned()),
            ("a mistyped key", changed),
        ])
    }
}

/// Has a fan write while there is an endpoint; gives the ids of endpoint, event and delivery.
async fn delivered(world: &World, owner: &Program) -> Result<[String; 3]> {
    // Nobody listens there, and nobody outside is asked.
    let endpoint = json!({
        "kind": "webhook", "url": "http://127.0.0.1:9/theirs", "event_types": ["message.*"],
    });
    let endpoint = owner.create_endpoint(&endpoint).await?.field("id")?;
    world.says(SHOP, "hello").await?;
    let event = owner.get("/v1/events?type=message.*").await?.field("items.0.id")?;
    let delivery = owner.get("/v1/deliveries").await?.field("items.0.id")?;
    Ok([endpoint, event, delivery])
}

/// Has these accounts grant rights while nobody listens, finds them, and gives their ids.
async fn unclaimed(world: &World, appids: [&str; 2]) -> Result<[String; 2]> {
    for appid in appids {
        world.emulator.grant(appid, &[])?;
    }
    let path = format!("/admin/v1/components/{}/reconciliation", world.component.appid);
    world.operator.post(&path, &json!({})).await?.expect(StatusCode::OK)?;
    Ok([authorizer_id(world, appids[0]).await?, authorizer_id(world, appids[1]).await?])
}

/// The id of an authorizer, as the operator sees it.
async fn authorizer_id(world: &World, appid: &str) -> Result<String> {
    let listed = world.operator.get("/admin/v1/authorizers?limit=100").await?;
    let listed = listed.expect(StatusCode::OK)?;
    let items = listed.json["items"].as_array().context("a list has items")?;
    let found = items.iter().find(|item| item["appid"] == appid);
    let id = found.and_then(|item| item["id"].as_str());
    Ok(id.with_context(|| format!("no {appid} in {}", listed.text))?.to_owned())
}

/// An account's appid and secret.
fn account(world: &World, appid: &str) -> Result<(String, String)> {
    let account = world.emulator.account(appid).context("an account of the emulator")?;
    Ok((appid.to_owned(), account.appsecret.context("it has a secret")?))
}
