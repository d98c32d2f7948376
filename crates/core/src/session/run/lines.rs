//! Processes the bytes of standard output.

use crate::error::Error;
use crate::faults;
use crate::limits;
use crate::process::pipe::ReadPipe;
use crate::protocol::framer::{Framed, Framer};
use crate::protocol::inbound::{self, Frame};
use crate::protocol::partial::Piece;
use crate::runtime::{deferred, wakes};
use crate::session::deltas::Deltas;
use crate::session::event::Event;
use crate::session::handle::Link;
use crate::session::state::State;
use std::borrow::Cow;
use std::time::Instant;

/// What is known of standard output so far.
pub(super) struct Output {
    pub(super) framer: Framer,
    pub(super) deltas: Box<Deltas>,
}

/// Reads once and passes on the lines; `false` at the end of the stream.
pub(super) async fn read_lines(stdout: &mut ReadPipe, output: &mut Output, to: &Link) -> bool {
    let Output { framer, deltas } = output;
    let more = stdout
        .read(|bytes| framer.push(bytes, |framed| on_framed(to, deltas, &framed)))
        .await;
    wakes::flush_if_late();
    deferred::run_deferred();
    more
}

pub(super) fn on_framed(to: &Link, deltas: &mut Deltas, framed: &Framed<'_>) {
    match framed {
        Framed::Line(line) if !fits(line.len()) => {
            let is_result = memchr::memmem::find(line, inbound::RESULT_MARK).is_some();
            leave_out(to, line.len(), is_result);
        }
        Framed::Line(line) => {
            faults::place("line", to.session().options());
            // A check of the whole is quicker than the search for what is wrong.
            let text =
                std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
            let frame = inbound::parse(&text);
            let subscriptions = to.session().subscriptions();
            if let Frame::Piece(piece) = frame {
                if subscriptions.deltas {
                    on_piece(to, deltas, piece);
                }
                if subscriptions.messages {
                    let send = to.session().read(State::present_send);
                    let line = text.into_owned();
                    to.emit(Event::Message { send, line });
                }
                return;
            }
            flush(to, deltas);
            match frame {
                Frame::Content(..) => deltas.end_message(),
                Frame::Result(_) => tell_gap(to, deltas),
                _ => {}
            }
            let message = subscriptions.includes(&frame).then(|| text.clone().into_owned());
            to.apply(|state| state.on_frame(frame, &text, message, Instant::now()));
        }
        Framed::LeftOut { bytes, found } => leave_out(to, *bytes, *found),
    }
}

fn on_piece(to: &Link, deltas: &mut Deltas, piece: Piece) {
    let now = Instant::now();
    if let Err(piece) = deltas.add(piece, now) {
        flush(to, deltas);
        // With nothing before it, it is always taken.
        let _ = deltas.add(piece, now);
    }
}

/// Emits the pieces so far.
pub(super) fn flush(to: &Link, deltas: &mut Deltas) {
    if deltas.due_at().is_none() {
        return;
    }
    let session = to.session();
    let send = session.read(State::present_send);
    for event in deltas.take(send, session.backlog().has_much_room()) {
        to.emit(event);
    }
}

/// Tells of the pieces that were dropped, before the turn is over.
fn tell_gap(to: &Link, deltas: &mut Deltas) {
    let send = to.session().read(State::present_send);
    for event in deltas.gap(send) {
        to.emit(event);
    }
}

/// Whether there is memory for everything made of a line. Checked in advance, since an allocation that fails later ends
/// the program.
fn fits(bytes: usize) -> bool {
    bytes < limits::BIG_LINE_BYTES
        || Vec::<u8>::new()
            .try_reserve_exact(bytes * limits::LINE_COPIES)
            .is_ok()
}

/// Skips a line that cannot be read. If it is a result, the turn has ended without one.
fn leave_out(to: &Link, bytes: usize, is_result: bool) {
    let why = if bytes > limits::LINE_BYTES {
        format!("over the limit of {}", limits::LINE_BYTES)
    } else {
        "not enough memory".to_owned()
    };
    let reason = format!("skipped a line of {bytes} bytes: {why}");
    let error = Error::Internal { reason };
    to.emit(Event::Error { error: error.clone() });
    if is_result {
        to.apply(|state| state.on_lost_result(&error, Instant::now()));
    }
}
