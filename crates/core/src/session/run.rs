//! The task that moves a session's bytes and watches its process: lines, deadlines, orders and the end go to
//! the state; what follows from them is the state's business.

use super::event::Event;
use super::guards::PanicGuard;
use super::handle::{Mailbox, Order, Session};
use super::registry;
use super::start::{Before, Prepared};
use super::state::State;
use crate::error::Error;
use crate::faults;
use crate::limits;
use crate::process::child::{Exit, Launch, Process, Started};
use crate::process::diagnostics::Diagnostics;
use crate::process::input::InputPipe;
use crate::process::kill_tree;
use crate::process::off_thread;
use crate::process::pipe::ReadPipe;
use crate::protocol::framer::{Framed, Framer};
use crate::protocol::inbound;
use crate::runtime::{deferred, wakes};
use clearctx_proctree::terminate;
use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Runs a session to its end. A panic fails this session with `ERR_INTERNAL` and ends its process.
pub(super) fn start(runtime: &Handle, prepared: Prepared, started: Option<Started>, before: Vec<Before>) {
    let (session, mailbox, launch, prompt_file) = prepared.into_parts();
    let driven = session.clone();
    // A task's memory is kept as long as the session, so the usual one has no room for what few need before.
    let run = match started {
        Some(started) => runtime.spawn(Run::run(driven, started, mailbox, prompt_file)),
        None => runtime.spawn(run_after(before, launch, driven, mailbox, prompt_file)),
    };
    runtime.spawn(supervise(session, run));
}

async fn run_after(
    before: Vec<Before>,
    launch: Launch,
    session: Session,
    mut mailbox: Mailbox,
    prompt_file: Option<NamedTempFile>,
) {
    let started = start_after(before, &launch, &session, &mut mailbox.orders).await;
    // Environment and arguments are not kept for the life of the session.
    drop(launch);
    if let Some(started) = started {
        Run::run(session, started, mailbox, prompt_file).await;
    }
}

async fn supervise(session: Session, mut run: JoinHandle<()>) {
    let failure = tokio::select! {
        run = &mut run => run.err().map(|error| error.to_string()),
        () = session.failed() => Some("a panic".to_owned()),
    };
    if let Some(failure) = failure {
        run.abort();
        end_process_of(&session).await;
        session.apply(|state| state.on_internal_error(format!("the session failed: {failure}")));
    }
    registry::remove(session.number());
}

/// Nobody drives the session any more. Its end is emitted once its process is gone.
async fn end_process_of(session: &Session) {
    let Some(process) = session.process() else { return };
    let end = async {
        end_tree(process).await;
        process.exited().await;
    };
    // Out of time only if the kernel does not let go of the process.
    let _ = tokio::time::timeout(limits::DRAIN_WAIT, end).await;
}

/// Waits until the processes that are leaving the conversation have ended, then starts ours. `None` if the
/// session was ended meanwhile, or could not be started.
async fn start_after(
    before: Vec<Before>,
    launch: &Launch,
    session: &Session,
    orders: &mut UnboundedReceiver<Order>,
) -> Option<Started> {
    for other in before {
        wait_for_end_of(other, session, orders).await?;
    }
    faults::place("start", session.options());
    match launch.start() {
        Ok(started) if session.has_process(&started) => {
            session.save();
            Some(started)
        }
        Ok(started) => {
            end_tree(&started.process).await;
            started.process.exited().await;
            None
        }
        Err(error) => {
            session.apply(|state| state.failed_to_start(&error));
            None
        }
    }
}

/// Time passes for the waiting session too. `None` if it was ended.
async fn wait_for_end_of(
    other: Before,
    session: &Session,
    orders: &mut UnboundedReceiver<Order>,
) -> Option<()> {
    let ended = other.ended();
    tokio::pin!(ended);
    loop {
        if session.read(State::has_ended) {
            return None;
        }
        let deadline = session.read(State::next_deadline);
        tokio::select! {
            () = &mut ended => return Some(()),
            Some(_) = orders.recv() => {}
            () = sleep_until(deadline), if deadline.is_some() => {
                session.apply(|state| state.on_time(Instant::now()));
            }
        }
    }
}

