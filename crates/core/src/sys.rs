//! The few calls that have no safe form. The only unsafe code of the core.

#[cfg(target_os = "linux")]
pub(crate) use linux::{is_open_to_write, watch};
#[cfg(windows)]
pub(crate) use windows::resume;

/// Whether any program has a file open to write. `None` where the system cannot tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_open_to_write(_file: &std::fs::File) -> Option<bool> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
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

    /// Sets the signal of a lease; the same on all architectures.
    const F_SETSIG: i32 = 10;

    /// Whether any program has a file open to write, given the file open to read. `None` where the system cannot tell: for
    /// files of others, on some network file systems.
    pub(crate) fn is_open_to_write(file: &File) -> Option<bool> {
        let fd = file.as_raw_fd();
        // The kernel grants a read lease only if nobody has the file open to write. Should somebody open it before the lease
        // is given back, the kernel sends the signal, which by default does nothing, and lets the opener in.
        if call(fd, F_SETSIG, libc::SIGURG).is_err() {
            return None;
        }
        match call(fd, libc::F_SETLEASE, libc::F_RDLCK) {
            Ok(()) => {
                // What fails here the kernel does when the file is closed.
                let _ = call(fd, libc::F_SETLEASE, libc::F_UNLCK);
                Some(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(true),
            Err(_) => None,
        }
    }

    fn call(fd: i32, command: i32, argument: i32) -> io::Result<()> {
        // SAFETY: these commands take a number and touch no memory; the descriptor is open as long as the file is borrowed.
        #[expect(unsafe_code, reason = "no crate here has leases")]
        let done = unsafe { libc::fcntl(fd, command, argument) };
        if done == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
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
