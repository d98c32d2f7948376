//! The core against real processes, without Node-API: a shell script in the place of the CLI, or the stand-in.
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
use clearctx_core::session::turn;
use serde_json::value::RawValue;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for an event before a test counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Teller(Sender<Event>);

impl EventSink for Teller {
    fn emit(&self, event: Event) {
        // The test may be over.
        let _ = self.0.send(event);
    }
}

/// A session whose CLI is this script, with its events.
struct Bench {
    session: Session,
    events: Receiver<Event>,
    _dir: TempDir,
}

fn start(script: &str, extra: &str) -> Result<Bench, Error> {
    start_kept(script, extra, None)
}

fn start_kept(script: &str, extra: &str, writer: Option<Arc<dyn Writer>>) -> Result<Bench, Error> {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("claude");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (teller, events) = channel();
    let prepared = Prepared::new(
        runtime::next_number(),
        options(dir.path(), &program, extra),
        &CallerEnv {
            env: std::env::vars().collect(),
            cwd: "/".into(),
        },
        Box::new(Teller(teller)),
    )?;
    if let Some(writer) = writer {
        prepared.session().keep_record(writer);
    }
    Ok(Bench {
        session: prepared.start(None)?,
        events,
        _dir: dir,
    })
}

fn options(dir: &Path, program: &Path, extra: &str) -> SessionOptions {
    let (dir, program) = (dir.display(), program.display());
    serde_json::from_str(&format!(
        r#"{{"name":"a","model":"m","workDir":"{dir}","claudePath":"{program}"{extra}}}"#
    ))
    .unwrap()
}

impl Bench {
    fn send(&self, send: u64) {
        self.send_within(send, PATIENCE);
    }

    fn send_within(&self, send: u64, timeout: Duration) {
        let prompt = turn::raw("\"p\"");
        self.session
            .send(Message {
                send,
                content: format!("\"m{send}\""),
                prompt,
                uuid: None,
                timeout,
            })
            .unwrap();
    }

    /// The next event for which `pick` finds something.
    fn next<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .expect("the event comes in time");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    }

    fn close(&self) -> (Option<i32>, Option<String>) {
        self.next(|event| match event {
            Event::Close { code, signal } => Some((*code, signal.clone())),
            _ => None,
        })
    }
}

const ANSWERS: &str = r#"
while read -r line; do
  echo '{"type":"system","subtype":"init","session_id":"s"}'
  echo '{"type":"result","result":"ok","num_turns":1,"session_id":"s"}'
done"#;

#[test]
fn a_turn_is_answered_and_a_stop_ends_the_process() {
    let bench = start(ANSWERS, "").unwrap();
    bench.send(7);
    let send = bench.next(|event| match event {
        Event::Turn(turn) => Some(turn.send),
        _ => None,
    });
    assert_eq!(send, Some(7));
    bench.session.stop();
    assert_eq!(bench.close(), (Some(0), None));
    assert!(bench.session.read(State::has_ended));
}

