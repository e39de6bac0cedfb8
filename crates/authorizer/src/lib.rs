#![doc = include_str!("../README.md")]

mod accounts;
mod allowance;
mod authorizations;
mod authorizers;
mod claims;
mod credentials;
mod customer_service;
mod errands;
mod error;
mod fans;
mod grants;
mod hint;
mod history;
mod jssdk;
mod ledger;
mod mini_programs;
mod path;
mod profiles;
mod proxy;
mod publish_tests;
mod quotas;
mod reconciliations;
mod renewals;
mod scrub;
mod stream;
mod system_health;
mod tokens;
mod web_authorizations;
mod web_tokens;

pub use accounts::{Accounts, NewAccount};
pub use authorizations::{
    AuthorizationPage, AuthorizationUrls, Authorizations, ConsentLinks, RENEWALS_APART, Return,
    StartAuthorization, Started,
};
pub use authorizers::Authorizers;
pub use claims::Claims;
pub use customer_service::CustomerService;
pub use error::{Error, Result};
pub use fans::{FanLookup, Fans, FieldSource};
pub use grants::Grants;
pub use hint::Hint;
pub use jssdk::{CardSignature, CardToSign, JsSdk, PageConfig};
pub use ledger::{Ledger, UNANSWERED};
pub use lingpai_storage::{
    AuthorizationFilter, AuthorizerFilter, Claim, DeliveryCounts, Progress, SystemAuthorizerFilter,
    UsageFilter,
};
pub use lingpai_wechat::{
    call::{
        quota::{QuotaFigures, RateFigures},
        user::{FanProfile, Lang},
    },
    client::{ByteStream, ForwardBody, ForwardResponse},
    errcode::Errcode,
    func_scope::{FuncscopeName, funcscope_name},
    mini_program::MiniProgramError,
    oauth::Popup,
};
pub use mini_programs::{EncryptedData, LoggedInFan, MiniPrograms, SignedData};
pub use path::{JudgedPath, PathRefusal, Uncatalogued};
pub use proxy::{Answered, Proxy, ProxyPolicy, ProxyRequest};
pub use publish_tests::PublishTests;
pub use quotas::{Cleared, Quotas};
pub use reconciliations::Reconciliations;
pub use renewals::{RENEWAL_PREFIX, Renewals};
pub use system_health::{AuthorizerCounts, ComponentHealth, SystemHealth, SystemHealthReport};
pub use tokens::AuthorizerTokens;
pub use web_authorizations::{
    ExchangedFan, StartWebAuthorization, StartedWebAuthorization, WebAuthorizations, WebReturn,
};
pub use web_tokens::{KnownFan, NewWebToken, WebTokens};
