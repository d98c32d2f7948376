//! Reads one line of the CLI, as far as the engine needs it.
//!
//! The stream is hostile: keys come in any order, types and subtypes are added at any time, fields may have
//! other types than expected. Nothing here fails; an unknown line is [`Frame::Other`] or [`Frame::NotAnObject`].
//! Text that is only passed on stays raw JSON (see [`super::json_text`]).

use super::control::{self, Control};
use super::failure::{ApiError, Failure, Retry, UsageLimit, milliseconds};
use super::json_text::{self, text};
use super::partial::{self, Piece};
use super::usage::{ModelCall, ModelTotals, Models, Tokens};
use indexmap::IndexMap;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The meaning of a line.
#[derive(Debug)]
pub enum Frame {
    /// `system` / `init`: a turn begins. Comes once per turn, not once per process.
    Init(Init),
    /// `result`: a turn ends.
    Result(Box<TurnResult>),
    /// `system` / `status` that names a permission mode: the mode has changed.
    ///
    /// ```json
    /// {"type":"system","subtype":"status","status":null,"permissionMode":"plan","uuid":"...","session_id":"..."}
    /// ```
    PermissionMode(String),
    /// `assistant` or `user`: content of a turn, and the request to the model that it tells of.
    Content(Content, Option<Box<ModelCall>>),
    /// `system` / `api_retry`: the CLI waits, then it asks the API again.
    Retry(Retry),
    /// `rate_limit_event`: where the subscription stands.
    UsageLimit(UsageLimit),
    /// `system` / `model_refusal_no_fallback`: the model has refused to answer.
    Refusal,
    /// `stream_event`: a piece of an answer.
    Piece(Piece),
    /// A request or an answer beside the messages.
    Control(Control),
    /// Any other object: passed on, not used.
    Other,
    /// Not a JSON object: blank lines, log text, arrays. Skipped.
    NotAnObject,
}

/// What the engine tells apart in the content of a turn.
#[derive(Debug)]
pub enum Content {
    /// The model was heard.
    Model,
    /// The CLI's word about an error of the API, in the place of an answer.
    Error(Box<ApiError>),
    /// The result of a tool that the model called.
    ToolResult,
    /// Lines of a subagent, replayed messages, texts of the CLI's own.
    Other,
}

/// The fields that the engine reads from an `init`.
#[derive(Debug, Default)]
pub struct Init {
    /// The conversation's id; `/clear` changes it.
    pub session_id: Option<String>,
    /// The permission mode in force; `None` if the CLI does not say.
    pub permission_mode: Option<String>,
    /// Uuids of the messages this turn answers (2.1.330); empty if the CLI does not say.
    pub message_uuids: Vec<String>,
    /// `claude_code_version` (from 2.0.30).
    pub version: Option<String>,
}

/// The fields that the engine reads from a `result`. Raw fields are JSON text as the CLI wrote it.
#[derive(Debug, Default)]
pub struct TurnResult {
    /// `success`, `error_during_execution`, `error_max_turns`, ...
    pub subtype: Option<String>,
    /// Whether the turn ended with an error. Up to 2.1.61 a budget that is used up has `is_error: false`: a subtype that
    /// begins with `error` counts, too.
    pub is_error: bool,
    /// What it says of an error of the API.
    pub api_error: ApiError,
    /// `terminal_reason`: `completed`, `api_error`, `max_turns`, ...
    pub terminal_reason: Option<String>,
    /// Why the turn failed. Not part of the line: [`super::signs::Signs::conclude`] finds it.
    pub failure: Option<Failure>,
    /// The answer's text, if `result` is a string.
    pub text: Option<Box<RawValue>>,
    /// `errors`, if it is an array.
    pub errors: Option<Box<RawValue>>,
    /// The CLI's running total in USD.
    pub total_cost_usd: Option<f64>,
    /// USD of this turn alone, from `model_usage_since_last_result` (2.1.330).
    pub turn_cost_usd: Option<f64>,
    /// Tokens of this turn, from `usage`: without those of subagents.
    pub turn_tokens: Tokens,
    /// Totals over the process or conversation, from `modelUsage`.
    pub models: Models,
    /// `usage`, unchanged.
    pub usage: Option<Box<RawValue>>,
    /// `permission_denials`, unchanged.
    pub permission_denials: Option<Box<RawValue>>,
    /// `stop_reason`, unchanged.
    pub stop_reason: Option<Box<RawValue>>,
    /// `num_turns`.
    pub turns: u64,
    /// `duration_ms`.
    pub duration_ms: f64,
    /// The conversation's id.
    pub session_id: Option<String>,
    /// Whether the CLI started this turn by itself.
    pub foreign_origin: bool,
    /// Uuids of the messages this turn answered (2.1.330); empty if the CLI does not say.
    pub message_uuids: Vec<String>,
}

