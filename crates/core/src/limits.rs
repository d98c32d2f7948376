//! Every default and bound of the engine, with its unit and its reason.

use std::time::Duration;

/// Longest wait for the store's lock, in all steps of a call together. A synchronous call blocks the JavaScript thread that
/// long at most.
pub const STORE_LOCK_WAIT: Duration = Duration::from_secs(1);

/// How much of the end of a process's standard error is kept for error messages.
pub const STDERR_TAIL_BYTES: usize = 8 * 1024;

/// Longest line of the CLI that is read. A JavaScript string has at most about 512 MiB; the real CLI was seen to write
/// lines of 5 MB and has no bound of its own.
pub const LINE_BYTES: usize = 256 * 1024 * 1024;

/// A line from this size on is read only if there is memory for [`LINE_COPIES`] of it.
pub const BIG_LINE_BYTES: usize = 1024 * 1024;

/// Most copies of a line that are in memory while it becomes a turn: raw JSON, response, interaction, journal line, and
/// the strings of JavaScript.
pub const LINE_COPIES: usize = 8;

/// Warnings that a process remembers, in order not to repeat them; later ones are not given.
pub const KNOWN_WARNINGS: usize = 256;

/// Requests to models in the present turn that are kept one by one, since more lines may tell of them.
pub const SEEN_CALLS: usize = 256;

/// Models whose prices are kept: the CLI knows a few dozen.
pub const PRICED_MODELS: usize = 256;

/// Bytes of messages that may wait for JavaScript per session; beyond that its output is not read.
pub const BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that an event counts, besides its text, while it waits for JavaScript. Without them a flood of tiny lines would
/// take many times the bound.
pub const EVENT_BYTES: usize = 256;

/// Read size of a pipe: the capacity of a Linux pipe.
pub const READ_BYTES: usize = 64 * 1024;

/// Events that JavaScript takes at once. They are one JSON text, so a call for each would cost more.
pub const TAKEN_ITEMS: usize = 256;

/// Bytes of messages that JavaScript takes at once at most: making a string of them holds the event loop.
pub const TAKEN_BYTES: usize = 256 * 1024;

/// How long a wake may wait to be combined with others. Long enough for everything that many pipes bring at once, and
/// short beside a turn.
pub const WAKE_DELAY: Duration = Duration::from_micros(500);

/// Default time for a turn.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(600);

/// Default time for the CLI's answer to a request of ours. It takes 1 to 10 ms, a few up to 50 ms (2.1.330).
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a process to confirm what it was told first: its start is part of it.
pub const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(60);

/// Default time for a person's answer to a permission request. The CLI itself waits for ever.
pub const PERMISSION_TIMEOUT: Duration = Duration::from_secs(600);

/// Time for the answer of a hook that was given none.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(600);

/// Most requests of the CLI that wait for the program; further ones are refused at once.
pub const OPEN_ASKS: usize = 1000;

/// Default time for which pieces of an answer are collected: one frame of a screen.
pub const DELTA_INTERVAL: Duration = Duration::from_millis(16);

/// Longest line of an answer from which the text of an interrupted turn is taken.
pub const PARTIAL_ANSWER_BYTES: usize = 1024 * 1024;

/// Default time from end of input to SIGINT. 2.1.197 ends a background command after 5 s.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Default time from SIGINT to SIGKILL. The CLI ends its tools within 1.5 s of a SIGINT.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for anything; a later timer would overflow on some platforms.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long a pipe is read after its process has ended: a descendant may hold the other end for ever.
pub const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// How long a process may live on after it has closed its output. No answer can come from it any more.
pub const SILENT_LIFE: Duration = Duration::from_secs(1);

/// How long a turn that the CLI started by itself may be silent after its init and still hold back waiting messages. Most
/// such turns answer within seconds, and a message that is written into one waits inside the CLI.
pub const OWN_TURN_START: Duration = Duration::from_secs(5);

/// The same for a version in which the results of such turns look like those of ours.
pub const HIDDEN_TURN_START: Duration = Duration::from_secs(30);

/// How long the init of a turn may be late, in a CLI that writes one for each turn, before a result without one counts
/// as the answer. It takes up to 120 ms (2.1.330), and more on an overloaded machine.
pub const KNOWN_INIT_WAIT: Duration = Duration::from_secs(5);

/// The same in a CLI of which nothing is known.
pub const UNKNOWN_INIT_WAIT: Duration = Duration::from_secs(1);

/// How often the output of a process is read before a deadline counts as missed: four pipes full.
pub const READS_BEFORE_EXPIRY: usize = 4;

/// Reads of an ended process's pipe for which there need be no room: one takes all that the process itself has written, if
/// none was under way.
pub const DRAIN_FREE_READS: usize = 2;

/// Silence on the pipe of an ended process that counts as its end.
pub const DRAIN_SILENCE: Duration = Duration::from_millis(100);

/// The CLI writes its transcript up to this long after a result (2.1.197); a fork waits for it.
pub const TRANSCRIPT_DELAY: Duration = Duration::from_millis(100);

/// A single argument of this many bytes, its end mark included, is refused by Linux (E2BIG).
pub const ARGUMENT_BYTES: usize = 128 * 1024;

/// Longest wait for room in the keeper's pipe. A keeper that does not read for this long is abandoned.
pub const KEEPER_PATIENCE: Duration = Duration::from_millis(100);

/// Longest wait for a keeper that was started. On a machine that is not overloaded it answers within a few ms.
pub const KEEPER_START: Duration = Duration::from_secs(10);

