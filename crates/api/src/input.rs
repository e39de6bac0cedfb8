//! JSON bodies, checked against the very schema that the documents show.
//!
//! The framework's own reader stops at the first fault, does not name the field and repeats the
//! value, which may be a secret. Here every fault names its field and no value is repeated.

mod lines;

use std::fmt::Display;

use lingpai_model::Instant;
use poem::{Request, RequestBody, http::header::CONTENT_TYPE};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Json, Payload as _},
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
    types::{ParseFromJSON, Type},
};
use serde_json::Value;

pub(crate) use self::lines::Lines;
use crate::problem::{Problem, Result};

/// The most that a JSON body may have, in bytes.
pub(crate) const MAX_JSON_BYTES: usize = 64 * 1024;

/// A JSON body that fits the schema of `T`: no unknown field, no missing one, every constraint held.
pub(crate) struct Input<T>(pub(crate) T);

impl<'a, T: Type + ParseFromJSON> ApiExtractor<'a> for Input<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    const PARAM_IS_REQUIRED: bool = true;

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = MetaMediaType {
            content_type: Json::<T>::CONTENT_TYPE,
            schema: Json::<T>::schema_ref(),
        };
        Some(MetaRequest { description: None, content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|text| text.to_str().ok());
        if !content_type.is_some_and(Json::<T>::check_content_type) {
            return Err(Problem::unsupported_media_type().into());
        }
        let bytes = body.take()?.into_bytes_limit(MAX_JSON_BYTES).await?;
        Ok(Self(read(&bytes)?))
    }
}

/// Reads a body.
///
/// # Errors
/// A problem `invalid_request`, or `invalid_field` that names the field.
pub(crate) fn read<T: Type + ParseFromJSON>(bytes: &[u8]) -> Result<T> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::invalid_request(format!("the body is no JSON: line {line}, column {column}"))
    })?;
    let mut registry = Registry::new();
    let schema = registry.create_fake_schema::<T>();
    if !value.is_object() {
        return Err(Problem::invalid_request("the body must be a JSON object"));
    }
    check_object(&value, &schema, &registry).map_err(Problem::from)?;
    T::parse_from_json(Some(value)).map_err(|error| of_form(&error.into_message(), &schema))
}

/// The forms that fields have are checked by the framework, which names the field in its words.
fn of_form(words: &str, schema: &MetaSchema) -> Problem {
    let name = words.split_once("field `").and_then(|(_, rest)| rest.split_once('`'));
    let field =
        name.and_then(|(name, _)| schema.properties.iter().find(|(known, _)| *known == name));
    match field {
        Some((name, MetaSchemaRef::Inline(schema))) if schema.pattern.is_some() => {
            let pattern = schema.pattern.as_deref().unwrap_or_default();
            Problem::invalid_field(*name, format!("this must be of the form {pattern}"))
        }
        Some((name, _)) => Problem::invalid_field(*name, "this has another form than /docs shows"),
        None => Problem::invalid_request("the body does not fit its schema, which /docs shows"),
    }
}

/// What is wrong with a value, and where in it.
#[derive(Debug)]
struct Fault {
    /// The way to it: `.rules[0].reply`; empty if it is the value itself.
    at: String,
    says: String,
}

impl Fault {
    fn inside(self, step: impl Display) -> Self {
        Self { at: format!("{step}{}", self.at), says: self.says }
    }
}

impl From<String> for Fault {
    fn from(says: String) -> Self {
        Self { at: String::new(), says }
    }
}

impl From<&str> for Fault {
    fn from(says: &str) -> Self {
        says.to_owned().into()
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::invalid_field(fault.at.trim_start_matches('.').to_owned(), fault.says)
    }
}

/// Whether a value fits its schema.
type Fits = std::result::Result<(), Fault>;

fn check_object(value: &Value, schema: &MetaSchema, registry: &Registry) -> Fits {
    let object = value.as_object().ok_or("this must be an object")?;
    if let Some(name) = object.keys().find(|name| !has_property(schema, name)) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let names: Vec<_> = schema.properties.iter().map(|(name, _)| *name).collect();
        let says = format!("there is no such field; the fields are {}", names.join(", "));
        return Err(Fault::from(says).inside(format_args!(".{name}")));
    }
    for (name, property) in &schema.properties {
        match object.get(*name) {
            None | Some(Value::Null) if schema.required.contains(name) => {
                let missing = Fault::from("this field is required");
                return Err(missing.inside(format_args!(".{name}")));
            }
            None | Some(Value::Null) => {}
            Some(value) => check_value(value, property, registry)
                .map_err(|fault| fault.inside(format_args!(".{name}")))?,
        }
    }
    Ok(())
}

fn has_property(schema: &MetaSchema, name: &str) -> bool {
    schema.properties.iter().any(|(property, _)| *property == name)
}

fn check_value(value: &Value, schema: &MetaSchemaRef, registry: &Registry) -> Fits {
    match schema {
        MetaSchemaRef::Inline(schema) => check_plain(value, schema, registry),
        MetaSchemaRef::Reference(name) => match registry.schemas.get(name) {
            Some(schema) => check_plain(value, schema, registry),
            None => Ok(()),
        },
    }
}

