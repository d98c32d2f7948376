//! Control requests, interrupts, aborted messages.

use super::*;
use crate::session::event::AskEnd;

/// Control lines that were written: the id and what stands for the request or the answer.
fn controls(effects: &Effects) -> Vec<serde_json::Value> {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::WriteControl(line) => Some(serde_json::from_str(line).expect("it is JSON")),
        _ => None,
    });
    lines.collect()
}

/// Subtypes of the requests that were written.
fn requests(effects: &Effects) -> Vec<String> {
    let subtype = |line: &serde_json::Value| line["request"]["subtype"].as_str().map(str::to_owned);
    controls(effects).iter().filter_map(subtype).collect()
}

/// Calls that were settled, with their payload or code.
fn calls(effects: &Effects) -> Vec<(u64, String)> {
    let outcomes = effects.iter().filter_map(|effect| match effect {
        Effect::Emit(Event::Answered { call, value }) => Some((*call, value.get().to_owned())),
        Effect::Emit(Event::Refused { call, error }) => Some((*call, error.code().to_owned())),
        _ => None,
    });
    outcomes.collect()
}

/// Responses of turns.
fn responses(effects: &Effects) -> Vec<serde_json::Value> {
    let turns = effects.iter().filter_map(|effect| match effect {
        Effect::Record(turn) => Some(serde_json::from_str(turn.response.get()).expect("it is JSON")),
        _ => None,
    });
    turns.collect()
}

impl Bench {
    fn interrupt(&mut self, call: u64, drop_queue: bool) -> Effects {
        self.state
            .interrupt(call, drop_queue, None, self.now)
            .expect("the session is alive")
    }

    fn answer(&mut self, id: u64, payload: &str) -> Effects {
        self.line(&format!(
            r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"{id}","response":{payload}}}}}"#
        ))
    }

    fn cut(&mut self) -> Effects {
        self.line(
            r#"{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_streaming",
                "total_cost_usd":0.5,"session_id":"s"}"#,
        )
    }

    fn ask(&mut self, id: &str, request: &str) -> Effects {
        self.line(&format!(
            r#"{{"type":"control_request","request_id":"{id}","request":{request}}}"#
        ))
    }
}

const PERMISSION: &str = r#"{"subtype":"can_use_tool","tool_name":"Bash","input":{}}"#;

