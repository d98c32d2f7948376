//! The one error type of the engine, its stable codes, and the data each error carries.
//!
//! Messages that clearctx 3.0.0 had are kept letter for letter: callers match on them.
//! `docs/errors.md` lists every code. `src/error.rs` and `js/errors.js` convert them to JavaScript errors.

mod system;

pub use system::SystemError;

use crate::protocol::failure::{Failure, FailureKind};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;

/// What every fallible function of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Which JavaScript class an error becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ErrorClass {
    /// `Error`
    Error,
    /// `TypeError`
    #[serde(rename = "TypeError")]
    Type,
    /// `RangeError`
    #[serde(rename = "RangeError")]
    Range,
}

/// Everything that can go wrong, with the data a caller needs to branch on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name belongs to a live session of this manager.
    #[error("Session \"{name}\" already exists and is alive. Kill it first or use a different name.")]
    SessionAlive {
        /// Name of the session.
        name: String,
    },
    /// The name belongs to a record whose status holds it.
    #[error("Session \"{name}\" exists in store with status \"{status}\". Kill or delete it first.")]
    SessionStored {
        /// Name of the session.
        name: String,
        /// The record's status.
        status: String,
    },
    /// The call needs a live session.
    #[error("Session \"{name}\" is not alive. Use resume() to restore it.")]
    SessionNotAlive {
        /// Name of the session.
        name: String,
        /// Why it ended, if nobody had asked for that.
        reason: Option<Box<Self>>,
    },
    /// Neither a live session nor a record has this name.
    #[error("Session \"{name}\" not found.")]
    SessionNotFound {
        /// Name of the session.
        name: String,
    },
    /// The source of a fork does not exist.
    #[error("Source session \"{name}\" not found.")]
    SourceNotFound {
        /// Name of the source session.
        name: String,
    },
    /// The record never got a CLI session id, so there is no conversation to continue.
    #[error("Session \"{name}\" has no session ID. Cannot restore.")]
    NoSessionId {
        /// Name of the session.
        name: String,
    },
    /// The source of a fork never got a CLI session id.
    #[error("Source session \"{name}\" has no session ID.")]
    SourceNoSessionId {
        /// Name of the source session.
        name: String,
    },
    /// The first turn of a fork gave no answer.
    #[error("Fork failed: {reason}")]
    ForkFailed {
        /// The CLI's words, or what happened to its process.
        reason: String,
        /// USD that the failed turn cost, if the CLI reported it.
        cost: Option<f64>,
        /// Session id of the forked conversation, if the CLI reported it.
        session_id: Option<String>,
        /// Why the turn failed.
        failure: Option<Failure>,
    },
    /// The program to run does not exist or cannot be executed.
    #[error("Cannot run \"{program}\": {reason}")]
    CliNotFound {
        /// Program as given, or `claude`.
        program: String,
        /// What was looked for and what was found.
        reason: String,
        /// What the system said, where it was asked.
        #[source]
        source: Option<SystemError>,
    },
    /// The working directory is not a directory.
    #[error("Working directory \"{path}\" {reason}")]
    WorkDir {
        /// The directory as given.
        path: String,
        /// "does not exist", "is not a directory", ...
        reason: String,
        /// What the system said, where it was asked.
        #[source]
        source: Option<SystemError>,
    },
    /// The CLI reported an error before it started a turn, or the process could not be created.
    #[error("Session \"{name}\" failed to start: {reason}")]
    StartFailed {
        /// Name of the session.
        name: String,
        /// The CLI's or the system's words.
        reason: String,
        /// What the system said, where that is the cause.
        #[source]
        source: Option<SystemError>,
        /// Why the turn failed, where the CLI reported the error.
        failure: Option<Box<Failure>>,
    },
    /// The CLI's process ended while a message waited for its result.
    #[error("Session \"{name}\" ended before it answered: {}", describe_exit(*exit_code, signal.as_deref(), told.words.as_deref().unwrap_or(stderr)))]
    ProcessExited {
        /// Name of the session.
        name: String,
        /// Exit code, if it exited.
        exit_code: Option<i32>,
        /// Name of the signal, if one ended it.
        signal: Option<String>,
        /// Tail of its standard error, bounded by [`crate::limits::STDERR_TAIL_BYTES`].
        stderr: String,
        /// What the end was about, as far as the process has told.
        told: Box<LastWords>,
    },
    /// The CLI's process no longer reads its input, and lives on.
    #[error("Session \"{name}\" ended before it answered: its process no longer reads its input")]
    InputClosed {
        /// Name of the session.
        name: String,
    },
    /// No result within the time the caller gave.
    #[error("Session \"{name}\" did not answer within {timeout_ms} ms")]
    TurnTimeout {
        /// Name of the session.
        name: String,
        /// The time given, in ms.
        timeout_ms: u64,
        /// Whether the message had reached the CLI.
        sent: bool,
    },
    /// The CLI chose a permission mode that may allow more than the one it was given.
    #[error(
        "Session \"{name}\" runs in permission mode \"{actual}\", which may allow more than \"{asked}\", the one that was asked for. Its process was killed."
    )]
    PermissionMode {
        /// Name of the session.
        name: String,
        /// The mode that the process was given.
        asked: String,
        /// The mode that it reported.
        actual: String,
    },
    /// Another session is writing to the conversation.
    #[error("Session \"{name}\" cannot continue conversation {session_id}: {} is writing to it. End that session, or fork it.", describe_holder(*holder_pid))]
    SessionHeld {
        /// Name of the session that should continue the conversation.
        name: String,
        /// The conversation's id.
        session_id: String,
        /// Process that holds it.
        holder_pid: Option<u32>,
    },
    /// A message whose host ended before its answer cannot be sent again.
    #[error("Session \"{name}\" cannot send this message again: {reason}")]
    NotResent {
        /// Name of the session.
        name: String,
        /// Why.
        reason: String,
    },
    /// The session was stopped before the message was sent.
    #[error("Session \"{name}\" was stopped before this message was sent")]
    SessionStopped {
        /// Name of the session.
        name: String,
    },
    /// The session was killed before the message was answered.
    #[error("Session \"{name}\" was killed before this message was answered")]
    SessionKilled {
        /// Name of the session.
        name: String,
    },
    /// The caller dropped the waiting messages when it interrupted the turn before them.
    #[error("Session \"{name}\" was interrupted before this message was sent")]
    Interrupted {
        /// Name of the session.
        name: String,
    },
    /// The caller's signal was aborted before the message was answered.
    #[error("Session \"{name}\": the call was aborted {}", if *sent { "after its message was sent" } else { "before its message was sent" })]
    Aborted {
        /// Name of the session.
        name: String,
        /// Whether the message had reached the CLI.
        sent: bool,
    },
    /// The CLI refused a control request.
    #[error("Session \"{name}\": the CLI refused \"{request}\": {reason}")]
    Control {
        /// Name of the session.
        name: String,
        /// The request's subtype.
        request: String,
        /// The CLI's words.
        reason: String,
    },
    /// The CLI did not answer a control request.
    #[error("Session \"{name}\": the CLI did not answer \"{request}\" within {timeout_ms} ms")]
    ControlTimeout {
        /// Name of the session.
        name: String,
        /// The request's subtype.
        request: String,
        /// The time given, in ms.
        timeout_ms: u64,
    },
    /// The record is of a session that had options which are never stored, and they were not given again.
    #[error(
        "Session \"{name}\" was started with {}, which its record does not keep. Give it again.",
        list(missing)
    )]
    OptionsMissing {
        /// Name of the session.
        name: String,
        /// Names of the options.
        missing: Vec<String>,
    },
    /// The store could not be read or written.
    #[error("Store {path}: {reason}")]
    Store {
        /// File or directory concerned.
        path: String,
        /// What failed.
        reason: String,
        /// Process that holds the lock, where that is the cause.
        holder_pid: Option<u32>,
        /// What the system said, where that is the cause.
        #[source]
        source: Option<SystemError>,
    },
    /// An argument has the wrong type.
    #[error("The {argument} argument must be {expected}. Received {received}")]
    InvalidArgType {
        /// Path of the argument, for instance `options.model`.
        argument: String,
        /// What was expected, with its article.
        expected: String,
        /// What came.
        received: String,
    },
    /// An argument has the right type and an impossible value.
    #[error("The {argument} argument must be {expected}. Received {received}")]
    InvalidArgValue {
        /// Path of the argument, for instance `options.timeout`.
        argument: String,
        /// What was expected, with its article.
        expected: String,
        /// What came.
        received: String,
    },
    /// A defect of the engine. One session fails; the host lives on.
    #[error("Internal error: {reason}")]
    Internal {
        /// What was caught, and where.
        reason: String,
    },
}

