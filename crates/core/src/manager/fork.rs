//! Forks a conversation: the CLI's own `--fork-session`, run once with the fork's first message.

use super::names::Claim;
use super::starting::{Origin, Starting};
use super::{Defaults, Given, Manager, conversation, from_record};
use crate::clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::options::{CallerEnv, SessionOptions};
use crate::process::child::Launch;
use crate::process::one_shot::{self, Cancel, Output};
use crate::process::{command, locate};
use crate::protocol::inbound;
use crate::session::launch::prompt_file;
use crate::session::ledger::Ledger;
use crate::session::turn::{self, TurnKind};
use crate::store::Store;
use clearctx_proctree::InstanceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Why a fork failed that was ended from elsewhere.
const CANCELLED: &str = "the manager was closed";

/// Message of a fork that was given none.
const DEFAULT_MESSAGE: &str = "Continue from the forked conversation.";

/// What a caller asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkRequest {
    /// Name of the source.
    source: String,
    /// Name of the fork.
    new_name: String,
    /// Options that differ from the source's.
    given: Given,
    /// First message.
    message: Option<String>,
}

/// A fork that may be started.
pub struct Plan {
    claim: Claim,
    /// What the forked session is started with; its `session_id` is still the source's.
    options: SessionOptions,
    message: String,
    ledger: Ledger,
    timeout: Duration,
    /// When the source's transcript is complete.
    not_before: Option<Instant>,
    store: Store,
}

/// A fork that succeeded.
#[derive(Serialize)]
pub struct Forked {
    /// The session that goes on with it.
    #[serde(skip)]
    pub starting: Starting,
    /// JSON of the response.
    pub response: Box<RawValue>,
    /// JSON of the fork's first interaction.
    pub interaction: Box<RawValue>,
    /// What the fork's turn cost, in USD.
    pub cost: f64,
    /// Its turns.
    pub turns: u64,
}

impl Manager {
    /// A fork of a live session, or of a record. The new name is taken from here on.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_FOUND`, `ERR_NO_SESSION_ID`, `ERR_SESSION_EXISTS`, `ERR_STORE`, in this order.
    pub fn fork(&self, request: ForkRequest, defaults: Defaults) -> Result<Plan> {
        let ForkRequest {
            source,
            new_name,
            given,
            message,
        } = request;
        let no_id = || Error::SourceNoSessionId { name: source.clone() };
        let fork_timeout = crate::options::milliseconds(given.timeout).unwrap_or(limits::TURN_TIMEOUT);
        let (base, ledger, not_before) = if let Some(session) = self.session(&source) {
            let (id, ledger, last) = session.read(|state| {
                (
                    state.session_id().map(ToOwned::to_owned),
                    state.ledger().fork(),
                    state.last_result_at(),
                )
            });
            let base = SessionOptions {
                session_id: Some(id.ok_or_else(no_id)?.into()),
                ..SessionOptions::clone(session.options())
            };
            (base, ledger, last.map(|at| at + limits::TRANSCRIPT_DELAY))
        } else {
            let record = self
                .store()
                .get(&source)?
                .ok_or_else(|| Error::SourceNotFound { name: source.clone() })?;
            let id = conversation(&record).ok_or_else(no_id)?;
            let base = from_record(&source, &record, id, defaults);
            let ledger = Ledger::new(base.cli_totals);
            (base, ledger, None)
        };
        let claim = self.names.claim(&new_name)?;
        self.check_record(&new_name)?;
        Ok(Plan {
            claim,
            options: override_options(base, source, new_name, given),
            message: message.unwrap_or_else(|| DEFAULT_MESSAGE.to_owned()),
            ledger,
            timeout: fork_timeout,
            not_before,
            store: self.store.clone(),
        })
    }
}

fn override_options(base: SessionOptions, source: String, new_name: String, given: Given) -> SessionOptions {
    SessionOptions {
        name: new_name,
        model: given.model.unwrap_or(base.model),
        work_dir: given.work_dir.unwrap_or(base.work_dir),
        permission_mode: given.permission_mode.unwrap_or(base.permission_mode),
        allowed_tools: given.allowed_tools.unwrap_or(base.allowed_tools),
        system_prompt: given.system_prompt.unwrap_or(base.system_prompt),
        max_budget: given.max_budget.or(base.max_budget),
        agent: given.agent.or(base.agent),
        timeout: given.timeout.or(base.timeout),
        tags: given.tags.unwrap_or_default(),
        parent: Some(source),
        cli_totals: None,
        created: Some(clock::timestamp()),
        ..base
    }
}

