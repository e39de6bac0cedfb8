use lingpai_authorizer::{Ledger, UsageFilter};
use lingpai_model::{
    Appid, Instant,
    id::ApiKeyId,
    usage::{Granularity, UsageFigure},
};
use poem_openapi::{Enum, Object, OpenApi, param::Query, payload::Json, types::Example};

use super::Group;
use crate::{
    auth::{TenantAuth, UsageRead},
    example,
    page::PageView,
    parameter::{self, ApiKeyIdText, AppidText, CursorText, Filter, Limit},
    problem::Result,
};

pub(crate) struct UsageApi {
    pub(super) ledger: Ledger,
}

/// How long the spans are that calls are added up in.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "Granularity", rename_all = "snake_case", remote = "Granularity")]
enum GranularityView {
    /// By the hour; kept for 90 days.
    Hour,
    /// By the day, of UTC; kept for 400 days.
    Day,
}

/// How often something was called in one span.
#[derive(Debug, Object)]
#[oai(rename = "UsageFigure", example)]
struct UsageFigureView {
    /// When the span began.
    starts_at: Instant,
    /// The API key that was shown.
    key_id: String,
    /// The account that was called for.
    authorizer_appid: String,
    /// The path that was called at WeChat; `(other)` for those that it does not have, and where too many
    /// different ones were.
    path: String,
    /// What WeChat answered: 0 when it did what was asked, 7900054 when it did not answer.
    errcode: i64,
    /// How often.
    calls: u64,
}

impl Example for UsageFigureView {
    fn example() -> Self {
        Self {
            starts_at: Granularity::Day.start_of(example::instant()),
            key_id: example::API_KEY_ID.to_owned(),
            authorizer_appid: example::AUTHORIZER_APPID.to_owned(),
            path: "/cgi-bin/user/info".to_owned(),
            errcode: 0,
            calls: 1_742,
        }
    }
}

impl From<UsageFigure> for UsageFigureView {
    fn from(figure: UsageFigure) -> Self {
        Self {
            starts_at: figure.starts_at,
            key_id: figure.key_id.to_string(),
            authorizer_appid: figure.authorizer_appid.to_string(),
            path: figure.path,
            errcode: figure.errcode,
            calls: figure.calls,
        }
    }
}

#[OpenApi(tag = "Group::Usage")]
impl UsageApi {
    /// List how often WeChat was called.
    ///
    /// Through proxy and gateway, oldest first: one figure for each hour or day, key, account, path
    /// and errcode. The last seconds may be missing. Needs the scope `usage:read`.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    #[oai(path = "/usage", method = "get", operation_id = "list_usage")]
    async fn list(
        &self,
        auth: TenantAuth<UsageRead>,
        /// How long the spans are; `day` if absent.
        granularity: Query<Option<GranularityView>>,
        /// Only what was called for this account.
        authorizer_appid: Query<Option<Filter<AppidText>>>,
        /// Only what was called with this API key.
        key_id: Query<Option<Filter<ApiKeyIdText>>>,
        /// Only spans that begin at this instant or later, as in `2026-11-20T00:00:00Z`; of the years
        /// 2000 to 9999.
        from: Query<Option<Instant>>,
        /// Only spans that begin before this instant, as in `2026-11-21T00:00:00Z`; of the years 2000 to
        /// 9999.
        to: Query<Option<Instant>>,
        /// At most this many items, 1 to 100; 20 if absent.
        limit: Query<Option<Limit>>,
        /// `next` of the page before.
        cursor: Query<Option<CursorText>>,
    ) -> Result<Json<PageView<UsageFigureView>>> {
        let page = parameter::page(&limit, &cursor)?;
        let granularity = granularity.map_or(Granularity::Day, Granularity::from);
        let filter = UsageFilter {
            authorizer_appid: authorizer_appid
                .as_deref()
                .map(|text| parameter::parsed("authorizer_appid", text, Appid::parse))
                .transpose()?,
            key_id: key_id
                .as_deref()
                .map(|text| parameter::parsed("key_id", text, ApiKeyId::parse))
                .transpose()?,
            from: parameter::instant("from", *from)?,
            to: parameter::instant("to", *to)?,
        };
        let found = self.ledger.figures(auth.scope(), granularity, &filter, &page).await?;
        Ok(Json(PageView::of(found, UsageFigureView::from)))
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    #[test]
    fn spans_are_asked_for_by_their_names() {
        let named = |granularity| GranularityView::from(granularity).to_json();
        assert_eq!(Granularity::ALL.map(named), ["hour", "day"].map(|name| Some(name.into())));
    }

    #[test]
    fn the_number_of_what_was_not_answered_is_the_one_that_the_documents_name() {
        assert_eq!(lingpai_authorizer::UNANSWERED, 7_900_054);
    }

    #[test]
    fn a_figure_is_told_as_it_was_counted() {
        let at = example::instant();
        let figure = UsageFigure {
            starts_at: at,
            key_id: ApiKeyId::parse(example::API_KEY_ID).unwrap(),
            authorizer_appid: Appid::parse(example::AUTHORIZER_APPID).unwrap(),
            path: "/cgi-bin/menu/get".to_owned(),
            errcode: 45_009,
            calls: 7,
        };
        let told = UsageFigureView::from(figure).to_json().unwrap();
        assert_eq!((&told["errcode"], &told["calls"]), (&45_009.into(), &7.into()));
        assert_eq!(told["starts_at"], at.to_json().unwrap());
    }
}
