//! The permission mode that the CLI reports beside the one that was asked for.

use super::*;

/// What follows from a mode: sends that were settled, whether the process is killed, and the words of a warning.
type Outcome = (Vec<(u64, &'static str)>, bool, Option<String>);

fn outcome(effects: &Effects) -> Outcome {
    let warning = effects.iter().find_map(|effect| match effect {
        Effect::Emit(Event::Warning { code, message }) => Some(format!("{code}: {message}")),
        _ => None,
    });
    (settled(effects), is_killed(effects), warning)
}

fn is_killed(effects: &Effects) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::KillTree))
}

/// Nothing follows from it.
const FINE: Outcome = (Vec::new(), false, None);

fn refused() -> Outcome {
    (vec![(1, "ERR_PERMISSION_MODE")], true, None)
}

impl Bench {
    fn init_in(&mut self, mode: &str) -> Effects {
        self.line(&format!(
            r#"{{"type":"system","subtype":"init","session_id":"s","permissionMode":"{mode}"}}"#
        ))
    }

    fn change_to(&mut self, mode: &str) -> Effects {
        self.line(&format!(
            r#"{{"type":"system","subtype":"status","status":null,"permissionMode":"{mode}"}}"#
        ))
    }
}

#[test]
fn a_mode_that_allows_more_ends_the_session_before_its_tools_run() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.send(2);
    let effects = bench.init_in("acceptEdits");
    assert_eq!(
        settled(&effects),
        [(1, "ERR_PERMISSION_MODE"), (2, "ERR_PERMISSION_MODE")]
    );
    assert!(is_killed(&effects));
    let error = effects.iter().find_map(|effect| match effect {
        Effect::Emit(Event::Error { error }) => Some(error),
        _ => None,
    });
    assert_eq!(
        error,
        Some(&Error::PermissionMode {
            name: "a".into(),
            asked: "default".into(),
            actual: "acceptEdits".into()
        })
    );
    assert_eq!(bench.status(), Status::Failed);
    bench.after(2 * SECOND);
    assert!(
        is_killed(&bench.after(2 * SECOND)),
        "repeated until the process is gone"
    );
    let effects = bench.state.on_exit(None, Some("SIGKILL".into()), "");
    let errors = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Emit(Event::Error { .. })));
    assert_eq!((errors.count(), bench.status()), (0, Status::Failed));
}

#[test]
fn a_mode_that_allows_less_is_a_warning_once() {
    let mut bench = Bench::asking("auto");
    bench.send(1);
    let words = "CLEARCTX_PERMISSION_MODE: Session \"a\" runs in permission mode \"default\", which allows less than \
                 \"auto\", the one that was asked for.";
    assert_eq!(
        outcome(&bench.init_in("default")),
        (vec![], false, Some(words.to_owned()))
    );
    assert_eq!(settled(&bench.result("")), [(1, "answered")]);
    bench.send(2);
    assert_eq!(outcome(&bench.init_in("default")), FINE);
    assert_eq!(outcome(&bench.init_in("plan")), FINE);
}

#[test]
fn the_mode_that_was_asked_for_and_no_mode_at_all_are_fine() {
    for asked in ["", "default", "plan", "bypassPermissions", "of tomorrow"] {
        let mut bench = Bench::asking(asked);
        bench.send(1);
        assert_eq!(outcome(&bench.init()), FINE, "{asked}");
        let reported = if asked.is_empty() { "default" } else { asked };
        assert_eq!(outcome(&bench.init_in(reported)), FINE, "{asked}");
    }
}

#[test]
fn an_inherited_mode_is_not_judged() {
    for mode in ["plan", "bypassPermissions", "of tomorrow"] {
        let mut bench = Bench::asking("inherit");
        bench.send(1);
        assert_eq!(outcome(&bench.init_in(mode)), FINE, "{mode}");
    }
}

#[test]
fn a_change_that_was_announced_is_no_difference() {
    let mut bench = Bench::asking("plan");
    bench.send(1);
    assert_eq!(outcome(&bench.init_in("plan")), FINE);
    assert_eq!(outcome(&bench.change_to("acceptEdits")), FINE);
    bench.result("");
    bench.send(2);
    assert_eq!(outcome(&bench.init_in("acceptEdits")), FINE);
}

#[test]
fn a_later_init_that_allows_more_is_refused_unless_it_was_announced() {
    let mut bench = Bench::new();
    bench.send(3);
    assert_eq!(outcome(&bench.init_in("default")), FINE);
    assert_eq!(outcome(&bench.change_to("plan")), FINE);
    bench.result("");
    bench.send(1);
    assert_eq!(
        outcome(&bench.init_in("default")),
        FINE,
        "not more than was asked for"
    );
    assert_eq!(outcome(&bench.init_in("acceptEdits")), refused());
}

#[test]
fn what_one_process_announced_does_not_hold_for_the_next_one() {
    let mut bench = Bench::new();
    bench.send(2);
    bench.init_in("default");
    bench.change_to("acceptEdits");
    bench.result("");
    bench.suspend().expect("it is idle");
    bench.state.on_exit(Some(0), None, "");
    bench.send(1);
    bench.start();
    assert_eq!(outcome(&bench.init_in("acceptEdits")), refused());
    assert_eq!(bench.status(), Status::Failed);
}

#[test]
fn nothing_announces_the_mode_of_the_first_init() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.change_to("acceptEdits");
    assert_eq!(outcome(&bench.init_in("acceptEdits")), refused());
}

#[test]
fn a_session_that_is_to_stop_is_killed_too_and_one_that_is_killed_has_told_why() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.state.stop(bench.now);
    assert_eq!(outcome(&bench.init_in("acceptEdits")), refused());
    assert_eq!(bench.status(), Status::Failed);

    let mut bench = Bench::new();
    bench.send(1);
    bench.state.kill(bench.now);
    assert_eq!(outcome(&bench.init_in("acceptEdits")), FINE);
    assert_eq!(bench.status(), Status::Killed);
}
