//! The few calls that have no safe form. The only unsafe code of the core.

#[cfg(target_os = "linux")]
pub(crate) use linux::watch;
#[cfg(windows)]
pub(crate) use windows::resume;

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

#[cfg(windows)]
mod windows {
    use std::io;
    use std::os::windows::io::{AsRawHandle, RawHandle};
    use std::process::Child;

    // SAFETY: the signature is that of the system, and any value is sound: a handle that is none gives an error.
    #[link(name = "ntdll", kind = "raw-dylib")]
    #[expect(unsafe_code, reason = "a function of the system")]
    unsafe extern "system" {
        /// Resumes all threads of a process; negative if it fails. The documented way needs the handle of the first thread,
        /// which the standard library does not give, or a list of all threads of the system.
        #[link_name = "NtResumeProcess"]
        safe fn resume_process(process: RawHandle) -> i32;
    }

    /// Lets a process run that was started suspended.
    pub(crate) fn resume(child: &Child) -> io::Result<()> {
        match resume_process(child.as_raw_handle()) {
            status if status < 0 => Err(io::Error::other(format!(
                "the process could not be resumed: status {status:#x}"
            ))),
            _ => Ok(()),
        }
    }
}
