//! Quotas per day and minute, what is told of them, and their clearing.

use std::time::Duration;

use lingpai_emulator::Rate;
use serde_json::{Value, json};

use crate::world::{COMPONENT, COMPONENT_TOKEN, SHOP, World};

const FANS: &str = "/cgi-bin/user/get";

struct Shop {
    world: World,
    token: String,
    component_token: String,
}

impl Shop {
    async fn start() -> Self {
        let world = World::start().await.expect("a world");
        let shop = world.authorize(&[2]).await.expect("a grant");
        Self { world, token: shop.access_token, component_token: shop.component_token }
    }

    async fn fans(&self) -> Value {
        let path = format!("{FANS}?access_token={}", self.token);
        self.world.get(&path).await.expect("an answer")["errcode"].clone()
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        self.world.post(&format!("{path}?access_token={token}"), &body).await.expect("an answer")
    }

    async fn figures(&self, path: &str, token: &str) -> Value {
        self.post("/cgi-bin/openapi/quota/get", token, json!({ "cgi_path": path })).await
    }

    async fn clear(&self, appid: &str) -> Value {
        let body = json!({ "appid": appid });
        self.post("/cgi-bin/clear_quota", &self.token, body).await["errcode"].clone()
    }
}

#[tokio::test]
async fn a_used_up_quota_is_told_and_can_be_cleared() {
    let shop = Shop::start().await;
    shop.world.wechat.set_quota(FANS, Some(2));
    assert_eq!([shop.fans().await, shop.fans().await], [Value::Null, Value::Null]);
    assert_eq!(shop.fans().await, 45009);
    let figures = shop.figures(FANS, &shop.token).await;
    assert_eq!(figures["quota"], json!({ "daily_limit": 2, "used": 2, "remain": 0 }));
    assert_eq!(figures.get("rate_limit"), None);
    assert_eq!(shop.clear(COMPONENT).await, 40013);
    assert_eq!(shop.clear(SHOP).await, 0);
    assert_eq!(shop.fans().await, Value::Null);
    assert_eq!(shop.figures(FANS, &shop.token).await["quota"]["used"], 1);
}

#[tokio::test]
async fn quotas_are_cleared_ten_times_a_month() {
    let shop = Shop::start().await;
    for number in 0..10 {
        assert_eq!(shop.clear(SHOP).await, 0, "{number}");
    }
    assert_eq!(shop.clear(SHOP).await, 48006);
}

#[tokio::test]
async fn one_path_is_cleared_by_itself() {
    let shop = Shop::start().await;
    shop.world.wechat.set_quota(FANS, Some(1));
    assert_eq!(shop.fans().await, Value::Null);
    assert_eq!(shop.fans().await, 45009);
    let path = "/cgi-bin/openapi/quota/clear";
    let cleared = shop.post(path, &shop.token, json!({ "cgi_path": FANS })).await;
    assert_eq!(cleared["errcode"], 0);
    assert_eq!(shop.fans().await, Value::Null);
}

#[tokio::test]
async fn too_many_calls_in_a_minute_are_refused_until_the_next() {
    let shop = Shop::start().await;
    let rate = Rate { calls: 0, per_secs: 60 };
    shop.world.wechat.set_rate(FANS, Some(rate));
    assert_eq!(shop.fans().await, 45011);
    let figures = shop.figures(FANS, &shop.token).await;
    let told = json!({ "call_count": 0, "refresh_second": 60 });
    assert_eq!((&figures["rate_limit"], &figures["component_rate_limit"]), (&told, &told));
    shop.world.wechat.set_rate(FANS, Some(Rate { calls: 1, ..rate }));
    assert_eq!(shop.fans().await, Value::Null);
    shop.world.wechat.advance_clock(Duration::from_secs(60));
    assert_eq!(shop.fans().await, Value::Null);
}

#[tokio::test]
async fn a_path_is_told_to_whom_it_belongs() {
    let shop = Shop::start().await;
    let errcode =
        async |path: &str, token: &str| shop.figures(path, token).await["errcode"].clone();
    let (account, component) = (&shop.token, &shop.component_token);
    assert_eq!(errcode("/cgi-bin/nonsense", account).await, 76021);
    assert_eq!(errcode("/sns/oauth2/refresh_token", account).await, 76021);
    assert_eq!(errcode(COMPONENT_TOKEN, account).await, 76022);
    assert_eq!(errcode(FANS, component).await, 76022);
    assert_eq!(errcode(COMPONENT_TOKEN, component).await, 0);
    let body = json!({ "appid": COMPONENT });
    let cleared = shop.post("/cgi-bin/clear_quota", component, body).await;
    assert_eq!(cleared["errcode"], 0);
}

#[tokio::test]
async fn limits_are_set_by_control_too() {
    let shop = Shop::start().await;
    let url = shop.world.url("/control/api/quotas");
    let set = async |body: Value| {
        shop.world.http.put(&url).body(body.to_string()).send().await.unwrap().status()
    };
    assert_eq!(set(json!({ "path": FANS, "daily": 0 })).await, 200);
    assert_eq!(shop.fans().await, 45009);
    let rate = json!({ "path": FANS, "rate": { "calls": 0, "per_secs": 60 } });
    assert_eq!(set(rate).await, 200);
    assert_eq!(shop.fans().await, 45011);
    assert_eq!(set(json!({ "path": FANS })).await, 200);
    assert_eq!(shop.fans().await, Value::Null);
    assert_eq!(set(json!({ "daily": 1 })).await, 400);
}
