//! One row of the access matrix, and the operations as the documents tell them.

use anyhow::{Context as _, Result, ensure};
use lingpai_tests::{people::Answer, world::World};
use reqwest::{Client, Method};
use serde_json::Value;

use super::ground::Names;

/// How one operation is called so that it succeeds, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Its `operationId`.
    pub(super) operation: &'static str,
    /// The scope that the key needs; operators' keys have none.
    pub(super) scope: Option<&'static str>,
    /// Path and query below the document's base.
    pub(super) at: fn(&Names) -> String,
    /// The body with which it succeeds.
    pub(super) body: Option<fn(&Names) -> Value>,
    /// The name in `at` of the tenant's object that the operation is about, if it is about one.
    pub(super) object: Option<fn(&Names) -> &str>,
}

impl Row {
    /// An operation that needs no body and no scope, and is about no object.
    pub(super) const fn new(operation: &'static str, at: fn(&Names) -> String) -> Self {
        Self { operation, scope: None, at, body: None, object: None }
    }

    /// The same operation, for keys with this scope.
    pub(super) const fn needs(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same operation with a body.
    pub(super) const fn with(mut self, body: fn(&Names) -> Value) -> Self {
        self.body = Some(body);
        self
    }

    /// The same operation on the object of this name.
    pub(super) const fn on(mut self, object: fn(&Names) -> &str) -> Self {
        self.object = Some(object);
        self
    }
}

/// An operation as its document tells it.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: Method,
    /// The path with its parameters in braces, below `base`.
    pub(super) template: String,
    /// The base of the document: `/v1`.
    pub(super) base: String,
    pub(super) description: String,
}

impl Operation {
    /// Every operation of a document that the service shows.
    pub(super) async fn all_of(world: &World, document: &str) -> Result<Vec<Self>> {
        let url = world.base.join(&format!("openapi/{document}.json"))?;
        let shown = Answer::read(world.operator.http().get(url).send().await?).await?.json;
        let base = shown["servers"][0]["url"].as_str().context("the document names its base")?;
        let mut all = Vec::new();
        for (template, methods) in shown["paths"].as_object().context("the document has paths")? {
            for (method, operation) in methods.as_object().context("a path has methods")? {
                let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
                all.push(Self {
                    id: text("operationId"),
                    method: method.to_uppercase().parse()?,
                    template: template.clone(),
                    base: base.to_owned(),
                    description: text("description"),
                });
            }
        }
        ensure!(!all.is_empty(), "the document {document} has operations");
        Ok(all)
    }

    /// Whether a path below the base is one of this operation's.
    pub(super) fn fits(&self, at: &str) -> bool {
        let path = at.split('?').next().unwrap_or_default();
        let (mut path, mut template) = (path.split('/'), self.template.split('/'));
        loop {
            match (template.next(), path.next()) {
                (None, None) => return true,
                // The one parameter that may hold slashes.
                (Some("{path}"), Some(_)) => return true,
                (Some(part), Some(_)) if part.starts_with('{') => {}
                (Some(part), Some(segment)) if part == segment => {}
                _ => return false,
            }
        }
    }

    /// Calls it with the names and the body of its row.
    pub(super) async fn call(
        &self,
        (http, world): (&Client, &World),
        row: &Row,
        names: &Names,
        key: Option<&str>,
    ) -> Result<Answer> {
        let body = row.body.map(|body| body(names));
        self.call_with((http, world), (row.at)(names), body.as_ref(), key).await
    }

    /// Calls it with anything.
    pub(super) async fn call_with(
        &self,
        (http, world): (&Client, &World),
        at: String,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer> {
        let url = format!("{}{}{at}", world.base.as_str().trim_end_matches('/'), self.base);
        let mut request = http.request(self.method.clone(), url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await?).await
    }
}