/// Kills a process and all its descendants, off the I/O thread.
async fn end_tree(process: &Arc<Process>) {
    let process = Arc::clone(process);
    off_thread::run(move || kill_tree::kill(&process)).await;
}

struct Run {
    session: Session,
    process: Arc<Process>,
    stdout: ReadPipe,
    stderr: ReadPipe,
    orders: UnboundedReceiver<Order>,
    framer: Framer,
    diagnostics: Diagnostics,
    /// Whether the process was signalled: a wrapper may have died of it, and left the CLI behind.
    signalled: bool,
    /// What the timer is set to.
    timer_at: Option<Instant>,
}

/// What woke the run.
enum Wake {
    Order(Order),
    Output(bool),
    Diagnostics(bool),
    Room,
    Time,
    /// The process has closed its output and lives on.
    Silence,
    Exit(Exit),
}

impl Run {
    async fn run(session: Session, started: Started, mailbox: Mailbox, prompt_file: Option<NamedTempFile>) {
        let mut run = Self {
            session,
            process: started.process,
            stdout: started.stdout,
            stderr: started.stderr,
            orders: mailbox.orders,
            framer: Framer::new(limits::LINE_BYTES, inbound::RESULT_MARK),
            diagnostics: Diagnostics::default(),
            signalled: false,
            timer_at: None,
        };
        let input = started.stdin;
        let writer = tokio::spawn(feed(run.session.clone(), Arc::clone(&input)));
        let exit = run.until_exit().await;
        // Whatever is still to be written has no reader any more.
        writer.abort();
        input.close();
        run.drain().await;
        if run.signalled || !exit.is_orderly() {
            run.end_leftovers().await;
        }
        // Nothing is left of a session that says that it has ended.
        drop(prompt_file);
        run.process.release();
        let stderr = run.diagnostics.tail();
        run.session
            .apply(|state| state.on_exit(exit.code, exit.signal, &stderr));
    }

    async fn until_exit(&mut self) -> Exit {
        let (mut output, mut diagnostics) = (true, true);
        let mut silent_since = None;
        let process = Arc::clone(&self.process);
        let exited = process.exited();
        tokio::pin!(exited);
        let timer = tokio::time::sleep(limits::LONGEST_WAIT);
        tokio::pin!(timer);
        loop {
            self.set_timer(timer.as_mut());
            let room = self.session.backlog().has_room();
            let wake = tokio::select! {
                biased;
                Some(order) = self.orders.recv() => Wake::Order(order),
                () = timer.as_mut(), if self.timer_at.is_some() => Wake::Time,
                more = read_lines(&mut self.stdout, &mut self.framer, &self.session), if output && room => Wake::Output(more),
                more = read_stderr(&mut self.stderr, &mut self.diagnostics, &self.session), if diagnostics => Wake::Diagnostics(more),
                () = self.session.backlog().room(), if !room => Wake::Room,
                () = sleep_until(silent_since.map(|since| since + limits::SILENT_LIFE)), if silent_since.is_some() => {
                    silent_since = None;
                    Wake::Silence
                }
                exit = &mut exited => Wake::Exit(exit),
            };
            match wake {
                Wake::Order(order) => self.obey(order),
                Wake::Output(more) => {
                    output = more;
                    silent_since = (!more).then(Instant::now);
                }
                Wake::Diagnostics(more) => diagnostics = more,
                Wake::Room => {}
                Wake::Time => {
                    self.timer_at = None;
                    self.session.timer_is_over();
                    self.session.apply(|state| state.on_time(Instant::now()));
                }
                Wake::Silence => {
                    self.session.apply(|state| state.on_silence(Instant::now()));
                }
                Wake::Exit(exit) => return exit,
            }
        }
    }