impl TurnResult {
    /// The CLI's own words about the error.
    #[must_use]
    pub fn error_words(&self) -> String {
        let errors = self
            .errors
            .as_deref()
            .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        let words: Vec<String> = errors
            .unwrap_or_default()
            .into_iter()
            .filter_map(json_text::decode)
            .filter(|text| !text.is_empty())
            .collect();
        if !words.is_empty() {
            return words.join("; ");
        }
        let text = self
            .text
            .as_deref()
            .and_then(json_text::decode)
            .filter(|text| !text.is_empty());
        text.or_else(|| self.subtype.clone())
            .unwrap_or_else(|| "unknown error".to_owned())
    }

    /// Whether the model stopped for this reason.
    #[must_use]
    pub fn stop_reason_is(&self, reason: &str) -> bool {
        text(self.stop_reason.as_deref()).is_some_and(|text| text == reason)
    }
}

/// Every field that the engine reads, raw, so that a wrong type affects only its own field.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "permissionMode")]
    permission_mode: Option<&'a RawValue>,
    #[serde(borrow)]
    is_error: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
    #[serde(borrow)]
    total_cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "modelUsage")]
    model_usage: Option<&'a RawValue>,
    #[serde(borrow)]
    model_usage_since_last_result: Option<&'a RawValue>,
    #[serde(borrow)]
    permission_denials: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    num_turns: Option<&'a RawValue>,
    #[serde(borrow)]
    duration_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    origin: Option<&'a RawValue>,
    #[serde(borrow)]
    claude_code_version: Option<&'a RawValue>,
    #[serde(borrow)]
    user_message_uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    user_message_uuids: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    terminal_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    api_error_status: Option<&'a RawValue>,
    #[serde(borrow)]
    api_error: Option<&'a RawValue>,
    #[serde(borrow)]
    api_error_type: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    error_status: Option<&'a RawValue>,
    #[serde(borrow)]
    attempt: Option<&'a RawValue>,
    #[serde(borrow)]
    retry_delay_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    rate_limit_info: Option<&'a RawValue>,
}

/// Reads one line.
#[must_use]
pub fn parse(line: &str) -> Frame {
    // A cheap exit for blank lines and log text.
    if !line.trim_start().starts_with('{') {
        return Frame::NotAnObject;
    }
    // There are many of these, and their fields are others.
    if line.starts_with(partial::BEGINNING) {
        return Frame::Piece(partial::parse(line));
    }
    match serde_json::from_str::<Envelope<'_>>(line) {
        Ok(envelope) => understand(&envelope, line),
        Err(_) => parse_repeated_keys(line),
    }
}

/// Recognizes a result among lines that are not read. It cannot be part of a text, where quotes are escaped.
pub const RESULT_MARK: &[u8] = b"\"type\":\"result\"";

/// Reads a hostile line in which a key appears twice; the last one counts, as in JavaScript.
fn parse_repeated_keys(line: &str) -> Frame {
    let unique =
        serde_json::from_str::<IndexMap<String, &RawValue>>(line).and_then(|map| serde_json::to_string(&map));
    let Ok(unique) = unique else {
        return Frame::NotAnObject;
    };
    serde_json::from_str(&unique).map_or(Frame::NotAnObject, |envelope| understand(&envelope, &unique))
}

