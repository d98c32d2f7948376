//! A session on a real process, a script in the place of the CLI.
#![allow(dead_code, reason = "each test program needs a part of it")]

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
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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

/// A session whose CLI is a script, with its events.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) events: Receiver<Event>,
    saves: Receiver<Fields>,
    pub(crate) program: PathBuf,
    pub(crate) dir: TempDir,
}

pub(crate) fn prepare(program: &Path, extra: &str) -> Result<(Prepared, Receiver<Event>), Error> {
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

pub(crate) fn start(script: &str, extra: &str) -> Bench {
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
    pub(crate) fn send(&self, send: u64) {
        self.send_within(send, PATIENCE);
    }

    pub(crate) fn send_within(&self, send: u64, timeout: Duration) {
        self.send_content(send, format!("\"m{send}\""), timeout);
    }

    pub(crate) fn send_content(&self, send: u64, content: String, timeout: Duration) {
        let message = Message {
            send,
            content,
            prompt: turn::raw("\"p\""),
            uuid: None,
            timeout,
        };
        self.session.send(message).unwrap();
    }

    pub(crate) fn ask(&self, send: u64) {
        self.send(send);
        assert_eq!(self.answer(), Some(send));
    }

    /// The send that is answered next.
    pub(crate) fn answer(&self) -> Option<u64> {
        self.next(|event| match event {
            Event::Turn(turn) => Some(turn.send),
            Event::Failed { sends, error, .. } => panic!("sends {sends:?} failed: {error}"),
            Event::Close { .. } => panic!("closed"),
            _ => None,
        })
    }

    pub(crate) fn next<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("comes in time");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    }

    /// The sends that fail next, with the code, and whether the process had got them.
    pub(crate) fn failure(&self) -> (Vec<u64>, &'static str, bool) {
        self.next(|event| match event {
            Event::Failed { sends, error, sent } => Some((sends.clone(), error.code(), *sent)),
            _ => None,
        })
    }

    pub(crate) fn close(&self) -> (Option<i32>, Option<String>) {
        let close = self.next(|event| match event {
            Event::Close { code, signal } => Some((*code, signal.clone())),
            _ => None,
        });
        assert!(self.events.try_recv().is_err(), "nothing comes after the close");
        close
    }

    /// Suspends the session and waits until its process is gone.
    pub(crate) fn suspend(&self) {
        assert!(self.session.suspend().unwrap(), "it is idle");
        self.wait_until_suspended();
    }

    pub(crate) fn wait_until_suspended(&self) {
        loop {
            let saved = self.saves.recv_timeout(PATIENCE).expect("is saved in time");
            if saved.pid.is_none() {
                assert_ne!(saved.status, Status::Stopped);
                return;
            }
        }
    }

    /// A pipe that a script reads a line of before it goes on.
    pub(crate) fn make_gate(&self) -> PathBuf {
        let gate = self.dir.path().join("gate");
        let made = std::process::Command::new("mkfifo").arg(&gate).status();
        assert!(made.unwrap().success());
        gate
    }

    /// Lines of a file that the CLI writes.
    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    pub(crate) fn stop(&self) {
        self.session.stop();
        self.close();
        assert!(self.session.read(State::has_ended));
    }
}
