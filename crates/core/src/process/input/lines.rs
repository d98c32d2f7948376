//! The lines that wait for a pipe, and what became of them.

use std::collections::VecDeque;

/// Names a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Line {
    ticket: Ticket,
    text: String,
    /// Whether it is a message; else it is a control line, which nobody takes back.
    is_message: bool,
    /// Whether it may be written.
    is_ready: bool,
}

/// Lines in their order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    queue: VecDeque<Line>,
    tickets: u64,
    /// Bytes of the first line that the pipe has taken.
    written: usize,
    /// Whether the first line is on its way, whatever the pipe has taken of it.
    begun: bool,
    /// Whether a message was given up that the pipe had not taken whole.
    lost: bool,
}

impl Lines {
    /// Puts a message behind the other lines. It is held until [`Lines::release`].
    pub(super) fn push(&mut self, text: String) -> Ticket {
        self.add(text, true)
    }

    /// Puts a control line behind the other lines. Whether it is the next one, so that somebody must see to it.
    pub(super) fn push_control(&mut self, text: String) -> bool {
        self.add(text, false);
        self.queue.len() == 1
    }

    fn add(&mut self, text: String, is_message: bool) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.queue.push_back(Line {
            ticket,
            text,
            is_message,
            is_ready: !is_message,
        });
        ticket
    }

    /// Lets a line be written. Whether it is the next one, so that somebody must see to it.
    pub(super) fn release(&mut self, ticket: Ticket) -> bool {
        let Some(at) = self.queue.iter().position(|line| line.ticket == ticket) else {
            return false;
        };
        self.queue[at].is_ready = true;
        at == 0
    }

    /// Takes the last message back, if the pipe has not taken a byte of it.
    pub(super) fn withdraw(&mut self) -> bool {
        let last = self.queue.iter().rposition(|line| line.is_message);
        let untouched = last.filter(|at| !self.begun || *at > 0);
        untouched.is_some_and(|at| self.queue.remove(at).is_some())
    }

    /// What is to be written next.
    pub(super) fn next(&self) -> Option<&[u8]> {
        let line = self.queue.front().filter(|line| line.is_ready)?;
        Some(&line.text.as_bytes()[self.written..])
    }

    /// The first line is about to be written: it cannot be taken back any more.
    #[cfg_attr(unix, allow(dead_code, reason = "a pipe of Unix says at once what it takes"))]
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// The pipe has taken so many bytes of it.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.begun |= bytes > 0;
        self.written += bytes;
        if self
            .queue
            .front()
            .is_some_and(|line| line.text.len() == self.written)
        {
            self.queue.pop_front();
            (self.begun, self.written) = (false, 0);
        }
    }

    /// Nothing more is written.
    pub(super) fn give_up(&mut self) {
        self.lost |= self.has_message();
        self.queue.clear();
        (self.begun, self.written) = (false, 0);
    }

    /// The last line is not taken at all: the input has ended before it.
    pub(super) fn refuse(&mut self) {
        self.lost |= self.queue.pop_back().is_some_and(|line| line.is_message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the pipe has taken all messages whole.
    pub(super) fn are_taken(&self) -> bool {
        !self.lost && !self.has_message()
    }

    fn has_message(&self) -> bool {
        self.queue.iter().any(|line| line.is_message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_taken_back_until_its_first_byte_is_written() {
        let mut lines = Lines::default();
        let ticket = lines.push("abc".to_owned());
        assert!(lines.next().is_none(), "it is held");
        assert!(lines.withdraw() && lines.are_taken());
        assert!(!lines.release(ticket), "it is gone");
        let ticket = lines.push("abc".to_owned());
        assert!(lines.release(ticket));
        lines.advance(1);
        assert!(!lines.withdraw());
        assert_eq!(lines.next(), Some(b"bc".as_slice()));
        let second = lines.push("d".to_owned());
        assert!(!lines.release(second) && lines.withdraw());
        lines.advance(2);
        assert!(lines.are_taken());
    }

    #[test]
    fn a_message_can_be_taken_back_from_before_a_control_line() {
        let mut lines = Lines::default();
        lines.push("abc".to_owned());
        assert!(!lines.push_control("x".to_owned()));
        assert!(lines.next().is_none(), "the message is held");
        assert!(lines.withdraw() && lines.are_taken());
        assert_eq!(lines.next(), Some(b"x".as_slice()));
        assert!(!lines.withdraw());
        lines.give_up();
        assert!(lines.are_taken(), "no message was lost");
    }

    #[test]
    fn what_is_given_up_is_not_taken() {
        let mut lines = Lines::default();
        lines.give_up();
        assert!(lines.are_taken());
        lines.push("abc".to_owned());
        lines.give_up();
        assert!(!lines.are_taken());
    }
}
