//! The manager's decisions, for JavaScript.

use crate::error::{envelope, read, throw};
use crate::host::{Host, HostQueue, Item, to_number};
use crate::session::{NativeSession, host_view};
use crate::store::NativeStore;
use clearctx_core::error::Error;
use clearctx_core::manager::fork::{ForkRequest, Forked};
use clearctx_core::manager::recovery::{Adoption, Lost, LostMessage};
use clearctx_core::manager::{Defaults, Manager, Overrides, Resume};
use clearctx_core::options::SessionOptions;
use clearctx_core::runtime;
use clearctx_core::session::turn;
use napi::Result;
use napi::bindgen_prelude::{Either, Undefined};
use napi_derive::napi;
use serde_json::json;
use std::sync::Arc;

/// Names and records.
#[napi]
pub struct NativeManager {
    manager: Manager,
    queue: Arc<HostQueue>,
}

#[napi]
impl NativeManager {
    /// A manager on a store.
    #[napi(constructor, catch_unwind)]
    pub fn new(host: &Host, store: &NativeStore) -> Self {
        Self {
            manager: Manager::new(store.store.clone()),
            queue: host.queue(),
        }
    }

    /// Ends, in the background, what hosts left behind in this directory that ended without a keeper.
    #[napi(catch_unwind)]
    pub fn sweep(&self) {
        self.manager.sweep();
    }

    /// JSON of the options of a new session.
    #[napi(catch_unwind)]
    pub fn plan_spawn(&self, name: String, given: String, defaults: String) -> Result<String> {
        let (given, defaults) = (
            read::<Overrides>(&given, "options")?,
            read::<Defaults>(&defaults, "options")?,
        );
        let options = self
            .manager
            .plan_spawn(&name, given, defaults)
            .map_err(|error| throw(&error))?;
        Ok(options_json(&options))
    }

    /// JSON `{options, predecessor}` of a session that goes on with its record.
    #[napi(catch_unwind)]
    pub fn plan_resume(&self, name: String, defaults: String) -> Result<String> {
        let defaults = read::<Defaults>(&defaults, "options")?;
        resume_json(self.manager.plan_resume(&name, defaults))
    }

    /// Looks at the sessions of hosts that have ended; the number of the outcome to come, which is a JSON array.
    #[napi(catch_unwind)]
    pub fn recover(&self, defaults: String, env: Vec<String>, cwd: String) -> Result<f64> {
        let defaults = read::<Defaults>(&defaults, "options")?;
        let host = host_view(env, cwd);
        let runtime = runtime::handle().map_err(|error| throw(&error))?;
        let number = runtime::next_number();
        let (manager, queue) = (self.manager.clone(), Arc::clone(&self.queue));
        let look = runtime.spawn_blocking(move || manager.lost(defaults.run(), &host));
        runtime.spawn(async move {
            let lost = look.await.unwrap_or_else(|error| {
                Err(Error::Internal {
                    reason: format!("recovery failed: {error}"),
                })
            });
            queue.push(Item::Done(number, lost.map(|lost| lost_json(&lost))));
        });
        Ok(to_number(number))
    }

    /// As `planResume`, for a session that `recover` has told of; `adoption` is JSON of what it said.
    #[napi(catch_unwind)]
    pub fn plan_recovery(&self, name: String, adoption: String, defaults: String) -> Result<String> {
        let (adoption, defaults) = (
            read::<Adoption>(&adoption, "adoption")?,
            read::<Defaults>(&defaults, "options")?,
        );
        let resume = self.manager.plan_recovery(&name, &adoption, defaults);
        resume_json(resume)
    }

    /// Starts a fork; the number of the outcome to come, which is JSON `{options, response, interaction, cost,
    /// turns}`. `live` is the source, if it lives; `request` is JSON of what is asked for.
    #[napi(catch_unwind)]
    pub fn fork(
        &self,
        live: Either<&NativeSession, Undefined>,
        request: String,
        defaults: String,
        env: Vec<String>,
        cwd: String,
    ) -> Result<f64> {
        let (request, defaults) = (
            read::<ForkRequest>(&request, "options")?,
            read::<Defaults>(&defaults, "options")?,
        );
        let live = match &live {
            Either::A(native) => Some(&native.session),
            Either::B(()) => None,
        };
        let runtime = runtime::handle().map_err(|error| throw(&error))?;
        let plan = self.manager.plan_fork(live, request, defaults);
        let plan = plan.map_err(|error| throw(&error))?;
        let options = plan.options.clone();
        let ready = plan
            .prepare(&host_view(env, cwd))
            .map_err(|error| throw(&error))?;
        let number = runtime::next_number();
        let queue = Arc::clone(&self.queue);
        let cancel = queue.add_fork(number);
        runtime.spawn(async move {
            let forked = ready.run(&cancel).await;
            queue.remove_fork(number);
            queue.push(Item::Done(
                number,
                forked.map(|forked| forked_json(options, forked)),
            ));
        });
        Ok(to_number(number))
    }

    /// Ends a fork that has not ended.
    #[napi(catch_unwind)]
    pub fn cancel_fork(&self, number: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number we gave out"
        )]
        self.queue.cancel_fork(number as u64);
    }

    /// Marks a stored session as killed.
    #[napi(catch_unwind)]
    pub fn kill_stored(&self, name: String) -> Result<()> {
        self.manager.kill_stored(&name).map_err(|error| throw(&error))
    }

    /// Removes a stored session; whether there was one.
    #[napi(catch_unwind)]
    pub fn delete_stored(&self, name: String) -> Result<bool> {
        self.manager.delete_stored(&name).map_err(|error| throw(&error))
    }
}

fn resume_json(resume: std::result::Result<Resume, Error>) -> Result<String> {
    let resume = resume.map_err(|error| throw(&error))?;
    Ok(json!({ "options": resume.options, "predecessor": resume.predecessor }).to_string())
}

/// Each session with, beside what it says, why each of its messages cannot be sent again, or null.
fn lost_json(lost: &[Lost]) -> String {
    let refusal = |message: &LostMessage| {
        let envelope = message.refusal.as_ref().map(envelope);
        turn::raw(envelope.unwrap_or_else(|| "null".to_owned()))
    };
    let with_refusals = |lost| -> (_, Vec<_>) { (lost, Lost::messages(lost).map(refusal).collect()) };
    let all: Vec<_> = lost.iter().map(with_refusals).collect();
    serde_json::to_string(&all).unwrap_or_else(|_| "[]".to_owned())
}

fn options_json(options: &SessionOptions) -> String {
    serde_json::to_string(options).unwrap_or_else(|_| "null".to_owned())
}

fn forked_json(options: SessionOptions, forked: Forked) -> String {
    let options = SessionOptions {
        session_id: Some(forked.session_id),
        cli_totals: Some(forked.cli_totals),
        ..options
    };
    format!(
        "{{\"options\":{},\"response\":{},\"interaction\":{},\"cost\":{},\"turns\":{}}}",
        options_json(&options),
        forked.response,
        forked.interaction,
        json!(forked.cost),
        forked.turns
    )
}
