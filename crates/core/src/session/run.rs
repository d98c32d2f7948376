//! The run of one process: moves its bytes and watches it. Lines, deadlines, orders and the end go to the state, which
//! decides.

mod lines;

use super::deltas::Deltas;
use super::event::Event;
use super::guards::PanicGuard;
use super::handle::{Link, Mailbox, Order, Session};
use super::state::State;
use crate::faults;
use crate::limits;
use crate::process::child::{Exit, Process};
use crate::process::diagnostics::Diagnostics;
use crate::process::input::InputPipe;
use crate::process::kill_tree;
use crate::process::launch::Started;
use crate::process::pipe::ReadPipe;
use crate::protocol::framer::Framer;
use crate::protocol::inbound;
use lines::{Output, flush, on_framed, read_lines};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tempfile::NamedTempFile;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Runs a process to its end and tells its session. `prompt_file` is removed once the CLI has read it.
pub(super) async fn run(
    session: Session,
    mailbox: Mailbox,
    started: Started,
    prompt_file: Option<NamedTempFile>,
) {
    let link = Link::new(session.clone(), mailbox.incarnation);
    Run::to_end(link, mailbox, started, prompt_file).await;
    keep_time(&session).await;
}

/// Keeps the deadlines of the messages of a session that was suspended while it was paused.
async fn keep_time(session: &Session) {
    let deadline = |state: &State| state.next_deadline().filter(|_| state.is_suspended());
    while let Some(at) = session.read(deadline) {
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = session.ended() => return,
        }
        session.apply(|state| state.on_time(Instant::now()));
    }
}

struct Run {
    link: Link,
    process: Arc<Process>,
    stdout: ReadPipe,
    stderr: ReadPipe,
    orders: UnboundedReceiver<Order>,
    output: Output,
    diagnostics: Diagnostics,
    /// Kills that are under way.
    kills: Vec<JoinHandle<()>>,
    /// Whether the process was signalled: a wrapper may have died of that and left the CLI behind.
    signalled: bool,
    /// The time of the timer.
    timer_at: Option<Instant>,
    /// The system prompt, until the CLI has read it.
    prompt_file: Option<NamedTempFile>,
}

/// What woke the run.
enum Wake {
    Order(Order),
    Output(bool),
    Diagnostics(bool),
    Room,
    Time,
    /// The process has closed its output but lives on.
    Silence,
    /// Pieces of an answer were collected for long enough.
    Deltas,
    /// The process no longer reads its input.
    InputBroken,
    /// The process no longer reads its input, and lives on.
    Deaf,
    Exit(Exit),
}

impl Run {
    async fn to_end(link: Link, mailbox: Mailbox, started: Started, prompt_file: Option<NamedTempFile>) {
        let interval = link.session().options().live.delta_interval();
        let mut run = Self {
            link,
            process: started.process,
            stdout: started.stdout,
            stderr: started.stderr,
            orders: mailbox.orders,
            output: Output {
                framer: Framer::new(limits::LINE_BYTES, inbound::RESULT_MARK),
                deltas: Box::new(Deltas::new(interval)),
            },
            diagnostics: Diagnostics::default(),
            kills: Vec::new(),
            signalled: false,
            timer_at: None,
            prompt_file,
        };
        let input = started.stdin;
        let writer = tokio::spawn(feed(run.link.session().clone(), Arc::clone(&input)));
        let exit = run.until_exit(&input).await;
        // Unwritten lines have no reader any more.
        writer.abort();
        input.close();
        run.drain().await;
        run.finish_kills().await;
        if run.signalled || !exit.is_orderly() {
            run.end_leftovers().await;
        }
        // When the end is reported, nothing is left of the process.
        run.prompt_file = None;
        run.process.release();
        let stderr = run.diagnostics.tail();
        run.link
            .apply(|state| state.on_exit(exit.code, exit.signal, &stderr));
    }

