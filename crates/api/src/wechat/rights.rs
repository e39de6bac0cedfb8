use lingpai_authorizer::funcscope_name;

use super::language::Language;

/// The names of permission sets; one without a published name by its number.
pub(super) fn names(ids: &[u32], language: Language) -> Vec<String> {
    ids.iter()
        .map(|id| match funcscope_name(*id) {
            Some(name) => language.say(&name.zh, &name.en).clone(),
            None => language.say(format!("权限集 {id}"), format!("permission set {id}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_a_published_name_is_told_by_its_number() {
        assert_eq!(names(&[1, 999], Language::Zh), ["消息管理", "权限集 999"]);
        assert_eq!(names(&[1, 999], Language::En), ["messages", "permission set 999"]);
    }
}
