//! The rules of a session, checked without a process.

mod control;
mod failure;
mod permission;

use super::{Effect, Effects, Message, State};
use crate::error::Error;
use crate::ids::ConversationId;
use crate::protocol::inbound;
use crate::session::delivery::Delivery;
use crate::session::event::Event;
use crate::session::status::Status;
use crate::session::turn;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A session under test with the moment it believes in.
struct Bench {
    state: State,
    pipe: Arc<Pipe>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::asking("default")
    }

    /// A session that asks for a permission mode.
    fn asking(mode: &str) -> Self {
        Self::with(mode, "{}")
    }

    /// A session with `live` options.
    fn with(mode: &str, live: &str) -> Self {
        let json = format!(
            r#"{{"name":"a","model":"m","workDir":"/","permissionMode":"{mode}","timeout":10000,"stopTimeout":5000,
                "killTimeout":2000,"live":{live}}}"#
        );
        let options = serde_json::from_str(&json).expect("test options are complete");
        let mut bench = Self {
            state: State::new(Arc::new(options)),
            pipe: Arc::default(),
            now: Instant::now(),
        };
        bench.start();
        bench
    }

    fn start(&mut self) -> Effects {
        let pipe: Arc<Pipe> = Arc::clone(&self.pipe);
        self.state.started(pipe, self.now).expect("nothing has ended it")
    }

    fn send(&mut self, send: u64) -> Effects {
        let prompt = turn::raw("\"p\"");
        let message = Message {
            send,
            content: format!("\"m{send}\""),
            prompt,
            uuid: None,
            timeout: 10 * SECOND,
        };
        self.state.send(message, self.now).expect("the session is alive")
    }

    fn line(&mut self, line: &str) -> Effects {
        self.state.on_frame(inbound::parse(line), line, None, self.now)
    }

    fn init(&mut self) -> Effects {
        self.line(r#"{"type":"system","subtype":"init","session_id":"s"}"#)
    }

    fn result(&mut self, extra: &str) -> Effects {
        self.line(&format!(
            r#"{{"type":"result","result":"r","num_turns":1,"session_id":"s"{extra}}}"#
        ))
    }

    fn after(&mut self, time: Duration) -> Effects {
        self.now += time;
        self.state.on_time(self.now)
    }

    fn suspend(&mut self) -> Option<Effects> {
        self.state.suspend(self.now).expect("the session is alive")
    }

    fn status(&self) -> Status {
        self.state.status().0
    }
}

/// Numbers of the messages written.
fn written(effects: &Effects) -> Vec<String> {
    let text = |line: &String| {
        line.split("\"content\":\"m")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .map(str::to_owned)
    };
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Write(line) => text(line),
        _ => None,
    });
    lines.collect()
}

/// Sends that were settled: answered, or failed with a code.
fn settled(effects: &Effects) -> Vec<(u64, &'static str)> {
    let outcomes = effects.iter().flat_map(|effect| match effect {
        Effect::Record(turn) => turn.send.map(|send| (send, "answered")).into_iter().collect(),
        Effect::Emit(Event::Failed { sends, error, .. }) => {
            sends.iter().map(|send| (*send, error.code())).collect()
        }
        _ => Vec::new(),
    });
    outcomes.collect()
}

/// Whether the process had got the sends that failed.
fn sent(effects: &Effects) -> Vec<bool> {
    let failed = effects.iter().filter_map(|effect| match effect {
        Effect::Emit(Event::Failed { sent, .. }) => Some(*sent),
        _ => None,
    });
    failed.collect()
}

/// What a pipe has taken of the last message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Part,
    #[default]
    All,
}

/// A pipe in memory.
#[derive(Debug, Default)]
struct Pipe {
    taken: Mutex<Taken>,
    given_up: AtomicBool,
}

impl Delivery for Pipe {
    fn withdraw(&self) -> bool {
        *self.taken.lock() == Taken::Nothing
    }

    fn is_complete(&self) -> bool {
        *self.taken.lock() == Taken::All
    }

    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

fn ends_input(effects: &Effects) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::EndInput))
}

