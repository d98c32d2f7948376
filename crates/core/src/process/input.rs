//! The writing end of a child's standard input. While the I/O thread sleeps, the calling thread writes a line, as far as
//! the pipe takes it at once, which saves waking a thread. While the I/O thread is awake, it writes, which saves the
//! JavaScript thread the system call, half of what a turn costs it.

mod lines;

#[cfg(unix)]
pub(crate) use unix::InputPipe;
#[cfg(not(unix))]
pub(crate) use windows::InputPipe;

#[cfg(unix)]
mod unix {
    use super::super::keeper;
    use super::lines::{Lines, Ticket};
    use crate::runtime::deferred::{self, Task};
    use parking_lot::{Mutex, MutexGuard};
    use std::io;
    use std::process::ChildStdin;
    use std::sync::Arc;
    use tokio::net::unix::pipe::Sender;
    use tokio::sync::Notify;

    /// The writing end of a pipe.
    #[derive(Debug)]
    pub struct InputPipe {
        queue: Mutex<Queue>,
        /// Signals that something is left for [`InputPipe::run`].
        left: Notify,
        /// The reader has closed its end.
        broken: Notify,
    }

    #[derive(Debug)]
    struct Queue {
        /// Gone once the input has ended.
        pipe: Option<Arc<Sender>>,
        /// The lines that have not been written, and how much of the first one has.
        lines: Lines,
        /// Whether the input ends after these lines.
        last: bool,
        /// Whether nothing may be written yet.
        held: bool,
    }

    /// What came of an attempt to write.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Flushed {
        All,
        /// The pipe is full.
        Part,
        /// Nobody reads it any more.
        Broken,
    }

    impl InputPipe {
        /// Takes over a pipe; needs the runtime's context.
        pub fn new(pipe: ChildStdin) -> io::Result<Self> {
            Ok(Self {
                queue: Mutex::new(Queue {
                    pipe: Some(Arc::new(Sender::from_owned_fd(pipe.into())?)),
                    lines: Lines::default(),
                    last: false,
                    held: true,
                }),
                left: Notify::new(),
                broken: Notify::new(),
            })
        }

        /// Puts a line behind those that wait, to be written after [`InputPipe::release`].
        pub fn push(&self, line: String) -> Ticket {
            let mut queue = self.lock();
            let ticket = queue.lines.push(line);
            if queue.pipe.is_none() || queue.last {
                queue.lines.refuse();
            }
            ticket
        }

        /// Has a control line written, now or later, behind the lines before it. Never blocks.
        pub fn push_control(self: &Arc<Self>, line: String) {
            let mut queue = self.lock();
            let is_next = queue.lines.push_control(line);
            if queue.pipe.is_none() || queue.last {
                queue.lines.refuse();
            } else if is_next {
                drop(queue);
                deferred::defer(self);
            }
        }

        /// Has a line written, now or later, in the order of the lines. Never blocks.
        pub fn release(self: &Arc<Self>, ticket: Ticket) {
            // If there were lines before it, a thread is writing them already.
            let is_next = self.lock().lines.release(ticket);
            if is_next {
                deferred::defer(self);
            }
        }

        /// Takes the last message back, if the process has not got a byte of it. Whether that could be done.
        pub fn withdraw(&self) -> bool {
            let mut queue = self.lock();
            let withdrawn = queue.lines.withdraw();
            queue.end_if_written();
            // A control line may have waited behind it.
            self.left.notify_one();
            withdrawn
        }

        /// Whether the pipe has taken all messages whole.
        pub fn has_taken_all(&self) -> bool {
            self.lock().lines.are_taken()
        }

        /// Ends the input after what was written.
        pub fn end(&self) {
            let mut queue = self.lock();
            queue.last = true;
            queue.end_if_written();
            self.left.notify_one();
        }

        /// Ends the input at once, since it is no longer read.
        pub fn close(&self) {
            self.lock().close();
            self.left.notify_one();
        }

        /// Waits until a write has shown that the process does not read its input any more.
        ///
        /// # Cancel safety
        /// May be dropped at any time.
        pub async fn broken(&self) {
            self.broken.notified().await;
        }

        /// Writes what the calls could not, until the input has ended. Nothing is written before this runs, which waits for the
        /// keeper: an idle CLI ends with its input, and so with this host, but a CLI with a turn needs the keeper.
        pub async fn run(&self) {
            keeper::ready().await;
            self.lock().held = false;
            loop {
                let Some((pipe, is_idle)) = self.lock().work() else {
                    return;
                };
                if is_idle {
                    drop(pipe);
                    self.left.notified().await;
                    continue;
                }
                // After an error the next write reports it.
                let _ = pipe.writable().await;
                self.flush();
            }
        }

        /// Writes as much as the pipe takes; returns whether that was everything.
        fn flush(&self) -> bool {
            let flushed = self.lock().flush();
            if flushed == Flushed::Broken {
                self.broken.notify_one();
            }
            flushed != Flushed::Part
        }

        fn lock(&self) -> MutexGuard<'_, Queue> {
            self.queue.lock()
        }
    }

    impl Task for InputPipe {
        fn run(self: Arc<Self>) {
            if !self.flush() {
                self.left.notify_one();
            }
        }
    }

    impl Queue {
        /// The pipe, and whether there is nothing to write. `None` once the input has ended.
        fn work(&self) -> Option<(Arc<Sender>, bool)> {
            let pipe = self.pipe.clone()?;
            Some((pipe, self.lines.next().is_none()))
        }

        /// Writes as much as the pipe takes; returns whether that was everything.
        fn flush(&mut self) -> Flushed {
            if self.held {
                return Flushed::Part;
            }
            while let (Some(pipe), Some(bytes)) = (&self.pipe, self.lines.next()) {
                match pipe.try_write(bytes) {
                    Ok(length) => self.lines.advance(length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Part,
                    Err(_) => {
                        self.close();
                        return Flushed::Broken;
                    }
                }
            }
            self.end_if_written();
            Flushed::All
        }

        fn end_if_written(&mut self) {
            if self.last && self.lines.is_empty() {
                self.pipe = None;
            }
        }

        fn close(&mut self) {
            self.pipe = None;
            self.lines.give_up();
        }
    }
}

