//! The options of a session. `js/arguments.js` checks the types and bounds of a caller's arguments; the options here are
//! complete.

use crate::limits;
use crate::protocol::failure::FailureKind;
use crate::protocol::usage::Models;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The permission mode that leaves the choice to the CLI's settings.
const INHERIT: &str = "inherit";

/// The permission mode of a session that was given none.
const DEFAULT_MODE: &str = "default";

/// Everything that decides how a session's process runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionOptions {
    /// The user's name for the session.
    pub name: String,
    /// Model name or alias, passed on unchecked.
    #[serde(default = "default_model")]
    pub model: String,
    /// Directory the CLI runs in.
    pub work_dir: String,
    /// Permission mode that is asked for; [`INHERIT`] leaves it to the CLI's settings. See
    /// [`SessionOptions::asked_mode`].
    #[serde(default)]
    pub permission_mode: String,
    /// Tools that run without asking.
    #[serde(default)]
    pub allowed_tools: Vec<String>,
    /// Text appended to the CLI's system prompt.
    #[serde(default)]
    pub system_prompt: String,
    /// The CLI's own spending limit, in USD.
    #[serde(default)]
    pub max_budget: Option<f64>,
    /// Agent to run as.
    #[serde(default)]
    pub agent: Option<String>,
    /// Time for a turn, in ms.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Conversation to continue.
    #[serde(default)]
    pub session_id: Option<String>,
    /// Conversation whose copy begins a new one: the source of a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_of: Option<String>,
    /// Id of a new conversation; [`crate::session::start::Prepared`] chooses it if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_session_id: Option<String>,
    /// The caller's labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Name of the session this one was forked from.
    #[serde(default)]
    pub parent: Option<String>,
    /// The CLI's raw totals when the conversation was last seen.
    #[serde(default)]
    pub cli_totals: Option<SavedTotals>,
    /// When the session was first created, ISO 8601.
    #[serde(default)]
    pub created: Option<String>,
    /// What the program answers and hears while a turn runs.
    #[serde(default)]
    pub live: LiveOptions,
    /// Program, environment variables and timeouts.
    #[serde(flatten)]
    pub run: RunOptions,
}

/// What the program answers and hears while a turn runs, and what the process is told of that. Nothing of it is in the
/// record but [`LiveOptions::needs`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveOptions {
    /// Names of the options that the record does not keep, and without which the session is never started.
    pub needs: Vec<String>,
    /// Whether the program answers permission requests: the CLI then asks instead of refusing.
    pub asks_permission: bool,
    /// Time for the answer to a permission request, in ms.
    pub permission_timeout: Option<f64>,
    /// Time for the CLI's answer to a request of ours, in ms.
    pub control_timeout: Option<f64>,
    /// JSON of the `initialize` request, which is then the first line of each process.
    pub initialize: Option<String>,
    /// The callbacks that `initialize` names, by their ids.
    pub hooks: BTreeMap<String, HookCallback>,
    /// Failures after which the CLI is not to try again: the turn ends at once.
    pub fail_fast: Vec<FailureKind>,
    /// Whether the CLI reports an answer while it grows.
    pub partial_messages: bool,
    /// How long pieces of an answer are collected before they are emitted, in ms.
    pub delta_interval: Option<f64>,
}

/// A hook that the program answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookCallback {
    /// Time for the answer, in ms.
    pub timeout: f64,
    /// JSON of the answer that is given when that is over.
    pub fallback: String,
}

impl LiveOptions {
    /// Time for the answer to a permission request.
    #[must_use]
    pub fn permission_timeout(&self) -> Duration {
        milliseconds(self.permission_timeout).unwrap_or(limits::PERMISSION_TIMEOUT)
    }

    /// Time for the CLI's answer to a request of ours.
    #[must_use]
    pub fn control_timeout(&self) -> Duration {
        milliseconds(self.control_timeout).unwrap_or(limits::CONTROL_TIMEOUT)
    }

    /// How long pieces of an answer are collected.
    #[must_use]
    pub fn delta_interval(&self) -> Duration {
        milliseconds(self.delta_interval).unwrap_or(limits::DELTA_INTERVAL)
    }
}