/// What a process that ended has told of the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWords {
    /// The CLI's words in an error result that answered no message.
    pub words: Option<String>,
    /// Of what kind it is: by these words, or by standard error.
    pub failure: Failure,
}

/// The wire form: `{"code":"ERR_...","class":"TypeError","message":"...","data":{...}}`.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("code", self.code())?;
        map.serialize_entry("class", &self.class())?;
        map.serialize_entry("message", &self.to_string())?;
        map.serialize_entry("data", &self.data())?;
        map.end()
    }
}

impl Error {
    /// A file operation of the store that failed. `what` says which: `cannot write`.
    #[must_use]
    pub fn store(path: &Path, what: &str, error: io::Error) -> Self {
        Self::Store {
            path: path.display().to_string(),
            reason: format!("{what}: {error}"),
            holder_pid: None,
            source: Some(error.into()),
        }
    }

    /// A session whose process could not be started because the system refused a call. `what` names the call and ends with
    /// `: `, or is empty.
    #[must_use]
    pub fn start_failed(name: &str, what: &str, error: io::Error) -> Self {
        Self::StartFailed {
            name: name.to_owned(),
            reason: format!("{what}{error}"),
            source: Some(error.into()),
            failure: None,
        }
    }

    /// Why the turn failed, where a turn did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::ForkFailed { failure, .. } => *failure,
            Self::StartFailed { failure, .. } => failure.as_deref().copied(),
            Self::ProcessExited { told, .. } => Some(told.failure),
            Self::InputClosed { .. } => Some(FailureKind::Other.into()),
            _ => None,
        }
    }

    /// What the system said, where that is the cause.
    #[must_use]
    pub fn system(&self) -> Option<&SystemError> {
        match self {
            Self::Store { source, .. }
            | Self::StartFailed { source, .. }
            | Self::CliNotFound { source, .. }
            | Self::WorkDir { source, .. } => source.as_ref(),
            _ => None,
        }
    }

    /// The stable code: part of the public contract, never changes its meaning.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::SessionAlive { .. } | Self::SessionStored { .. } => "ERR_SESSION_EXISTS",
            Self::SessionNotAlive { .. } => "ERR_SESSION_NOT_ALIVE",
            Self::SessionNotFound { .. } | Self::SourceNotFound { .. } => "ERR_SESSION_NOT_FOUND",
            Self::NoSessionId { .. } | Self::SourceNoSessionId { .. } => "ERR_NO_SESSION_ID",
            Self::ForkFailed { .. } => "ERR_FORK_FAILED",
            Self::CliNotFound { .. } => "ERR_CLI_NOT_FOUND",
            Self::WorkDir { .. } => "ERR_WORKDIR",
            Self::StartFailed { .. } => "ERR_START_FAILED",
            Self::ProcessExited { .. } | Self::InputClosed { .. } => "ERR_PROCESS_EXITED",
            Self::TurnTimeout { .. } => "ERR_TURN_TIMEOUT",
            Self::PermissionMode { .. } => "ERR_PERMISSION_MODE",
            Self::SessionHeld { .. } => "ERR_SESSION_HELD",
            Self::NotResent { .. } => "ERR_NOT_RESENT",
            Self::SessionStopped { .. } => "ERR_SESSION_STOPPED",
            Self::SessionKilled { .. } => "ERR_SESSION_KILLED",
            Self::Interrupted { .. } => "ERR_INTERRUPTED",
            Self::Aborted { .. } => "ERR_ABORTED",
            Self::Control { .. } => "ERR_CONTROL",
            Self::ControlTimeout { .. } => "ERR_CONTROL_TIMEOUT",
            Self::OptionsMissing { .. } => "ERR_OPTIONS_MISSING",
            Self::Store { .. } => "ERR_STORE",
            Self::InvalidArgType { .. } => "ERR_INVALID_ARG_TYPE",
            Self::InvalidArgValue { .. } => "ERR_INVALID_ARG_VALUE",
            Self::Internal { .. } => "ERR_INTERNAL",
        }
    }

    /// The JavaScript class this error becomes.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidArgType { .. } => ErrorClass::Type,
            Self::InvalidArgValue { .. } => ErrorClass::Range,
            _ => ErrorClass::Error,
        }
    }

    /// The extra properties of the JavaScript error, by their public names.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        match self {
            Self::ForkFailed { cost, session_id, .. } => {
                insert_some(&mut data, "cost", cost.map(Value::from));
                insert_some(&mut data, "sessionId", session_id.clone().map(Value::from));
            }
            Self::ProcessExited {
                exit_code,
                signal,
                stderr,
                ..
            } => {
                data.insert("exitCode".into(), (*exit_code).into());
                data.insert("signal".into(), signal.clone().into());
                data.insert("stderr".into(), stderr.clone().into());
            }
            Self::InputClosed { .. } => {
                data.insert("exitCode".into(), Value::Null);
                data.insert("signal".into(), Value::Null);
                data.insert("stderr".into(), "".into());
            }
            Self::TurnTimeout { sent, .. } => {
                data.insert("sent".into(), (*sent).into());
                data.insert("stillRunning".into(), (*sent).into());
            }
            Self::PermissionMode { asked, actual, .. } => {
                data.insert("asked".into(), asked.clone().into());
                data.insert("actual".into(), actual.clone().into());
            }
            Self::SessionNotAlive { reason, .. } => {
                insert_some(&mut data, "cause", reason.as_deref().map(|reason| json!(reason)));
            }
            Self::SessionHeld {
                session_id,
                holder_pid,
                ..
            } => {
                insert_some(&mut data, "holderPid", holder_pid.map(Value::from));
                data.insert("sessionId".into(), session_id.clone().into());
            }
            Self::Store { path, holder_pid, .. } => {
                data.insert("path".into(), path.clone().into());
                insert_some(&mut data, "holderPid", holder_pid.map(Value::from));
            }
            _ => self.insert_control_data(&mut data),
        }
        insert_some(&mut data, "failure", self.failure().map(|failure| json!(failure)));
        insert_some(&mut data, "cause", self.system().map(SystemError::to_json));
        data
    }
}