fn understand(envelope: &Envelope<'_>, line: &str) -> Frame {
    let kind = text(envelope.kind);
    match (kind.as_deref(), text(envelope.subtype).as_deref()) {
        (Some("system"), Some("init")) => Frame::Init(Init {
            session_id: filled(envelope.session_id),
            permission_mode: filled(envelope.permission_mode),
            message_uuids: message_uuids(envelope),
            version: text(envelope.claude_code_version),
        }),
        // Such lines also come for other reasons, without a mode.
        (Some("system"), Some("status")) => {
            filled(envelope.permission_mode).map_or(Frame::Other, Frame::PermissionMode)
        }
        (Some("result"), _) => Frame::Result(Box::new(turn_result(envelope))),
        (Some("system"), Some("api_retry")) => Frame::Retry(Retry {
            attempt: number(envelope.attempt).map_or(1, to_count),
            delay_ms: number(envelope.retry_delay_ms).map_or(0.0, |ms| ms.max(0.0)),
            error: api_error(envelope, envelope.error_status),
        }),
        (Some("system"), Some("model_refusal_no_fallback")) => Frame::Refusal,
        (Some("rate_limit_event"), _) => usage_limit(envelope).map_or(Frame::Other, Frame::UsageLimit),
        (Some("assistant"), _) => Frame::Content(
            assistant(envelope),
            envelope.message.and_then(model_call).map(Box::new),
        ),
        (Some("user"), _) => Frame::Content(user(envelope), None),
        (Some("stream_event"), _) => Frame::Piece(partial::parse(line)),
        (Some(kind), _) => control::parse(kind, line).map_or(Frame::Other, Frame::Control),
        (None, _) => Frame::Other,
    }
}

/// These cannot be part of a text, where quotes are escaped.
const SYNTHETIC_MARK: &str = "\"model\":\"<synthetic>\"";
const TOOL_RESULT_MARK: &str = "\"type\":\"tool_result\"";

fn assistant(envelope: &Envelope<'_>) -> Content {
    if is_of_subagent(envelope) {
        return Content::Other;
    }
    if text(envelope.error).is_some() {
        return Content::Error(Box::new(api_error(envelope, envelope.api_error_status)));
    }
    if message_has(envelope, SYNTHETIC_MARK) {
        Content::Other
    } else {
        Content::Model
    }
}

fn user(envelope: &Envelope<'_>) -> Content {
    if !is_of_subagent(envelope) && message_has(envelope, TOOL_RESULT_MARK) {
        Content::ToolResult
    } else {
        Content::Other
    }
}

fn is_of_subagent(envelope: &Envelope<'_>) -> bool {
    filled(envelope.parent_tool_use_id).is_some()
}

fn message_has(envelope: &Envelope<'_>, mark: &str) -> bool {
    let has = |raw: &RawValue| memmem::find(raw.get().as_bytes(), mark.as_bytes()).is_some();
    envelope.message.is_some_and(has)
}

fn api_error(envelope: &Envelope<'_>, status: Option<&RawValue>) -> ApiError {
    ApiError {
        status: number(status).and_then(|status| u16::try_from(to_count(status)).ok()),
        word: filled(envelope.error),
        cause: filled(envelope.api_error),
        api_type: filled(envelope.api_error_type),
    }
}

fn usage_limit(envelope: &Envelope<'_>) -> Option<UsageLimit> {
    #[derive(Deserialize)]
    struct Info<'a> {
        #[serde(borrow)]
        status: Option<&'a RawValue>,
        #[serde(borrow, rename = "resetsAt")]
        resets_at: Option<&'a RawValue>,
    }
    let info: Info<'_> = serde_json::from_str(envelope.rate_limit_info?.get()).ok()?;
    Some(UsageLimit {
        is_reached: text(info.status)? == "rejected",
        resets_at: number(info.resets_at).map(|seconds| milliseconds(seconds * 1000.0)),
    })
}