impl Plan {
    /// Checks program and directory. The process starts with [`Ready::run`], when the transcript is there.
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED`.
    pub fn prepare(self, caller: &CallerEnv) -> Result<Ready> {
        let work_dir = locate::check_work_dir(&self.options.work_dir, caller)?;
        let program = locate::locate(&self.options.run, caller)?;
        let prompt_file = prompt_file(&self.options)?;
        let file_path = prompt_file
            .as_ref()
            .map(|file| file.path().to_string_lossy().into_owned());
        let (argument, input) = if self.message.len() > limits::MESSAGE_ARGUMENT_BYTES {
            (None, Some(self.message.clone()))
        } else {
            (Some(self.message.as_str()), None)
        };
        let instance = InstanceId::from(uuid::Uuid::new_v4().to_string());
        let launch = Launch {
            program,
            arguments: command::fork_arguments(&self.options, file_path.as_deref(), argument),
            env: command::environment(&self.options.run, caller, &instance),
            work_dir,
            instance,
            name: self.options.name.clone(),
        };
        Ok(Ready {
            plan: self,
            launch,
            input,
            _prompt_file: prompt_file,
        })
    }
}

/// A fork whose process can be started.
pub struct Ready {
    plan: Plan,
    launch: Launch,
    input: Option<String>,
    /// Removed when the CLI has ended.
    _prompt_file: Option<NamedTempFile>,
}

impl Ready {
    /// Waits for the source's transcript, runs the CLI and reads its answer.
    ///
    /// # Errors
    /// `ERR_FORK_FAILED`.
    pub async fn run(self, cancel: &Cancel) -> Result<Forked> {
        if let Some(at) = self.plan.not_before {
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = cancel.cancelled() => return Err(failed(CANCELLED)),
            }
        }
        let timeout = self.plan.timeout;
        let before = Instant::now();
        let output = one_shot::run(&self.launch, self.input, timeout, cancel).await;
        let output = output.map_err(|error| failed(&error.to_string()))?;
        if output.exit.is_none() && before.elapsed() < timeout {
            return Err(failed(CANCELLED));
        }
        read_answer(self.plan, &output)
    }
}

fn read_answer(mut plan: Plan, output: &Output) -> Result<Forked> {
    let Some(exit) = &output.exit else {
        return Err(failed(&format!(
            "no answer within {} ms",
            plan.timeout.as_millis()
        )));
    };
    let Some(result) = inbound::parse_one_shot(&output.stdout) else {
        let exit = Error::ProcessExited {
            name: plan.options.name,
            exit_code: exit.code,
            signal: exit.signal.clone(),
            stderr: output.stderr.clone(),
        };
        return Err(failed(&exit.to_string()));
    };
    let cost = plan.ledger.charge(&result);
    plan.ledger.process_ended();
    let id = result.session_id.clone();
    let Some(session_id) = id.filter(|_| !result.is_error) else {
        return Err(Error::ForkFailed {
            reason: result.error_words(),
            cost: Some(cost),
            session_id: result.session_id,
        });
    };
    let prompt = turn::raw(serde_json::to_string(&plan.message).unwrap_or_default());
    let texts = turn::describe(&result, TurnKind::Fork, &prompt, cost, &clock::timestamp());
    let options = SessionOptions {
        session_id: Some(session_id),
        cli_totals: Some(plan.ledger.totals()),
        ..plan.options
    };
    Ok(Forked {
        starting: Starting {
            store: plan.store,
            claim: plan.claim,
            options,
            origin: Origin::New,
        },
        response: texts.response,
        interaction: texts.interaction,
        cost,
        turns: result.turns,
    })
}

fn failed(reason: &str) -> Error {
    Error::ForkFailed {
        reason: reason.to_owned(),
        cost: None,
        session_id: None,
    }
}
