//! The reading end of a child's pipe.

#[cfg(unix)]
pub(crate) use unix::ReadPipe;
#[cfg(not(unix))]
pub(crate) use windows::ReadPipe;

#[cfg(unix)]
mod unix {
    use crate::limits;
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::pin::Pin;
    use std::task::{Poll, ready};
    use tokio::io::{AsyncRead, ReadBuf};
    use tokio::net::unix::pipe::Receiver;

    thread_local! {
        /// One buffer serves all pipes of the thread, so a silent session needs none.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; limits::READ_BYTES]);
    }

    /// The reading end of a pipe.
    #[derive(Debug)]
    pub struct ReadPipe(Receiver);

    impl ReadPipe {
        /// Takes over a pipe; needs the runtime's context.
        pub fn new(pipe: impl Into<OwnedFd>) -> io::Result<Self> {
            Receiver::from_owned_fd(pipe.into()).map(Self)
        }

        /// Waits for bytes and hands them to `take`; `false` at the end of the stream.
        ///
        /// # Cancel safety
        /// Nothing is lost if the future is dropped: bytes are read and taken without a wait in between.
        pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> bool {
            poll_fn(|context| {
                BUFFER.with_borrow_mut(|buffer| {
                    let mut bytes = ReadBuf::new(buffer);
                    // Takes a short read as a sign that the pipe is empty, and does not read again.
                    let read = ready!(Pin::new(&mut self.0).poll_read(context, &mut bytes));
                    let more = read.is_ok() && !bytes.filled().is_empty();
                    if more {
                        take(bytes.filled());
                    }
                    Poll::Ready(more)
                })
            })
            .await
        }
    }
}

#[cfg(not(unix))]
mod windows {
    use crate::limits;
    use std::io;
    use tokio::io::{AsyncRead, AsyncReadExt};

    /// The reading end of a pipe.
    pub struct ReadPipe {
        pipe: Box<dyn AsyncRead + Send + Sync + Unpin>,
        buffer: Vec<u8>,
    }

    impl ReadPipe {
        /// Takes over the pipe of a child's standard output; needs the runtime's context.
        pub fn stdout(pipe: std::process::ChildStdout) -> io::Result<Self> {
            Ok(Self::boxed(Box::new(tokio::process::ChildStdout::from_std(
                pipe,
            )?)))
        }

        /// Takes over the pipe of a child's standard error; needs the runtime's context.
        pub fn stderr(pipe: std::process::ChildStderr) -> io::Result<Self> {
            Ok(Self::boxed(Box::new(tokio::process::ChildStderr::from_std(
                pipe,
            )?)))
        }

        fn boxed(pipe: Box<dyn AsyncRead + Send + Sync + Unpin>) -> Self {
            Self {
                pipe,
                buffer: vec![0; limits::READ_BYTES],
            }
        }

        /// Waits for bytes and hands them to `take`; `false` at the end of the stream.
        pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> bool {
            let Self { pipe, buffer } = self;
            match pipe.read(buffer).await {
                Ok(0) | Err(_) => false,
                Ok(length) => {
                    take(&buffer[..length]);
                    true
                }
            }
        }
    }
}