fn turn_result(envelope: &Envelope<'_>) -> TurnResult {
    let turn_usage = envelope.model_usage_since_last_result.and_then(model_usage);
    let subtype = text(envelope.subtype);
    TurnResult {
        is_error: boolean(envelope.is_error)
            || subtype
                .as_deref()
                .is_some_and(|subtype| subtype.starts_with("error")),
        subtype,
        api_error: api_error(envelope, envelope.api_error_status),
        terminal_reason: text(envelope.terminal_reason),
        failure: None,
        text: starting(envelope.result, '"'),
        errors: starting(envelope.errors, '['),
        total_cost_usd: usd(envelope.total_cost_usd).or_else(|| usd(envelope.cost_usd)),
        turn_cost_usd: turn_usage.map(|models| models.values().map(|model| model.cost_usd.0).sum()),
        turn_tokens: envelope
            .usage
            .and_then(|raw| serde_json::from_str::<Usage>(raw.get()).ok())
            .map_or_else(Tokens::default, |usage| usage.tokens()),
        models: envelope
            .model_usage
            .and_then(model_usage)
            .map_or_else(Models::new, totals),
        usage: starting(envelope.usage, '{'),
        permission_denials: starting(envelope.permission_denials, '['),
        stop_reason: starting(envelope.stop_reason, '"'),
        turns: number(envelope.num_turns).map_or(0, to_count),
        duration_ms: number(envelope.duration_ms).map_or(0.0, |ms| ms.max(0.0)),
        session_id: filled(envelope.session_id),
        foreign_origin: envelope.origin.is_some_and(is_foreign),
        message_uuids: message_uuids(envelope),
    }
}

/// Whether an origin is not the user: a background task that ended, a channel, another agent.
fn is_foreign(origin: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Origin<'a> {
        #[serde(borrow)]
        kind: Option<&'a RawValue>,
    }
    let kind = serde_json::from_str::<Origin<'_>>(origin.get())
        .ok()
        .and_then(|origin| text(origin.kind));
    kind.is_some_and(|kind| kind != "human")
}

fn message_uuids(envelope: &Envelope<'_>) -> Vec<String> {
    let list = envelope
        .user_message_uuids
        .and_then(|raw| serde_json::from_str::<Vec<String>>(raw.get()).ok());
    list.or_else(|| text(envelope.user_message_uuid).map(|uuid| vec![uuid]))
        .unwrap_or_default()
}

/// A count that may have any type; only a number is used.
#[derive(Default, Clone, Copy)]
struct Lenient(f64);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(number(Some(raw)).unwrap_or(0.0)))
    }
}

/// Token counts: of `usage` in snake case, of one model in `modelUsage` in camel case with its cost.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    #[serde(alias = "inputTokens")]
    input_tokens: Lenient,
    #[serde(alias = "outputTokens")]
    output_tokens: Lenient,
    #[serde(alias = "cacheCreationInputTokens")]
    cache_creation_input_tokens: Lenient,
    #[serde(alias = "cacheReadInputTokens")]
    cache_read_input_tokens: Lenient,
    #[serde(rename = "costUSD")]
    cost_usd: Lenient,
}

impl Usage {
    fn tokens(&self) -> Tokens {
        Tokens {
            input: to_count(self.input_tokens.0),
            output: to_count(self.output_tokens.0),
            written: to_count(self.cache_creation_input_tokens.0),
            read: to_count(self.cache_read_input_tokens.0),
        }
    }
}

fn totals(models: HashMap<String, Usage>) -> Models {
    let total = |(name, usage): (String, Usage)| {
        let totals = ModelTotals {
            tokens: usage.tokens(),
            cost_usd: usage.cost_usd.0,
        };
        (name, totals)
    };
    models.into_iter().map(total).collect()
}

