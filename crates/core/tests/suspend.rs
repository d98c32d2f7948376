//! A session outlives its process: suspended, and gone on with in the next process, on real processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clearctx_core::error::Error;
use clearctx_core::options::{CallerEnv, SessionOptions};
use clearctx_core::runtime;
use clearctx_core::session::effect::Message;
use clearctx_core::session::event::Event;
use clearctx_core::session::handle::Session;
use clearctx_core::session::outbox::EventSink;
use clearctx_core::session::record::{Fields, Stored, Writer};
use clearctx_core::session::start::Prepared;
use clearctx_core::session::state::State;
use clearctx_core::session::status::Status;
use clearctx_core::session::turn;
use serde_json::value::RawValue;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for an event before a test counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its id is the one it is given; every message is answered, and all it gets is noted beside it.
const CLI: &str = r#"
here=$(dirname "$0")
echo "$@" >> "$here/started"
for word in "$@"; do
  case $before in --session-id|--resume) id=$word;; esac
  before=$word
done
while read -r line; do
  echo "$line" >> "$here/messages"
  echo '{"type":"system","subtype":"init","session_id":"'"$id"'"}'
  n=$((n + 1))
  echo '{"type":"result","result":"ok","num_turns":1,"session_id":"'"$id"'","total_cost_usd":'$n',
    "usage":{"input_tokens":10},"modelUsage":{"m":{"inputTokens":'$((n * 10))'}}}' | tr -d '\n'
  echo
done"#;

struct Sink(Sender<Event>);

impl EventSink for Sink {
    fn emit(&self, event: Event) {
        // The test may be over.
        let _ = self.0.send(event);
    }
}

/// Hands on what the record is given.
struct Recorder(Sender<Fields>);

impl Writer for Recorder {
    fn save(&self, fields: Fields, stored: Stored) {
        let _ = self.0.send(fields);
        stored(Ok(()));
    }

    fn note(&self, _: Option<Box<RawValue>>, stored: Stored) {
        stored(Ok(()));
    }

    fn add_turn(&self, _: Box<RawValue>, fields: Fields, stored: Stored) {
        let _ = self.0.send(fields);
        stored(Ok(()));
    }
}

struct Bench {
    session: Session,
    events: Receiver<Event>,
    saves: Receiver<Fields>,
    program: PathBuf,
    dir: TempDir,
}

fn prepare(program: &Path, extra: &str) -> Result<(Prepared, Receiver<Event>), Error> {
    let (sink, events) = channel();
    let dir = program.parent().unwrap().display();
    let options: SessionOptions = serde_json::from_str(&format!(
        r#"{{"name":"a","model":"m","workDir":"{dir}","claudePath":"{}"{extra}}}"#,
        program.display()
    ))
    .unwrap();
    let caller = CallerEnv {
        env: std::env::vars().collect(),
        cwd: "/".into(),
    };
    let prepared = Prepared::new(runtime::next_number(), options, &caller, Box::new(Sink(sink)))?;
    Ok((prepared, events))
}

fn start(script: &str, extra: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("claude");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (prepared, events) = prepare(&program, extra).unwrap();
    let (recorder, saves) = channel();
    prepared.session().keep_record(Arc::new(Recorder(recorder)));
    Bench {
        session: prepared.start(None).unwrap(),
        events,
        saves,
        program,
        dir,
    }
}

impl Bench {
    fn send(&self, send: u64) {
        self.send_within(send, PATIENCE);
    }

    fn send_within(&self, send: u64, timeout: Duration) {
        let message = Message {
            send,
            content: format!("\"m{send}\""),
            prompt: turn::raw("\"p\""),
            uuid: None,
            timeout,
        };
        self.session.send(message).unwrap();
    }

    fn ask(&self, send: u64) {
        self.send(send);
        assert_eq!(self.answer(), Some(send));
    }

