//! The manager, for JavaScript.

use crate::convert::{caller_env, to_number};
use crate::environment::{EnvironmentQueue, NativeEnvironment, SessionSink};
use crate::error::{read, throw};
use crate::session::NativeSession;
use crate::store::NativeStore;
use clearctx_core::api::{Notice, to_raw};
use clearctx_core::error::Error;
use clearctx_core::ids::SessionName;
use clearctx_core::manager::fork::ForkRequest;
use clearctx_core::manager::starting::Starting;
use clearctx_core::manager::{Defaults, Given, Manager};
use clearctx_core::runtime;
use napi::Result;
use napi_derive::napi;
use std::sync::Arc;

/// Sessions by name.
#[napi]
pub struct NativeManager {
    manager: Manager,
    queue: Arc<EnvironmentQueue>,
}

#[napi]
impl NativeManager {
    /// A manager on a store.
    #[napi(constructor, catch_unwind)]
    pub fn new(environment: &NativeEnvironment, store: &NativeStore) -> Self {
        Self {
            manager: Manager::new(store.store.clone()),
            queue: environment.queue(),
        }
    }

    /// Ends, in the background, what hosts left behind in this directory that ended without a keeper.
    #[napi(catch_unwind)]
    pub fn sweep(&self) {
        self.manager.sweep();
    }

    /// Closes the files of the data directory until they are needed again, unless sessions live in it.
    #[napi(catch_unwind)]
    pub fn close_files(&self) {
        self.manager.close_files();
    }

    /// Takes a name for a new session. `given` and `defaults` are JSON.
    #[napi(catch_unwind)]
    pub fn spawn(&self, name: String, given: String, defaults: String) -> Result<NativeStarting> {
        let given = read::<Given>(&given, "options")?;
        let defaults = read::<Defaults>(&defaults, "options")?;
        self.starting(SessionName::new(name).and_then(|name| self.manager.spawn(&name, given, defaults)))
    }

    /// Takes a name for a session that goes on with its record.
    #[napi(catch_unwind)]
    pub fn resume(&self, name: String, defaults: String) -> Result<NativeStarting> {
        let defaults = read::<Defaults>(&defaults, "options")?;
        self.starting(SessionName::new(name).and_then(|name| self.manager.resume(&name, defaults)))
    }

    /// The same for a session that `recover` has told of.
    #[napi(catch_unwind)]
    pub fn resume_lost(&self, name: String, defaults: String) -> Result<NativeStarting> {
        let defaults = read::<Defaults>(&defaults, "options")?;
        self.starting(SessionName::new(name).and_then(|name| self.manager.resume_lost(&name, defaults)))
    }

    /// Looks at the sessions of hosts that have ended; the number of the outcome to come, which is a JSON array.
    #[napi(catch_unwind)]
    pub fn recover(&self, defaults: String, env: Vec<String>, cwd: String) -> Result<f64> {
        let defaults = read::<Defaults>(&defaults, "options")?;
        let caller = caller_env(env, cwd);
        let runtime = runtime::handle().map_err(|error| throw(&error))?;
        let number = runtime::next_number();
        let (manager, queue) = (self.manager.clone(), Arc::clone(&self.queue));
        let look = runtime.spawn_blocking(move || manager.look_for_lost(defaults.run(), &caller));
        runtime.spawn(async move {
            let lost = look.await.unwrap_or_else(|error| {
                Err(Error::Internal {
                    reason: format!("recovery failed: {error}"),
                })
            });
            queue.push(Notice::outcome(number, lost.map(|lost| to_raw(&lost))));
        });
        Ok(to_number(number))
    }

    /// Takes a name for a fork. `request` is JSON of what is asked for.
    #[napi(catch_unwind)]
    pub fn fork(&self, request: String, defaults: String) -> Result<NativeStarting> {
        let request = read::<ForkRequest>(&request, "options")?;
        let defaults = read::<Defaults>(&defaults, "options")?;
        self.starting(self.manager.fork(request, defaults))
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

    fn starting(&self, starting: std::result::Result<Starting, Error>) -> Result<NativeStarting> {
        Ok(NativeStarting {
            starting: Some(starting.map_err(|error| throw(&error))?),
            queue: Arc::clone(&self.queue),
        })
    }
}

/// A session whose name is taken and whose options are complete.
#[napi]
pub struct NativeStarting {
    starting: Option<Starting>,
    queue: Arc<EnvironmentQueue>,
}

#[napi]
impl NativeStarting {
    /// JSON of the options.
    #[napi(getter, catch_unwind)]
    pub fn options(&self) -> String {
        let options = self.starting.as_ref().map(Starting::options);
        serde_json::to_string(&options).unwrap_or_else(|_| "null".to_owned())
    }

    /// The first turn of a fork: text of the message, time in ms.
    #[napi(getter, catch_unwind)]
    pub fn first_turn(&self) -> Option<(String, f64)> {
        let first = self.starting.as_ref()?.first_turn()?;
        Some((first.message.clone(), first.timeout.as_secs_f64() * 1000.0))
    }

    /// Starts the session. `changed` is JSON of all that a caller may choose, if something was changed meanwhile. `env`
    /// lists names and values of `process.env` in turn, `cwd` is `process.cwd()`.
    #[napi(catch_unwind)]
    pub fn start(&mut self, changed: Option<String>, env: Vec<String>, cwd: String) -> Result<NativeSession> {
        let mut starting = self.starting.take().ok_or_else(|| {
            throw(&Error::Internal {
                reason: "a session is started once".to_owned(),
            })
        })?;
        if let Some(changed) = changed {
            starting.change(read(&changed, "options")?);
        }
        let queue = Arc::clone(&self.queue);
        let managed = starting
            .start(&caller_env(env, cwd), |number| {
                Box::new(SessionSink { queue, number })
            })
            .map_err(|error| throw(&error))?;
        Ok(NativeSession::managed(managed, &self.queue))
    }

    /// Gives the name back, if the session was not started.
    #[napi(catch_unwind)]
    pub fn cancel(&mut self) {
        self.starting = None;
    }
}