/// The request that a message of the model tells of: `message` of an `assistant` line, in the stream as in a transcript.
#[must_use]
pub fn model_call(message: &RawValue) -> Option<ModelCall> {
    // Each line of the model has one, and few turns need it: the content is not read.
    let call = around_content(message.get()).or_else(|| whole_call(message))?;
    (call.tokens.sum() > 0).then_some(call)
}

/// Reads a message in the CLI's own order: id and model before the content, usage behind it. `None` if it may be another.
fn around_content(message: &str) -> Option<ModelCall> {
    let (head, rest) = message.split_at(memmem::find(message.as_bytes(), b"\"content\":")?);
    let usage = memmem::rfind(rest.as_bytes(), b"\"usage\":{")? + "\"usage\":".len();
    let mut usage = serde_json::Deserializer::from_str(&rest[usage..]);
    let value = |name: &str| {
        let (value, _) = head.split_once(name)?.1.split_once('"')?;
        Some(value.to_owned()).filter(|value| !value.is_empty() && !value.contains('\\'))
    };
    Some(ModelCall {
        id: value("\"id\":\"")?,
        model: value("\"model\":\"")?,
        tokens: Usage::deserialize(&mut usage).ok()?.tokens(),
    })
}

fn whole_call(message: &RawValue) -> Option<ModelCall> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        model: Option<&'a RawValue>,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    let message: Message<'_> = serde_json::from_str(message.get()).ok()?;
    let usage: Usage = serde_json::from_str(message.usage?.get()).ok()?;
    Some(ModelCall {
        id: filled(message.id)?,
        model: filled(message.model)?,
        tokens: usage.tokens(),
    })
}

fn model_usage(raw: &RawValue) -> Option<HashMap<String, Usage>> {
    serde_json::from_str(raw.get()).ok()
}

/// A text such as an id; `None` if it is empty.
fn filled(raw: Option<&RawValue>) -> Option<String> {
    text(raw).filter(|text| !text.is_empty())
}

fn number(raw: Option<&RawValue>) -> Option<f64> {
    raw.and_then(|raw| serde_json::from_str::<f64>(raw.get()).ok())
        .filter(|number| number.is_finite())
}

/// An amount; `None` if it is negative.
fn usd(raw: Option<&RawValue>) -> Option<f64> {
    number(raw).filter(|usd| *usd >= 0.0)
}

fn boolean(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() == "true")
}