impl Error {
    /// The extra properties of errors about control requests and callbacks.
    fn insert_control_data(&self, data: &mut Map<String, Value>) {
        match self {
            Self::Control { request, .. } => {
                data.insert("request".into(), request.clone().into());
            }
            Self::ControlTimeout {
                request, timeout_ms, ..
            } => {
                data.insert("request".into(), request.clone().into());
                data.insert("timeout".into(), (*timeout_ms).into());
            }
            Self::OptionsMissing { missing, .. } => {
                data.insert("missing".into(), missing.clone().into());
            }
            _ => {}
        }
    }
}

fn insert_some(data: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        data.insert(key.to_owned(), value);
    }
}

/// Words in a row: `hooks and mcpServers`.
fn list(words: &[String]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => words.concat(),
    }
}

fn describe_holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) if pid == std::process::id() => format!("another session of this process ({pid})"),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

fn describe_exit(exit_code: Option<i32>, signal: Option<&str>, words: &str) -> String {
    let end = match (exit_code, signal) {
        (_, Some(signal)) => format!("its process was ended by {signal}"),
        (Some(code), None) => format!("its process exited with code {code}"),
        (None, None) => "its process ended".to_owned(),
    };
    match words.trim().lines().next_back() {
        Some(last_line) => format!("{end}: {last_line}"),
        None => end,
    }
}
