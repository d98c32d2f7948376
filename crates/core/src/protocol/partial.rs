//! The pieces of an answer while it grows: `stream_event` lines, one per event of the Messages API.
//!
//! ```json
//! {"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}}
//! ```

use super::json_text::{decode, text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How such a line begins, as the CLI writes it.
pub(super) const BEGINNING: &str = "{\"type\":\"stream_event\"";

/// What a line adds to the answer. Text is the inside of a JSON string, so that pieces can be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text of the answer.
    Text(String),
    /// What the model thinks.
    Thinking(String),
    /// JSON of the input of a tool.
    ToolInput {
        /// The block of the message.
        index: u64,
        /// A part of the JSON.
        json: String,
    },
    /// A call of a tool begins.
    Tool {
        /// The block of the message.
        index: u64,
        /// Id of the call, the inside of a JSON string.
        id: String,
    },
    /// Something that adds nothing.
    Nothing,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: Event<'a>,
    #[serde(borrow, default)]
    parent_tool_use_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    content_block: Option<Block<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Reads a `stream_event` line. One that is not understood, or is a subagent's, adds nothing.
#[must_use]
pub(super) fn parse(line: &str) -> Piece {
    let Ok(line) = serde_json::from_str::<Line<'_>>(line) else {
        return Piece::Nothing;
    };
    if text(line.parent_tool_use_id).is_some() {
        return Piece::Nothing;
    }
    let Event {
        kind,
        index,
        delta,
        content_block,
    } = line.event;
    match (decode(kind).as_deref(), delta, content_block) {
        (Some("content_block_delta"), Some(delta), _) => {
            let text = inside(delta.text).map(Piece::Text);
            let thinking = || inside(delta.thinking).map(Piece::Thinking);
            let input = || inside(delta.partial_json).map(|json| Piece::ToolInput { index, json });
            text.or_else(thinking).or_else(input).unwrap_or(Piece::Nothing)
        }
        (Some("content_block_start"), _, Some(block)) => {
            let kind = text(block.kind);
            let id = inside(block.id).filter(|_| kind.is_some_and(|kind| kind.ends_with("tool_use")));
            id.map_or(Piece::Nothing, |id| Piece::Tool { index, id })
        }
        _ => Piece::Nothing,
    }
}

/// What is between the quotes of a JSON string.
fn inside(raw: Option<&RawValue>) -> Option<String> {
    let text = raw?.get();
    Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Piece {
        parse(&format!(
            r#"{{"type":"stream_event","event":{event},"parent_tool_use_id":null}}"#
        ))
    }

    #[test]
    fn pieces_are_told_apart() {
        let delta = |delta: &str| {
            read(&format!(
                r#"{{"type":"content_block_delta","index":1,"delta":{delta}}}"#
            ))
        };
        assert_eq!(
            delta(r#"{"type":"text_delta","text":"a\ud83d"}"#),
            Piece::Text(r"a\ud83d".to_owned())
        );
        assert_eq!(
            delta(r#"{"type":"thinking_delta","thinking":"b"}"#),
            Piece::Thinking("b".to_owned())
        );
        assert_eq!(
            delta(r#"{"type":"input_json_delta","partial_json":"{\"a\""}"#),
            Piece::ToolInput {
                index: 1,
                json: r#"{\"a\""#.to_owned()
            }
        );
        assert_eq!(
            delta(r#"{"type":"signature_delta","signature":"x"}"#),
            Piece::Nothing
        );
        assert_eq!(
            read(r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t"}}"#),
            Piece::Tool {
                index: 2,
                id: "t".to_owned()
            }
        );
        assert_eq!(read(r#"{"type":"message_stop"}"#), Piece::Nothing);
        assert_eq!(parse("{}"), Piece::Nothing);
    }
}
