//! The few calls that have no safe form. The only unsafe code of the core.

#[cfg(target_os = "linux")]
pub(crate) use linux::watch;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Makes the runtime report when `fd` becomes readable. Needs the runtime's context.
    pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        // SAFETY: the descriptor must stay open and the same as long as it is registered: an `OwnedFd` is owned
        // by the `AsyncFd`, closes only when dropped, and always names the same descriptor. Tokio has no safe
        // constructor, since its trait does not promise this of every type.
        #[expect(
            unsafe_code,
            reason = "tokio has no safe way to register a descriptor that is not a pipe or socket"
        )]
        unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
    }
}