/// Most keepers that one host starts: whatever ended all of these would end the next one too.
pub const KEEPER_STARTS: u32 = 5;

/// How often the end of a process is polled if the system does not report it (Windows).
pub const EXIT_POLL: Duration = Duration::from_millis(20);

/// Longest pause between two tries to get the store's lock. The first pauses are shorter.
pub const STORE_LOCK_POLL: Duration = Duration::from_millis(1);

/// How often a record is written again at once because the session changed during the write.
pub const STORE_CATCH_UPS: usize = 3;

/// How long a releasing process backs off when others are waiting for the store's lock: more than [`STORE_LOCK_POLL`].
pub const STORE_LOCK_REST: Duration = Duration::from_micros(1500);

/// How long after the first look at another program's `sessions.json` it may change again within the same time stamp, so
/// that it is read again. File systems count time in ticks of up to 10 ms; network mounts are coarser.
pub const STORE_RACY_AGE: Duration = Duration::from_millis(50);

/// Longest time, together with [`STORE_QUICK_CHANGE`], of a quick commit. If the last commit was quick, the thread that
/// queues the next change commits it. More than an append to memory takes, less than a disk or a network adds.
pub const STORE_QUICK: Duration = Duration::from_micros(150);

/// Time that each change may add to a quick commit.
pub const STORE_QUICK_CHANGE: Duration = Duration::from_micros(20);

/// Most bytes of changes in a commit by the thread that queues it.
pub const STORE_QUICK_BYTES: usize = 1024 * 1024;

/// Pause before the store thread retries changes that could not be saved.
pub const STORE_RETRY: Duration = Duration::from_secs(5);

/// Most changes that wait for the store thread or for the disk, per data directory.
pub const STORE_QUEUE_CHANGES: usize = 100_000;

/// Most bytes of such changes, per data directory.
pub const STORE_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Warnings kept until the binding layer takes them; later ones are dropped.
pub const STORE_WARNINGS: usize = 100;

/// Age at which an unfinished instance lock belongs to a process that died while it created it.
pub const INSTANCE_LOCK_UNFINISHED_AGE: Duration = Duration::from_secs(60);

/// Threads for blocking calls. On systems that can only wait for the end of a process or for a pipe, each session needs
/// up to three; on Linux none.
pub const BLOCKING_THREADS: usize = 8192;

/// Below this size `sessions.json` is small: it is rewritten before a call returns.
pub const STORE_SMALL_BYTES: u64 = 256 * 1024;

/// Rewrites of the small file that are allowed at once.
pub const STORE_REWRITES_AT_ONCE: f64 = 50.0;

/// Further rewrites of the small file that are allowed per second.
pub const STORE_REWRITES_PER_SECOND: f64 = 50.0;

/// How far a small `sessions.json` may be behind the journal.
pub const STORE_SMALL_DELAY: Duration = Duration::from_millis(20);

/// Up to this size `stopAll` brings `sessions.json` up to date.
pub const STORE_MEDIUM_BYTES: u64 = 16 * 1024 * 1024;

/// How far a `sessions.json` that is not small may be behind the journal: as long as writing it at
/// [`STORE_EXPORT_PACE`] takes, between these two bounds.
pub const STORE_EXPORT_DELAY: Duration = Duration::from_millis(800);

/// The longest such delay, whatever the size.
pub const STORE_EXPORT_LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Bytes of `sessions.json` that are written in a second at the most, averaged: what a disk does not notice.
pub const STORE_EXPORT_PACE: u64 = 2 * 1024 * 1024;

/// How long a program that reads `sessions.json`, changes it and writes it back may take before it undoes what was changed
/// here meanwhile; and how long a file that another program has open is left alone.
pub const STORE_FOREIGN_WINDOW: Duration = Duration::from_secs(10);

/// Most exports that are remembered for that.
pub const STORE_FOREIGN_EXPORTS: usize = 1024;

/// How long a file that cannot be read must stay as it is, where the system cannot tell whether it is being written.
pub const STORE_DOUBT: Duration = Duration::from_secs(1);

/// Bytes that a journal may have after its snapshot before it gets a new one; more if the snapshot is bigger. So each byte
/// is written three times at the most.
pub const STORE_JOURNAL_BYTES: u64 = 1024 * 1024;

/// Journals of other processes that are followed before the files are loaded again, to let go of the old ones.
pub const STORE_KEPT_JOURNALS: usize = 8;

/// Size of `sessions.json` from which on clearctx warns; Node reads texts up to 512 MiB.
pub const STORE_BIG_BYTES: u64 = 448 * 1024 * 1024;

/// Longest wait of a flush for another process that is writing `sessions.json`.
pub const STORE_EXPORT_WAIT: Duration = Duration::from_secs(30);

/// Age at which the conversation lock of a host that died is removed from the user's directory.
pub const CONVERSATION_LOCK_AGE: Duration = Duration::from_secs(24 * 3600);

/// Messages without an answer that a record keeps: the one in flight and those next in line.
pub const PENDING_MESSAGES: usize = 32;

/// Longest message (JSON) that a record keeps whole while it has no answer.
pub const PENDING_CONTENT_BYTES: usize = 64 * 1024;

/// Bytes of the beginning of a longer message that a record keeps, to recognize it by.
pub const PENDING_PROMPT_BYTES: usize = 1024;

/// Bytes of all messages without an answer that a record keeps. Each change of them writes all of them again.
pub const PENDING_BYTES: usize = 64 * 1024;
