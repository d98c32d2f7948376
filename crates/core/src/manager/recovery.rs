//! What became of the sessions whose host died: what the record and the CLI's transcript say of the messages that had no
//! answer yet.
//!
//! Reads, and ends what such a host left behind, since only then the transcript is final; sends nothing.

use super::Manager;
use crate::clock;
use crate::error::{Error, Result};
use crate::options::SavedTotals;
use crate::options::{CallerEnv, RunOptions};
use crate::process::left_over;
use crate::process::transcript::{self, Answer, Fate, Told};
use crate::protocol::inbound::TurnResult;
use crate::protocol::signs::Signs;
use crate::session::estimate::Seen;
use crate::session::ledger::Cost;
use crate::session::turn::{self, TurnKind, TurnTexts};
use crate::store::{Ownership, Record};
use clearctx_proctree::InstanceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::runtime::Handle;

/// Where a session stands, or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No message was without an answer.
    Idle,
    /// The transcript has the answer, which nobody heard.
    Answered,
    /// The CLI had read the message and had not finished with it.
    Unanswered,
    /// The message is not in the transcript.
    Unsent,
}

/// A session that was alive when its host ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// Its name.
    pub name: String,
    /// Where the conversation stopped: the first message without an answer decides, else the last one.
    pub verdict: Verdict,
    /// JSON string: the text of that message; of an idle session, that of its last turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_prompt: Option<Box<RawValue>>,
    /// The CLI's id of the conversation.
    pub claude_session_id: Option<String>,
    /// The messages that were given to the session and not answered by then, the oldest first.
    pub messages: Vec<LostMessage>,
    /// What a session takes over that goes on with it.
    #[serde(skip)]
    adoption: Adoption,
}

/// A message that had no answer when the host ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostMessage {
    /// By which the CLI knows it.
    pub uuid: String,
    /// JSON string: its text, or the beginning of it.
    pub prompt: Box<RawValue>,
    /// When it was given to the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// JSON of the response, if the transcript has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<RawValue>>,
    /// JSON of its content, where that is not the prompt.
    #[serde(skip)]
    pub(super) content: Option<Box<RawValue>>,
    /// Why it cannot be sent again.
    #[serde(skip)]
    pub(super) refusal: Option<Error>,
}

/// What a session that goes on takes over, beside its record.
#[derive(Debug, Clone, Default)]
struct Adoption {
    /// The record's owner.
    instance: Option<InstanceId>,
    /// Id of a conversation that the record does not name yet.
    begun: Option<Begun>,
    /// Turns that the record does not have.
    turns: Vec<AdoptedTurn>,
}

/// A turn that the record does not have.
#[derive(Debug, Clone)]
pub(crate) struct AdoptedTurn {
    /// JSON of the interaction.
    pub(crate) interaction: Box<RawValue>,
    /// What it cost, as far as that is known.
    pub(crate) cost_usd: f64,
}

/// A conversation whose first turn was never recorded.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// Its id.
    pub(super) id: String,
    /// Whether the CLI knows it.
    pub(super) exists: bool,
}

/// A message as the record keeps it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    uuid: String,
    #[serde(default)]
    sent_at: Option<String>,
    prompt: Box<RawValue>,
    #[serde(default)]
    content: Option<Box<RawValue>>,
    #[serde(default)]
    cut: bool,
}

impl Manager {
    /// Each session of a host that has ended which was alive then, or had a message in flight. Takes a while:
    /// for a thread of the runtime that may block. What was found is kept for [`Manager::resume_lost`].
    ///
    /// # Errors
    /// `ERR_STORE`.
    pub fn look_for_lost(&self, run: &RunOptions, caller: &CallerEnv) -> Result<Vec<Lost>> {
        let left = self.store.left_by_others()?;
        // Only then the transcripts are final.
        let instances: BTreeSet<InstanceId> = left
            .iter()
            .filter_map(|(_, owned)| super::outlived_by(owned))
            .collect();
        if !instances.is_empty() {
            Handle::current().block_on(left_over::end(instances));
        }
        let found = left
            .into_iter()
            .map(|(name, owned)| self.look_at(name, &owned, run, caller))
            .collect::<Result<Vec<_>>>()?;
        let by_name = found.iter().map(|lost| (lost.name.clone(), lost.clone()));
        *self.lost.lock() = by_name.collect();
        Ok(found)
    }