#[test]
fn an_interrupted_turn_answers_with_its_text_so_far_and_the_next_message_waits_for_the_receipt() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    bench.init();
    let effects = bench.interrupt(7, false);
    assert_eq!(
        (requests(&effects), calls(&effects)),
        (vec!["interrupt".to_owned()], vec![])
    );
    bench.line(
        r#"{"type":"assistant","message":{"model":"m","content":[{"type":"text","text":"so "},{"type":"text","text":"far"}]}}"#,
    );
    let effects = bench.cut();
    assert_eq!(calls(&effects), [(7, r#"{"interrupted":true}"#.to_owned())]);
    let response = &responses(&effects)[0];
    assert_eq!(response["text"], "so far");
    assert_eq!(response["interrupted"], true);
    assert_eq!(response["failure"], serde_json::Value::Null);
    assert_eq!(response["cost"], 0.5);
    assert_eq!(settled(&effects), [(1, "answered")]);
    assert!(written(&effects).is_empty(), "the interrupt might hit it");
    assert_eq!(written(&bench.answer(1, "{}")), ["2"]);
}

#[test]
fn an_interrupt_that_a_turn_began_after_is_written_again() {
    let mut bench = Bench::new();
    bench.send(1);
    assert_eq!(requests(&bench.interrupt(7, false)), ["interrupt"]);
    bench.answer(1, r#"{"still_queued":["x"]}"#);
    assert_eq!(requests(&bench.init()), ["interrupt"]);
    // The first one cut it all the same: the second must not hit the next message.
    bench.cut();
    assert!(written(&bench.send(2)).is_empty());
    assert_eq!(written(&bench.answer(2, "{}")), ["2"]);
}

#[test]
fn an_interrupt_of_an_idle_session_hits_nothing_and_one_before_the_process_hits_the_message() {
    let mut bench = Bench::new();
    let effects = bench.interrupt(1, true);
    assert_eq!(calls(&effects), [(1, r#"{"interrupted":false}"#.to_owned())]);
    assert!(requests(&effects).is_empty());
    bench.suspend().expect("it is idle");
    bench.state.on_exit(Some(0), None, "");
    bench.send(1);
    bench.send(2);
    let effects = bench.interrupt(2, true);
    assert_eq!(settled(&effects), [(2, "ERR_INTERRUPTED")]);
    let effects = bench.start();
    assert_eq!(
        (written(&effects), requests(&effects)),
        (vec!["1".to_owned()], vec!["interrupt".to_owned()])
    );
}

#[test]
fn a_mute_cli_blocks_nothing_longer_than_the_deadline() {
    let mut bench = Bench::with("default", r#"{"controlTimeout":1000}"#);
    bench.send(1);
    bench.init();
    bench.interrupt(7, false);
    bench
        .state
        .control(8, r#"{"subtype":"mcp_status"}"#, None, bench.now)
        .expect("it is alive");
    let result = bench.result("");
    assert_eq!(calls(&result), [(7, r#"{"interrupted":false}"#.to_owned())]);
    assert!(written(&bench.send(2)).is_empty());
    let effects = bench.after(SECOND);
    assert_eq!(calls(&effects), [(8, "ERR_CONTROL_TIMEOUT".to_owned())]);
    assert_eq!(written(&effects), ["2"]);
    // Late and doubled answers change nothing.
    assert!(calls(&bench.answer(2, "{}")).is_empty());
}

#[test]
fn a_request_has_its_answer_once_and_settings_are_kept_for_the_next_process() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench, request: &str| {
        requests(
            &bench
                .state
                .control(9, request, None, bench.now)
                .expect("it is alive"),
        )
    };
    assert_eq!(
        ask(&mut bench, r#"{"subtype":"set_model","model":"opus"}"#),
        ["set_model"]
    );
    assert_eq!(
        calls(&bench.answer(1, r#"{"a":1}"#)),
        [(9, r#"{"a":1}"#.to_owned())]
    );
    assert!(calls(&bench.answer(1, "{}")).is_empty());
    ask(
        &mut bench,
        r#"{"subtype":"set_permission_mode","mode":"acceptEdits"}"#,
    );
    bench.answer(2, "{}");
    assert_eq!(
        bench.state.changed_settings(),
        (Some("opus"), Some("acceptEdits"))
    );
    ask(&mut bench, r#"{"subtype":"x"}"#);
    let refusal =
        r#"{"type":"control_response","response":{"subtype":"error","request_id":"3","error":"unknown"}}"#;
    assert_eq!(calls(&bench.line(refusal)), [(9, "ERR_CONTROL".to_owned())]);
    ask(&mut bench, r#"{"subtype":"x"}"#);
    assert_eq!(
        calls(&bench.state.kill(bench.now)),
        [(9, "ERR_SESSION_KILLED".to_owned())]
    );
}

#[test]
fn a_request_whose_time_is_over_before_there_is_a_process_is_never_made() {
    let mut bench = Bench::with("default", r#"{"controlTimeout":1000}"#);
    bench.suspend().expect("it is idle");
    bench.state.on_exit(Some(0), None, "");
    let request = r#"{"subtype":"set_model","model":"opus"}"#;
    bench
        .state
        .control(9, request, None, bench.now)
        .expect("it is alive");
    assert_eq!(
        calls(&bench.after(SECOND)),
        [(9, "ERR_CONTROL_TIMEOUT".to_owned())]
    );
    assert!(requests(&bench.start()).is_empty());
}

#[test]
fn a_permission_request_is_answered_once_and_the_turns_time_stands_still_meanwhile() {
    let live = r#"{"asksPermission":true,"permissionTimeout":60000}"#;
    let mut bench = Bench::with("default", live);
    bench.send(1);
    bench.init();
    assert!(
        bench
            .ask("p", PERMISSION)
            .iter()
            .any(|effect| matches!(effect, Effect::Emit(Event::Ask { .. })))
    );
    assert_eq!(bench.state.pending_permissions(), 1);
    // The turn has 10 s.
    assert!(settled(&bench.after(50 * SECOND)).is_empty());
    let effects = bench
        .state
        .answer("p", Ok(r#"{"behavior":"allow"}"#), bench.now)
        .expect("it waits");
    assert_eq!(controls(&effects)[0]["response"]["response"]["behavior"], "allow");
    assert!(bench.state.answer("p", Ok("{}"), bench.now).is_none());
    assert!(settled(&bench.after(9 * SECOND)).is_empty());
    assert_eq!(settled(&bench.after(2 * SECOND)), [(1, "ERR_TURN_TIMEOUT")]);
}

#[test]
fn nobody_answers_in_time_and_the_call_is_denied() {
    let live = r#"{"asksPermission":true,"permissionTimeout":1000,
                   "hooks":{"h0":{"timeout":500,"fallback":"{\"decision\":\"block\"}"}}}"#;
    let mut bench = Bench::with("default", live);
    bench.ask("p", PERMISSION);
    bench.ask("h", r#"{"subtype":"hook_callback","callback_id":"h0"}"#);
    let effects = bench.after(SECOND);
    let answers: Vec<_> = controls(&effects)
        .into_iter()
        .map(|line| line["response"].clone())
        .collect();
    assert_eq!(answers[0]["response"]["behavior"], "deny");
    assert_eq!(
        (
            answers[1]["request_id"].as_str(),
            answers[1]["response"]["decision"].as_str()
        ),
        (Some("h"), Some("block"))
    );
    let over = effects.iter().filter_map(|effect| match effect {
        Effect::Emit(Event::AskOver { reason, .. }) => Some(*reason),
        _ => None,
    });
    assert_eq!(over.collect::<Vec<_>>(), [AskEnd::Timeout, AskEnd::Timeout]);
}

#[test]
fn what_the_program_does_not_answer_is_refused_at_once() {
    let mut bench = Bench::new();
    let denied = bench.ask("p", PERMISSION);
    assert_eq!(controls(&denied)[0]["response"]["response"]["behavior"], "deny");
    for request in [
        r#"{"subtype":"hook_callback","callback_id":"h9"}"#,
        r#"{"subtype":"of tomorrow"}"#,
    ] {
        assert_eq!(
            controls(&bench.ask("x", request))[0]["response"]["subtype"],
            "error"
        );
    }
    // A cancel of something unknown, an answer to nothing.
    assert!(
        bench
            .line(r#"{"type":"control_cancel_request","request_id":"zz"}"#)
            .is_empty()
    );
    assert!(bench.answer(99, "{}").is_empty());
}

#[test]
fn a_withdrawn_request_wants_no_answer() {
    let mut bench = Bench::with("default", r#"{"asksPermission":true}"#);
    bench.ask("p", PERMISSION);
    bench.line(r#"{"type":"control_cancel_request","request_id":"p"}"#);
    assert!(bench.state.answer("p", Ok("{}"), bench.now).is_none());
}

#[test]
fn nothing_is_sent_to_a_process_that_has_not_taken_its_hooks() {
    let mut bench = Bench::with(
        "default",
        r#"{"initialize":"{\"subtype\":\"initialize\",\"hooks\":{}}"}"#,
    );
    assert!(written(&bench.send(1)).is_empty());
    assert_eq!(written(&bench.answer(1, "{}")), ["1"]);
    for lapse in [true, false] {
        let mut bench = Bench::with("default", r#"{"initialize":"{\"subtype\":\"initialize\"}"}"#);
        bench.send(1);
        let effects = if lapse {
            bench.now += 60 * SECOND;
            bench.state.on_time(bench.now)
        } else {
            bench.line(
                r#"{"type":"control_response","response":{"subtype":"error","request_id":"1","error":"no"}}"#,
            )
        };
        assert!(
            effects.iter().any(|effect| matches!(effect, Effect::KillTree)),
            "{lapse}"
        );
        assert!(!bench.state.is_alive());
    }
}

#[test]
fn an_aborted_message_is_withdrawn_or_its_turn_is_cut() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    let effects = bench.state.abort(2, bench.now);
    assert_eq!(
        (settled(&effects), sent(&effects)),
        (vec![(2, "ERR_ABORTED")], vec![false])
    );
    *bench.pipe.taken.lock() = Taken::Nothing;
    let effects = bench.state.abort(1, bench.now);
    assert_eq!(
        (settled(&effects), sent(&effects)),
        (vec![(1, "ERR_ABORTED")], vec![false])
    );
    assert_eq!(bench.status(), Status::Ready);
    *bench.pipe.taken.lock() = Taken::All;
    bench.send(3);
    bench.init();
    let effects = bench.state.abort(3, bench.now);
    assert_eq!(
        (settled(&effects), sent(&effects)),
        (vec![(3, "ERR_ABORTED")], vec![true])
    );
    assert_eq!(requests(&effects), ["interrupt"]);
    assert!(bench.state.abort(3, bench.now).is_empty(), "it is settled");
    bench.answer(1, "{}");
    assert!(settled(&bench.cut()).is_empty());
    assert_eq!(written(&bench.send(4)), ["4"]);
}
