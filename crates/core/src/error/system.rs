//! An error of the operating system, kept as the source of an error of ours.

use serde_json::{Map, Value};
use std::fmt::{self, Display, Formatter};
use std::io;
use std::sync::Arc;

/// An error of the system. It distinguishes a full disk from a missing permission.
#[derive(Debug, Clone)]
pub struct SystemError(Arc<io::Error>);

impl SystemError {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }

    /// Its number. Unix only: the numbers of Windows are not those that Node uses.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.0.raw_os_error().filter(|_| cfg!(unix))
    }

    /// Its name as POSIX and Node have it: `ENOSPC`. `None` for an error that is not the system's own.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        #[cfg(unix)]
        if let Some(errno) = self.errno() {
            let name = nix::errno::Errno::from_raw(errno);
            return (name != nix::errno::Errno::UnknownErrno).then(|| format!("{name:?}"));
        }
        code_of(self.0.kind()).map(str::to_owned)
    }

    /// As JSON, in Node's style: `{"message":"No space left on device (os error 28)","code":"ENOSPC","errno":-28}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("message".into(), self.to_string().into());
        if let Some(code) = self.code() {
            json.insert("code".into(), code.into());
        }
        if let Some(errno) = self.errno() {
            // Node's numbers are negative.
            json.insert("errno".into(), (-errno).into());
        }
        json.into()
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl PartialEq for SystemError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.0.raw_os_error()) == (other.kind(), other.0.raw_os_error())
    }
}

impl Display for SystemError {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SystemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// The names of errors that Windows reports with numbers of its own.
fn code_of(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::NotFound => "ENOENT",
        Kind::PermissionDenied => "EACCES",
        Kind::AlreadyExists => "EEXIST",
        Kind::NotADirectory => "ENOTDIR",
        Kind::IsADirectory => "EISDIR",
        Kind::DirectoryNotEmpty => "ENOTEMPTY",
        Kind::ReadOnlyFilesystem => "EROFS",
        Kind::StorageFull => "ENOSPC",
        Kind::QuotaExceeded => "EDQUOT",
        Kind::FileTooLarge => "EFBIG",
        Kind::InvalidFilename => "ENAMETOOLONG",
        Kind::ResourceBusy => "EBUSY",
        Kind::WouldBlock => "EAGAIN",
        Kind::OutOfMemory => "ENOMEM",
        Kind::BrokenPipe => "EPIPE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[cfg(unix)]
    #[test]
    fn an_error_of_the_system_has_its_name_and_number() {
        let full = SystemError::from(io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32));
        assert_eq!(
            full.to_json(),
            json!({ "message": "No space left on device (os error 28)", "code": "ENOSPC", "errno": -28 })
        );
        assert_eq!(SystemError::from(io::Error::from_raw_os_error(9999)).code(), None);
    }

    #[test]
    fn an_error_of_ours_has_a_name_only_if_the_system_has_the_same() {
        let name = |error: io::Error| SystemError::from(error).code();
        assert_eq!(
            name(io::ErrorKind::PermissionDenied.into()).as_deref(),
            Some("EACCES")
        );
        let json = SystemError::from(io::Error::other("torn")).to_json();
        assert_eq!(json, json!({ "message": "torn" }));
    }
}