#[test]
fn a_process_that_ignores_end_of_input_and_sigint_is_killed() {
    let script = "trap '' INT\nwhile :; do sleep 1; done";
    let bench = start(script, r#","stopTimeout":50,"killTimeout":50"#).unwrap();
    bench.session.stop();
    assert_eq!(bench.close(), (None, Some("SIGKILL".into())));
}

#[cfg(target_os = "linux")]
#[test]
fn a_kill_reaches_descendants_in_sessions_of_their_own() {
    let script = "setsid sleep 300 &\n( setsid sleep 300 & )\nexec sleep 300";
    let bench = start(script, "").unwrap();
    let variable = format!("CLEARCTX_SESSION={}", bench.session.instance());
    wait_until(|| processes_with(&variable) == 3);
    bench.session.kill();
    assert_eq!(bench.close().1.as_deref(), Some("SIGKILL"));
    wait_until(|| processes_with(&variable) == 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_does_not_leave_the_clis_tools_behind() {
    let bench = start("setsid sleep 300 &\nkill -9 $$", "").unwrap();
    assert_eq!(bench.close().1.as_deref(), Some("SIGKILL"));
    assert_eq!(
        processes_with(&format!("CLEARCTX_SESSION={}", bench.session.instance())),
        0
    );
}

#[test]
fn a_crash_rejects_with_the_end_of_standard_error() {
    let bench = start("read -r line\necho first >&2\necho last words >&2\nexit 3", "").unwrap();
    bench.send(1);
    let error = bench.next(|event| match event {
        Event::Failed { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(
        error.to_string().ends_with("exited with code 3: last words"),
        "{error}"
    );
    assert_eq!(bench.close(), (Some(3), None));
}

#[test]
fn a_descendant_that_holds_the_pipes_does_not_delay_the_end() {
    let bench = start("sleep 300 &\necho $! >&2\nexit 0", "").unwrap();
    let before = std::time::Instant::now();
    assert_eq!(bench.close(), (Some(0), None));
    assert!(before.elapsed() < PATIENCE / 2);
    clearctx_proctree::Descendants::of([bench.session.instance().clone()].into()).kill();
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (teller, _events) = channel();
    let missing = dir.path().join("missing");
    let caller = CallerEnv {
        env: std::env::vars().collect(),
        cwd: "/".into(),
    };
    let refused = Prepared::new(
        0,
        options(dir.path(), &missing, ""),
        &caller,
        Box::new(Teller(teller)),
    );
    assert_eq!(refused.err().map(|error| error.code()), Some("ERR_CLI_NOT_FOUND"));
    let script = start("true", "").unwrap();
    script.close();
}

#[cfg(target_os = "linux")]
fn processes_with(variable: &str) -> usize {
    let environments = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let alive = !std::fs::read_to_string(entry.path().join("stat"))
            .ok()?
            .contains(") Z ");
        std::fs::read(entry.path().join("environ")).ok().filter(|_| alive)
    });
    environments
        .filter(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == variable.as_bytes())
        })
        .count()
}

#[cfg(target_os = "linux")]
fn wait_until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < end, "the condition holds in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps a record as slowly as a test wants: each note waits until it is let go.
#[derive(Default)]
struct SlowWriter {
    notes: Mutex<Vec<(Option<String>, Stored)>>,
}

impl Writer for SlowWriter {
    fn save(&self, _: Fields, stored: Stored) {
        stored(Ok(()));
    }

    fn note(&self, pending: Option<Box<RawValue>>, stored: Stored) {
        let pending = pending.map(|list| list.get().to_owned());
        self.notes.lock().unwrap().push((pending, stored));
    }

    fn add_turn(&self, _: Box<RawValue>, _: Fields, stored: Stored) {
        stored(Ok(()));
    }
}

/// Sends a message whose note `answer` decides about; the process must get it then, and not before.
fn send_with_note(answer: impl FnOnce(Stored)) {
    let dir = tempfile::tempdir().unwrap();
    let got = dir.path().join("got");
    let writer = Arc::new(SlowWriter::default());
    let bench = start_kept(
        &format!(
            "read -r line; printf %s \"$line\" > '{0}.part'; mv '{0}.part' '{0}'; exec cat > /dev/null",
            got.display()
        ),
        "",
        Some(writer.clone()),
    )
    .unwrap();
    bench.send(1);
    let (pending, stored) = writer.notes.lock().unwrap().remove(0);
    let pending: serde_json::Value = serde_json::from_str(&pending.unwrap()).unwrap();
    // Nothing is to come, which no event can tell.
    std::thread::sleep(Duration::from_millis(100));
    assert!(!got.exists());
    answer(stored);
    wait_until(|| got.exists());
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&got).unwrap()).unwrap();
    assert_eq!(pending[0]["uuid"], line["uuid"]);
    bench.session.kill();
    bench.close();
}

#[test]
fn a_message_is_written_once_the_record_has_it_and_not_before() {
    send_with_note(|stored| stored(Ok(())));
}

#[test]
fn a_message_is_written_also_if_the_record_could_not_be_or_its_answer_got_lost() {
    send_with_note(|stored| {
        stored(Err(Error::Internal {
            reason: "a test".to_owned(),
        }));
    });
    send_with_note(drop);
}

#[test]
fn a_message_that_its_timeout_withdraws_before_the_record_has_it_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let got = dir.path().join("got");
    let writer = Arc::new(SlowWriter::default());
    let script = format!(
        "while read -r line; do echo \"$line\" >> '{}'; done",
        got.display()
    );
    let bench = start_kept(&script, "", Some(writer.clone())).unwrap();
    bench.send_within(1, Duration::from_millis(50));
    bench.send(2);
    let failed = bench.next(|event| match event {
        Event::Failed { sends, error, sent } => Some((sends.clone(), error.code(), *sent)),
        _ => None,
    });
    assert_eq!(failed, (vec![1], "ERR_TURN_TIMEOUT", false));
    wait_until(|| {
        for (_, stored) in std::mem::take(&mut *writer.notes.lock().unwrap()) {
            stored(Ok(()));
        }
        std::fs::read_to_string(&got).is_ok_and(|lines| lines.ends_with('\n'))
    });
    let lines = std::fs::read_to_string(&got).unwrap();
    assert!(lines.lines().count() == 1 && lines.contains("\"m2\""), "{lines}");
    bench.session.kill();
    bench.close();
}
