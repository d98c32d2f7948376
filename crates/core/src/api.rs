//! The wire form: the serde types that cross between the engine and a program that is not linked with it. The JavaScript of
//! the addon is one such program.
//!
//! - Commands, which are read: [`Given`], [`Defaults`], [`ForkRequest`].
//! - [`Notice`], which is written: an event of a session, the outcome of a call that takes time, a warning.
//! - [`Lost`]: a session of a dead host, as a recovery reports it.
//!
//! Errors are written as `{"code":"ERR_...","class":"TypeError","message":"...","data":{...}}`.

pub use crate::manager::fork::ForkRequest;
pub use crate::manager::recovery::{Lost, LostMessage};
pub use crate::manager::{Defaults, Given};
pub use crate::session::event::{Event, Turn};
pub use crate::warnings::Warning;

use crate::error::Error;
use serde::Serialize;
use serde_json::value::RawValue;

/// A notice to the program. The notices of each session are in order.
///
/// ```json
/// {"session":3,"event":{"type":"status","status":"ready","change":2}}
/// {"call":7,"value":[]}
/// {"call":8,"error":{"code":"ERR_STORE","class":"Error","message":"...","data":{}}}
/// {"warning":{"code":"CLEARCTX_NO_KEEPER","message":"..."}}
/// ```
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Notice {
    /// An event of a session.
    Event {
        /// The session's number.
        session: u64,
        /// What happened.
        event: Event,
    },
    /// A call has succeeded.
    Value {
        /// The call's number.
        call: u64,
        /// Its result.
        value: Box<RawValue>,
    },
    /// A call has failed.
    Failure {
        /// The call's number.
        call: u64,
        /// Why.
        error: Error,
    },
    /// A warning for the program.
    Warning {
        /// What.
        warning: Warning,
    },
}

impl Notice {
    /// The outcome of the call of this number.
    #[must_use]
    pub fn outcome(call: u64, outcome: Result<Box<RawValue>, Error>) -> Self {
        match outcome {
            Ok(value) => Self::Value { call, value },
            Err(error) => Self::Failure { call, error },
        }
    }

    /// The number of the session or call that it belongs to, unique in the process; 0 for a warning.
    #[must_use]
    pub fn number(&self) -> u64 {
        match self {
            Self::Event { session: number, .. }
            | Self::Value { call: number, .. }
            | Self::Failure { call: number, .. } => *number,
            Self::Warning { .. } => 0,
        }
    }

    /// Bytes that count against the bound of waiting events: see [`Event::backlog_bytes`].
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        match self {
            Self::Event { event, .. } => event.backlog_bytes(),
            Self::Value { .. } | Self::Failure { .. } | Self::Warning { .. } => 0,
        }
    }
}

/// Raw JSON of a value that cannot fail to serialize: our own structs of numbers, strings and raw JSON.
#[must_use]
pub fn to_raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::status::Status;

    fn json(notice: &Notice) -> String {
        serde_json::to_string(notice).expect("it is written")
    }

    #[test]
    fn an_event_is_named_by_its_type() {
        let event = |event| json(&Notice::Event { session: 3, event });
        let status = Event::Status {
            status: Status::Ready,
            change: 2,
        };
        assert_eq!(
            event(status),
            r#"{"session":3,"event":{"type":"status","status":"ready","change":2}}"#
        );
        let line = r#"{"a":"\ud83d"}"#.to_owned();
        assert_eq!(
            event(Event::Message { send: None, line }),
            r#"{"session":3,"event":{"type":"message","send":null,"line":"{\"a\":\"\\ud83d\"}"}}"#
        );
    }

    #[test]
    fn a_line_that_goes_beside_is_not_written() {
        let line = "{}".to_owned();
        let mut event = Event::Init {
            session_id: crate::ids::ConversationId::new("id"),
            permission_mode: Some("default".to_owned()),
            line,
        };
        assert_eq!(event.take_text().as_deref(), Some("{}"));
        assert_eq!(
            json(&Notice::Event { session: 1, event }),
            r#"{"session":1,"event":{"type":"init","sessionId":"id","permissionMode":"default"}}"#
        );
    }

    #[test]
    fn outcomes_are_values_or_errors() {
        let value = Notice::outcome(7, Ok(to_raw(&[1])));
        assert_eq!(
            (json(&value).as_str(), value.number()),
            (r#"{"call":7,"value":[1]}"#, 7)
        );
        let error = Error::SessionNotFound { name: "a".to_owned() };
        assert_eq!(
            json(&Notice::outcome(8, Err(error))),
            r#"{"call":8,"error":{"code":"ERR_SESSION_NOT_FOUND","class":"Error","message":"Session \"a\" not found.","data":{}}}"#
        );
    }
}