#[test]
fn one_message_is_in_flight_and_the_others_wait_in_order() {
    let mut bench = Bench::new();
    assert_eq!(written(&bench.send(1)), ["1"]);
    assert!(written(&bench.send(2)).is_empty());
    assert!(written(&bench.send(3)).is_empty());
    bench.init();
    let effects = bench.result("");
    assert_eq!(
        (settled(&effects), written(&effects)),
        (vec![(1, "answered")], vec!["2".to_owned()])
    );
    assert_eq!(bench.status(), Status::Busy);
}

#[test]
fn nothing_is_written_while_a_turn_of_the_clis_own_runs() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.init();
    assert_eq!(bench.status(), Status::Busy);
    assert!(written(&bench.send(2)).is_empty());
    let effects = bench.result(r#","origin":{"kind":"task-notification"}"#);
    assert_eq!(
        (settled(&effects), written(&effects)),
        (vec![], vec!["2".to_owned()])
    );
}

#[test]
fn a_turn_of_the_clis_own_at_the_start_is_known_by_its_content() {
    let mut bench = Bench::new();
    bench.init();
    bench.line(CONTENT);
    assert_eq!(bench.status(), Status::Busy);
    assert!(written(&bench.send(1)).is_empty());
    assert_eq!(written(&bench.result("")), ["1"]);
}

#[test]
fn a_foreign_result_settles_nobody_and_counts() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    assert!(
        settled(&bench.result(r#","total_cost_usd":0.5,"origin":{"kind":"task-notification"}"#)).is_empty()
    );
    bench.init();
    assert_eq!(
        settled(&bench.result(r#","total_cost_usd":0.75"#)),
        [(1, "answered")]
    );
    assert_eq!(bench.state.totals(), (0.75, 2));
}

#[test]
fn a_second_result_without_an_init_does_not_answer_the_next_message() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.send(2);
    assert!(settled(&bench.result("")).is_empty());
    bench.init();
    assert_eq!(settled(&bench.result("")), [(2, "answered")]);
}

#[test]
fn a_second_result_for_a_message_does_not_answer_the_next_one() {
    let mut bench = Bench::new();
    let uuid = |effects: &Effects| match &effects[0] {
        Effect::Write(line) => line
            .split("\"uuid\":\"")
            .nth(1)
            .map(|rest| rest[..36].to_owned())
            .expect("has a uuid"),
        other => panic!("not a write: {other:?}"),
    };
    let names = |uuid: &str| format!(r#","user_message_uuids":["{uuid}"]"#);
    let first = uuid(&bench.send(1));
    bench.init();
    assert_eq!(settled(&bench.result(&names(&first))), [(1, "answered")]);
    bench.send(2);
    bench.init();
    assert!(settled(&bench.result(&names(&first))).is_empty());
}

#[test]
fn a_result_that_names_other_messages_answers_nobody() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    let effects = bench.result(r#","user_message_uuids":["unheard of"]"#);
    assert!(settled(&effects).is_empty());
    bench.init();
    assert_eq!(settled(&bench.result("")), [(1, "answered")]);
}

const CONTENT: &str = r#"{"type":"assistant","message":{"content":[]}}"#;

#[test]
fn a_cli_that_writes_its_init_at_the_start_answers_each_message() {
    let mut bench = Bench::new();
    bench.init();
    assert_eq!(bench.status(), Status::Ready);
    assert_eq!(written(&bench.send(1)), ["1"]);
    assert_eq!(settled(&bench.result("")), [(1, "answered")]);
    // The second one is late once, since it might be a repetition. Then the habit is known.
    bench.send(2);
    assert!(settled(&bench.result("")).is_empty());
    assert_eq!(settled(&bench.after(SECOND)), [(2, "answered")]);
    bench.send(3);
    assert_eq!(settled(&bench.result("")), [(3, "answered")]);
}

#[test]
fn content_before_a_result_without_an_init_shows_that_there_was_a_turn() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.send(2);
    bench.line(CONTENT);
    assert_eq!(settled(&bench.result("")), [(2, "answered")]);
}

#[test]
fn a_known_version_gets_more_time_for_its_init() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s","claude_code_version":"2.1.197"}"#;
    let mut bench = Bench::new();
    bench.send(1);
    bench.line(init);
    bench.result("");
    bench.send(2);
    bench.line(CONTENT);
    bench.result("");
    assert!(settled(&bench.after(4 * SECOND)).is_empty());
    let effects = bench.line(init);
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Record(turn) if turn.interaction.get().contains("\"background\""))
    ));
    assert_eq!(settled(&bench.result("")), [(2, "answered")]);
}

