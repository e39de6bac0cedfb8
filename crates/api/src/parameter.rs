//! Texts in paths and queries.
//!
//! The documents tell the form of each, so that clients know it and testers can try it. Whether one
//! names something is found out by the operation: an impossible id answers like an unknown one, not
//! like a mistake, and so tells nothing about which ids there are.

use std::{
    borrow::Cow,
    fmt::Display,
    iter,
    ops::{Deref, RangeInclusive},
};

use chrono::Datelike as _;
use lingpai_model::{
    Instant,
    page::{MAX_LIMIT, PageRequest},
};
use poem_openapi::{
    param::Query,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use serde_json::json;

use crate::{
    example,
    page::{self, DEFAULT_LIMIT},
    problem::{Problem, Result},
};

macro_rules! parameter_type {
    ($name:ident, $schema:expr) => {
        impl Type for $name {
            const IS_REQUIRED: bool = true;

            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(iter::once(self))
            }
        }
    };
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: $pattern:literal, $longest:literal, $example:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name(String);

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                let Self(text) = self;
                text
            }
        }

        impl ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                Ok(Self(text.to_owned()))
            }
        }

        parameter_type!($name, text($pattern, $longest, $example));
    )+};
}

texts! {
    /// The appid of a component.
    ComponentAppidText: "^[A-Za-z0-9_-]{1,64}$", 64, Some(example::COMPONENT_APPID);
    /// The appid of an account.
    AppidText: "^[A-Za-z0-9_-]{1,64}$", 64, Some(example::AUTHORIZER_APPID);
    /// The id of a tenant.
    TenantIdText: "^tnt_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::TENANT_ID);
    /// The id of an API key.
    ApiKeyIdText: "^key_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::API_KEY_ID);
    /// The id of an operator.
    OperatorIdText: "^opr_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::OPERATOR_ID);
    /// The id of an authorization.
    AuthorizationIdText: "^atn_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::AUTHORIZATION_ID);
    /// The id of an authorizer, which only operators name so.
    AuthorizerIdText: "^aut_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::AUTHORIZER_ID);
    /// The id of an endpoint.
    EndpointIdText: "^end_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::ENDPOINT_ID);
    /// The id of an event.
    EventIdText: "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::EVENT_ID);
    /// The id of a delivery.
    DeliveryIdText: "^dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::DELIVERY_ID);
    /// The id of a push in quarantine.
    PushIdText: "^psh_[0-7][0-9A-HJKMNP-TV-Z]{25}$", 30, Some(example::PUSH_ID);
    /// An event type, or a family of them.
    EventPatternText: "^(\\*|[a-z0-9_-]+(\\.[a-z0-9_-]+)*(\\.\\*)?)$", 66, Some("message.*");
    /// The name of a verification file.
    FileNameText: "^[A-Za-z0-9_-]{1,64}\\.txt$", 68, Some(example::FILE_NAME);
    /// What was done, in the audit trail.
    ActionText: "^[a-z_]{1,24}\\.[a-z_]{1,24}$", 49, Some("redirect_uri.registered");
    /// Who acted, in the audit trail.
    ActorText: "^((key|opr)_[0-7][0-9A-HJKMNP-TV-Z]{25}|lingpai)$", 30, Some(example::OPERATOR_ID);
    /// The path of one of WeChat's interfaces.
    WechatPathText: "^(/[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)+$", 512, Some("/cgi-bin/user/info");
    /// The place where a page begins.
    CursorText: "^[A-Za-z0-9_-]{1,86}$", 86, None;
}

fn text(pattern: &str, longest: usize, example: Option<&str>) -> MetaSchema {
    MetaSchema {
        pattern: Some(pattern.to_owned()),
        min_length: Some(1),
        max_length: Some(longest),
        example: example.map(Into::into),
        ..MetaSchema::new("string")
    }
}

/// A text that a list is narrowed by. The documents show no example of it: pages to try things on
/// would fill that in, and then nothing is found.
#[derive(Debug)]
pub(crate) struct Filter<T>(T);

impl<T: Deref<Target = str>> Deref for Filter<T> {
    type Target = str;

    fn deref(&self) -> &str {
        let Self(text) = self;
        text
    }
}

impl<T: Type> Type for Filter<T> {
    const IS_REQUIRED: bool = true;

    type RawValueType = T::RawValueType;
    type RawElementValueType = T::RawElementValueType;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        match T::schema_ref() {
            MetaSchemaRef::Inline(schema) => {
                MetaSchemaRef::Inline(Box::new(MetaSchema { example: None, ..*schema }))
            }
            named @ MetaSchemaRef::Reference(_) => named,
        }
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        self.0.as_raw_value()
    }

    fn raw_element_iter<'a>(
        &'a self,
    ) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        self.0.raw_element_iter()
    }
}