    async fn until_exit(&mut self, input: &InputPipe) -> Exit {
        let (mut output, mut diagnostics) = (true, true);
        let (mut silent_at, mut deaf_at) = (None, None);
        let process = Arc::clone(&self.process);
        let exited = process.exited();
        tokio::pin!(exited);
        let timer = tokio::time::sleep(limits::LONGEST_WAIT);
        tokio::pin!(timer);
        loop {
            self.set_timer(timer.as_mut());
            let room = self.link.session().backlog().has_room();
            let heard = self.link.session().subscriptions().stderr;
            let deltas_at = self.output.deltas.due_at();
            // One timer for all three: each would make the task bigger.
            let moment = [silent_at, deaf_at, deltas_at].into_iter().flatten().min();
            let wake = tokio::select! {
                biased;
                Some(order) = self.orders.recv() => Wake::Order(order),
                () = timer.as_mut(), if self.timer_at.is_some() => Wake::Time,
                more = read_lines(&mut self.stdout, &mut self.output, &self.link), if output && room => Wake::Output(more),
                more = read_stderr(&mut self.stderr, &mut self.diagnostics, &self.link), if diagnostics && (room || !heard) => Wake::Diagnostics(more),
                () = self.link.session().backlog().room(), if !room => Wake::Room,
                () = input.broken() => Wake::InputBroken,
                () = sleep_until(moment), if moment.is_some() => match moment {
                    at if at == deltas_at => Wake::Deltas,
                    at if at == silent_at => Wake::Silence,
                    _ => Wake::Deaf,
                },
                exit = &mut exited => Wake::Exit(exit),
            };
            match wake {
                Wake::Order(order) => self.obey(order),
                Wake::Output(more) => {
                    output = more;
                    self.remove_prompt_file();
                    silent_at = (!more).then(|| Instant::now() + limits::SILENT_LIFE);
                }
                Wake::Diagnostics(more) => diagnostics = more,
                Wake::Room => {}
                Wake::Deltas => flush(&self.link, &mut self.output.deltas),
                Wake::Time => self.on_time(output).await,
                Wake::Silence => {
                    silent_at = None;
                    self.link.apply(|state| state.on_silence(Instant::now()));
                }
                // Most such processes are about to end, and their end says more.
                Wake::InputBroken => deaf_at = Some(Instant::now() + limits::SILENT_LIFE),
                Wake::Deaf => {
                    deaf_at = None;
                    self.link.apply(|state| state.on_input_closed(Instant::now()));
                }
                Wake::Exit(exit) => return exit,
            }
        }
    }

    /// A deadline may have passed. The output so far is read first, since this program may have been stopped until now.
    async fn on_time(&mut self, output: bool) {
        self.timer_at = None;
        self.link.timer_is_over();
        for _ in 0..limits::READS_BEFORE_EXPIRY {
            if !output || !self.link.session().backlog().has_room() {
                break;
            }
            let more = tokio::select! {
                biased;
                more = read_lines(&mut self.stdout, &mut self.output, &self.link) => more,
                () = std::future::ready(()) => false,
            };
            if !more {
                break;
            }
        }
        self.link.apply(|state| state.on_time(Instant::now()));
    }

    /// Sets the timer to the next deadline, unless it fires earlier anyway.
    fn set_timer(&mut self, timer: Pin<&mut Sleep>) {
        let at = self.link.set_timer();
        if let Some(at) = at.filter(|_| at != self.timer_at) {
            timer.reset(at.into());
            self.timer_at = Some(at);
        }
    }

    /// The CLI reads the system prompt at its start, so before its first init.
    fn remove_prompt_file(&mut self) {
        if self.prompt_file.is_some() && self.link.session().read(State::has_begun) {
            self.prompt_file = None;
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Look => return,
            Order::Interrupt => self.process.interrupt(),
            Order::KillTree => {
                let process = Arc::clone(&self.process);
                // Not awaited here: the end of the process comes first.
                self.kills
                    .push(tokio::spawn(async move { kill_tree::kill(&process).await }));
            }
        }
        self.signalled = true;
    }

    /// Waits for the kills: a kill finds descendants by the session's id, and must not find the next process.
    async fn finish_kills(&mut self) {
        for kill in self.kills.drain(..) {
            // An error is a panic, which the hook has reported.
            let _ = kill.await;
        }
    }

    /// Ends the tools that a CLI leaves behind after a crash or a kill. A CLI that exits in order has ended its tools, except
    /// processes that were meant to keep running.
    async fn end_leftovers(&self) {
        kill_tree::end_leftovers(&self.process).await;
    }

    /// Reads what an ended process left in its pipes, whatever waits for JavaScript. A descendant may hold them open for
    /// ever, and is held back as the process was.
    async fn drain(&mut self) {
        let session = self.link.session().clone();
        let room = || session.backlog().room();
        let everything = async {
            for reads in 0.. {
                if reads >= limits::DRAIN_FREE_READS {
                    room().await;
                }
                if !more(read_lines(&mut self.stdout, &mut self.output, &self.link)).await {
                    break;
                }
            }
            while more(read_stderr(&mut self.stderr, &mut self.diagnostics, &self.link)).await {
                room().await;
            }
        };
        // This times out only if a descendant keeps writing.
        let _ = tokio::time::timeout(limits::DRAIN_WAIT, everything).await;
        let link = &self.link;
        let Output { framer, deltas } = &mut self.output;
        framer.finish(|framed| on_framed(link, deltas, &framed));
        flush(link, deltas);
    }
}

async fn read_stderr(stderr: &mut ReadPipe, diagnostics: &mut Diagnostics, link: &Link) -> bool {
    let take = |bytes: &[u8]| {
        let text = diagnostics.push(bytes);
        if link.session().subscriptions().stderr && !text.is_empty() {
            link.emit(Event::Stderr { text });
        }
    };
    stderr.read(take).await
}

/// Whether a read gave data. Silence counts as the end, since everything an ended process wrote is in the pipe.
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

pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
