//! The host's end of its keeper: one small process beside the host that ends the sessions that the host leaves behind,
//! however the host ends (`docs/ownership.md`). The keeper's own end is the crate `clearctx-keeper`.
//!
//! The keeper holds one end of a socket, and this process the other one. This process sends the instance id of each session
//! before it starts the session's process, and again when the session is over. The end of the stream is the end of the host.
//!
//! The keeper is started with the first process, off the calling thread, and again if it is killed. Without a keeper,
//! sessions work, and there is a warning.

use clearctx_proctree::InstanceId;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
pub use platform::{failure, ready, set_program, watches};

/// A session that the keeper knows of, until [`Guard::release`] or the drop.
#[derive(Debug)]
pub struct Guard {
    instance: InstanceId,
    is_released: AtomicBool,
}

impl Guard {
    /// Tells the keeper of a session that is about to be started. Needs the runtime's context.
    #[must_use]
    pub fn new(instance: &InstanceId) -> Self {
        platform::watch(instance);
        Self {
            instance: instance.clone(),
            is_released: AtomicBool::new(false),
        }
    }

    /// Notes that the CLI has had its SIGINT: another one would disturb its reaction to the first.
    pub fn interrupted(&self) {
        platform::interrupted(&self.instance);
    }

    /// Notes that the session is over. Processes that its CLI was told to leave running may live as long as this host.
    pub fn release(&self) {
        // Only once: the next process of the session has the same id, and a guard of its own.
        if !self.is_released.swap(true, Ordering::Relaxed) {
            platform::release(&self.instance);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(unix)]
mod platform {
    use crate::{limits, warnings};
    use clearctx_keeper::Word;
    use clearctx_proctree::{InstanceId, spawning};
    use parking_lot::{Mutex, MutexGuard};
    use rustix::event::{PollFd, PollFlags, poll};
    use std::collections::BTreeMap;
    use std::io::{self, ErrorKind, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::sync::LazyLock;
    use tokio::runtime::Handle;
    use tokio::sync::watch::Sender;
    use tokio::task::JoinHandle;

    static KEEPER: LazyLock<Mutex<Keeper>> = LazyLock::new(Mutex::default);

    static STATE: LazyLock<Sender<State>> = LazyLock::new(|| Sender::new(State::Settled));

    /// Whether a keeper watches.
    #[derive(Debug, Clone)]
    enum State {
        /// One is being started.
        Starting,
        /// A keeper watches, or none is wanted.
        Settled,
        /// There is none, for this reason.
        Failed(String),
    }

    #[derive(Default)]
    struct Keeper {
        program: Option<PathBuf>,
        runtime: Option<Handle>,
        /// The sessions that live, and whether they have had their SIGINT.
        sessions: BTreeMap<InstanceId, bool>,
        link: Option<UnixStream>,
        /// Links to keepers that did not read. They are never closed: such a keeper would take that for the end of the host.
        stuck: Vec<UnixStream>,
        /// Number of keepers so far; distinguishes news of the present keeper from news of an earlier one.
        starts: u32,
        has_failed: bool,
    }

    /// Sets the program of the keeper. Without a program there is no keeper.
    pub fn set_program(program: &Path) {
        lock().program = Some(program.to_owned());
    }

    /// Waits until a keeper watches, or cannot be started. Before that, no CLI should get work that no process would end.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn ready() {
        let mut state = STATE.subscribe();
        // The sender is static, so waiting cannot fail.
        let _ = state.wait_for(|state| !matches!(state, State::Starting)).await;
    }

    /// Whether a keeper watches.
    #[must_use]
    pub fn watches() -> bool {
        lock().link.is_some() && matches!(*STATE.borrow(), State::Settled)
    }

    /// Waits until it is known that there is no keeper, and says why.
    pub async fn failure() -> String {
        let mut state = STATE.subscribe();
        let failed = state.wait_for(|state| matches!(state, State::Failed(_))).await;
        match failed.as_deref() {
            Ok(State::Failed(reason)) => reason.clone(),
            // The sender is static, so waiting cannot fail.
            _ => String::new(),
        }
    }

    pub(super) fn watch(instance: &InstanceId) {
        let mut keeper = lock();
        keeper.runtime.get_or_insert_with(Handle::current);
        keeper.sessions.insert(instance.clone(), false);
        if keeper.link.is_some() {
            keeper.tell(&Word::Watch(instance.clone()));
        } else {
            keeper.start();
        }
    }

    pub(super) fn interrupted(instance: &InstanceId) {
        let mut keeper = lock();
        if let Some(interrupted) = keeper.sessions.get_mut(instance) {
            *interrupted = true;
            keeper.tell(&Word::Interrupted(instance.clone()));
        }
    }

    pub(super) fn release(instance: &InstanceId) {
        let mut keeper = lock();
        if keeper.sessions.remove(instance).is_some() {
            keeper.tell(&Word::Release(instance.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn knows(instance: &InstanceId) -> bool {
        lock().sessions.contains_key(instance)
    }

    impl Keeper {
        /// Starts a keeper, unless there is no program or it has failed before.
        fn start(&mut self) {
            let (Some(program), Some(runtime)) = (self.program.clone(), self.runtime.clone()) else {
                return;
            };
            if self.has_failed {
                return;
            }
            self.starts += 1;
            if self.starts > limits::KEEPER_STARTS {
                self.fail("it ended or stopped reading, again and again");
                return;
            }
            STATE.send_replace(State::Starting);
            if let Err(error) = self.connect(program, &runtime) {
                self.fail(&error.to_string());
            }
        }

        fn connect(&mut self, program: PathBuf, runtime: &Handle) -> io::Result<()> {
            let _context = runtime.enter();
            let (ours, theirs) = {
                let _spawning = spawning();
                UnixStream::pair()?
            };
            ours.set_nonblocking(true)?;
            let listening = tokio::net::UnixStream::from_std(ours.try_clone()?)?;
            // Started before it is sent the sessions: the socket cannot hold the lines of thousands.
            let launched = runtime.spawn_blocking(move || launch(&program, theirs.into()));
            let link = self.link.insert(ours);
            let mut words = String::new();
            for (instance, interrupted) in &self.sessions {
                words += &Word::Watch(instance.clone()).to_line();
                if *interrupted {
                    words += &Word::Interrupted(instance.clone()).to_line();
                }
            }
            runtime.spawn(attend(self.starts, launched, listening));
            match write_all(link, &words) {
                Err(error) if error.kind() == ErrorKind::TimedOut => Err(error),
                // Any other error means that it has ended: `attend` knows why.
                _ => Ok(()),
            }
        }

        fn tell(&mut self, word: &Word) {
            let Some(link) = &self.link else { return };
            let told = write_all(link, &word.to_line());
            // Any other error means that it has ended: `attend` notices that too, and starts the next one.
            if told.is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
                self.stuck.extend(self.link.take());
                self.start();
            }
        }

        fn fail(&mut self, reason: &str) {
            self.has_failed = true;
            self.stuck.extend(self.link.take());
            STATE.send_replace(State::Failed(reason.to_owned()));
            let consequence = "If this program is killed, processes of its sessions may live on";
            let message = format!("The keeper could not be started ({reason}). {consequence}");
            warnings::warn("CLEARCTX_NO_KEEPER", message);
        }
    }

    /// Listens to a keeper until it ends.
    async fn attend(number: u32, launched: JoinHandle<io::Result<()>>, link: tokio::net::UnixStream) {
        let launched = launched
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let greeting = async {
            let greeted = tokio::time::timeout(limits::KEEPER_START, hears(&link)).await;
            greeted.map_err(|_| io::Error::other("it does not answer"))
        };
        let greeted = match launched {
            Ok(()) => greeting.await,
            Err(error) => Err(error),
        };
        let Some(mut keeper) = present(number) else { return };
        if let Err(error) = greeted {
            keeper.fail(&error.to_string());
            return;
        }
        STATE.send_replace(State::Settled);
        drop(keeper);
        while hears(&link).await {}
        let Some(mut keeper) = present(number) else { return };
        keeper.link = None;
        if !keeper.sessions.is_empty() {
            keeper.start();
        }
    }

    /// The state, if the present keeper has this number.
    fn present(number: u32) -> Option<MutexGuard<'static, Keeper>> {
        Some(lock()).filter(|keeper| keeper.starts == number)
    }

    /// Waits until the keeper writes something; `false` once it has ended.
    async fn hears(link: &tokio::net::UnixStream) -> bool {
        loop {
            if link.readable().await.is_err() {
                return false;
            }
            match link.try_read(&mut [0; 8]) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// Runs the program, which starts the keeper proper and exits. The keeper is then nobody's child, so a program that kills
    /// the host with all its descendants does not find it.
    fn launch(program: &Path, theirs: OwnedFd) -> io::Result<()> {
        let mut command = Command::new(program);
        command
            .arg("--detach")
            .arg(std::process::id().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", program.display()));
        let child = {
            let _spawning = spawning();
            command.spawn()
        };
        let status = child.and_then(|mut child| child.wait()).map_err(named)?;
        if status.success() {
            Ok(())
        } else {
            Err(named(io::Error::other(status.to_string())))
        }
    }

    /// Writes words; waits a moment if there is no room.
    fn write_all(mut link: &UnixStream, words: &str) -> io::Result<()> {
        let mut rest = words.as_bytes();
        while !rest.is_empty() {
            match link.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for_room(link)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_room(link: &UnixStream) -> io::Result<()> {
        let patience = limits::KEEPER_PATIENCE.try_into().map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(link, PollFlags::OUT)], Some(&patience)) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn lock() -> MutexGuard<'static, Keeper> {
        KEEPER.lock()
    }
}

#[cfg(all(unix, test))]
mod tests {
    use super::{Guard, platform};

    #[test]
    fn the_guard_of_an_old_process_does_not_release_the_next_one() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("is built");
        let _context = runtime.enter();
        let instance = "guarded twice".into();
        let old = Guard::new(&instance);
        old.release();
        let next = Guard::new(&instance);
        drop(old);
        assert!(platform::knows(&instance));
        drop(next);
        assert!(!platform::knows(&instance));
    }
}

#[cfg(windows)]
pub use platform::{failure, ready, set_program, watches};

/// Nothing to do: the system itself ends the processes in the jobs of a host that has ended.
#[cfg(windows)]
mod platform {
    use clearctx_proctree::InstanceId;
    use std::path::Path;

    /// Does nothing: there is no such program here.
    pub fn set_program(_program: &Path) {}

    /// Returns at once: there is nothing to wait for.
    pub async fn ready() {}

    /// True: the system watches.
    #[must_use]
    pub fn watches() -> bool {
        true
    }

    /// Never returns.
    pub async fn failure() -> String {
        std::future::pending().await
    }

    pub(super) fn watch(_instance: &InstanceId) {}

    pub(super) fn interrupted(_instance: &InstanceId) {}

    pub(super) fn release(_instance: &InstanceId) {}
}
