#![doc = include_str!("../README.md")]

mod accounts;
mod authorizations;
mod authorizers;
mod error;
mod grants;
mod history;
mod path;
mod profiles;
mod proxy;
mod reconciliations;
mod scrub;
mod stream;
mod tokens;
mod web_tokens;

pub use accounts::{Accounts, NewAccount};
pub use authorizations::{
    AuthorizationPage, AuthorizationUrls, Authorizations, ConsentLinks, Return, StartAuthorization,
    Started,
};
pub use authorizers::Authorizers;
pub use error::{Error, Result};
pub use grants::Grants;
pub use lingpai_storage::AuthorizerFilter;
pub use lingpai_wechat::{
    client::{ByteStream, ForwardBody, ForwardResponse},
    func_scope::{FuncscopeName, funcscope_name},
};
pub use path::{JudgedPath, PathRefusal};
pub use proxy::{Proxy, ProxyRequest};
pub use reconciliations::Reconciliations;
pub use tokens::AuthorizerTokens;
pub use web_tokens::{NewWebToken, WebTokens};
