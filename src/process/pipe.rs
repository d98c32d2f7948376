//! The reading end of a child's pipe.

#[cfg(unix)]
pub use unix::ReadPipe;
#[cfg(not(unix))]
pub use windows::ReadPipe;

#[cfg(unix)]
mod unix {
    use crate::limits;
    use std::cell::RefCell;
    use std::io;
    use std::os::fd::OwnedFd;
    use tokio::net::unix::pipe::Receiver;

    thread_local! {
        /// One buffer serves all pipes of the thread: a session that is silent costs none.
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
        pub async fn read(&self, mut take: impl FnMut(&[u8])) -> bool {
            loop {
                if self.0.readable().await.is_err() {
                    return false;
                }
                let read = BUFFER.with_borrow_mut(|buffer| {
                    let read = self.0.try_read(buffer);
                    if let Ok(length @ 1..) = read {
                        take(&buffer[..length]);
                    }
                    read
                });
                match read {
                    Ok(0) => return false,
                    Ok(_) => return true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return false,
                }
            }
        }
    }
}

#[cfg(not(unix))]
mod windows {
    use crate::limits;
    use std::io;
    use tokio::io::{AsyncRead, AsyncReadExt};
    use tokio::sync::Mutex;

    /// The reading end of a pipe.
    pub struct ReadPipe(Mutex<(Box<dyn AsyncRead + Send + Unpin>, Vec<u8>)>);

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

        fn boxed(pipe: Box<dyn AsyncRead + Send + Unpin>) -> Self {
            Self(Mutex::new((pipe, vec![0; limits::READ_BYTES])))
        }

        /// Waits for bytes and hands them to `take`; `false` at the end of the stream.
        pub async fn read(&self, mut take: impl FnMut(&[u8])) -> bool {
            let mut guard = self.0.lock().await;
            let (pipe, buffer) = &mut *guard;
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