/// Raw JSON of a value that begins like this: `{` for an object, `[` for an array, `"` for a string.
fn starting(raw: Option<&RawValue>, with: char) -> Option<Box<RawValue>> {
    raw.filter(|raw| raw.get().starts_with(with))
        .map(ToOwned::to_owned)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what a count needs"
)]
fn to_count(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(line: &str) -> TurnResult {
        match parse(line) {
            Frame::Result(result) => *result,
            other => panic!("not a result: {other:?}"),
        }
    }

    #[test]
    fn a_call_of_the_model_is_read_in_any_order() {
        let read = |json: &str| model_call(serde_json::from_str(json).expect("test input is JSON"));
        let own = r#"{"id":"msg_1","type":"message","model":"m","content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}],"usage":{"input_tokens":3,"output_tokens":1}}"#;
        let call = read(own).expect("it has usage");
        assert_eq!(
            (call.id.as_str(), call.model.as_str(), call.tokens.input),
            ("msg_1", "m", 3)
        );
        let other = r#"{"usage":{"input_tokens":3},"content":"x","model":"m\u0031","id":"msg_1"}"#;
        let call = read(other).expect("it has usage");
        assert_eq!((call.model.as_str(), call.tokens.input), ("m1", 3));
        for nothing in [
            r#"{"id":"a","model":"m","content":[]}"#,
            r#"{"id":"a","model":"m","content":[],"usage":{}}"#,
            "7",
        ] {
            assert!(read(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn a_result_is_found_whatever_the_order_of_its_keys() {
        let found = result(
            r#"{"duration_ms":3,"model_usage_since_last_result":{"m":{"costUSD":0.5},"n":{"costUSD":0.25}},
                "usage":{"input_tokens":2,"output_tokens":3},"modelUsage":{"m":{"inputTokens":20,"outputTokens":30}},
                "num_turns":2,"result":"hi","total_cost_usd":1.5,"type":"result","user_message_uuids":["u"]}"#,
        );
        assert_eq!(
            (found.turn_cost_usd, found.total_cost_usd),
            (Some(0.75), Some(1.5))
        );
        let total = crate::protocol::usage::sum(&found.models);
        assert_eq!((found.turn_tokens.sum(), total.sum(), found.turns), (5, 50, 2));
        assert_eq!(found.message_uuids, ["u"]);
    }

    #[test]
    fn lone_surrogates_do_not_spoil_a_line() {
        let found = result(r#"{"type":"result","result":"a\ud83d","errors":["b\ud83d"]}"#);
        assert_eq!(found.text.expect("is text").get(), r#""a\ud83d""#);
        assert_eq!(
            result(r#"{"type":"result","errors":["b\ud83d"]}"#).error_words(),
            "b\u{fffd}"
        );
    }

    #[test]
    fn wrong_types_spoil_only_themselves() {
        let found = result(
            r#"{"type":"result","subtype":7,"result":["x"],"errors":"e","total_cost_usd":"1","cost_usd":2,"usage":3,
                "modelUsage":{"m":{"inputTokens":"many"}},"num_turns":null,"is_error":"yes","origin":1}"#,
        );
        assert_eq!(
            (found.subtype, found.is_error, found.foreign_origin),
            (None, false, false)
        );
        assert!(found.text.is_none() && found.errors.is_none());
        assert_eq!(found.total_cost_usd, Some(2.0));
    }

    #[test]
    fn of_a_repeated_key_the_last_one_counts() {
        let found = result(r#"{"type":"x","num_turns":1,"type":"result","result":"a","result":"b\ud83d"}"#);
        assert_eq!(found.text.expect("is text").get(), r#""b\ud83d""#);
    }

    #[test]
    fn what_is_no_object_is_skipped() {
        for line in [
            "",
            "  ",
            "null",
            "[1]",
            "12",
            "\"x\"",
            "{\"half\":",
            "[log] text",
            "{]",
        ] {
            assert!(matches!(parse(line), Frame::NotAnObject), "{line}");
        }
        assert!(matches!(parse(r#"{"type":"brand_new"}"#), Frame::Other));
        assert!(matches!(parse("{}"), Frame::Other));
    }

    #[test]
    fn a_permission_mode_is_read_from_inits_and_from_the_status_lines_that_have_one() {
        let mode = |line: &str| match parse(line) {
            Frame::Init(init) => init.permission_mode,
            Frame::PermissionMode(mode) => Some(mode),
            Frame::Other => None,
            other => panic!("neither an init nor a status: {other:?}"),
        };
        for subtype in ["init", "status"] {
            let line = |mode: &str| format!(r#"{{"type":"system","subtype":"{subtype}"{mode}}}"#);
            assert_eq!(
                mode(&line(r#","permissionMode":"plan""#)).as_deref(),
                Some("plan")
            );
            for without in [
                "",
                r#","permissionMode":"""#,
                r#","permissionMode":null"#,
                r#","permissionMode":7"#,
            ] {
                assert_eq!(mode(&line(without)), None, "{subtype}{without}");
            }
        }
        assert!(matches!(
            parse(r#"{"type":"x","subtype":"status","permissionMode":"plan"}"#),
            Frame::Other
        ));
    }

    #[test]
    fn an_origin_tells_whose_turn_it_was() {
        assert!(result(r#"{"type":"result","origin":{"kind":"task-notification"}}"#).foreign_origin);
        assert!(!result(r#"{"type":"result","origin":{"kind":"human"}}"#).foreign_origin);
        assert!(!result(r#"{"type":"result","origin":null}"#).foreign_origin);
    }
}
