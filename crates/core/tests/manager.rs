//! A manager in a program without Node: names, records, forks, recovery and the end, on real processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clearctx_core::api::{Defaults, ForkRequest, Given};
use clearctx_core::error::{Error, Result};
use clearctx_core::ids::SessionName;
use clearctx_core::manager::Manager;
use clearctx_core::manager::starting::{Managed, Starting};
use clearctx_core::options::CallerEnv;
use clearctx_core::runtime;
use clearctx_core::session::effect::Message;
use clearctx_core::session::event::Event;
use clearctx_core::session::outbox::EventSink;
use clearctx_core::session::turn;
use clearctx_core::store::Store;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for an event before a test counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each message with its arguments; the id is the one it is given. `fail` is answered by an error.
const CLI: &str = r#"#!/bin/sh
for word in "$@"; do
  case $before in --session-id|--resume) id=$word;; esac
  before=$word
done
while read -r line; do
  echo '{"type":"system","subtype":"init","session_id":"'"$id"'","permissionMode":"default"}'
  error=false
  case $line in *fail*) error=true;; *hang*) exec sleep 300;; esac
  echo '{"type":"result","subtype":"success","is_error":'$error',"result":"'"$*"'","num_turns":1,"session_id":"'"$id"'"}'
done
"#;

struct Sink(Sender<Event>);

impl EventSink for Sink {
    fn emit(&self, event: Event) {
        // The test may be over.
        let _ = self.0.send(event);
    }
}

struct Program {
    manager: Manager,
    dir: TempDir,
}

/// A session of the program, and what it hears of it.
struct Running {
    managed: Managed,
    events: Receiver<Event>,
}

impl Program {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cli = dir.path().join("claude");
        fs::write(&cli, CLI).unwrap();
        fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).unwrap();
        let manager = Manager::new(Store::open(&dir.path().join("data")).unwrap());
        Self { manager, dir }
    }

    fn defaults(&self) -> Defaults {
        let dir = self.dir.path();
        let defaults = json!({
            "model": "m", "permissionMode": "default", "timeout": 20_000.0, "cwd": dir, "claudePath": dir.join("claude"),
        });
        serde_json::from_value(defaults).unwrap()
    }

    fn start(starting: Starting) -> Result<Running> {
        let caller = CallerEnv {
            env: std::env::vars().collect(),
            cwd: "/".into(),
        };
        let (sink, events) = channel();
        let managed = starting.run(&caller, |_| Box::new(Sink(sink)))?;
        Ok(Running { managed, events })
    }

    fn spawn(&self, name: &str) -> Result<Running> {
        let name = SessionName::new(name)?;
        Self::start(self.manager.spawn(&name, Given::default(), self.defaults())?)
    }

    fn resume(&self, name: &str) -> Result<Running> {
        Self::start(self.manager.resume(&SessionName::new(name)?, self.defaults())?)
    }

    fn fork(&self, source: &str, new_name: &str, text: &str) -> Result<Running> {
        let request = json!({ "source": source, "newName": new_name, "given": {}, "message": text });
        let request: ForkRequest = serde_json::from_value(request).unwrap();
        let starting = self.manager.fork(request, self.defaults())?;
        let first = starting.first_turn().unwrap().clone();
        let running = Self::start(starting)?;
        running.managed.session().send(message(1, &first.message))?;
        Ok(running)
    }

    fn ask(&self, name: &str, running: &Running, text: &str) -> String {
        self.manager.send(name, message(1, text)).unwrap();
        running.answer().unwrap()
    }

    fn status(&self, name: &str) -> Option<String> {
        self.manager.store().get(name).unwrap()?.get_str("status")
    }

    fn close(&self, timeout: Option<Duration>) {
        runtime::handle()
            .unwrap()
            .block_on(self.manager.close(timeout))
            .unwrap();
    }
}

impl Running {
    /// The next answer, or why there is none.
    fn answer(&self) -> Result<String> {
        loop {
            match self.events.recv_timeout(PATIENCE).unwrap() {
                Event::Turn(turn) => return Ok(turn.response.get().to_owned()),
                Event::Failed { error, .. } => return Err(error),
                _ => {}
            }
        }
    }
}

fn message(send: u64, text: &str) -> Message {
    let content = json!(text).to_string();
    Message {
        send,
        prompt: turn::raw(content.clone()),
        content,
        uuid: None,
        timeout: PATIENCE,
    }
}

#[test]
fn a_session_is_spawned_asked_stopped_and_resumed_by_its_name() {
    let program = Program::new();
    let running = program.spawn("a").unwrap();
    assert!(matches!(program.spawn("a"), Err(Error::SessionAlive { .. })));
    assert!(program.ask("a", &running, "hi").contains("--session-id"));
    program.manager.stop("a").unwrap();
    assert_eq!(program.status("a").as_deref(), Some("stopped"));
    assert!(matches!(
        program.manager.send("a", message(2, "x")),
        Err(Error::SessionNotAlive { .. })
    ));
    let resumed = program.resume("a").unwrap();
    assert!(program.ask("a", &resumed, "again").contains("--resume"));
    let record = program.manager.store().get("a").unwrap().unwrap();
    assert_eq!(record.get_u64("totalTurns"), Some(2));
    program.close(None);
    assert_eq!(program.status("a").as_deref(), Some("stopped"));
}

#[test]
fn a_fork_has_a_record_from_its_first_answer_on_and_none_if_that_fails() {
    let program = Program::new();
    let source = program.spawn("a").unwrap();
    program.ask("a", &source, "hi");
    let forked = program.fork("a", "b", "go on").unwrap();
    assert!(matches!(program.spawn("b"), Err(Error::SessionAlive { .. })));
    assert!(forked.answer().unwrap().contains("--fork-session"));
    let record = program.manager.store().get("b").unwrap().unwrap();
    assert_eq!(record.get_str("parent").as_deref(), Some("a"));
    let failed = program.fork("a", "c", "fail").unwrap();
    assert!(matches!(failed.answer(), Err(Error::ForkFailed { .. })));
    drop(failed);
    assert_eq!(program.status("c"), None);
    assert!(program.spawn("c").is_ok(), "the name is free again");
    program.close(None);
}

#[test]
fn delete_ends_the_session_and_removes_its_record() {
    let program = Program::new();
    let running = program.spawn("a").unwrap();
    program.ask("a", &running, "hi");
    assert!(program.manager.delete("a").unwrap());
    assert_eq!(program.status("a"), None);
    assert!(!program.manager.delete("a").unwrap());
    assert!(program.spawn("a").is_ok());
    program.close(None);
}

#[test]
fn close_kills_what_does_not_end_in_time() {
    let program = Program::new();
    let running = program.spawn("a").unwrap();
    program.manager.send("a", message(1, "hang")).unwrap();
    let pid = running.managed.session().pid().unwrap();
    program.close(Some(Duration::from_millis(200)));
    assert!(running.answer().is_err());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_name_that_no_file_can_hold_is_refused() {
    let program = Program::new();
    for name in ["", "a\0b"] {
        let error = program.spawn(name).err().unwrap();
        assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    }
}
