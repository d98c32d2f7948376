//! What goes into a session's rules and what comes out of them.

use super::event::{Event, Turn};
use crate::protocol::inbound::Frame;
use serde_json::value::RawValue;
use std::time::Duration;

/// A message that a caller wants sent.
#[derive(Debug)]
pub struct Message {
    /// The caller's number for this send; its outcome carries it.
    pub send: u64,
    /// JSON of the content: a string or an array of content blocks.
    pub content: String,
    /// JSON string for the history.
    pub prompt: Box<RawValue>,
    /// Uuid of a message that is sent again; else it gets a new one.
    pub uuid: Option<String>,
    /// Time given, waiting in line included.
    pub timeout: Duration,
}

/// Which lines of the CLI somebody listens to.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent kinds of lines")]
pub struct Subscriptions {
    /// Every message.
    pub messages: bool,
    /// `assistant` and `user` messages.
    pub content: bool,
    /// Standard error.
    pub stderr: bool,
    /// Pieces of answers.
    pub deltas: bool,
}

impl Subscriptions {
    /// Whether somebody listens to a line.
    #[must_use]
    pub fn includes(self, frame: &Frame) -> bool {
        match frame {
            Frame::NotAnObject => false,
            Frame::Content(..) => self.messages || self.content,
            Frame::Init(_)
            | Frame::Result(_)
            | Frame::PermissionMode(_)
            | Frame::Retry(_)
            | Frame::UsageLimit(_)
            | Frame::Refusal
            | Frame::Piece(_)
            | Frame::Control(_)
            | Frame::Other => self.messages,
        }
    }
}

/// What must be done for a change of the state, in order.
#[derive(Debug)]
pub enum Effect {
    /// Write this message to the process, once the record has it.
    Write(String),
    /// Write this control line to the process, behind the lines before it.
    WriteControl(String),
    /// End the process's input.
    EndInput,
    /// Send SIGINT to the process.
    Interrupt,
    /// SIGKILL to the process and all its descendants.
    KillTree,
    /// Start the next process.
    StartNext,
    /// Emit the event.
    Emit(Event),
    /// Save the record's fields; what is emitted after this waits for it.
    Save,
    /// Add the turn to the record, then emit it.
    Record(Box<Turn>),
}

impl Effect {
    /// Whether callers would look at the status when they learn of this.
    pub(super) fn emits_outcome(&self) -> bool {
        matches!(
            self,
            Self::Record(_)
                | Self::Emit(
                    Event::Init { .. }
                        | Event::Failed { .. }
                        | Event::Answered { .. }
                        | Event::Refused { .. }
                        | Event::Error { .. }
                        | Event::Close { .. }
                )
        )
    }
}
