//! Who calls the two APIs of a house, and what it finds in their answers.

use chrono::Duration;
use poem::http::{Request, request};
use serde_json::Value;

use crate::house::{Answer, House};

/// Who calls: an API of the house with a key of its own.
pub(crate) struct Client<'a> {
    house: &'a House,
    base: &'static str,
    key: &'a str,
}

impl<'a> Client<'a> {
    pub(crate) fn tenant(house: &'a House) -> Self {
        Self { house, base: "/v1", key: &house.key }
    }

    pub(crate) fn operator(house: &'a House) -> Self {
        Self { house, base: "/admin/v1", key: &house.operator_key }
    }

    pub(crate) fn with_key(self, key: &'a str) -> Self {
        Self { key, ..self }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        // Ids sort by time, and what is made within one millisecond is in no order.
        self.house.clock.advance(Duration::milliseconds(1));
        let request: request::Builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        self.house.send(request, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.expected(200)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// What the audit trail tells of the newest acts, newest first.
    pub(crate) async fn acts(&self, count: usize) -> Vec<String> {
        let trail = self.get("/audit?limit=100").await;
        let items = trail["items"].as_array().expect("a list").iter();
        items
            .take(count)
            .map(|item| item["action"].as_str().expect("an action").to_owned())
            .collect()
    }
}

impl Answer {
    pub(crate) fn expected(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text);
    }

    pub(crate) fn refused_field(&self, field: &str) {
        self.refused(422, "invalid_field");
        assert_eq!(self.json()["field"], field, "{}", self.text);
    }
}
