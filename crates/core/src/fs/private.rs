//! Files and directories that only their owner can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a directory that only its owner can enter, and its parents.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    if path.is_dir() {
        return Ok(());
    }
    builder.create(path)?;
    if let Ok(dir) = File::open(path) {
        give_to_owner_of_dir(&dir, path);
    }
    Ok(())
}

/// Gives a file, or a directory, that root has made in the directory of another user to that user, who could not use it
/// otherwise: `sudo` must lock nobody out.
#[cfg(unix)]
pub(crate) fn give_to_owner_of_dir(file: &File, path: &Path) {
    use std::os::unix::fs::{MetadataExt, fchown};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let owner = |metadata: std::fs::Metadata| (metadata.uid(), metadata.gid());
    let dir = path.parent().and_then(|dir| dir.metadata().ok()).map(owner);
    let Some((user, group)) = dir.filter(|(user, _)| *user != 0) else {
        return;
    };
    if file.metadata().is_ok_and(|metadata| metadata.uid() == 0) {
        // Where the system refuses, the file is root's, as before.
        let _ = fchown(file, Some(user), Some(group));
    }
}

/// Elsewhere files belong to whom the directory says.
#[cfg(not(unix))]
pub(crate) fn give_to_owner_of_dir(_file: &File, _path: &Path) {}

/// Creates a file for reading and writing. Fails if it exists.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let file = options().create_new(true).open(path)?;
    give_to_owner_of_dir(&file, path);
    Ok(file)
}

/// Opens or creates a file for reading and writing.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let file = options().create(true).truncate(false).open(path)?;
    give_to_owner_of_dir(&file, path);
    Ok(file)
}

/// The same; also creates its directory, which may have been deleted under a running program.
pub(crate) fn open_or_create_in(path: &Path) -> io::Result<File> {
    open_or_create(path).or_else(|error| {
        let Some(dir) = path.parent().filter(|_| error.kind() == io::ErrorKind::NotFound) else {
            return Err(error);
        };
        create_dir(dir)?;
        open_or_create(path)
    })
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What tells a directory from its copies, in all processes of this machine until it is removed: file system, inode, time of
/// creation. `None` if the system has no such thing.
#[cfg(unix)]
pub(crate) fn identity_of(dir: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(dir).ok()?;
    // Inodes are given again; some file systems do not keep the time.
    let created = metadata.created().ok();
    let created = created.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let nanos = created.map_or(0, |time| time.as_nanos());
    Some(format!("{:x}-{:x}-{nanos:x}", metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(crate) fn identity_of(_dir: &Path) -> Option<String> {
    None
}