    /// Sets the timer to the next deadline, unless it is over earlier anyway.
    fn set_timer(&mut self, timer: Pin<&mut Sleep>) {
        let at = self.session.set_timer();
        if let Some(at) = at.filter(|_| at != self.timer_at) {
            timer.reset(at.into());
            self.timer_at = Some(at);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Look => return,
            Order::Interrupt => self.process.interrupt(),
            Order::KillTree => {
                let process = Arc::clone(&self.process);
                // Not awaited: the end of the process is what the run waits for anyway.
                tokio::spawn(async move { end_tree(&process).await });
            }
        }
        self.signalled = true;
    }

    /// A CLI that crashed or was killed leaves its tools behind; one that exits in order has ended them, but for
    /// what they were told to leave running.
    async fn end_leftovers(&self) {
        let process = Arc::clone(&self.process);
        off_thread::run(move || terminate::kill(process.instance())).await;
    }

    /// Reads what an ended process left in its pipes. A descendant may hold them open for ever.
    async fn drain(&mut self) {
        let everything = async {
            while more(read_lines(&mut self.stdout, &mut self.framer, &self.session)).await {}
            while more(read_stderr(
                &mut self.stderr,
                &mut self.diagnostics,
                &self.session,
            ))
            .await
            {}
        };
        // Out of time only if a descendant goes on writing.
        let _ = tokio::time::timeout(limits::DRAIN_WAIT, everything).await;
        let session = &self.session;
        self.framer.finish(|framed| on_framed(session, &framed));
    }
}

async fn read_lines(stdout: &mut ReadPipe, framer: &mut Framer, session: &Session) -> bool {
    let more = stdout
        .read(|bytes| framer.push(bytes, |framed| on_framed(session, &framed)))
        .await;
    wakes::flush_if_late();
    deferred::run_deferred();
    more
}

fn on_framed(session: &Session, framed: &Framed<'_>) {
    match framed {
        Framed::Line(line) if !fits(line.len()) => {
            let is_result = memchr::memmem::find(line, inbound::RESULT_MARK).is_some();
            leave_out(session, line.len(), is_result);
        }
        Framed::Line(line) => {
            faults::place("line", session.options());
            // A check of the whole is quicker than the search for what is wrong.
            let text =
                std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
            let frame = inbound::parse(&text);
            let message = session
                .subscriptions()
                .includes(&frame)
                .then(|| text.clone().into_owned());
            session.apply(|state| state.on_frame(frame, &text, message, Instant::now()));
        }
        Framed::LeftOut { bytes, found } => leave_out(session, *bytes, *found),
    }
}

/// Whether there is memory for all that is made of a line. Asked beforehand: an allocation that fails later ends the
/// program.
fn fits(bytes: usize) -> bool {
    bytes < limits::BIG_LINE_BYTES
        || Vec::<u8>::new()
            .try_reserve_exact(bytes * limits::LINE_COPIES)
            .is_ok()
}

/// A line cannot be read. If it is a result, the turn has ended without one.
fn leave_out(session: &Session, bytes: usize, is_result: bool) {
    let why = if bytes > limits::LINE_BYTES {
        format!("is over the bound of {}", limits::LINE_BYTES)
    } else {
        "finds no memory".to_owned()
    };
    let reason = format!("a line of {bytes} bytes {why} and was left out");
    let error = Error::Internal { reason };
    session.emit(Event::Error { error: error.clone() });
    if is_result {
        session.apply(|state| state.on_lost_result(&error, Instant::now()));
    }
}

async fn read_stderr(stderr: &mut ReadPipe, diagnostics: &mut Diagnostics, session: &Session) -> bool {
    let take = |bytes: &[u8]| {
        let text = diagnostics.push(bytes);
        if session.subscriptions().stderr && !text.is_empty() {
            session.emit(Event::Stderr { text });
        }
    };
    stderr.read(take).await
}

/// Whether a read gave something; silence counts as the end, for what an ended process wrote is there.
async fn more(read: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(limits::DRAIN_SILENCE, read)
        .await
        .unwrap_or(false)
}

async fn feed(session: Session, input: Arc<InputPipe>) {
    let _guard = PanicGuard(|| session.fail());
    faults::place("write", session.options());
    input.run().await;
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
