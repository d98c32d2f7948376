//! The control side of the protocol: requests in both directions beside the messages, each with one answer.
//!
//! ```json
//! {"type":"control_request","request_id":"7","request":{"subtype":"interrupt"}}
//! {"type":"control_response","response":{"subtype":"success","request_id":"7","response":{}}}
//! {"type":"control_response","response":{"subtype":"error","request_id":"7","error":"Not supported"}}
//! {"type":"control_cancel_request","request_id":"8"}
//! ```

use super::json_text::text;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A control line of the CLI.
#[derive(Debug)]
pub enum Control {
    /// It answers a request of ours.
    Answer(Answer),
    /// It asks something of us.
    Ask(Ask),
    /// It no longer wants the answer to the request of this id.
    Cancel(String),
}

/// An answer to a request of ours.
#[derive(Debug)]
pub struct Answer {
    /// Id of the request.
    pub id: String,
    /// JSON of the payload (`{}` if there is none), or the CLI's words.
    pub outcome: Result<Box<RawValue>, String>,
}

/// A request of the CLI.
#[derive(Debug)]
pub struct Ask {
    /// Its id, which the answer names.
    pub id: String,
    /// `can_use_tool`, `hook_callback`, `mcp_message`, `elicitation`, ...
    pub subtype: String,
    /// JSON of the whole request.
    pub request: String,
    /// Of a `hook_callback`: the id of the callback.
    pub callback: Option<String>,
}

/// The fields of a control line that are read.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    callback_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "response")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads a line whose `type` is `kind`; `None` if it is not a control line, or one that names no request.
#[must_use]
pub(super) fn parse(kind: &str, line: &str) -> Option<Control> {
    if !kind.starts_with("control_") {
        return None;
    }
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    match kind {
        "control_response" => answer(line.response?).map(Control::Answer),
        "control_request" => ask(text(line.request_id)?, line.request?).map(Control::Ask),
        "control_cancel_request" => text(line.request_id).map(Control::Cancel),
        _ => None,
    }
}

fn answer(response: &RawValue) -> Option<Answer> {
    let response: Response<'_> = serde_json::from_str(response.get()).ok()?;
    let id = text(response.request_id)?;
    let outcome = if text(response.subtype)? == "error" {
        Err(text(response.error).unwrap_or_else(|| "no reason given".to_owned()))
    } else {
        let payload = response.payload.filter(|payload| payload.get() != "null");
        Ok(payload.map_or_else(nothing, ToOwned::to_owned))
    };
    Some(Answer { id, outcome })
}

fn ask(id: String, request: &RawValue) -> Option<Ask> {
    let fields: Request<'_> = serde_json::from_str(request.get()).ok()?;
    Some(Ask {
        id,
        subtype: text(fields.subtype)?,
        request: request.get().to_owned(),
        callback: text(fields.callback_id),
    })
}

fn nothing() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The line (with `\n`) of a request of ours. `request` is a JSON object with a `subtype`.
#[must_use]
pub(crate) fn request(id: u64, request: &str) -> String {
    format!("{{\"type\":\"control_request\",\"request_id\":\"{id}\",\"request\":{request}}}\n")
}

/// The line (with `\n`) that answers a request of the CLI. `payload` is JSON.
#[must_use]
pub(crate) fn success(id: &str, payload: &str) -> String {
    let id = quoted(id);
    format!(
        "{{\"type\":\"control_response\",\"response\":{{\"subtype\":\"success\",\"request_id\":{id},\
         \"response\":{payload}}}}}\n"
    )
}

/// The line (with `\n`) that refuses a request of the CLI.
#[must_use]
pub(crate) fn refusal(id: &str, words: &str) -> String {
    let (id, words) = (quoted(id), quoted(words));
    format!(
        "{{\"type\":\"control_response\",\"response\":{{\"subtype\":\"error\",\"request_id\":{id},\
         \"error\":{words}}}}}\n"
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_payload_or_the_words_of_the_cli() {
        let read = |line| match parse("control_response", line) {
            Some(Control::Answer(answer)) => (answer.id, answer.outcome.map(|raw| raw.get().to_owned())),
            other => panic!("{other:?}"),
        };
        let line = r#"{"type":"control_response","response":{"subtype":"success","request_id":"7","response":{"a":1}}}"#;
        assert_eq!(read(line), ("7".to_owned(), Ok(r#"{"a":1}"#.to_owned())));
        let line = r#"{"type":"control_response","response":{"request_id":"7","subtype":"success"}}"#;
        assert_eq!(read(line), ("7".to_owned(), Ok("{}".to_owned())));
        let line =
            r#"{"type":"control_response","response":{"subtype":"error","request_id":"7","error":"no"}}"#;
        assert_eq!(read(line), ("7".to_owned(), Err("no".to_owned())));
    }

    #[test]
    fn a_request_keeps_its_text_and_a_line_without_an_id_is_none() {
        let line = r#"{"type":"control_request","request_id":"a","request":{"subtype":"hook_callback","callback_id":"h0","input":{"x":"\ud83d"}}}"#;
        let Some(Control::Ask(ask)) = parse("control_request", line) else {
            panic!("it is a request");
        };
        assert_eq!(
            (ask.subtype.as_str(), ask.callback.as_deref()),
            ("hook_callback", Some("h0"))
        );
        assert!(ask.request.contains(r"\ud83d"));
        assert!(parse("control_request", r#"{"request":{"subtype":"x"}}"#).is_none());
        assert!(parse("control_response", r#"{"response":{"subtype":"success"}}"#).is_none());
        assert!(parse("keep_alive", "{}").is_none());
    }

    #[test]
    fn ids_of_the_cli_are_quoted() {
        assert!(refusal("a\"b", "no\n").contains(r#""request_id":"a\"b","error":"no\n""#));
        assert_eq!(success("a", "{}").matches('\n').count(), 1);
    }
}
