//! How often WeChat lets itself be called, as it is told in both APIs.

use lingpai_authorizer::{Errcode, Error, QuotaFigures, RateFigures};
use poem_openapi::{Object, types::Example};

use crate::problem::Problem;

/// How often an interface may be called within seconds.
#[derive(Debug, Object)]
#[oai(rename = "RateFigures", example)]
struct RateFiguresView {
    /// How many calls.
    call_count: u64,
    /// In how many seconds.
    refresh_second: u64,
}

impl Example for RateFiguresView {
    fn example() -> Self {
        Self { call_count: 3000, refresh_second: 60 }
    }
}

impl From<RateFigures> for RateFiguresView {
    fn from(figures: RateFigures) -> Self {
        let RateFigures { call_count, refresh_second } = figures;
        Self { call_count, refresh_second }
    }
}

/// How often one interface of WeChat's may be called, and was today.
#[derive(Debug, Object)]
#[oai(rename = "QuotaFigures", example)]
pub(crate) struct QuotaFiguresView {
    /// The interface.
    path: String,
    /// How many calls WeChat takes in a day.
    daily_limit: u64,
    /// How many it took today.
    used: u64,
    /// How many are left today.
    remain: u64,
    /// How often the account may call it within seconds; null if WeChat does not say.
    #[oai(nullable)]
    rate_limit: Option<RateFiguresView>,
    /// How often the component may call it within seconds, for all its accounts; null if WeChat does
    /// not say.
    #[oai(nullable)]
    component_rate_limit: Option<RateFiguresView>,
}

impl Example for QuotaFiguresView {
    fn example() -> Self {
        Self {
            path: "/cgi-bin/user/info".to_owned(),
            daily_limit: 5_000_000,
            used: 1_742,
            remain: 4_998_258,
            rate_limit: Some(RateFiguresView::example()),
            component_rate_limit: None,
        }
    }
}

impl QuotaFiguresView {
    /// The figures of `path`.
    pub(crate) fn of(path: &str, figures: QuotaFigures) -> Self {
        Self {
            path: path.to_owned(),
            daily_limit: figures.daily_limit,
            used: figures.used,
            remain: figures.remain,
            rate_limit: figures.rate_limit.map(RateFiguresView::from),
            component_rate_limit: figures.component_rate_limit.map(RateFiguresView::from),
        }
    }
}

/// Why there are no figures. Here a path is a parameter: nothing is called by it, so that one which
/// cannot be one is a fault of its form.
pub(crate) fn refused(error: Error) -> Problem {
    match error {
        Error::PathRefused(refusal) => Problem::invalid_field(
            "path",
            format!("this is WeChat's path, as in /cgi-bin/user/info: {refusal}"),
        ),
        error => Problem::from(error).blaming(&BLAMED),
    }
}

/// What WeChat says of a path that it has no figures for.
///
/// Source: WeChat docs, "Query API call quota" (openapi/quota/get): 76021 no such path, 76022 the token
/// does not fit the path.
const BLAMED: [(Errcode, &str); 2] = [(Errcode(76021), "path"), (Errcode(76022), "path")];

#[cfg(test)]
mod tests {
    use lingpai_authorizer::PathRefusal;
    use lingpai_model::Appid;
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;
    use crate::problem::Code;

    #[test]
    fn a_path_that_cannot_be_one_is_a_fault_of_its_parameter() {
        let problem = refused(Error::PathRefused(PathRefusal::Spelling));
        assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some("path")));
        let appid = Appid::parse("wx1").unwrap();
        let other = refused(Error::AuthorizerNotFound { appid });
        assert_eq!(other.code(), Code::AuthorizerNotFound);
    }

    #[test]
    fn what_wechat_does_not_say_is_null() {
        let mute = QuotaFiguresView { rate_limit: None, ..QuotaFiguresView::example() };
        let told = mute.to_json().unwrap();
        assert_eq!(told.get("rate_limit"), Some(&json!(null)));
        assert_eq!(told.get("component_rate_limit"), Some(&json!(null)));
    }
}