    fn look_at(&self, name: String, owned: &Ownership, run: &RunOptions, caller: &CallerEnv) -> Result<Lost> {
        let record = &owned.record;
        let known = super::conversation(record);
        let planned = record.get_str("newSessionId").filter(|id| !id.is_empty());
        let id = known.clone().or_else(|| planned.clone());
        let work_dir = record.get_str("workDir").unwrap_or_default();
        let path = id
            .as_deref()
            .and_then(|id| transcript::find(id, &work_dir, run, caller));
        let pending: Vec<Pending> = record.get("pending").unwrap_or_default();
        let told = told(path.as_ref(), &pending)?;
        let prices = record.get::<SavedTotals>("cliTotals").unwrap_or_default();
        let begun = planned.filter(|_| known.is_none()).map(|id| Begun {
            id,
            exists: path.is_some(),
        });
        let mut adoption = Adoption {
            instance: owned.instance.clone(),
            begun,
            turns: Vec::new(),
        };
        let mut messages = Vec::new();
        for (message, Told { fate, calls }) in pending.into_iter().zip(told) {
            let mut message = judge(&name, message, &fate);
            let mut seen = Seen::default();
            seen.extend(calls);
            let usd = seen.price(&prices.last.models);
            let answer = match fate {
                Fate::Answered(answer) => Some(answer),
                // It has no answer, and was paid for.
                Fate::Unanswered if !seen.is_empty() => None,
                Fate::Unanswered | Fate::Unsent => {
                    messages.push(message);
                    continue;
                }
            };
            let texts = recovered(&message.prompt, answer.as_ref(), id.as_deref(), usd);
            adoption.turns.push(AdoptedTurn {
                interaction: texts.interaction,
                cost_usd: usd,
            });
            message.response = answer.map(|_| texts.response);
            messages.push(message);
        }
        let unanswered = messages
            .iter()
            .find(|message| message.verdict != Verdict::Answered);
        let decisive = unanswered.or(messages.last());
        let last_prompt = match decisive {
            Some(message) => Some(message.prompt.clone()),
            None => self.last_prompt(&name)?,
        };
        Ok(Lost {
            verdict: decisive.map_or(Verdict::Idle, |message| message.verdict),
            last_prompt,
            claude_session_id: id,
            messages,
            adoption,
            name,
        })
    }

    fn last_prompt(&self, name: &str) -> Result<Option<Box<RawValue>>> {
        let history = self.store.interactions_json(name)?.unwrap_or_default();
        let last = serde_json::from_str::<Vec<Record>>(&history)
            .ok()
            .and_then(|mut all| all.pop());
        Ok(last.and_then(|last| last.get_raw("prompt").map(turn::raw)))
    }
}

impl Lost {
    /// Whether the record has still the owner that it had when it was looked at.
    pub(super) fn is_of(&self, instance: Option<&InstanceId>) -> bool {
        self.adoption.instance.as_ref() == instance
    }

    /// The conversation that the record does not name yet.
    pub(super) fn begun(&self) -> Option<&Begun> {
        self.adoption.begun.as_ref()
    }

    /// Turns that the record does not have, and the messages.
    pub(super) fn into_parts(self) -> (Vec<AdoptedTurn>, Vec<LostMessage>) {
        (self.adoption.turns, self.messages)
    }
}

impl LostMessage {
    /// Whether the transcript has its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.verdict == Verdict::Answered
    }
}

fn told(path: Option<&PathBuf>, pending: &[Pending]) -> Result<Vec<Told>> {
    let Some(path) = path.filter(|_| !pending.is_empty()) else {
        return Ok(vec![Told::nothing(); pending.len()]);
    };
    let uuids: Vec<&str> = pending.iter().map(|message| message.uuid.as_str()).collect();
    transcript::look_up(path, &uuids).map_err(|error| Error::store(path, "cannot read the transcript", error))
}

/// What became of the message, but for the answer.
fn judge(name: &str, message: Pending, fate: &Fate) -> LostMessage {
    let refuse = |reason: &str| {
        Some(Error::NotResent {
            name: name.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let (verdict, refusal) = match fate {
        Fate::Unsent if message.cut => (Verdict::Unsent, refuse("it is too long to have been kept")),
        Fate::Unsent => (Verdict::Unsent, None),
        // Measured: it drops a uuid that it knows without a word.
        Fate::Unanswered => (
            Verdict::Unanswered,
            refuse("the CLI has read it already and would drop it"),
        ),
        Fate::Answered(_) => (Verdict::Answered, None),
    };
    LostMessage {
        uuid: message.uuid,
        prompt: message.prompt,
        sent_at: message.sent_at,
        verdict,
        response: None,
        content: message.content,
        refusal,
    }
}

/// A turn with an answer, or with none. Its cost is an estimate: no result told it.
fn recovered(prompt: &RawValue, answer: Option<&Answer>, session_id: Option<&str>, usd: f64) -> TurnTexts {
    let text = answer.and_then(|answer| serde_json::to_string(&answer.text).ok());
    let mut result = TurnResult {
        is_error: answer.is_none_or(|answer| answer.is_error),
        text: text.map(turn::raw),
        api_error: answer.map(|answer| answer.api_error.clone()).unwrap_or_default(),
        session_id: session_id.map(str::to_owned),
        ..TurnResult::default()
    };
    result.failure = Signs::default().conclude(&result);
    let at = answer.and_then(|answer| answer.at.clone());
    let timestamp = at.unwrap_or_else(clock::timestamp);
    let cost = Cost { usd, estimated: true };
    turn::describe(&result, TurnKind::Recovered, None, prompt, cost, &timestamp)
}
