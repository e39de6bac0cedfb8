//! Permission sets (权限集): what the numbers of `func_info` are called.

use std::{collections::HashMap, sync::LazyLock};

/// The name of a permission set in two languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuncscopeName {
    /// As WeChat's documentation names it.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// The name of the permission set `id`; `None` for one whose name WeChat has not published.
///
/// Source: WeChat docs, "Permission sets" (第三方平台权限说明); 158 and 169 from pages of the
/// interfaces that need them.
#[must_use]
pub fn funcscope_name(id: u32) -> Option<&'static FuncscopeName> {
    NAMES.get(&id)
}

/// `data/func_scopes.csv`, read once.
static NAMES: LazyLock<HashMap<u32, FuncscopeName>> = LazyLock::new(|| {
    csv::Reader::from_reader(include_str!("../data/func_scopes.csv").as_bytes())
        .records()
        .map(|record| {
            let record = record.expect("the shipped table is well-formed");
            let id = record[0].parse().expect("the shipped table has numbers");
            (id, FuncscopeName { zh: record[1].to_owned(), en: record[2].to_owned() })
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_names_in_both_languages() {
        let name = funcscope_name(1).expect("the first of all");
        assert_eq!((name.zh.as_str(), name.en.as_str()), ("消息管理", "messages"));
        assert!(NAMES.values().all(|name| !name.zh.is_empty() && !name.en.is_empty()));
        assert_eq!(NAMES.len(), 93);
    }

    #[test]
    fn sets_without_a_published_name_have_none() {
        for id in [0, 61, 100, 101, 134, 999] {
            assert_eq!(funcscope_name(id), None, "{id}");
        }
    }
}
