//! The events that a session reports, in order.

use super::status::Status;
use super::turn::Flags;
use crate::error::Error;
use crate::ids::ConversationId;
use crate::limits;
use crate::protocol::failure::Failure;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event that a session reports to its sink; on the wire, an object with a `type`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A turn begins.
    Init {
        /// The conversation's id from now on.
        session_id: Option<ConversationId>,
        /// The permission mode in force, if the CLI reported it.
        permission_mode: Option<String>,
        /// The CLI's line.
        #[serde(skip_serializing_if = "String::is_empty")]
        line: String,
    },
    /// The permission mode changed in the course of a turn, or between two.
    PermissionMode {
        /// The mode in force from now on.
        mode: String,
    },
    /// The CLI waits after an error of the API, then it tries again.
    Retry {
        /// Number of the retry, from 1.
        attempt: u64,
        /// How long the CLI waits, in ms.
        delay: f64,
        /// Why.
        failure: Failure,
    },
    /// A piece of an answer that has listeners.
    Delta {
        /// The send that is answered; `None` in a turn that the CLI started by itself.
        send: Option<u64>,
        /// What is new.
        delta: Delta,
    },
    /// Pieces of an answer were dropped, since the program did not keep up.
    Gap {
        /// The send that is answered.
        send: Option<u64>,
        /// How many pieces.
        deltas: u64,
        /// How many bytes of text, as JSON.
        bytes: u64,
    },
    /// A line of the CLI that has listeners.
    Message {
        /// The send that is answered; `None` in a turn that the CLI started by itself.
        send: Option<u64>,
        /// The CLI's line.
        #[serde(skip_serializing_if = "String::is_empty")]
        line: String,
    },
    /// The CLI asks something that the program is to answer.
    Ask {
        /// Id of the request.
        id: String,
        /// `can_use_tool` or `hook_callback`.
        subtype: String,
        /// JSON of the request.
        #[serde(skip_serializing_if = "String::is_empty")]
        request: String,
    },
    /// An answer is no longer wanted.
    AskOver {
        /// Id of the request.
        id: String,
        /// Why.
        reason: AskEnd,
    },
    /// A control request of the program has succeeded.
    Answered {
        /// Number of the call.
        call: u64,
        /// JSON of the payload.
        value: Box<RawValue>,
    },
    /// A control request of the program has failed.
    Refused {
        /// Number of the call.
        call: u64,
        /// Why.
        error: Error,
    },
    /// A turn ended with a result.
    Turn(Box<Turn>),
    /// Sends failed, all for the same reason.
    Failed {
        /// Numbers of the sends.
        sends: Vec<u64>,
        /// Why.
        error: Error,
        /// Whether the process has got the messages.
        sent: bool,
    },
    /// Text on standard error that has listeners.
    Stderr {
        /// The text.
        #[serde(skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// The status changed.
    Status {
        /// New status.
        status: Status,
        /// Count of changes up to this one, by which the sink ignores a status that it has already seen.
        change: u64,
    },
    /// An error that belongs to no send.
    Error {
        /// What.
        error: Error,
    },
    /// The session differs from what was asked for, and continues.
    Warning {
        /// Stable code.
        code: &'static str,
        /// What it is.
        message: String,
    },
    /// The process has ended and all its output was read. Always the last event.
    Close {
        /// Exit code, if it exited.
        code: Option<i32>,
        /// Name of the signal, if one ended it.
        signal: Option<String>,
    },
}

/// A piece of an answer.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Delta {
    /// Text of the answer.
    Text {
        /// A JSON string.
        text: Box<RawValue>,
    },
    /// What the model thinks.
    Thinking {
        /// A JSON string.
        thinking: Box<RawValue>,
    },
    /// A part of the input of a tool.
    ToolInput {
        /// Id of the call, a JSON string.
        id: Box<RawValue>,
        /// A part of the input's JSON, as a JSON string.
        json: Box<RawValue>,
    },
}

impl Delta {
    fn bytes(&self) -> usize {
        match self {
            Self::Text { text } | Self::Thinking { thinking: text } | Self::ToolInput { json: text, .. } => {
                text.get().len()
            }
        }
    }
}

/// Why a request of the CLI needs no answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AskEnd {
    /// The CLI has withdrawn it.
    Cancelled,
    /// The program did not answer in time, and the engine did.
    Timeout,
    /// The process has ended.
    Ended,
}

impl Event {
    /// Takes out the text that the CLI wrote, for a wire that passes it separately: it may never be parsed.
    pub fn take_text(&mut self) -> Option<String> {
        match self {
            Self::Init { line: text, .. }
            | Self::Message { line: text, .. }
            | Self::Ask { request: text, .. }
            | Self::Stderr { text } => Some(std::mem::take(text)),
            Self::Turn(_)
            | Self::Failed { .. }
            | Self::AskOver { .. }
            | Self::Delta { .. }
            | Self::Gap { .. }
            | Self::Answered { .. }
            | Self::Refused { .. }
            | Self::PermissionMode { .. }
            | Self::Retry { .. }
            | Self::Status { .. }
            | Self::Error { .. }
            | Self::Warning { .. }
            | Self::Close { .. } => None,
        }
    }

    /// Bytes that count against the bound of events that wait for the sink: all data whose size the CLI decides.
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        match self {
            Self::Message { line: text, .. }
            | Self::Init { line: text, .. }
            | Self::PermissionMode { mode: text }
            | Self::Ask { request: text, .. }
            | Self::Stderr { text } => limits::EVENT_BYTES + text.len(),
            Self::Turn(turn) => turn.backlog_bytes(),
            Self::Answered { value, .. } => limits::EVENT_BYTES + value.get().len(),
            Self::Delta { delta, .. } => limits::EVENT_BYTES + delta.bytes(),
            Self::Retry { .. } | Self::AskOver { .. } | Self::Gap { .. } => limits::EVENT_BYTES,
            Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Status { .. }
            | Self::Error { .. }
            | Self::Warning { .. }
            | Self::Close { .. } => 0,
        }
    }
}

impl Turn {
    /// See [`Event::backlog_bytes`].
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        limits::EVENT_BYTES + self.prompt.get().len() + self.response.get().len()
    }
}

/// A finished turn, as JSON text for the sink and the record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The send that it settles; `None` for a turn that the CLI started by itself, or a late answer.
    pub send: Option<u64>,
    /// The interaction, for the record; taken when it is saved.
    #[serde(skip)]
    pub interaction: Box<RawValue>,
    /// The message's text, a JSON string.
    pub prompt: Box<RawValue>,
    /// When it ended, ISO 8601.
    pub timestamp: String,
    /// Flags of the interaction.
    pub flags: Flags,
    /// The response, for the promise; with prompt, timestamp and flags it makes the interaction.
    pub response: Box<RawValue>,
    /// The session's cost over all its processes, in USD.
    pub total_cost_usd: f64,
    /// The session's turns over all its processes.
    pub total_turns: u64,
    /// The status after the turn.
    pub status: Status,
    /// Count of status changes up to it.
    pub change: u64,
    /// Why the turn could not be saved, if it could not.
    pub unsaved: Option<Error>,
    /// It ended without a result, and nobody was answered.
    pub is_cut: bool,
}
