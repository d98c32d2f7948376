//! What must become of each send, in the few rules that callers are promised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

/// How a send ends that was answered.
pub(super) const ANSWERED: &str = "answered";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Running,
    /// The process leaves, the session stays.
    Suspending,
    Suspended,
    Leaving,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    send: u64,
    deadline: Instant,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) phase: Phase,
    pub(super) paused: bool,
    wake_wanted: bool,
    /// Sent by the caller, not yet written.
    line: VecDeque<Open>,
    /// Written and not yet answered; without a deadline once nobody waits for it any more.
    flight: Option<(u64, Option<Instant>)>,
    /// Until when a turn of the CLI's own, which began while nothing was in flight, holds back what waits.
    pub(super) own_turn: Option<Instant>,
    /// The message in flight has a result that counts as its answer from then on.
    held: Option<Instant>,
    /// Messages that are to be interrupted as soon as they are written.
    interrupted: BTreeSet<u64>,
    /// Since when a person is asked: the time of the message in flight stands still.
    person_since: Option<Instant>,
    /// Outcomes of all sends that were taken.
    pub(super) outcomes: BTreeMap<u64, Option<&'static str>>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Starting,
            paused: false,
            wake_wanted: false,
            line: VecDeque::new(),
            flight: None,
            own_turn: None,
            held: None,
            interrupted: BTreeSet::new(),
            person_since: None,
            outcomes: BTreeMap::new(),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Leaving | Phase::Over)
    }

    pub(super) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Suspending | Phase::Leaving)
    }

    /// Whether a session can be suspended, or is so already.
    pub(super) fn suspend(&mut self) -> bool {
        match self.phase {
            Phase::Suspending | Phase::Suspended => true,
            Phase::Running if self.person_since.is_some() => false,
            Phase::Running if self.flight.is_none() && self.own_turn.is_none() => {
                let is_idle = self.paused || self.line.is_empty();
                if is_idle {
                    self.phase = Phase::Suspending;
                }
                is_idle
            }
            _ => false,
        }
    }

    /// A control request needs a process, too.
    pub(super) fn wake_for_control(&mut self) {
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        match self.phase {
            Phase::Suspending => self.wake_wanted = true,
            Phase::Suspended => self.phase = Phase::Starting,
            _ => {}
        }
    }

    /// The process that was given up is gone.
    pub(super) fn suspended(&mut self) {
        self.own_turn = None;
        self.phase = Phase::Suspended;
        if std::mem::take(&mut self.wake_wanted) {
            self.phase = Phase::Starting;
        }
        self.go_on();
    }

    /// A message that may be written needs a process.
    pub(super) fn go_on(&mut self) {
        if self.phase == Phase::Suspended && !self.paused && !self.line.is_empty() {
            self.phase = Phase::Starting;
        }
    }

    pub(super) fn send(&mut self, send: u64, deadline: Instant) {
        self.outcomes.insert(send, None);
        self.line.push_back(Open { send, deadline });
        self.paused = false;
        self.go_on();
    }

    /// The session has written a message: it must be the next one, at a moment at which it may be written.
    pub(super) fn written(&mut self, send: u64) {
        let next = self.line.pop_front().expect("nothing waits to be written");
        assert_eq!(send, next.send, "written out of turn");
        assert_eq!(
            self.flight, None,
            "message {send} was written while another is in flight"
        );
        assert_eq!((self.phase, self.paused), (Phase::Running, false));
        assert!(self.own_turn.is_none(), "written into a turn of the CLI's own");
        self.flight = Some((send, Some(next.deadline)));
    }

    pub(super) fn has_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// A person is asked, or no longer.
    pub(super) fn ask_person(&mut self, asks: bool, now: Instant) {
        if asks {
            self.person_since.get_or_insert(now);
        } else if let Some(since) = self.person_since.take()
            && let Some((_, Some(deadline))) = &mut self.flight
        {
            *deadline += now.saturating_duration_since(since);
        }
    }

    /// The caller gives a message up. `is_untouched`: as for [`Model::time`].
    pub(super) fn abort(&mut self, send: u64, is_untouched: bool) {
        if let Some(at) = self.line.iter().position(|open| open.send == send) {
            self.line.remove(at);
            self.settle(send, "ERR_ABORTED");
        } else if matches!(self.flight, Some((flight, Some(_))) if flight == send) {
            self.flight = Some((send, None)).filter(|_| !is_untouched);
            self.settle(send, "ERR_ABORTED");
        }
    }

    /// The caller interrupts the turn, or else the message that is about to become one, and may drop what waits.
    pub(super) fn interrupt(&mut self, drops_line: bool) {
        if self.flight.is_none() && self.own_turn.is_none() && !self.paused {
            self.interrupted.extend(self.line.front().map(|open| open.send));
        }
        if drops_line {
            let is_hit = self
                .line
                .front()
                .is_some_and(|open| self.interrupted.contains(&open.send));
            let kept = if is_hit { self.line.pop_front() } else { None };
            self.settle_line("ERR_INTERRUPTED");
            self.line.extend(kept);
        }
    }

    /// Nothing may wait that could be written. `holds`: an interrupt has no answer.
    pub(super) fn check(&self, holds: bool) {
        let free = self.phase == Phase::Running
            && !self.paused
            && !holds
            && self.own_turn.is_none()
            && self.flight.is_none();
        assert!(!free || self.line.is_empty(), "a message waits for nothing");
    }

    /// The CLI has answered.
    pub(super) fn answered(&mut self, send: u64) {
        match self.flight {
            Some((flight, waited)) if flight == send => {
                self.flight = None;
                if waited.is_some() {
                    self.settle(send, ANSWERED);
                }
            }
            // Rejected before, and its process still wrote.
            _ => assert_ne!(self.phase, Phase::Running, "an answer to nothing"),
        }
    }

    /// The CLI has answered in a way that could be something else.
    pub(super) fn perhaps_answered(&mut self, at: Instant) {
        self.held = self.flight.map(|_| at);
    }

    fn settle_held(&mut self) {
        if let (Some(_), Some((send, _))) = (self.held.take(), self.flight) {
            self.answered(send);
        }
    }

    pub(super) fn unsaved(&mut self, send: u64) {
        let outcome = self.outcomes.get_mut(&send).expect("is a send");
        if *outcome == Some(ANSWERED) {
            *outcome = Some("ERR_STORE");
        }
    }

    pub(super) fn stop(&mut self) {
        match self.phase {
            Phase::Starting | Phase::Suspended => self.end("ERR_SESSION_STOPPED"),
            Phase::Running | Phase::Suspending => {
                self.phase = Phase::Leaving;
                self.settle_line("ERR_SESSION_STOPPED");
            }
            Phase::Leaving | Phase::Over => {}
        }
    }

    pub(super) fn kill(&mut self) {
        match self.phase {
            Phase::Starting | Phase::Suspended => self.end("ERR_SESSION_KILLED"),
            Phase::Running | Phase::Suspending | Phase::Leaving => self.refused("ERR_SESSION_KILLED"),
            Phase::Over => {}
        }
    }

    /// Everything is over but the process.
    pub(super) fn refused(&mut self, code: &'static str) {
        self.settle_all(code);
        self.phase = Phase::Leaving;
    }

    pub(super) fn end(&mut self, code: &'static str) {
        self.settle_all(code);
        self.phase = Phase::Over;
    }

    /// Time has passed. `is_untouched`: the process has not got a byte of the message in flight. Whether that one was
    /// withdrawn.
    pub(super) fn time(&mut self, now: Instant, is_untouched: bool) -> bool {
        let is_waiting = self.person_since.is_some();
        let is_late = !is_waiting && matches!(self.flight, Some((_, Some(deadline))) if deadline <= now);
        if self.held.is_some_and(|at| at <= now || is_late) {
            self.settle_held();
        }
        self.own_turn = self.own_turn.filter(|until| *until > now);
        let (expired, line): (Vec<_>, Vec<_>) = self.line.iter().partition(|open| open.deadline <= now);
        self.line = line.into();
        for open in expired {
            self.settle(open.send, "ERR_TURN_TIMEOUT");
        }
        if let Some((send, Some(deadline))) = self.flight
            && deadline <= now
            && !is_waiting
        {
            self.flight = Some((send, None)).filter(|_| !is_untouched);
            self.settle(send, "ERR_TURN_TIMEOUT");
            return is_untouched;
        }
        false
    }

    /// The process does not read any more.
    pub(super) fn input_closed(&mut self, has_got_all: bool) {
        if self.phase == Phase::Running {
            self.phase = Phase::Leaving;
        }
        if has_got_all {
            self.settle_line("ERR_PROCESS_EXITED");
        } else {
            self.settle_all("ERR_PROCESS_EXITED");
        }
    }

    fn settle_line(&mut self, code: &'static str) {
        while let Some(open) = self.line.pop_front() {
            self.settle(open.send, code);
        }
    }

    fn settle_all(&mut self, code: &'static str) {
        self.settle_held();
        if let Some((send, Some(_))) = self.flight.take() {
            self.settle(send, code);
        }
        self.settle_line(code);
    }

    fn settle(&mut self, send: u64, outcome: &'static str) {
        let before = self.outcomes.insert(send, Some(outcome));
        assert_eq!(before, Some(None), "send {send} was settled before");
    }
}