impl<T: ParseFromParameter> ParseFromParameter for Filter<T> {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        T::parse_from_parameter(text).map(Self).map_err(ParseError::propagate)
    }
}

/// How many items a page may have.
#[derive(Debug)]
pub(crate) struct Limit(u64);

impl ParseFromParameter for Limit {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map(Self).map_err(|_| ParseError::custom("this is no number of items"))
    }
}

parameter_type!(Limit, {
    // Bounds in the documents are floating point numbers.
    let bound = |number| u32::try_from(number).ok().map(f64::from);
    MetaSchema {
        minimum: Some(1.0),
        maximum: bound(MAX_LIMIT),
        default: Some(json!(DEFAULT_LIMIT)),
        ..MetaSchema::new_with_format("integer", "int32")
    }
});

/// Reads `limit` and `cursor` of a list.
///
/// # Errors
/// A problem `invalid_field` that names the parameter.
pub(crate) fn page(
    limit: &Query<Option<Limit>>,
    cursor: &Query<Option<CursorText>>,
) -> Result<PageRequest> {
    page::request(limit.as_ref().map(|Limit(items)| *items), cursor.as_deref())
}

/// Reads what the field or parameter called `name` has, if `parse` takes it.
///
/// # Errors
/// A problem `invalid_field` in the words of `parse`, which repeat no text.
pub(crate) fn parsed<T, E: Display>(
    name: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> std::result::Result<T, E>,
) -> Result<T> {
    parse(text).map_err(|error| Problem::invalid_field(name, error.to_string()))
}

/// The years of which things are asked for. What lies outside cannot be reckoned with: to the ends of
/// what a date may be a day cannot be added, and ids tell no time behind the year 10889.
const YEARS: RangeInclusive<i32> = 2000..=9999;

/// The instant that the field or parameter called `name` has, if it has one.
///
/// # Errors
/// A problem `invalid_field` for one of a year that is not among 2000 to 9999.
pub(crate) fn instant(name: &'static str, at: Option<Instant>) -> Result<Option<Instant>> {
    match at {
        Some(at) if !YEARS.contains(&at.year()) => {
            let (first, last) = (YEARS.start(), YEARS.end());
            let says = format!("this is a time of the years {first} to {last}");
            Err(Problem::invalid_field(name, says))
        }
        within => Ok(within),
    }
}

#[cfg(test)]
mod tests {
    use lingpai_authorizer::JudgedPath;
    use lingpai_model::{
        Appid,
        event::{EventPattern, MAX_EVENT_TYPE_BYTES},
        file::FileName,
        id::{
            ApiKeyId, AuthorizationId, AuthorizerId, DeliveryId, EndpointId, EventId, OperatorId,
            PushId, TenantId,
        },
        page::{Cursor, Page},
    };

    use super::*;
    use crate::problem::Code;

    #[test]
    fn the_longest_path_that_may_be_asked_about_fits_its_form() {
        let longest = WechatPathText::schema_ref().unwrap_inline().max_length.unwrap();
        let path = |len: usize| format!("/{}", "a".repeat(len - 1));
        assert!(JudgedPath::judge(&path(longest)).is_ok());
        assert!(JudgedPath::judge(&path(longest + 1)).is_err());
        assert!(JudgedPath::judge(&example_of::<WechatPathText>()).is_ok());
    }

    fn pattern_of<T: Type>() -> String {
        T::schema_ref().unwrap_inline().pattern.clone().unwrap()
    }

    fn example_of<T: Type>() -> String {
        let schema = T::schema_ref();
        let schema = schema.unwrap_inline();
        let example = schema.example.as_ref().unwrap().as_str().unwrap().to_owned();
        assert!(example.len() <= schema.max_length.unwrap(), "{example}");
        example
    }

    #[test]
    fn the_examples_in_the_documents_are_what_they_stand_for() {
        assert!(Appid::parse(&example_of::<AppidText>()).is_ok());
        assert!(TenantId::parse(&example_of::<TenantIdText>()).is_ok());
        assert!(ApiKeyId::parse(&example_of::<ApiKeyIdText>()).is_ok());
        assert!(OperatorId::parse(&example_of::<OperatorIdText>()).is_ok());
        assert!(AuthorizationId::parse(&example_of::<AuthorizationIdText>()).is_ok());
        assert!(AuthorizerId::parse(&example_of::<AuthorizerIdText>()).is_ok());
        assert!(EndpointId::parse(&example_of::<EndpointIdText>()).is_ok());
        assert!(EventId::parse(&example_of::<EventIdText>()).is_ok());
        assert!(DeliveryId::parse(&example_of::<DeliveryIdText>()).is_ok());
        assert!(PushId::parse(&example_of::<PushIdText>()).is_ok());
        assert!(EventPattern::parse(&example_of::<EventPatternText>()).is_ok());
        assert!(FileName::parse(&example_of::<FileNameText>()).is_ok());
    }

