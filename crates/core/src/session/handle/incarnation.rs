//! The processes of a session, one after the other. A session has at most one at a time, and none while it is suspended.

use super::{MutexGuard, Session};
use crate::process::child::Process;
use crate::process::input::InputPipe;
use crate::process::launch::Started;
use crate::session::effect::Effect;
use crate::session::event::Event;
use crate::session::guards::PanicGuard;
use crate::session::state::State;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Starts the processes of a session after its first one, and supervises a session without a process.
pub(in crate::session) trait Supervisor: Send + Sync {
    /// Starts the next process, whose orders come through the mailbox. Called under the session's lock: must not block,
    /// nor call the session.
    fn start_next(&self, session: &Session, mailbox: Mailbox);

    /// The session has ended. Called under the session's lock, more than once.
    fn ended(&self, session: &Session);

    /// Called after a panic on a session without a process, which no run would end.
    fn failed(&self, session: &Session);
}

/// An order to the run of a process.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) enum Order {
    Interrupt,
    KillTree,
    /// A deadline may have changed.
    Look,
}

/// The inbox of the run of a process.
pub(in crate::session) struct Mailbox {
    /// Number of the incarnation.
    pub(in crate::session) incarnation: u64,
    pub(in crate::session) orders: mpsc::UnboundedReceiver<Order>,
}

/// The incarnations so far.
#[derive(Default)]
pub(super) struct Incarnations {
    count: u64,
    present: Option<Incarnation>,
}

/// One process, from the decision to start it.
struct Incarnation {
    number: u64,
    orders: mpsc::UnboundedSender<Order>,
    /// `None` until it is started.
    running: Option<Running>,
    /// When the run looks at the deadlines by itself.
    timer: Option<Instant>,
}

struct Running {
    process: Arc<Process>,
    input: Arc<InputPipe>,
}

impl Incarnations {
    /// Begins the next incarnation. Orders that are still under way for the one before are dropped.
    fn begin(&mut self) -> Mailbox {
        self.count += 1;
        let (orders, receiver) = mpsc::unbounded_channel();
        self.present = Some(Incarnation {
            number: self.count,
            orders,
            running: None,
            timer: None,
        });
        Mailbox {
            incarnation: self.count,
            orders: receiver,
        }
    }

    fn get(&mut self, number: u64) -> Option<&mut Incarnation> {
        self.present.as_mut().filter(|present| present.number == number)
    }
}

impl Session {
    /// The process id, while there is a process and after the end of the session.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process().map(|process| process.pid())
    }

    /// The process, while there is one.
    pub(in crate::session) fn process(&self) -> Option<Arc<Process>> {
        let incarnations = self.incarnations();
        let running = incarnations.present.as_ref()?.running.as_ref()?;
        Some(Arc::clone(&running.process))
    }

    /// Begins the next incarnation.
    pub(in crate::session) fn begin_incarnation(&self) -> Mailbox {
        self.incarnations().begin()
    }

    /// Forgets the process: the session no longer has one.
    pub(super) fn forget_incarnation(&self) {
        self.incarnations().present = None;
    }

    pub(super) fn has_incarnation(&self) -> bool {
        self.incarnations().present.is_some()
    }

    /// Number of the present incarnation.
    pub(super) fn incarnation(&self) -> Option<u64> {
        self.incarnations().present.as_ref().map(|present| present.number)
    }

    /// The input of an incarnation, if that is still the session's and has been started.
    pub(super) fn input(&self, incarnation: Option<u64>) -> Option<Arc<InputPipe>> {
        let mut incarnations = self.incarnations();
        let running = incarnations.get(incarnation?)?.running.as_ref()?;
        Some(Arc::clone(&running.input))
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(present) = &self.incarnations().present {
            // Fails only when the process has ended; then the order is not needed.
            let _ = present.orders.send(order);
        }
    }

    /// Makes the run check the deadlines if one is before its timer. A turn's deadline is after that of the turn before, so
    /// turns do not wake it.
    pub(super) fn wake_for_deadline(&self, state: &State) {
        let Some(deadline) = state.next_deadline() else {
            return;
        };
        let is_late = |present: &Incarnation| present.timer.is_none_or(|at| deadline < at);
        if let Some(present) = self
            .incarnations()
            .present
            .as_ref()
            .filter(|present| is_late(present))
        {
            // As above.
            let _ = present.orders.send(Order::Look);
        }
    }

    /// Locked after the state.
    fn incarnations(&self) -> MutexGuard<'_, Incarnations> {
        self.shared.incarnations.lock()
    }
}

/// The session for one of its processes: a process cannot change the session once it is no longer the present one.
#[derive(Clone)]
pub(in crate::session) struct Link {
    session: Session,
    incarnation: u64,
}

impl Link {
    pub(in crate::session) fn new(session: Session, incarnation: u64) -> Self {
        Self { session, incarnation }
    }

    pub(in crate::session) fn session(&self) -> &Session {
        &self.session
    }

    /// Changes the state and carries out the effects.
    pub(in crate::session) fn apply(&self, change: impl FnOnce(&mut State) -> Vec<Effect>) {
        let _guard = PanicGuard(|| self.session.fail());
        let mut state = self.session.lock();
        // Under the lock, which the next incarnation needs to begin.
        if self.is_present() {
            let effects = change(&mut state);
            self.session.perform(effects, &state);
        }
    }

    /// Emits an event that is not a change of the state.
    pub(in crate::session) fn emit(&self, event: Event) {
        if self.is_present() {
            self.session.emit(event);
        }
    }

    /// Takes the process, unless the session has been ended: then the caller ends the process.
    pub(in crate::session) fn attach(&self, started: &Started) -> bool {
        let mut state = self.session.lock();
        match self.session.incarnations().get(self.incarnation) {
            Some(present) => {
                present.running = Some(Running {
                    process: Arc::clone(&started.process),
                    input: Arc::clone(&started.stdin),
                });
            }
            None => return false,
        }
        let delivery: Arc<InputPipe> = Arc::clone(&started.stdin);
        let Some(effects) = state.started(delivery, Instant::now()) else {
            return false;
        };
        self.session.note_process();
        self.session.perform(effects, &state);
        true
    }

    /// When the run must check the deadlines: never after the next one. A timer stays if its deadline is gone.
    pub(in crate::session) fn set_timer(&self) -> Option<Instant> {
        let deadline = self.session.lock().next_deadline();
        let mut incarnations = self.session.incarnations();
        let present = incarnations.get(self.incarnation)?;
        present.timer = match (present.timer, deadline) {
            (Some(timer), Some(deadline)) => Some(timer.min(deadline)),
            (timer, deadline) => timer.or(deadline),
        };
        present.timer
    }

    /// Notes that the timer has fired.
    pub(in crate::session) fn timer_is_over(&self) {
        if let Some(present) = self.session.incarnations().get(self.incarnation) {
            present.timer = None;
        }
    }

    fn is_present(&self) -> bool {
        self.session.incarnation() == Some(self.incarnation)
    }
}
