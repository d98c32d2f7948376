//! CLIs that write their init when no known version does, as real processes: every message is answered.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use bench::start;
use clearctx_core::session::event::Event;
use clearctx_core::session::state::State;

const INIT: &str = r#"echo '{"type":"system","subtype":"init","session_id":"s"}'"#;
const RESULT: &str = r#"echo '{"type":"result","result":"ok","num_turns":1,"session_id":"s"}'"#;

#[test]
fn one_init_at_the_start_of_the_process() {
    let bench = start(&format!("{INIT}\nwhile read -r line; do {RESULT}; done"), "");
    bench.next(|event| matches!(event, Event::Init { .. }).then_some(()));
    for send in 1..=4 {
        bench.ask(send);
    }
    bench.stop();
}

#[test]
fn one_init_with_the_first_message() {
    let bench = start(
        &format!("read -r line; {INIT}; {RESULT}\nwhile read -r line; do {RESULT}; done"),
        "",
    );
    for send in 1..=4 {
        bench.ask(send);
    }
    bench.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_turn_that_is_none() {
    let bench = start(&format!("{INIT}\nwhile read -r line; do {RESULT}; done"), "");
    bench.next(|event| matches!(event, Event::Init { .. }).then_some(()));
    bench.stop();
}

#[test]
fn a_turn_of_the_clis_own_that_never_ends() {
    let bench = start(
        &format!("read -r line; {INIT}; {RESULT}; {INIT}\nwhile read -r line; do {INIT}; {RESULT}; done"),
        "",
    );
    bench.ask(1);
    bench.next(|event| matches!(event, Event::Init { .. }).then_some(()));
    assert!(bench.session.read(State::has_turn));
    bench.ask(2);
    bench.ask(3);
    bench.stop();
}
