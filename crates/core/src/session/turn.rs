//! A finished turn as the JSON that callers and records get.

use super::ledger::Cost;
use crate::api;
use crate::protocol::failure::Failure;
use crate::protocol::inbound::TurnResult;
use serde::Serialize;
use serde_json::value::RawValue;

/// Whose turn it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnKind {
    /// A message of ours, answered in time.
    Answer,
    /// A message of ours, answered after its timeout.
    Late,
    /// A turn the CLI started by itself.
    Background,
    /// The first turn of a fork.
    Fork,
    /// A turn whose result was lost with its host, known only from the transcript.
    Recovered,
}

/// One entry of the history.
///
/// ```json
/// {"prompt":"hi","response":"hello","cost":0.00014,"turns":1,"duration":812,"timestamp":"2026-11-22T06:10:28.562Z"}
/// ```
#[derive(Serialize)]
struct Interaction<'a> {
    prompt: &'a RawValue,
    response: &'a RawValue,
    cost: f64,
    turns: u64,
    duration: f64,
    timestamp: &'a str,
    #[serde(flatten)]
    flags: Flags,
}

/// Fields of an interaction that are present only if they apply.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each a field of the interaction"
)]
pub struct Flags {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(rename = "isError", skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
    #[serde(rename = "costEstimated", skip_serializing_if = "std::ops::Not::not")]
    cost_estimated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
}

impl Flags {
    fn new(kind: TurnKind, is_error: bool, cost_estimated: bool, interrupted: bool) -> Self {
        Self {
            kind: match kind {
                TurnKind::Background => Some("background"),
                TurnKind::Fork => Some("fork"),
                TurnKind::Answer | TurnKind::Late | TurnKind::Recovered => None,
            },
            is_error,
            late: kind == TurnKind::Late,
            recovered: kind == TurnKind::Recovered,
            cost_estimated,
            interrupted,
        }
    }
}

/// The response of a send.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each a field of the response"
)]
struct Response<'a> {
    text: &'a RawValue,
    cost: f64,
    turns: u64,
    duration: f64,
    session_id: Option<&'a str>,
    is_error: bool,
    failure: Option<Failure>,
    subtype: Option<&'a str>,
    usage: Option<&'a RawValue>,
    permission_denials: &'a RawValue,
    stop_reason: Option<&'a RawValue>,
    errors: &'a RawValue,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cost_estimated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
}

/// The interaction and the response of one result.
#[derive(Debug)]
pub struct TurnTexts {
    /// JSON of the interaction.
    pub interaction: Box<RawValue>,
    /// JSON of the response.
    pub response: Box<RawValue>,
    /// Flags of the interaction.
    pub flags: Flags,
}

/// An interrupted turn.
#[derive(Debug)]
pub struct Cut {
    /// Its text so far, a JSON string.
    pub text: Option<Box<RawValue>>,
}

/// Builds both texts. `prompt` is a JSON string, `timestamp` ISO 8601.
#[must_use]
pub fn describe(
    result: &TurnResult,
    kind: TurnKind,
    cut: Option<Cut>,
    prompt: &RawValue,
    cost: Cost,
    timestamp: &str,
) -> TurnTexts {
    let (empty_text, empty_list) = (raw("\"\""), raw("[]"));
    let interrupted = cut.is_some();
    let partial = cut.and_then(|cut| cut.text);
    let text = result
        .text
        .as_deref()
        .or(partial.as_deref())
        .unwrap_or(&empty_text);
    let flags = Flags::new(kind, result.is_error, cost.estimated, interrupted);
    let interaction = Interaction {
        prompt,
        response: text,
        cost: cost.usd,
        turns: result.turns,
        duration: result.duration_ms,
        timestamp,
        flags,
    };
    let response = Response {
        text,
        cost: cost.usd,
        turns: result.turns,
        duration: result.duration_ms,
        session_id: result.session_id.as_deref(),
        is_error: result.is_error,
        // It did not fail: somebody wanted its end.
        failure: result.failure.filter(|_| !interrupted),
        subtype: result.subtype.as_deref(),
        usage: result.usage.as_deref(),
        permission_denials: result.permission_denials.as_deref().unwrap_or(&empty_list),
        stop_reason: result.stop_reason.as_deref(),
        errors: result.errors.as_deref().unwrap_or(&empty_list),
        recovered: flags.recovered,
        cost_estimated: flags.cost_estimated,
        interrupted,
    };
    TurnTexts {
        interaction: api::to_raw(&interaction),
        response: api::to_raw(&response),
        flags,
    }
}

/// Raw JSON of a text that is known to be JSON; `null` if it is not.
#[must_use]
pub fn raw(json: impl Into<String>) -> Box<RawValue> {
    RawValue::from_string(json.into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
