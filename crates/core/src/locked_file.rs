//! What the locks on files between processes have in common.

#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::path::Path;

/// Whether a locked file is the one that others will lock: somebody may have put another in its place meanwhile.
#[cfg(unix)]
pub(crate) fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(locked), Ok(current)) if identity(&locked) == identity(&current))
}

#[cfg(not(unix))]
pub(crate) fn is_still_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// The process that has locked the file at this path, as the kernel knows it.
///
/// What a holder writes into the file is there a moment after the lock: one that was stopped in between would pass for
/// its predecessor. `None` where only that tells: elsewhere than on Linux, and across containers.
#[cfg(target_os = "linux")]
pub(crate) fn holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = fs::metadata(path).ok()?.ino();
    fs::read_to_string("/proc/locks")
        .ok()?
        .lines()
        .find_map(|line| holder_in(line, inode))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn holder(_path: &Path) -> Option<u32> {
    None
}

/// A line is `1: FLOCK  ADVISORY  WRITE 12780 fe:00:10011997 0 EOF`; those who wait have `->` before the kind. The
/// device is left out: some file systems (overlayfs, btrfs) show another one to `stat`.
#[cfg(target_os = "linux")]
fn holder_in(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok().filter(|pid| *pid != 0)?;
    let locked: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
    (locked == inode).then_some(pid)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_kernel_names_the_holder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()), None);
        file.as_file().lock().unwrap();
        assert_eq!(holder(file.path()), Some(std::process::id()));
    }

    #[test]
    fn a_line_tells_who_holds_which_file() {
        let holds = "3: FLOCK  ADVISORY  WRITE 127 fe:00:42 0 EOF";
        assert_eq!(holder_in(holds, 42), Some(127));
        assert_eq!(holder_in(holds, 4), None);
        assert_eq!(
            holder_in("3: -> FLOCK  ADVISORY  WRITE 128 fe:00:42 0 EOF", 42),
            None
        );
        assert_eq!(
            holder_in("4: POSIX  ADVISORY  WRITE 129 fe:00:42 0 EOF", 42),
            None
        );
        assert_eq!(holder_in("", 42), None);
    }
}