    /// The send that is answered next.
    fn answer(&self) -> Option<u64> {
        self.next(|event| match event {
            Event::Turn(turn) => Some(turn.send),
            Event::Failed { send, error } => panic!("send {send} failed: {error}"),
            Event::Close { .. } => panic!("closed"),
            _ => None,
        })
    }

    fn next<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("comes in time");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    }

    fn close(&self) -> (Option<i32>, Option<String>) {
        let close = self.next(|event| match event {
            Event::Close { code, signal } => Some((*code, signal.clone())),
            _ => None,
        });
        assert!(self.events.try_recv().is_err(), "nothing comes after the close");
        close
    }

    /// Suspends the session and waits until its process is gone.
    fn suspend(&self) {
        assert!(self.session.suspend().unwrap(), "it is idle");
        self.wait_until_suspended();
    }

    fn wait_until_suspended(&self) {
        loop {
            let saved = self.saves.recv_timeout(PATIENCE).expect("is saved in time");
            if saved.pid.is_none() {
                assert_ne!(saved.status, Status::Stopped);
                return;
            }
        }
    }

    /// A pipe that a script reads a line of before it goes on.
    fn make_gate(&self) -> PathBuf {
        let gate = self.dir.path().join("gate");
        let made = std::process::Command::new("mkfifo").arg(&gate).status();
        assert!(made.unwrap().success());
        gate
    }

    /// Lines of a file that the CLI writes.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn stop(&self) {
        self.session.stop();
        self.close();
        assert!(self.session.read(State::has_ended));
    }
}

#[test]
fn the_next_message_starts_the_next_process_which_resumes_and_gets_it_once() {
    let bench = start(CLI, "");
    bench.ask(1);
    let first = bench.session.pid();
    bench.suspend();
    assert_eq!(
        (bench.session.pid(), bench.session.read(State::status).0),
        (None, Status::Ready)
    );
    assert!(bench.session.suspend().unwrap(), "it is already");
    bench.ask(2);
    bench.ask(3);
    assert_ne!(bench.session.pid(), first);
    let (started, messages) = (bench.lines("started"), bench.lines("messages"));
    let id = bench.session.options().new_session_id.clone().unwrap();
    assert_eq!((started.len(), messages.len()), (2, 3));
    assert!(started[0].ends_with(&format!("--session-id {id}")), "{started:?}");
    assert!(started[1].ends_with(&format!("--resume {id}")), "{started:?}");
    // The running total of each process begins at 0: 1 in the first, 1 and 2 in the second.
    assert_eq!(bench.session.read(State::totals), (3.0, 3));
    bench.stop();
}

#[test]
fn messages_that_come_while_the_process_leaves_wait_for_the_next_one() {
    let leaves = "here=$(dirname \"$0\")\nread -r gate < \"$here/gate\"";
    let bench = start(&format!("{CLI}\n{leaves}"), "");
    let gate = bench.dir.path().join("gate");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    bench.ask(1);
    assert!(bench.session.suspend().unwrap());
    bench.send(2);
    bench.send(3);
    assert_eq!(bench.session.read(State::status).0, Status::Busy);
    assert_eq!(bench.lines("started").len(), 1);
    fs::write(&gate, "go\n").unwrap();
    assert_eq!((bench.answer(), bench.answer()), (Some(2), Some(3)));
    assert_eq!(
        (bench.lines("started").len(), bench.lines("messages").len()),
        (2, 3)
    );
    bench.session.kill();
    bench.close();
}

#[test]
fn many_suspensions_lose_and_double_nothing() {
    let bench = start(CLI, "");
    for send in 1..=20 {
        bench.ask(send);
        assert!(bench.session.suspend().unwrap());
        if send % 3 == 0 {
            bench.wait_until_suspended();
        }
        if send % 4 == 0 {
            bench.session.wake().unwrap();
        }
    }
    let expected: Vec<String> = (1..=20).map(|send| format!("\"content\":\"m{send}\"")).collect();
    let messages = bench.lines("messages");
    assert_eq!(messages.len(), expected.len());
    assert!(
        messages
            .iter()
            .zip(&expected)
            .all(|(line, part)| line.contains(part))
    );
    bench.stop();
}