fn check_plain(value: &Value, schema: &MetaSchema, registry: &Registry) -> Fits {
    for part in &schema.all_of {
        check_value(value, part, registry)?;
    }
    match schema.ty {
        "string" => Ok(check_text(value.as_str().ok_or("this must be a text")?, schema)?),
        "integer" => {
            let number = value.as_u64().ok_or("this must be a whole number, 0 or more")?;
            let fits = schema.format != Some("uint32") || u32::try_from(number).is_ok();
            if fits {
                Ok(check_bounds(number, schema)?)
            } else {
                Err("this number is too large".into())
            }
        }
        "boolean" => Ok(value.as_bool().map(|_| ()).ok_or("this must be true or false")?),
        "object" => check_object(value, schema, registry),
        "array" => {
            let items = value.as_array().ok_or("this must be a list")?;
            let least = schema.min_items.unwrap_or(0);
            let most = schema.max_items.unwrap_or(usize::MAX);
            if !(least..=most).contains(&items.len()) {
                return Err(bounds(least, most, "items").into());
            }
            let Some(each) = &schema.items else { return Ok(()) };
            items.iter().enumerate().try_for_each(|(index, item)| {
                check_value(item, each, registry)
                    .map_err(|fault| fault.inside(format_args!("[{index}]")))
            })
        }
        _ => Ok(()),
    }
}

fn check_bounds(number: u64, schema: &MetaSchema) -> std::result::Result<(), String> {
    // Bounds in the documents are floating point numbers, small enough to be exact.
    let fits = u32::try_from(number).map(f64::from).is_ok_and(|number| {
        schema.minimum.is_none_or(|least| number >= least)
            && schema.maximum.is_none_or(|most| number <= most)
    });
    match (schema.minimum, schema.maximum) {
        _ if fits => Ok(()),
        (Some(least), Some(most)) => Err(format!("this is a number from {least} to {most}")),
        (Some(least), None) => Err(format!("this is a number from {least} up")),
        (None, Some(most)) => Err(format!("this is a number up to {most}")),
        (None, None) => Ok(()),
    }
}

fn check_text(text: &str, schema: &MetaSchema) -> std::result::Result<(), String> {
    if !schema.enum_items.is_empty() {
        let known: Vec<_> = schema.enum_items.iter().filter_map(Value::as_str).collect();
        return if known.contains(&text) {
            Ok(())
        } else {
            Err(format!("this is one of {}", known.join(", ")))
        };
    }
    if schema.format == Some("date-time") && text.parse::<Instant>().is_err() {
        return Err("this must be a time as in 2026-11-20T08:00:00Z".into());
    }
    let least = schema.min_length.unwrap_or(0);
    let most = schema.max_length.unwrap_or(usize::MAX);
    if !(least..=most).contains(&text.chars().count()) {
        return Err(bounds(least, most, "characters"));
    }
    if text.chars().any(|c| c.is_control() && !lines::may_have(schema, c)) {
        return Err("this has control characters".into());
    }
    if least > 0 && text.trim().is_empty() {
        return Err("this is blank".into());
    }
    Ok(())
}

