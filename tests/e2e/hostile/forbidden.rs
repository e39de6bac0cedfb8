//! What may not be called for an account, whoever asks.

use std::collections::BTreeSet;

/// The catalogue as it is shipped, and what WeChat lets no platform call.
const CATALOGUE: [&str; 2] = [
    include_str!("../../../crates/wechat/data/endpoints.csv"),
    include_str!("../../../crates/wechat/data/endpoints_store.csv"),
];
const NOT_DELEGABLE: &str = include_str!("../../../crates/wechat/data/endpoints_not_delegable.csv");

/// One of each kind, to be written in every way there is: component interfaces, known and unknown;
/// token endpoints; web OAuth; what repeats an earlier call; what is not delegable.
pub(super) const OF_EACH_KIND: [&str; 11] = [
    "/cgi-bin/component/api_query_auth",
    "/cgi-bin/component/api_authorizer_token",
    "/cgi-bin/component/of_next_month",
    "/wxa/component/fastregisterpersonalweapp",
    "/wxa/gettemplatelist",
    "/cgi-bin/token",
    "/cgi-bin/stable_token",
    "/sns/oauth2/access_token",
    "/sns/jscode2session",
    "/cgi-bin/openapi/rid/get",
    "/cgi-bin/business/get",
];

/// Every path that the catalogue knows and that takes no account's token, and everything that is
/// not delegable.
pub(super) fn catalogued() -> BTreeSet<&'static str> {
    let rows = |file: &'static str| {
        file.lines().skip(1).filter_map(|line| {
            let mut fields = line.split(',');
            Some((fields.next()?, fields.nth(1)?, fields.next()?))
        })
    };
    let known: Vec<_> = CATALOGUE.into_iter().flat_map(rows).collect();
    let authorizers: BTreeSet<&str> =
        known.iter().filter(|row| row.2 == "authorizer").map(|row| row.1).collect();
    // The other host has pages and pictures, which need no token of anybody's.
    let kept = known.iter().filter(|row| row.0 == "api.weixin.qq.com");
    let mut all: BTreeSet<&str> =
        kept.map(|row| row.1).filter(|path| !authorizers.contains(path)).collect();
    all.extend(rows(NOT_DELEGABLE).map(|row| row.1));
    all
}
