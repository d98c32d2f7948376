//! What became of a message on its way to the process, on real processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use bench::{Bench, PATIENCE, start};
use clearctx_core::error::Error;
use clearctx_core::runtime;
use clearctx_core::session::event::Event;
use clearctx_core::session::state::State;
use clearctx_core::session::status::Status;
use std::fs;
use std::time::{Duration, Instant};

const INIT: &str = r#"echo '{"type":"system","subtype":"init","session_id":"s"}'"#;
const RESULT: &str = r#"echo '{"type":"result","result":"ok","num_turns":1,"session_id":"s"}'"#;

/// More than a pipe takes.
fn big() -> String {
    format!("\"{}\"", "x".repeat(1024 * 1024))
}

fn wait_for(bench: &Bench, file: &str) {
    let end = Instant::now() + PATIENCE;
    while !bench.dir.path().join(file).exists() {
        assert!(Instant::now() < end, "{file} comes in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_cli_that_closed_its_input_ends_the_session_and_got_nothing() {
    let bench = start(
        &format!("read -r line; exec 0<&-; {INIT}; {RESULT}\nexec sleep 300"),
        r#","stopTimeout":50,"killTimeout":50"#,
    );
    bench.ask(1);
    bench.send(2);
    bench.send(3);
    let reason = bench.next(|event| match event {
        Event::Error { error } => Some(error.clone()),
        _ => None,
    });
    assert!(matches!(reason, Error::InputClosed { .. }), "{reason}");
    assert_eq!(bench.failure(), (vec![2], "ERR_PROCESS_EXITED", false));
    assert_eq!(bench.failure(), (vec![3], "ERR_PROCESS_EXITED", false));
    bench.close();
    assert_eq!(bench.session.read(State::status).0, Status::Failed);
}

#[test]
fn a_cli_that_dies_with_its_input_says_why_itself() {
    let bench = start(
        &format!("read -r line; exec 0<&-; {INIT}; {RESULT}\nsleep 0.2; echo words >&2; exit 3"),
        "",
    );
    bench.ask(1);
    bench.send(2);
    let error = bench.next(|event| match event {
        Event::Failed { error, sent, .. } => Some((error.to_string(), *sent)),
        _ => None,
    });
    assert!(
        error.0.ends_with("exited with code 3: words") && !error.1,
        "{error:?}"
    );
    bench.close();
}

#[test]
fn a_kill_says_what_the_pipe_had_taken() {
    for (content, has_got) in [(big(), false), ("\"m1\"".to_owned(), true)] {
        let script = if has_got { "read -r line" } else { "true" };
        let bench = start(
            &format!("{script}; touch \"$(dirname \"$0\")/ready\"; exec sleep 300"),
            "",
        );
        bench.send_content(1, content, PATIENCE);
        bench.send(2);
        wait_for(&bench, "ready");
        bench.session.kill();
        assert_eq!(bench.failure(), (vec![1], "ERR_SESSION_KILLED", has_got));
        assert_eq!(bench.failure(), (vec![2], "ERR_SESSION_KILLED", false));
        bench.close();
    }
}

#[test]
fn an_answer_that_is_there_comes_before_the_timeout() {
    let bench = start(
        &format!("while read -r line; do sleep 0.2; {INIT}; {RESULT}; done"),
        "",
    );
    bench.send_within(1, Duration::from_millis(600));
    // As a program that is stopped for a while: its deadlines pass, and the answer waits in the pipe.
    let io_thread = runtime::handle().unwrap();
    io_thread.spawn(async { std::thread::sleep(Duration::from_millis(1500)) });
    assert_eq!(bench.answer(), Some(1));
    bench.stop();
}

#[test]
fn a_stop_leaves_a_cli_its_time_that_closes_its_output_and_works_on() {
    let bench = start(
        &format!(
            "here=$(dirname \"$0\"); trap 'touch \"$here/interrupted\"; exit 1' INT\n\
             while read -r line; do {INIT}; {RESULT}; done\n\
             exec 1>&- 2>&-; sleep 2; touch \"$here/done\"; exit 0"
        ),
        r#","stopTimeout":30000"#,
    );
    bench.ask(1);
    bench.session.stop();
    assert_eq!(bench.close(), (Some(0), None));
    assert!(bench.dir.path().join("done").exists());
    assert!(!fs::exists(bench.dir.path().join("interrupted")).unwrap());
}

#[test]
fn a_send_costs_the_same_however_many_messages_wait() {
    let bench = start("exec sleep 300", "");
    let mut sends = 0;
    let mut fill = |to: u64| {
        let mut quickest = Duration::MAX;
        while sends < to {
            let begun = Instant::now();
            for _ in 0..200 {
                sends += 1;
                bench.send_within(sends, PATIENCE * 100);
            }
            quickest = quickest.min(begun.elapsed());
        }
        quickest
    };
    fill(2_000);
    let few = fill(3_000);
    fill(29_000);
    let many = fill(30_000);
    // The search of the next deadline among all of them cost ten times as much.
    assert!(many < few * 4, "{few:?} and {many:?} for 200 sends");
    bench.session.kill();
    assert_eq!(bench.failure().0, [1]);
    let (waiting, code, sent) = bench.failure();
    assert_eq!((waiting.len(), code, sent), (29_999, "ERR_SESSION_KILLED", false));
    bench.close();
}