    #[test]
    fn the_longest_pattern_of_types_fits_its_form() {
        let longest = EventPatternText::schema_ref().unwrap_inline().max_length.unwrap();
        let family = format!("{}.*", "a".repeat(MAX_EVENT_TYPE_BYTES));
        assert!(EventPattern::parse(&family).is_ok() && family.len() == longest);
    }

    #[test]
    fn a_filter_has_the_form_of_what_it_names_and_no_example() {
        let filter = Filter::<AppidText>::schema_ref();
        let filter = filter.unwrap_inline();
        assert_eq!(filter.pattern.as_deref(), Some(pattern_of::<AppidText>().as_str()));
        assert_eq!(filter.example, None);
        assert_eq!(&*Filter::<AppidText>::parse_from_parameter("wx1").unwrap(), "wx1");
    }

    #[test]
    fn the_forms_in_the_documents_begin_as_the_ids_do() {
        for (pattern, prefix) in [
            (pattern_of::<TenantIdText>(), TenantId::PREFIX),
            (pattern_of::<ApiKeyIdText>(), ApiKeyId::PREFIX),
            (pattern_of::<OperatorIdText>(), OperatorId::PREFIX),
            (pattern_of::<AuthorizationIdText>(), AuthorizationId::PREFIX),
            (pattern_of::<AuthorizerIdText>(), AuthorizerId::PREFIX),
            (pattern_of::<EndpointIdText>(), EndpointId::PREFIX),
            (pattern_of::<EventIdText>(), EventId::PREFIX),
            (pattern_of::<DeliveryIdText>(), DeliveryId::PREFIX),
            (pattern_of::<PushIdText>(), PushId::PREFIX),
        ] {
            assert!(pattern.starts_with(&format!("^{prefix}")), "{pattern}");
        }
    }

    #[test]
    fn the_longest_cursor_fits_its_form() {
        let request = PageRequest::new(1, None).unwrap();
        let longest = "x".repeat(64);
        let page = Page::cut(vec![longest.clone(), longest], &request, String::as_str);
        let cursor = page.next.unwrap().to_string();
        assert_eq!(CursorText::schema_ref().unwrap_inline().max_length, Some(cursor.len()));
        assert!(Cursor::parse(&cursor).is_ok());
    }

    #[test]
    fn a_limit_is_told_with_its_bounds_and_held_to_them() {
        let schema = Limit::schema_ref();
        let schema = schema.unwrap_inline();
        assert_eq!((schema.minimum, schema.maximum), (Some(1.0), Some(100.0)));
        let asked = |limit: Option<&str>| {
            let limit = limit.map(|text| Limit::parse_from_parameter(text).unwrap());
            page(&Query(limit), &Query(None))
        };
        assert_eq!(asked(None).unwrap().limit(), DEFAULT_LIMIT);
        assert_eq!(asked(Some("100")).unwrap().limit(), 100);
        for outside in ["0", "101"] {
            assert_eq!(asked(Some(outside)).unwrap_err().code(), Code::InvalidField);
        }
        for nonsense in ["", "-1", "ten", "1.5", "99999999999999999999"] {
            assert!(Limit::parse_from_parameter(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_field_in_words_that_do_not_repeat_it() {
        assert_eq!(parsed("appid", "wx1", Appid::parse).unwrap(), Appid::parse("wx1").unwrap());
        let problem = parsed("tenant_id", "tnt_canary", TenantId::parse).unwrap_err();
        assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some("tenant_id")));
        assert!(!problem.detail().contains("canary"), "{problem}");
    }

    #[test]
    fn times_of_other_millennia_are_a_fault_of_their_field() {
        let asked = |text: &str| instant("from", Some(text.parse().unwrap()));
        for fine in ["2000-01-01T00:00:00Z", "2026-11-20T08:00:00Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(asked(fine).unwrap(), fine.parse().ok());
        }
        for outside in ["-262143-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "+10000-01-01T00:00:00Z"]
        {
            let problem = asked(outside).unwrap_err();
            assert_eq!(problem.field(), Some("from"), "{outside}");
            assert!(problem.detail().contains("2000 to 9999"), "{problem}");
        }
        assert_eq!(instant("to", None).unwrap(), None);
    }

    #[test]
    fn an_impossible_id_is_passed_on_to_who_knows_what_it_is_not() {
        let shown = AppidText::parse_from_parameter("wx/1").unwrap();
        assert!(Appid::parse(&shown).is_err());
    }
}