#[test]
fn a_result_that_may_be_the_answer_comes_before_a_timeout_and_an_end() {
    let held = || {
        let mut bench = Bench::new();
        bench.send(1);
        bench.init();
        bench.result("");
        bench.now += SECOND / 2;
        bench.send(2);
        bench.now += SECOND * 39 / 4;
        bench.result("");
        bench
    };
    assert_eq!(settled(&held().after(SECOND / 4)), [(2, "answered")]);
    let mut bench = held();
    assert_eq!(
        settled(&bench.state.on_exit(Some(0), None, "")),
        [(2, "answered")]
    );
    assert_eq!(bench.status(), Status::Stopped);
    let mut bench = held();
    assert_eq!(settled(&bench.state.kill(bench.now)), [(2, "answered")]);
}

#[test]
fn a_turn_of_the_clis_own_that_never_ends_holds_nothing_back_for_ever() {
    for stop in [false, true] {
        let mut bench = Bench::new();
        bench.send(1);
        bench.init();
        bench.result("");
        bench.init();
        assert_eq!(bench.status(), Status::Busy);
        let effects = if stop {
            bench.state.stop(bench.now);
            bench.after(5 * SECOND)
        } else {
            assert!(written(&bench.send(2)).is_empty());
            bench.after(5 * SECOND)
        };
        assert_eq!(
            (written(&effects).len(), ends_input(&effects)),
            (usize::from(!stop), stop)
        );
    }
}

#[test]
fn a_turn_of_the_clis_own_that_works_is_waited_for_as_long_as_a_turn_may_take() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.init();
    bench.line(CONTENT);
    bench.after(9 * SECOND);
    bench.line(CONTENT);
    bench.after(SECOND);
    assert_eq!(bench.status(), Status::Busy);
    assert!(written(&bench.send(2)).is_empty());
    assert!(written(&bench.after(8 * SECOND)).is_empty());
    assert_eq!(written(&bench.after(SECOND)), ["2"]);
    // It was at work all the time: its result says so, and ours comes after it.
    assert!(settled(&bench.result(r#","origin":{"kind":"task-notification"}"#)).is_empty());
    bench.init();
    assert_eq!(settled(&bench.result("")), [(2, "answered")]);
}

#[test]
fn an_init_that_begins_no_turn_does_not_take_the_next_answer() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.init();
    bench.after(5 * SECOND);
    bench.send(2);
    bench.result("");
    assert_eq!(settled(&bench.after(SECOND)), [(2, "answered")]);
}

#[test]
fn a_timeout_withdraws_what_waits_and_abandons_what_was_sent() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.now += SECOND;
    bench.send(2);
    assert_eq!(settled(&bench.after(9 * SECOND)), [(1, "ERR_TURN_TIMEOUT")]);
    let effects = bench.after(SECOND);
    assert_eq!(settled(&effects), [(2, "ERR_TURN_TIMEOUT")]);
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Emit(Event::Failed {
            error: Error::TurnTimeout { sent: false, .. },
            ..
        })
    )));
    assert!(
        written(&bench.send(3)).is_empty(),
        "the abandoned turn still runs"
    );
    bench.init();
    let effects = bench.result("");
    assert_eq!(
        (settled(&effects), written(&effects)),
        (vec![], vec!["3".to_owned()])
    );
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Record(turn) if turn.interaction.get().contains("\"late\":true"))
    ));
}

#[test]
fn a_pause_holds_back_until_the_next_send() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    bench.state.pause().expect("the session is alive");
    bench.init();
    let effects = bench.result("");
    assert_eq!(
        (settled(&effects), written(&effects)),
        (vec![(1, "answered")], vec![])
    );
    assert_eq!(bench.status(), Status::Paused);
    assert_eq!(written(&bench.send(3)), ["2"]);
}

