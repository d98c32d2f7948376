//! Forks: a new session whose conversation begins as a copy of another one's.
//!
//! A fork is a session like any other. Its first process is started with `--resume SOURCE --fork-session`, so its first
//! turn runs under the same rules as every later one. Until that turn is answered, the fork has no record, its name is not
//! in the store, and every failure is `ERR_FORK_FAILED` (see `session::state`).

use super::starting::{FirstTurn, Origin, Starting};
use super::{Defaults, Given, Manager, check_needs, conversation, from_record, needs};
use crate::clock;
use crate::error::{Error, Result};
use crate::ids::SessionName;
use crate::limits;
use crate::options::SessionOptions;
use serde::Deserialize;
use std::time::Instant;

/// Message of a fork that was given none.
const DEFAULT_MESSAGE: &str = "Continue from the forked conversation.";

/// A caller's request.
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

impl Manager {
    /// A fork of a live session, or of a record. Once it is started, the caller sends [`Starting::first_turn`].
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_FOUND`, `ERR_NO_SESSION_ID`, `ERR_OPTIONS_MISSING`, `ERR_SESSION_EXISTS`, `ERR_STORE`, in this
    /// order.
    pub fn fork(&self, request: ForkRequest, defaults: Defaults) -> Result<Starting> {
        let ForkRequest {
            source,
            new_name,
            given,
            message,
        } = request;
        let timeout = crate::options::milliseconds(given.timeout).unwrap_or(limits::TURN_TIMEOUT);
        let (base, not_before) = self.fork_base(&source, defaults)?;
        let claim = self.names.claim(&SessionName::new(new_name.as_str())?)?;
        self.check_record(&new_name)?;
        let first = FirstTurn {
            message: message.unwrap_or_else(|| DEFAULT_MESSAGE.to_owned()),
            timeout,
            not_before,
        };
        let options = override_options(base, source, new_name, given);
        Ok(self.starting(claim, options, Origin::Fork(first)))
    }

    /// The options of the source, and when its transcript is complete.
    fn fork_base(&self, source: &str, defaults: Defaults) -> Result<(SessionOptions, Option<Instant>)> {
        let no_id = || Error::SourceNoSessionId {
            name: source.to_owned(),
        };
        if let Some(session) = self.session(source) {
            let (id, totals, last) = session.read(|state| {
                (
                    state.session_id().map(ToOwned::to_owned),
                    state.ledger().totals(),
                    state.last_result_at(),
                )
            });
            check_needs(source, &session.options().live.needs, &defaults.live)?;
            let (model, mode) = session.read(|state| {
                let (model, mode) = state.changed_settings();
                (model.map(str::to_owned), mode.map(str::to_owned))
            });
            let options = SessionOptions::clone(session.options());
            let base = SessionOptions {
                model: model.unwrap_or_else(|| options.model.clone()),
                permission_mode: mode.unwrap_or_else(|| options.permission_mode.clone()),
                live: defaults.live,
                session_id: Some(id.ok_or_else(no_id)?.into()),
                cli_totals: Some(totals),
                ..options
            };
            return Ok((base, last.map(|at| at + limits::TRANSCRIPT_DELAY)));
        }
        let record = self.store().get(source)?.ok_or_else(|| Error::SourceNotFound {
            name: source.to_owned(),
        })?;
        let id = conversation(&record).ok_or_else(no_id)?;
        check_needs(source, &needs(&record), &defaults.live)?;
        Ok((from_record(source, &record, id, defaults), None))
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
        fork_of: base.session_id,
        session_id: None,
        new_session_id: None,
        created: Some(clock::timestamp()),
        ..base
    }
}