#[cfg(not(unix))]
mod windows {
    use super::super::keeper;
    use super::lines::{Lines, Ticket};
    use parking_lot::{Mutex, MutexGuard};
    use std::io;
    use std::process;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;
    use tokio::process::ChildStdin;
    use tokio::sync::Notify;

    /// The writing end of a pipe. Every write may block here, so all lines go through the I/O thread.
    #[derive(Debug)]
    pub struct InputPipe {
        queue: Mutex<Queue>,
        left: Notify,
        broken: Notify,
    }

    #[derive(Debug)]
    struct Queue {
        /// With the task that writes while that is at it.
        pipe: Option<ChildStdin>,
        lines: Lines,
        last: bool,
        closed: bool,
    }

    impl InputPipe {
        /// Takes over a pipe; needs the runtime's context.
        pub fn new(pipe: process::ChildStdin) -> io::Result<Self> {
            Ok(Self {
                queue: Mutex::new(Queue {
                    pipe: Some(ChildStdin::from_std(pipe)?),
                    lines: Lines::default(),
                    last: false,
                    closed: false,
                }),
                left: Notify::new(),
                broken: Notify::new(),
            })
        }

        /// Puts a line behind those that wait, to be written after [`InputPipe::release`].
        pub fn push(&self, line: String) -> Ticket {
            let mut queue = self.lock();
            let ticket = queue.lines.push(line);
            if queue.closed || queue.last {
                queue.lines.refuse();
            }
            ticket
        }

        /// Has a control line written, later, behind the lines before it.
        pub fn push_control(self: &Arc<Self>, line: String) {
            let mut queue = self.lock();
            queue.lines.push_control(line);
            if queue.closed || queue.last {
                queue.lines.refuse();
            }
            drop(queue);
            self.left.notify_one();
        }

        /// Has a line written, later, in the order of the lines.
        pub fn release(self: &Arc<Self>, ticket: Ticket) {
            self.lock().lines.release(ticket);
            self.left.notify_one();
        }

        /// Takes the last message back, if the process has not got a byte of it. Whether that could be done.
        pub fn withdraw(&self) -> bool {
            let withdrawn = self.lock().lines.withdraw();
            self.left.notify_one();
            withdrawn
        }

        /// Whether the pipe has taken all messages whole.
        pub fn has_taken_all(&self) -> bool {
            self.lock().lines.are_taken()
        }

        /// Ends the input after the lines so far.
        pub fn end(&self) {
            self.lock().last = true;
            self.left.notify_one();
        }

        /// Does nothing: the task that writes has ended before this is called.
        pub fn close(&self) {
            let mut queue = self.lock();
            queue.closed = true;
            queue.lines.give_up();
            queue.pipe = None;
        }

        /// Waits until a write has shown that the process does not read its input any more.
        pub async fn broken(&self) {
            self.broken.notified().await;
        }

        /// Writes the lines of the calls until the input has ended. Called once.
        pub async fn run(&self) {
            keeper::ready().await;
            let Some(mut pipe) = self.lock().pipe.take() else {
                return;
            };
            loop {
                let Some(bytes) = self.next() else {
                    if self.is_over() {
                        return;
                    }
                    self.left.notified().await;
                    continue;
                };
                if pipe.write_all(&bytes).await.is_err() {
                    self.close();
                    self.broken.notify_one();
                    return;
                }
                self.lock().lines.advance(bytes.len());
            }
        }

        /// What is to be written next. It counts as begun: it cannot be taken back any more.
        fn next(&self) -> Option<Vec<u8>> {
            let mut queue = self.lock();
            let bytes = queue.lines.next()?.to_vec();
            queue.lines.begin();
            Some(bytes)
        }

        fn is_over(&self) -> bool {
            let queue = self.lock();
            queue.closed || (queue.last && queue.lines.is_empty())
        }

        fn lock(&self) -> MutexGuard<'_, Queue> {
            self.queue.lock()
        }
    }
}