#[test]
fn a_stop_lets_the_turn_finish_and_then_escalates() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    let effects = bench.state.stop(bench.now);
    assert_eq!(
        (settled(&effects), ends_input(&effects)),
        (vec![(2, "ERR_SESSION_STOPPED")], false)
    );
    assert_eq!(bench.status(), Status::Stopped);
    bench.init();
    let effects = bench.result("");
    assert_eq!(
        (settled(&effects), ends_input(&effects)),
        (vec![(1, "answered")], true)
    );
    assert!(matches!(bench.after(5 * SECOND)[..], [Effect::Interrupt]));
    assert!(matches!(bench.after(2 * SECOND)[..], [Effect::KillTree]));
    assert!(bench.state.send(message(9), bench.now).is_err());
}

#[test]
fn a_stop_waits_for_a_turn_no_longer_than_the_turns_own_time() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.state.stop(bench.now);
    let effects = bench.after(10 * SECOND);
    assert_eq!(
        (settled(&effects), ends_input(&effects)),
        (vec![(1, "ERR_TURN_TIMEOUT")], true)
    );
}

#[test]
fn a_kill_rejects_everything_at_once() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    let effects = bench.state.kill(bench.now);
    assert_eq!(
        settled(&effects),
        [(1, "ERR_SESSION_KILLED"), (2, "ERR_SESSION_KILLED")]
    );
    assert!(effects.iter().any(|effect| matches!(effect, Effect::KillTree)));
    let effects = bench.state.on_exit(None, Some("SIGKILL".into()), "");
    assert!(settled(&effects).is_empty() && bench.state.has_ended());
    assert_eq!(bench.status(), Status::Killed);
}

#[test]
fn the_end_of_a_process_changes_the_record_whatever_its_status_was() {
    let mut bench = Bench::new();
    bench.state.kill(bench.now);
    let before = bench.state.revision();
    bench.state.on_exit(None, Some("SIGKILL".into()), "");
    assert!(
        bench.state.revision() > before,
        "the pid is gone, and an older save must not bring it back"
    );
}

#[test]
fn an_error_result_before_any_init_is_a_failed_start() {
    let mut bench = Bench::new();
    bench.send(1);
    let effects = bench.line(r#"{"type":"result","is_error":true,"errors":["No conversation found"]}"#);
    assert_eq!(settled(&effects), [(1, "ERR_START_FAILED")]);
    assert_eq!(bench.status(), Status::Failed);
    bench.state.on_exit(Some(1), None, "");
    assert_eq!(bench.status(), Status::Failed);
}

#[test]
fn a_result_that_cannot_be_read_fails_its_message_and_ends_the_turn() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    bench.init();
    let reason = String::new();
    let effects = bench.state.on_lost_result(&Error::Internal { reason }, bench.now);
    assert_eq!(
        (settled(&effects), written(&effects)),
        (vec![(1, "ERR_INTERNAL")], vec!["2".to_owned()])
    );
}

#[test]
fn an_exit_without_a_result_rejects_and_fails() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    let effects = bench.state.on_exit(Some(0), None, "words");
    assert_eq!(settled(&effects), [(1, "ERR_PROCESS_EXITED")]);
    assert_eq!(bench.status(), Status::Failed);
}

