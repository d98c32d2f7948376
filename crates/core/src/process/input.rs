//! The writing end of a child's standard input. While the I/O thread sleeps, a line is written on the calling thread, as
//! far as the pipe takes it at once: that spares waking a thread. While it is awake anyway, it writes: that spares the
//! JavaScript thread the system call, half of what a turn costs it.

#[cfg(unix)]
pub(crate) use unix::InputPipe;
#[cfg(not(unix))]
pub use windows::InputPipe;

#[cfg(unix)]
mod unix {
    use super::super::keeper;
    use crate::runtime::deferred::{self, Task};
    use parking_lot::{Mutex, MutexGuard};
    use std::collections::VecDeque;
    use std::io;
    use std::process::ChildStdin;
    use std::sync::Arc;
    use tokio::net::unix::pipe::Sender;
    use tokio::sync::Notify;

    /// The writing end of a pipe.
    pub struct InputPipe {
        queue: Mutex<Queue>,
        /// Something is left for [`InputPipe::run`].
        left: Notify,
    }

    struct Queue {
        /// Gone once the input has ended.
        pipe: Option<Arc<Sender>>,
        lines: VecDeque<String>,
        /// Bytes of the first line that are written.
        written: usize,
        /// Whether the input ends after these lines.
        last: bool,
        /// Whether nothing may be written yet.
        held: bool,
    }

    impl InputPipe {
        /// Takes over a pipe; needs the runtime's context.
        pub fn new(pipe: ChildStdin) -> io::Result<Self> {
            Ok(Self {
                queue: Mutex::new(Queue {
                    pipe: Some(Arc::new(Sender::from_owned_fd(pipe.into())?)),
                    lines: VecDeque::new(),
                    written: 0,
                    last: false,
                    held: true,
                }),
                left: Notify::new(),
            })
        }

        /// Writes a line, now or later, in the order of the calls. Never blocks.
        pub fn write(self: &Arc<Self>, line: String) {
            let mut queue = self.lock();
            if queue.pipe.is_none() || queue.last {
                return;
            }
            queue.lines.push_back(line);
            // With lines before it somebody is at it already.
            let is_first = queue.lines.len() == 1;
            drop(queue);
            if is_first {
                deferred::defer(self);
            }
        }

        /// Ends the input after what was written.
        pub fn end(&self) {
            let mut queue = self.lock();
            queue.last = true;
            queue.end_if_written();
            self.left.notify_one();
        }

        /// Ends the input at once: nobody reads it any more.
        pub fn close(&self) {
            self.lock().close();
            self.left.notify_one();
        }

        /// Writes what the calls could not, until the input has ended. Before it, nothing is written: a CLI that has
        /// nothing to do ends with its input, that is with this host; one with a turn needs the keeper.
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
                // After an error the next write tells.
                let _ = pipe.writable().await;
                self.lock().flush();
            }
        }

        fn lock(&self) -> MutexGuard<'_, Queue> {
            self.queue.lock()
        }
    }

    impl Task for InputPipe {
        fn run(self: Arc<Self>) {
            if !self.lock().flush() {
                self.left.notify_one();
            }
        }
    }

    impl Queue {
        /// The pipe, and whether there is nothing to write. `None` once the input has ended.
        fn work(&self) -> Option<(Arc<Sender>, bool)> {
            let pipe = self.pipe.clone()?;
            Some((pipe, self.lines.is_empty()))
        }

        /// Writes as much as the pipe takes; whether that was all.
        fn flush(&mut self) -> bool {
            if self.held {
                return false;
            }
            while let (Some(pipe), Some(line)) = (&self.pipe, self.lines.front()) {
                match pipe.try_write(&line.as_bytes()[self.written..]) {
                    Ok(length) => self.written += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    // The reader is gone: the end of the process tells the rest.
                    Err(_) => self.close(),
                }
                if self.lines.front().is_some_and(|line| line.len() == self.written) {
                    self.lines.pop_front();
                    self.written = 0;
                }
            }
            self.end_if_written();
            true
        }

        fn end_if_written(&mut self) {
            if self.last && self.lines.is_empty() {
                self.pipe = None;
            }
        }

        fn close(&mut self) {
            self.pipe = None;
            self.lines.clear();
        }
    }
}

#[cfg(not(unix))]
mod windows {
    use super::super::keeper;
    use parking_lot::Mutex;
    use std::io;
    use std::process;
    use tokio::io::AsyncWriteExt;
    use tokio::process::ChildStdin;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    /// What is to be written; `None` ends the input.
    type Line = Option<String>;

    /// The writing end of a pipe. There is no write that does not block: all lines go through the I/O thread.
    pub struct InputPipe {
        lines: UnboundedSender<Line>,
        work: Mutex<Option<(ChildStdin, UnboundedReceiver<Line>)>>,
    }

    impl InputPipe {
        /// Takes over a pipe; needs the runtime's context.
        pub fn new(pipe: process::ChildStdin) -> io::Result<Self> {
            let (lines, receiver) = unbounded_channel();
            let work = Mutex::new(Some((ChildStdin::from_std(pipe)?, receiver)));
            Ok(Self { lines, work })
        }

        /// Writes a line, later, in the order of the calls.
        pub fn write(&self, line: String) {
            // Fails only when the input has ended.
            let _ = self.lines.send(Some(line));
        }

        /// Ends the input after what was written.
        pub fn end(&self) {
            let _ = self.lines.send(None);
        }

        /// The task that writes has ended before this is called.
        pub fn close(&self) {
            self.end();
        }

        /// Writes what the calls bring, until the input has ended. To be called once.
        pub async fn run(&self) {
            keeper::ready().await;
            let work = self.work.lock().ok().and_then(|mut work| work.take());
            let Some((mut pipe, mut lines)) = work else { return };
            while let Some(Some(line)) = lines.recv().await {
                // The reader is gone: the end of the process tells the rest.
                if pipe.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}
