//! The keeper: a process of its own that waits for the end of its host and then ends the host's sessions. The host's
//! end is in the engine.
//!
//! `clearctx-keeper --detach PID` starts `clearctx-keeper PID` and exits; its standard input is the socket to the host
//! `PID`. Signals that end the host, and those of its terminal, do not reach the keeper.

use crate::Word;
use clearctx_proctree::{InstanceId, terminate};
use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::setsid;
use std::collections::BTreeSet;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

/// Number of ended sessions that the keeper remembers before it checks which of them have left processes running.
const REMEMBERED: usize = 500;

/// The sessions of the host.
#[derive(Debug, Default)]
struct Sessions {
    alive: BTreeSet<InstanceId>,
    interrupted: BTreeSet<InstanceId>,
    /// Sessions that are over and may have left processes running.
    over: BTreeSet<InstanceId>,
    /// Size of `over` that triggers the next prune.
    bound: usize,
}

impl Sessions {
    fn take(&mut self, word: Word) {
        match word {
            Word::Watch(instance) => {
                self.alive.insert(instance);
            }
            Word::Interrupted(instance) => {
                self.interrupted.insert(instance);
            }
            Word::Release(instance) => {
                self.alive.remove(&instance);
                self.interrupted.remove(&instance);
                self.over.insert(instance);
                self.forget();
            }
        }
    }

    /// Forgets ended sessions that have left no process, once there are many.
    fn forget(&mut self) {
        if self.over.len() > self.bound.max(REMEMBERED) {
            self.over = terminate::living(mem::take(&mut self.over));
            self.bound = 2 * self.over.len();
        }
    }

    fn all(self) -> BTreeSet<InstanceId> {
        self.alive.into_iter().chain(self.over).collect()
    }
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--detach", host] => detach(host),
        [host] if host.parse::<u32>().is_ok() => keep(host),
        _ => Err(io::Error::other("this program is started by clearctx")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is no other place to report it.
            let _ = writeln!(io::stderr(), "clearctx-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn detach(host: &str) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(host).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

fn keep(host: &str) -> io::Result<()> {
    // Fails only if it leads its session already.
    let _ = setsid();
    SigSet::all().thread_block()?;
    let mut link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let sessions = {
        let handle = handle_of(host);
        link.write_all(b"ready\n")?;
        listen(&link, handle.as_ref())?
    };
    let interrupted = sessions.interrupted.clone();
    // The host has ended, so the processes that are left cannot be reported.
    let _ = terminate::end_abandoned(sessions.all(), &interrupted);
    Ok(())
}

/// Reads the host's words until the host has ended. Returns the sessions that it left.
fn listen(link: &UnixStream, host: Option<&OwnedFd>) -> io::Result<Sessions> {
    link.set_nonblocking(true)?;
    let mut reader = BufReader::with_capacity(512, link);
    let mut sessions = Sessions::default();
    let mut text = String::new();
    loop {
        match reader.read_line(&mut text) {
            Ok(0) => return Ok(sessions),
            // A line is cut short only by the end of the host.
            Ok(_) => {
                if let Some(word) = text.strip_suffix('\n').and_then(Word::of_line) {
                    sessions.take(word);
                }
                text.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Everything that it wrote before its end has been read.
                if wait(link, host)? {
                    return Ok(sessions);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another sign of the host's end.
            Err(_) => return Ok(sessions),
        }
    }
}

/// Waits for a word. `true` if the host has ended and there is none.
fn wait(link: &UnixStream, host: Option<&OwnedFd>) -> io::Result<bool> {
    let mut awaited = vec![PollFd::new(link, PollFlags::IN)];
    awaited.extend(host.map(|handle| PollFd::new(handle, PollFlags::IN)));
    match poll(&mut awaited, None) {
        Ok(_) => Ok(awaited[0].revents().is_empty() && awaited.len() > 1 && !awaited[1].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A handle that also reports the end of the host. Another process may hold the other end of the socket, for instance a
/// copy of the host that was made by `fork` without `exec`.
#[cfg(target_os = "linux")]
fn handle_of(host: &str) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(host.parse().ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// None: on this system only the socket reports the end.
#[cfg(not(target_os = "linux"))]
fn handle_of(_host: &str) -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_stream_leaves_all_sessions_that_were_told_of() {
        let (mut host, link) = UnixStream::pair().expect("a pair of sockets");
        host.write_all(b"+a\n+b\n!b\n+c\n!a\n-a\n+cut").expect("room");
        drop(host);
        let sessions = listen(&link, None).expect("the link can be read");
        assert_eq!(sessions.alive, BTreeSet::from(["b".into(), "c".into()]));
        assert_eq!(sessions.interrupted, BTreeSet::from(["b".into()]));
        assert_eq!(sessions.over, BTreeSet::from(["a".into()]));
    }

    #[test]
    fn sessions_that_have_left_nothing_are_forgotten() {
        let mut sessions = Sessions::default();
        for number in 0..3 * REMEMBERED {
            sessions.take(Word::Watch(format!("session {number}").into()));
            sessions.take(Word::Release(format!("session {number}").into()));
        }
        assert!(sessions.over.len() <= REMEMBERED);
        assert!(sessions.alive.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_end_of_the_host_is_told_also_if_somebody_holds_the_other_end_of_the_stream() {
        let (mut held, link) = UnixStream::pair().expect("a pair of sockets");
        let mut host = Command::new("sleep").arg("60").spawn().expect("a process");
        let handle = handle_of(&host.id().to_string()).expect("a handle of it");
        held.write_all(b"+a\n").expect("room");
        let waiting = std::thread::spawn(move || listen(&link, Some(&handle)));
        host.kill().expect("it lives");
        host.wait().expect("it is ours");
        let sessions = waiting.join().expect("no panic").expect("the link can be read");
        assert_eq!(sessions.alive, BTreeSet::from(["a".into()]));
    }
}
