//! A session outlives its process: suspended, and gone on with in the next process, on real processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use bench::{PATIENCE, prepare, start};
use clearctx_core::session::event::Event;
use clearctx_core::session::state::State;
use clearctx_core::session::status::Status;
use std::fs;
use std::time::Duration;

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
        Event::Failed { sends, error, .. } => Some((sends[0], error.code())),
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
        Event::Failed { sends, error, .. } => Some((sends[0], error.code())),
        _ => None,
    });
    assert_eq!(failed, (2, "ERR_CLI_NOT_FOUND"));
    bench.close();
    assert_eq!(bench.session.read(State::status).0, Status::Failed);
}