#[test]
fn a_process_that_does_not_leave_is_ended_and_its_descendants_with_it() {
    let bench = start(
        &format!("trap '' INT\n{CLI}\nsetsid sleep 300 &\nexec sleep 300"),
        r#","stopTimeout":50,"killTimeout":50"#,
    );
    bench.ask(1);
    bench.suspend();
    let instance = bench.session.instance().clone();
    assert!(clearctx_proctree::terminate::living([instance].into()).is_empty());
    bench.ask(2);
    bench.session.kill();
    assert_eq!(bench.close().1.as_deref(), Some("SIGKILL"));
}

#[test]
fn a_suspended_session_ends_without_a_process() {
    for kill in [false, true] {
        let bench = start(CLI, "");
        bench.ask(1);
        bench.suspend();
        if kill {
            bench.session.kill()
        } else {
            bench.session.stop()
        };
        assert_eq!(bench.close(), (None, None));
        assert_eq!(bench.lines("started").len(), 1);
    }
}

#[test]
fn a_stop_of_a_session_whose_next_process_is_on_its_way_leaves_none() {
    let bench = start(CLI, "");
    bench.ask(1);
    bench.suspend();
    bench.session.wake().unwrap();
    bench.session.kill();
    bench.close();
    let instance = bench.session.instance().clone();
    // Whether it was started at all is a race; that none is left is not.
    let end = std::time::Instant::now() + PATIENCE;
    while !clearctx_proctree::terminate::living([instance.clone()].into()).is_empty() {
        assert!(std::time::Instant::now() < end, "it is gone in time");
        std::thread::yield_now();
    }
}

#[test]
fn the_conversation_stays_the_suspended_sessions_own() {
    let id = uuid::Uuid::new_v4().to_string();
    let extra = format!(r#","sessionId":"{id}""#);
    let bench = start(CLI, &extra);
    bench.ask(1);
    bench.suspend();
    let (other, _events) = prepare(&bench.program, &extra).unwrap();
    let refused = other.start(None).err().map(|error| error.code());
    assert_eq!(refused, Some("ERR_SESSION_HELD"));
    bench.stop();
    let (other, events) = prepare(&bench.program, &extra).unwrap();
    let other = other.start(None).unwrap();
    other.kill();
    while !matches!(events.recv_timeout(PATIENCE).unwrap(), Event::Close { .. }) {}
}

#[test]
fn time_passes_for_the_messages_of_a_session_that_was_paused_and_suspended() {
    let gated = CLI.replace("n=$((n + 1))", "n=$((n + 1)); read -r gate < \"$here/gate\"");
    let bench = start(&gated, "");
    let gate = bench.make_gate();
    bench.send(2);
    bench.send_within(3, Duration::from_millis(300));
    bench.session.pause().unwrap();
    fs::write(&gate, "go\n").unwrap();
    assert_eq!(bench.answer(), Some(2));
    bench.suspend();
    let failed = bench.next(|event| match event {
        Event::Failed { send, error } => Some((*send, error.code())),
        _ => None,
    });
    assert_eq!(failed, (3, "ERR_TURN_TIMEOUT"));
    assert_eq!((bench.session.pid(), bench.lines("started").len()), (None, 1));
    bench.stop();
}

#[test]
fn a_next_process_that_cannot_be_started_ends_the_session_with_the_reason() {
    let bench = start(CLI, "");
    bench.ask(1);
    bench.suspend();
    fs::remove_file(&bench.program).unwrap();
    bench.send(2);
    let failed = bench.next(|event| match event {
        Event::Failed { send, error } => Some((*send, error.code())),
        _ => None,
    });
    assert_eq!(failed, (2, "ERR_CLI_NOT_FOUND"));
    bench.close();
    assert_eq!(bench.session.read(State::status).0, Status::Failed);
}
