//! Texts that stay on disk until they are needed, and the histories made of them.

use std::fs::File;
use std::io;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::file::Stamp;

/// Most bytes that are copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// A holder of texts.
#[derive(Debug)]
pub(super) enum Source {
    /// A small file, in memory: it needs no reading, and no other program can change it.
    Text(Box<[u8]>),
    /// A version of `sessions.json`. The file is replaced by rename, so an open one keeps its contents. Only a program that
    /// writes in place (clearctx 3.0.0) can change it, and the stamp shows that.
    Base(File, Stamp),
    /// A journal, whose lines never change.
    Journal(File),
}

impl Source {
    /// Appends a range to `out`.
    fn read(&self, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Text(text) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let range = text.get(start..start.saturating_add(len));
                out.extend_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
            Self::Base(file, stamp) => {
                read_exact_at(file, at, len, out)?;
                if !Stamp::of(&file.metadata()?)?.is_same_text(stamp) {
                    return Err(io::Error::other("was written in place while it was read"));
                }
            }
            Self::Journal(file) => read_exact_at(file, at, len, out)?,
        }
        Ok(())
    }
}

/// Appends a range of a file to `out`, without moving its position.
pub(super) fn read_exact_at(file: &File, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + len, 0);
    let mut done = 0;
    while done < len {
        match read_at(file, &mut out[start + done..], at + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads once at a position.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

/// Reads once at a position.
#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// The place of the elements of a JSON array, or of one element.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    source: Arc<Source>,
    at: u64,
    len: usize,
}

/// A text within a source. It can locate its parts in that source.
pub(super) struct Place<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) text: &'a str,
    /// Where the text starts.
    pub(super) at: u64,
}

impl Place<'_> {
    /// The same for a part of the text.
    fn piece(&self, part: &str) -> Piece {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        Piece {
            source: Arc::clone(self.source),
            at: self.at + start as u64,
            len: part.len(),
        }
    }
}

/// The interactions of a record, by their places.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pieces: Vec<Piece>,
    /// If set, only this number of newest elements counts.
    keep: Option<usize>,
}

impl History {
    /// The elements of an array, which must be a part of `place`.
    pub(super) fn of_array(array: &str, place: &Place<'_>) -> Self {
        let inner = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inner = inner.unwrap_or_default().trim();
        let pieces = if inner.is_empty() {
            Vec::new()
        } else {
            vec![place.piece(inner)]
        };
        Self { pieces, keep: None }
    }

    /// The elements at a range of a file.
    pub(super) fn of_range(source: &Arc<Source>, at: u64, len: usize) -> Self {
        let piece = Piece {
            source: Arc::clone(source),
            at,
            len,
        };
        Self {
            pieces: if len == 0 { Vec::new() } else { vec![piece] },
            keep: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds one element, and keeps only the newest `keep`.
    pub(super) fn push(&mut self, element: &str, place: &Place<'_>, keep: Option<usize>) {
        self.pieces.push(place.piece(element));
        let all = self.keep.map(|kept| kept.saturating_add(1));
        self.keep = match (all, keep) {
            (Some(all), Some(keep)) => Some(all.min(keep)),
            (all, keep) => all.or(keep),
        };
        if let Some(keep) = self.keep {
            // Dropped many at a time, so that it costs little per element. Each piece holds at least one element.
            if self.pieces.len() >= keep.max(1).saturating_mul(2) {
                self.pieces.drain(..self.pieces.len() - keep);
            }
        }
    }

    /// How many pieces there are, to undo a push.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn keeps_all(&self) -> bool {
        self.keep.is_none()
    }

    pub(super) fn cut_back(&mut self, pieces: usize) {
        self.pieces.truncate(pieces);
    }

    /// The JSON text of the array.
    pub(super) fn text(&self) -> io::Result<String> {
        let mut out = vec![b'['];
        self.write(&mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        out.push(b']');
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Writes the elements, separated by commas, at most [`COPY_BYTES`] at once if that is possible.
    pub(super) fn write(&self, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(keep) = self.keep else {
            return write_pieces(&self.pieces, out);
        };
        let mut all = vec![b'['];
        write_pieces(&self.pieces, &mut |bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        })?;
        all.push(b']');
        let elements: Vec<&RawValue> = serde_json::from_slice(&all).map_err(io::Error::other)?;
        let newest = &elements[elements.len().saturating_sub(keep)..];
        for (index, element) in newest.iter().enumerate() {
            if index > 0 {
                out(b",")?;
            }
            out(element.get().as_bytes())?;
        }
        Ok(())
    }
}

fn write_pieces(pieces: &[Piece], out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            out(b",")?;
        }
        let mut done = 0;
        while done < piece.len {
            let count = (piece.len - done).min(COPY_BYTES);
            buffer.clear();
            piece.source.read(piece.at + done as u64, count, &mut buffer)?;
            out(&buffer)?;
            done += count;
        }
    }
    Ok(())
}

impl History {
    /// A copy, if these fields may replace the history.
    pub(super) fn clone_if(&self, fields: &str) -> Option<Self> {
        fields.contains("interactions").then(|| self.clone())
    }
}