#[test]
fn exit_code_1_after_an_error_result_is_no_crash() {
    for (is_error, status) in [(true, Status::Stopped), (false, Status::Failed)] {
        let mut bench = Bench::new();
        bench.send(1);
        bench.init();
        bench.result(&format!(r#","is_error":{is_error}"#));
        bench.state.on_exit(Some(1), None, "");
        assert_eq!(bench.status(), status, "is_error {is_error}");
    }
}

#[test]
fn the_close_is_emitted_once_and_last() {
    let mut bench = Bench::new();
    bench.send(1);
    let effects = bench.state.on_exit(Some(3), None, "");
    assert!(matches!(
        effects.last(),
        Some(Effect::Emit(Event::Close {
            code: Some(3),
            signal: None
        }))
    ));
    assert!(bench.state.kill(bench.now).is_empty());
    assert!(bench.state.stop(bench.now).is_empty());
}

#[test]
fn a_session_that_was_ended_before_its_process_came_stays_ended() {
    for kill in [false, true] {
        let json = r#"{"name":"a","model":"m","workDir":"/"}"#;
        let mut state = State::new(Arc::new(
            serde_json::from_str(json).expect("test options are complete"),
        ));
        let now = Instant::now();
        if kill {
            state.kill(now)
        } else {
            state.stop(now)
        };
        assert!(state.started(Arc::new(Pipe::default()), now).is_none() && state.has_ended());
        assert!(
            state
                .failed_to_start(&Error::Internal {
                    reason: String::new()
                })
                .is_empty()
        );
    }
}

#[test]
fn numbers_without_bound_do_not_break_the_totals() {
    let mut bench = Bench::new();
    for send in 1..3 {
        bench.send(send);
        bench.init();
        bench.line(r#"{"type":"result","num_turns":1e30,"total_cost_usd":1e308,"model_usage_since_last_result":{"m":{"costUSD":1e308}}}"#);
    }
    assert_eq!(bench.state.totals(), (f64::MAX, u64::MAX));
}

#[test]
fn a_clear_changes_the_conversations_id() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.send(2);
    bench.line(r#"{"type":"system","subtype":"init","session_id":"t"}"#);
    assert_eq!(bench.state.session_id().map(ConversationId::as_str), Some("t"));
}

#[test]
fn every_rejection_says_what_the_process_has_got() {
    for (taken, has_got) in [(Taken::Nothing, false), (Taken::Part, false), (Taken::All, true)] {
        let bench = || {
            let mut bench = Bench::new();
            *bench.pipe.taken.lock() = taken;
            bench.send(1);
            bench.send(2);
            bench
        };
        let mut killed = bench();
        assert_eq!(sent(&killed.state.kill(killed.now)), [has_got, false]);
        assert_eq!(killed.pipe.given_up.load(Ordering::Relaxed), !has_got);
        let mut crashed = bench();
        assert_eq!(sent(&crashed.state.on_exit(Some(3), None, "")), [has_got, false]);
        let mut stopped = bench();
        assert_eq!(sent(&stopped.state.stop(stopped.now)), [false]);
    }
}

#[test]
fn a_message_that_never_left_is_withdrawn_by_its_timeout_and_blocks_nobody() {
    for (taken, has_left) in [(Taken::Nothing, false), (Taken::Part, true), (Taken::All, true)] {
        let mut bench = Bench::new();
        *bench.pipe.taken.lock() = taken;
        bench.send(1);
        bench.now += SECOND;
        bench.send(2);
        let effects = bench.after(9 * SECOND);
        assert_eq!(
            (settled(&effects), sent(&effects)),
            (vec![(1, "ERR_TURN_TIMEOUT")], vec![has_left])
        );
        assert_eq!(written(&effects).is_empty(), has_left);
    }
}

#[test]
fn a_process_that_does_not_read_any_more_ends_the_session_with_the_reason() {
    for taken in [Taken::Part, Taken::All] {
        let mut bench = Bench::new();
        *bench.pipe.taken.lock() = taken;
        bench.send(1);
        bench.send(2);
        let effects = bench.state.on_input_closed(bench.now);
        let reason = |effect: &Effect| {
            matches!(
                effect,
                Effect::Emit(Event::Error {
                    error: Error::InputClosed { .. }
                })
            )
        };
        assert!(effects.iter().any(reason));
        assert_eq!(bench.status(), Status::Failed);
        let lost = (1, "ERR_PROCESS_EXITED");
        let waiting = (2, "ERR_PROCESS_EXITED");
        if taken == Taken::Part {
            assert_eq!(
                (settled(&effects), ends_input(&effects)),
                (vec![lost, waiting], true)
            );
            assert_eq!(sent(&effects), [false, false]);
        } else {
            assert_eq!((settled(&effects), ends_input(&effects)), (vec![waiting], false));
            bench.init();
            let effects = bench.result("");
            assert_eq!(
                (settled(&effects), ends_input(&effects)),
                (vec![(1, "answered")], true)
            );
        }
    }
}

#[test]
fn a_stop_goes_on_as_it_is_when_the_process_closes_its_output() {
    let mut bench = Bench::new();
    bench.state.stop(bench.now);
    bench.now += SECOND;
    assert!(bench.state.on_silence(bench.now).is_empty());
    assert!(bench.after(3 * SECOND).is_empty());
    assert!(matches!(bench.after(SECOND)[..], [Effect::Interrupt]));
    let mut bench = Bench::new();
    bench.send(1);
    bench.state.stop(bench.now);
    let effects = bench.state.on_silence(bench.now);
    assert!(ends_input(&effects) && !effects.iter().any(|effect| matches!(effect, Effect::Interrupt)));
}

#[test]
fn a_session_with_something_to_do_is_not_suspended() {
    let mut bench = Bench::new();
    bench.send(1);
    assert!(bench.suspend().is_none(), "a turn runs");
    bench.init();
    bench.result("");
    bench.init();
    assert!(bench.suspend().is_none(), "a turn of the CLI's own runs");
    bench.result(r#","origin":{"kind":"task-notification"}"#);
    assert!(ends_input(&bench.suspend().expect("it is idle")));
    assert_eq!(bench.status(), Status::Ready);
    bench.state.kill(bench.now);
    assert!(bench.state.suspend(bench.now).is_err());
}

#[test]
fn what_is_sent_to_a_suspended_session_goes_to_its_next_process() {
    for sent_early in [false, true] {
        let mut bench = Bench::new();
        bench.send(1);
        bench.init();
        bench.result("");
        bench.suspend().expect("it is idle");
        let early = sent_early.then(|| bench.send(2));
        assert!(early.is_none_or(|effects| !starts(&effects) && written(&effects).is_empty()));
        let mut effects = bench.state.on_exit(Some(0), None, "");
        assert!(
            !effects
                .iter()
                .any(|effect| matches!(effect, Effect::Emit(Event::Close { .. })))
        );
        if !sent_early {
            assert!(bench.state.is_suspended() && !starts(&effects));
            effects = bench.send(2);
        }
        assert!(starts(&effects) && written(&effects).is_empty());
        assert_eq!(bench.status(), Status::Busy);
        assert_eq!(
            bench.state.conversation_to_resume().map(ConversationId::as_str),
            Some("s")
        );
        let effects = bench.start();
        assert_eq!(written(&effects), ["2"]);
    }
}

#[test]
fn a_woken_session_starts_its_process_without_a_message() {
    let mut bench = Bench::new();
    assert!(bench.state.wake().expect("is alive").is_empty(), "it is awake");
    bench.suspend().expect("it is idle");
    bench.state.wake().expect("is alive");
    assert!(starts(&bench.state.on_exit(Some(0), None, "")));
    bench.start();
    assert_eq!(
        bench.state.conversation_to_resume(),
        None,
        "no turn has ended yet"
    );
    bench.suspend().expect("it is idle");
    bench.state.on_exit(None, Some("SIGKILL".into()), "");
    assert!(starts(&bench.state.wake().expect("is alive")));
}

#[test]
fn a_suspended_session_ends_at_once() {
    for kill in [false, true] {
        let mut bench = Bench::new();
        bench.suspend().expect("it is idle");
        bench.state.on_exit(Some(0), None, "");
        if kill {
            bench.state.kill(bench.now)
        } else {
            bench.state.stop(bench.now)
        };
        assert!(bench.state.has_ended());
        let status = if kill { Status::Killed } else { Status::Stopped };
        assert_eq!(bench.status(), status);
    }
}

#[test]
fn each_process_of_a_session_has_its_own_running_total() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    let usage = |tokens| {
        format!(r#""usage":{{"input_tokens":{tokens}}},"modelUsage":{{"m":{{"inputTokens":{tokens}}}}}"#)
    };
    bench.result(&format!(r#","total_cost_usd":0.5,{}"#, usage(50)));
    bench.suspend().expect("it is idle");
    bench.state.on_exit(Some(0), None, "");
    bench.send(2);
    bench.start();
    bench.init();
    bench.result(&format!(r#","total_cost_usd":0.25,{}"#, usage(20)));
    assert_eq!(bench.state.totals(), (0.75, 2));
}

fn starts(effects: &Effects) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::StartNext))
}

fn message(send: u64) -> Message {
    Message {
        send,
        content: String::new(),
        prompt: turn::raw("\"\""),
        uuid: None,
        timeout: SECOND,
    }
}