/// How the CLI's program is found, which environment it inherits, and how it is ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOptions {
    /// Program to run; else `CLEARCTX_CLAUDE_PATH` of the caller's environment, else `claude`.
    #[serde(default)]
    pub claude_path: Option<String>,
    /// Variables set (`Some`) or removed (`None`) over the caller's environment.
    #[serde(default)]
    pub env: BTreeMap<String, Option<String>>,
    /// From end of input to SIGINT, in ms.
    #[serde(default)]
    pub stop_timeout: Option<f64>,
    /// From SIGINT to SIGKILL, in ms.
    #[serde(default)]
    pub kill_timeout: Option<f64>,
}

/// Environment and directory of the calling program at the moment of the call. Read on the caller's thread: reading
/// them elsewhere would race with the program's own changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerEnv {
    /// Its environment: `process.env`.
    pub env: BTreeMap<String, String>,
    /// Its working directory: `process.cwd()`.
    pub cwd: String,
}

/// Running totals of a conversation as the CLI reports them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CliTotals {
    /// `total_cost_usd`.
    pub cost_usd: f64,
    /// Sum of all token counts in `modelUsage`.
    pub tokens: u64,
    /// `modelUsage`; none in records of older versions of clearctx.
    #[serde(default, skip_serializing_if = "Models::is_empty")]
    pub models: Models,
}

/// The totals by which a running total that continued is distinguished from one that started again.
///
/// ```json
/// {"costUsd":0.0125,"tokens":4200,"onDisk":{"costUsd":0.006,"tokens":2100}}
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedTotals {
    /// Totals of the last result.
    #[serde(flatten)]
    pub last: CliTotals,
    /// Totals that the CLI itself has saved: those at the last orderly end of a process (2.1.330).
    #[serde(default)]
    pub on_disk: CliTotals,
}

/// The model of a session for which none was chosen.
#[must_use]
pub fn default_model() -> String {
    "sonnet".to_owned()
}

/// The name under which a variable is kept: to Windows `Path` and `PATH` are the same.
#[must_use]
pub fn variable_name(name: &str) -> String {
    if cfg!(windows) {
        name.to_uppercase()
    } else {
        name.to_owned()
    }
}

impl SessionOptions {
    /// The conversation that the session continues or begins.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        let given = |id: &&str| !id.is_empty();
        let known = self.session_id.as_deref().filter(given);
        known.or_else(|| self.new_session_id.as_deref().filter(given))
    }

    /// The permission mode that every process is given, and that it must not exceed. `None` if the CLI's settings
    /// choose it.
    #[must_use]
    pub fn asked_mode(&self) -> Option<&str> {
        match self.permission_mode.as_str() {
            INHERIT => None,
            "" => Some(DEFAULT_MODE),
            mode => Some(mode),
        }
    }

    /// Time for a turn, unless the call gives another.
    #[must_use]
    pub fn turn_timeout(&self) -> Duration {
        milliseconds(self.timeout).unwrap_or(limits::TURN_TIMEOUT)
    }
}

impl RunOptions {
    /// From end of input to SIGINT.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        milliseconds(self.stop_timeout).unwrap_or(limits::STOP_TIMEOUT)
    }

    /// From SIGINT to SIGKILL.
    #[must_use]
    pub fn kill_timeout(&self) -> Duration {
        milliseconds(self.kill_timeout).unwrap_or(limits::KILL_TIMEOUT)
    }
}

/// A duration given in ms; `None` if it is absent, zero or not a number.
#[must_use]
pub fn milliseconds(ms: Option<f64>) -> Option<Duration> {
    let ms = ms.filter(|ms| *ms > 0.0)?;
    let longest = limits::LONGEST_WAIT;
    Some(Duration::try_from_secs_f64(ms / 1000.0).map_or(longest, |duration| duration.min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bounded_and_zero_means_not_given() {
        assert_eq!(milliseconds(Some(0.0)), None);
        assert_eq!(milliseconds(Some(f64::NAN)), None);
        assert_eq!(milliseconds(Some(1.5)), Some(Duration::from_micros(1500)));
        assert_eq!(milliseconds(Some(f64::INFINITY)), Some(limits::LONGEST_WAIT));
    }
}
