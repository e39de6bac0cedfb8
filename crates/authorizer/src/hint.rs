//! What a tenant can do about a refusal of WeChat's, in one line beside the answer.

use lingpai_model::authorizer::Authorizer;
use lingpai_wechat::{catalogue::Endpoint, errcode::Errcode, func_scope::funcscope_name};

use crate::{JudgedPath, Renewals};

/// How long a hint may be, in bytes: it travels in a header.
const MAX_LEN: usize = 512;

/// How many permission sets a hint names.
const NAMED_SETS: usize = 4;

/// A hint: one line of visible ASCII and spaces, at most 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is to be done when WeChat refuses `path` by this number; `None` where the number says
    /// it all. With `renewals` it has a link to authorize again where that is what helps.
    pub(crate) fn about(
        errcode: Errcode,
        authorizer: &Authorizer,
        path: &JudgedPath,
        renewals: Option<&Renewals>,
    ) -> Option<Self> {
        let text = match errcode {
            Errcode::API_UNAUTHORIZED
            | Errcode::PERMISSION_SET_NOT_GRANTED
            | Errcode::PERMISSION_SET_NOT_CONFIRMED
            | Errcode::PERMISSION_SET_NOT_AUTHORIZED => {
                return Some(of_missing_set(authorizer, path, renewals));
            }
            Errcode::NOT_AUTHORIZED_BY_ACCOUNT => {
                return Some(with_link("the account no longer grants this", authorizer, renewals));
            }
            Errcode::TOKENS_VOID_AFTER_PASSWORD_CHANGE
            | Errcode::AUTHORIZER_REFRESH_TOKEN_INVALID => {
                return Some(with_link("the account's tokens are void", authorizer, renewals));
            }
            Errcode::IP_NOT_ON_WHITE_LIST => {
                "the address of this installation is not on the platform's IP white list: its \
                 operator has to add it in WeChat's console"
                    .to_owned()
            }
            Errcode::IP_NOT_ON_ACCOUNTS_WHITE_LIST => {
                "the address of this installation is not on the account's IP white list: whoever \
                 keeps the account's secret has to add it in WeChat's console"
                    .to_owned()
            }
            Errcode::QUOTA_USED_UP => format!(
                "the account's calls of this path are used up for today, until midnight in \
                 Beijing: {}",
                see_quota(authorizer, path)
            ),
            Errcode::CALLED_TOO_OFTEN
            | Errcode::TOO_MANY_CALLS_IN_A_SECOND
            | Errcode::TOO_MANY_CALLS_IN_A_MINUTE => format!(
                "too many calls in a short time, of yours or of others for the account: wait a \
                 minute and call more slowly; {}",
                see_quota(authorizer, path)
            ),
            Errcode::ACCESS_TOKEN_MISSING => {
                "lingpai sent the account's token as access_token: this path does not take one \
                 there, so check the path"
                    .to_owned()
            }
            Errcode::COMPONENT_TOKEN_NEEDED => {
                "this path takes the platform's own token, which lingpai sends for nobody"
                    .to_owned()
            }
            _ => return None,
        };
        Some(Self::of(&text))
    }

    /// One line of what a header may hold; what is too long is cut.
    fn of(text: &str) -> Self {
        let visible = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        Self(visible.take(MAX_LEN).collect())
    }
}

/// Which permission set is missing, and how to have it granted.
fn of_missing_set(authorizer: &Authorizer, path: &JudgedPath, renewals: Option<&Renewals>) -> Hint {
    let needed = path.known().map(Endpoint::permission_sets).unwrap_or_default();
    let has_one = needed.iter().any(|set| authorizer.func_info.contains(set));
    if authorizer.connection.component_id().is_none() || has_one {
        return Hint::of(
            "the account itself lacks this interface, for instance because it is not verified: its \
             administrator sees in WeChat's console what it has",
        );
    }
    let missing = match needed.as_slice() {
        [] => "a permission set that this path needs is not granted".to_owned(),
        [set] => format!("the permission set {} is not granted", named(*set)),
        sets => {
            let names: Vec<String> = sets.iter().take(NAMED_SETS).map(|set| named(*set)).collect();
            let others = if sets.len() > NAMED_SETS { " or others" } else { "" };
            format!("none of the permission sets {}{others} is granted", names.join(", "))
        }
    };
    with_link(&missing, authorizer, renewals)
}

fn named(set: u32) -> String {
    match funcscope_name(set) {
        Some(name) => format!("{set} ({})", name.en),
        None => set.to_string(),
    }
}

/// `what`, and the link by which the administrator authorizes again. A link is never cut: where it
/// does not fit, the way to get one is told instead.
fn with_link(what: &str, authorizer: &Authorizer, renewals: Option<&Renewals>) -> Hint {
    let ask = "; have the account's administrator authorize again: ";
    let link = renewals.and_then(|renewals| renewals.link(authorizer)).map(String::from);
    let link = link.filter(|link| link.is_ascii());
    match link.filter(|link| what.len() + ask.len() + link.len() <= MAX_LEN) {
        Some(link) => Hint::of(&format!("{what}{ask}{link}")),
        None => Hint::of(&format!("{what}{ask}POST /v1/authorizations makes a link")),
    }
}

fn see_quota(authorizer: &Authorizer, path: &JudgedPath) -> String {
    let (appid, path) = (&authorizer.appid, path.counted_as());
    format!("GET /v1/authorizers/{appid}/quota?path={path} tells what is left")
}