fn bounds(least: usize, most: usize, what: &str) -> String {
    if most == usize::MAX {
        format!("this has {least} {what} or more")
    } else {
        format!("this has {least} to {most} {what}")
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::{Enum, Object, types::MaybeUndefined};

    use super::*;
    use crate::problem::Code;

    #[derive(Debug, Enum)]
    #[oai(rename_all = "snake_case")]
    enum Colour {
        Red,
        DarkGreen,
    }

    #[derive(Debug, Object)]
    struct Inner {
        word: String,
        count: Option<u32>,
    }

    #[derive(Debug, Object)]
    struct Sample {
        #[oai(validator(min_length = 1, max_length = 4))]
        name: String,
        /// With words of its own, which wraps the reference.
        colour: Option<Colour>,
        #[oai(validator(max_items = 2))]
        ids: Option<Vec<u32>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "9")))]
        count: Option<u32>,
        #[oai(validator(pattern = "^[a-z]+$"))]
        word: Option<String>,
        until: Option<Instant>,
        #[oai(nullable)]
        size: MaybeUndefined<u32>,
        is_loud: Option<bool>,
        prose: Option<Lines<9>>,
        inner: Option<Inner>,
        #[oai(validator(max_items = 2))]
        inners: Option<Vec<Inner>>,
    }

    fn fault(body: &str) -> (Code, String) {
        let problem = read::<Sample>(body.as_bytes()).unwrap_err();
        (problem.code(), problem.to_string())
    }

    #[test]
    fn what_fits_the_schema_is_read() {
        let body = r#"{"name":"名字四个","colour":"dark_green","ids":[1,4294967295],"count":9,
            "word":"a","until":"2026-11-20T08:00:00Z"}"#;
        let sample: Sample = read(body.as_bytes()).unwrap();
        assert_eq!((sample.count, sample.word.as_deref()), (Some(9), Some("a")));
        assert_eq!(sample.until.map(|at| at.timestamp()), Some(1_795_161_600));
        assert_eq!(sample.name, "名字四个");
        assert!(matches!(sample.colour, Some(Colour::DarkGreen)));
        assert_eq!(sample.ids.as_deref(), Some([1, u32::MAX].as_slice()));
        let sample: Sample = read(br#"{"name":"a","colour":null}"#).unwrap();
        assert!(sample.colour.is_none() && sample.ids.is_none());
    }

    #[test]
    fn absent_null_and_a_value_are_told_apart_where_that_matters() {
        let read = |body: &str| read::<Sample>(body.as_bytes()).unwrap();
        assert_eq!(read(r#"{"name":"a"}"#).size, MaybeUndefined::Undefined);
        assert_eq!(read(r#"{"name":"a","size":null}"#).size, MaybeUndefined::Null);
        assert_eq!(read(r#"{"name":"a","size":9}"#).size, MaybeUndefined::Value(9));
        assert_eq!(read(r#"{"name":"a","is_loud":true}"#).is_loud, Some(true));
    }

    #[test]
    fn a_fault_names_its_field_and_never_the_value() {
        for (body, says) in [
            (r#"{}"#, "required"),
            (r#"{"name":null}"#, "required"),
            (r#"{"name":7}"#, "must be a text"),
            (r#"{"name":""}"#, "1 to 4 characters"),
            (r#"{"name":" "}"#, "blank"),
            (r#"{"name":"12345"}"#, "1 to 4 characters"),
            (r#"{"name":"a\u0000"}"#, "control characters"),
            (r#"{"name":"a","colour":"blue"}"#, "one of red, dark_green"),
            (r#"{"name":"a","ids":[1,2,3]}"#, "0 to 2 items"),
            (r#"{"name":"a","ids":[-1]}"#, "whole number"),
            (r#"{"name":"a","ids":[4294967296]}"#, "too large"),
            (r#"{"name":"a","count":0}"#, "a number from 1 to 9"),
            (r#"{"name":"a","count":10}"#, "a number from 1 to 9"),
            (r#"{"name":"a","count":4294967296}"#, "too large"),
            (r#"{"name":"a","word":"BLUE"}"#, "of the form ^[a-z]+$"),
            (r#"{"name":"a","until":"tomorrow"}"#, "a time as in"),
            (r#"{"name":"a","until":"2026-11-20T08:00:00"}"#, "a time as in"),
            (r#"{"name":"a","until":12345}"#, "must be a text"),
            (r#"{"name":"a","is_loud":"yes"}"#, "true or false"),
            (r#"{"name":"a","nick":"b"}"#, "no such field; the fields are name, colour, ids"),
        ] {
            let (code, text) = fault(body);
            assert_eq!(code, Code::InvalidField, "{body}");
            assert!(text.contains(says), "{body}: {text}");
            let repeats = ["12345", "blue", "BLUE", "tomorrow"].iter().any(|it| text.contains(it));
            assert!(!repeats, "{text}");
        }
    }

    #[test]
    fn a_fault_deep_inside_names_the_way_to_it() {
        for (body, field) in [
            (r#"{"name":"a","inner":7}"#, "inner"),
            (r#"{"name":"a","inner":{}}"#, "inner.word"),
            (r#"{"name":"a","inner":{"word":"x","other":1}}"#, "inner.other"),
            (r#"{"name":"a","inners":[{"word":"x"},{"word":7}]}"#, "inners[1].word"),
            (r#"{"name":"a","inners":[{"word":"x"},7]}"#, "inners[1]"),
            (r#"{"name":"a","ids":[1,"x"]}"#, "ids[1]"),
        ] {
            let problem = read::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidField, Some(field)));
        }
        let sample: Sample = read(br#"{"name":"a","inners":[{"word":"x","count":1}]}"#).unwrap();
        let inner = sample.inners.and_then(|mut all| all.pop()).expect("one was sent");
        assert_eq!((inner.word.as_str(), inner.count), ("x", Some(1)));
        assert!(sample.inner.is_none());
    }

    #[test]
    fn only_prose_has_lines() {
        let sample: Sample = read(br#"{"name":"a","prose":"a\n\tb\r\nc"}"#).unwrap();
        assert_eq!(sample.prose, Some(Lines("a\n\tb\r\nc".to_owned())));
        for (body, says) in [
            (r#"{"name":"a\nb"}"#, "control characters"),
            (r#"{"name":"a","prose":"a\u0000"}"#, "control characters"),
            (r#"{"name":"a","prose":"\n"}"#, "blank"),
            (r#"{"name":"a","prose":"0123456789"}"#, "1 to 9 characters"),
        ] {
            let (code, text) = fault(body);
            assert_eq!(code, Code::InvalidField, "{body}");
            assert!(text.contains(says), "{body}: {text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_an_invalid_request() {
        for body in ["", "{", "[]", "null", "\"a\"", "{\"name\":\"a\"} x"] {
            assert_eq!(fault(body).0, Code::InvalidRequest, "{body:?}");
        }
    }
}
