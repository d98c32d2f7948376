//! Texts that stay on disk until they are needed, and the histories made of them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::digest::Digest;
use super::stamp::Stamp;

/// Most bytes that are copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// A gap between two pieces that costs less to read than a call.
const NEAR_BYTES: u64 = 4 * 1024;

/// A holder of texts.
#[derive(Debug)]
pub(super) enum Source {
    /// A text in memory.
    Text(Box<[u8]>),
    /// A `sessions.json` of another program, whose records are not in the journal yet. The stamp shows whether it was written
    /// in place since.
    Foreign(File, Stamp),
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
            Self::Foreign(file, stamp) => {
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

/// The interactions of a record, by their places. Copies share what they have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    last: Option<Arc<Link>>,
    /// If set, only this number of newest elements counts.
    keep: Option<usize>,
}

/// A piece, and all before it.
#[derive(Debug)]
struct Link {
    piece: Piece,
    before: Option<Arc<Self>>,
    /// The digest of all elements up to here, once it was computed.
    sum: OnceLock<u64>,
}

impl Link {
    fn new(piece: Piece, before: Option<Arc<Self>>) -> Arc<Self> {
        let sum = OnceLock::new();
        Arc::new(Self { piece, before, sum })
    }
}

impl Drop for Link {
    /// One after the other: a long list would need a deep stack.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.before.take();
        }
    }
}

impl History {
    /// The elements of an array, which must be a part of `place`.
    pub(super) fn of_array(array: &str, place: &Place<'_>) -> Self {
        let inner = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inner = inner.unwrap_or_default().trim();
        let mut history = Self::default();
        if !inner.is_empty() {
            history.push(inner, place, None);
        }
        history
    }

    /// The elements at a range of a source.
    pub(super) fn of_range(source: &Arc<Source>, range: &Range<u64>) -> Self {
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let piece = Piece {
            source: Arc::clone(source),
            at: range.start,
            len,
        };
        Self {
            last: (len > 0).then(|| Link::new(piece, None)),
            keep: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Adds one element, and keeps only the newest `keep`.
    pub(super) fn push(&mut self, element: &str, place: &Place<'_>, keep: Option<usize>) {
        let piece = place.piece(element);
        let before = self.last.take();
        self.last = Some(Link::new(piece, before));
        let all = self.keep.map(|kept| kept.saturating_add(1));
        self.keep = match (all, keep) {
            (Some(all), Some(keep)) => Some(all.min(keep)),
            (all, keep) => all.or(keep),
        };
    }

    /// The same elements at a range of another source.
    pub(super) fn moved(&self, source: &Arc<Source>, range: &Range<u64>) -> Self {
        let moved = Self::of_range(source, range);
        if let (Some(link), Some(sum)) = (&moved.last, self.known_sum()) {
            // It is the first to know.
            let _ = link.sum.set(sum);
        }
        moved
    }

    fn known_sum(&self) -> Option<u64> {
        let last = self.last.as_ref().filter(|_| self.keep.is_none())?;
        last.sum.get().copied()
    }

    /// The digest of the elements. Of a history that has grown only what is new is read.
    pub(super) fn sum(&self) -> io::Result<u64> {
        if self.keep.is_some() {
            let mut digest = Digest::of_elements(0);
            self.write(&mut |bytes| {
                digest.feed(bytes);
                Ok(())
            })?;
            return Ok(digest.elements());
        }
        let links = std::iter::successors(self.last.as_deref(), |link| link.before.as_deref());
        let (mut news, mut sum) = (Vec::new(), 0);
        for link in links {
            if let Some(known) = link.sum.get() {
                sum = *known;
                break;
            }
            news.push(link);
        }
        let mut buffer = Vec::new();
        for link in news.into_iter().rev() {
            let mut digest = Digest::of_elements(sum);
            write_long(&link.piece, &mut buffer, &mut |bytes| {
                digest.feed(bytes);
                Ok(())
            })?;
            sum = *link.sum.get_or_init(|| digest.elements());
        }
        Ok(sum)
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
    pub(super) fn write(&self, out: &mut Out<'_>) -> io::Result<()> {
        let Some(keep) = self.keep else {
            return write_pieces(&self.pieces(usize::MAX), out);
        };
        // Each piece holds at least one element.
        let mut all = vec![b'['];
        write_pieces(&self.pieces(keep), &mut |bytes| {
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

    /// The same, read from a copy of a source.
    pub(super) fn copied(&self, from: &Arc<Source>, copy: &Arc<Source>) -> Self {
        let mut last = None;
        for piece in self.pieces(usize::MAX) {
            let mut piece = piece.clone();
            if Arc::ptr_eq(&piece.source, from) {
                piece.source = Arc::clone(copy);
            }
            last = Some(Link::new(piece, last));
        }
        Self {
            last,
            keep: self.keep,
        }
    }

    /// The newest pieces, in order.
    fn pieces(&self, most: usize) -> Vec<&Piece> {
        let links = std::iter::successors(self.last.as_deref(), |link| link.before.as_deref());
        let mut pieces: Vec<_> = links.take(most).map(|link| &link.piece).collect();
        pieces.reverse();
        pieces
    }
}

/// Takes a text in parts.
pub(super) type Out<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Writes pieces with commas between them. Pieces near each other in one source are read together.
fn write_pieces(pieces: &[&Piece], out: &mut Out<'_>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut rest = pieces;
    while let [first, ..] = rest {
        let mut end = first.at + first.len as u64;
        let near = rest[1..].iter().take_while(|next| {
            let gap = next.at.checked_sub(end);
            let is_near = Arc::ptr_eq(&next.source, &first.source)
                && gap.is_some_and(|gap| gap < NEAR_BYTES)
                && next.at + next.len as u64 - first.at <= COPY_BYTES as u64;
            end = if is_near { next.at + next.len as u64 } else { end };
            is_near
        });
        let (together, others) = rest.split_at(1 + near.count());
        if rest.len() < pieces.len() {
            out(b",")?;
        }
        rest = others;
        if together.len() == 1 {
            write_long(first, &mut buffer, out)?;
            continue;
        }
        buffer.clear();
        let len = usize::try_from(end - first.at).map_err(io::Error::other)?;
        first.source.read(first.at, len, &mut buffer)?;
        for (index, piece) in together.iter().enumerate() {
            let start = usize::try_from(piece.at - first.at).map_err(io::Error::other)?;
            if index > 0 {
                out(b",")?;
            }
            out(&buffer[start..start + piece.len])?;
        }
    }
    Ok(())
}

fn write_long(piece: &Piece, buffer: &mut Vec<u8>, out: &mut Out<'_>) -> io::Result<()> {
    let mut done = 0;
    while done < piece.len {
        let count = (piece.len - done).min(COPY_BYTES);
        buffer.clear();
        piece.source.read(piece.at + done as u64, count, buffer)?;
        out(buffer)?;
        done += count;
    }
    Ok(())
}
