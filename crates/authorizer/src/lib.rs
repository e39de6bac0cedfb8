#![doc = include_str!("../README.md")]

mod authorizations;
mod authorizers;
mod error;
mod grants;
mod path;
mod proxy;
mod scrub;
mod tokens;

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
pub use tokens::AuthorizerTokens;
