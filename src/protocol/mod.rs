//! POP3 without a socket: octets in, events out; commands in, octets out.
//!
//! # The contract
//!
//! This room imports no socket, file, clock, thread or environment, so every rule of the protocol is tested as octets
//! against octets. The caller of a [`session::Session`] runs this loop:
//!
//! 1. `send` what is wanted; write `outgoing`, report how much by `wrote`.
//! 2. `poll`. If it returns `true`, look at `event`, and poll again. Events lend from the read buffer.
//! 3. If it returns `false`, read into `room` and report how much by `received`. At the end of the stream, `end_of_stream`
//!    returns what that means. The caller decides how long to wait; `awaiting` names what it waits for.
//!
//! The session promises:
//! - Events depend on the octets alone, never on how reads cut them. Only text comes in pieces as it arrives.
//! - Each answer is matched to its command by the queue of commands sent. A line that is not a status line where one is due,
//!   or an answer that no command asked for, is an error, and no later octet is interpreted.
//! - No answer is taken for that of a command whose line was not yet written: `wrote` comes before the next `received`.
//! - A terminator is only where a message seems to end: a caller that stores messages waits for an answer that names one.
//! - Memory is bounded by the read buffer, 256 KiB at most, and by what the driver itself sends. Every other limit is a
//!   named constant in [`limits`].
//! - No argument can break out of its command, and no secret can get into a trace or a `Debug` output. A secret could get
//!   into an error if the server echoes it: [`error::Error::redacted`] removes it there.
//!
//! It enforces the order of commands, not whether they should be sent. Its callers decide whether a password may be sent, a
//! message deleted, or a refused command sent again.
//!
//! # The states
//!
//! ```text
//!              greeting               AUTH           +OK, -ERR
//!   Greeting ───────────► Open ─────────────► (barrier) ─────────► Open
//!       │ -ERR           │ ▲ │                   │    ▲
//!       │                │ │ │ STLS   challenge  ▼    │ response, `*`
//!       │           QUIT │ │ └──────┐        Challenged
//!       ▼                ▼ │        ▼
//!      Over ◄──── (barrier) │   (barrier) ── +OK ──► Securing ── starttls_done ──► Open, all else forgotten
//!       ▲                   └──────── -ERR ┘             │
//!       └───────── a farewell, an error ─────────────────┘
//! ```
//!
//! Nothing may be sent behind an unanswered STLS, AUTH or QUIT (the barriers). The client's types
//! keep apart the commands of the AUTHORIZATION and the TRANSACTION state (RFC 1939 §3).
//!
//! # The standards
//!
//! | RFC | What of it | Where |
//! |---|---|---|
//! | 1939 | the protocol, APOP's command | [`command`], [`framing`], [`response`], [`listing`], [`session`] |
//! | 2449 | CAPA, response codes, lengths, pipelining | [`capability`], [`response`], [`session`] |
//! | 2595 | STLS | [`session`] |
//! | 3206 | `[SYS/…]`, `[AUTH]`, AUTH-RESP-CODE | [`response`], [`capability`] |
//! | 5034 | AUTH: challenges, responses, cancelling | [`command`], [`session`] |
//! | 6856 | UTF8, `[UTF8]` | [`command`], [`response`] |
//!
//! # Quirks
//!
//! What servers do beside the standards. `*.txt` are in `tests/sessions`.
//!
//! | Server | Deviation | What we do | Held by |
//! |---|---|---|---|
//! | Mailtrap and the like | all lines end in a bare LF | LF mode, if the greeting did | `lf-mode.txt` |
//! | Courier | a single status line ends in a bare LF | status lines end at LF everywhere | `status_lines` |
//! | GreenMail and others | bare LF passed through in messages, so `LF . CRLF` may be forged | data, unless in LF mode | `odd-messages.txt` |
//! | Mailpit, GreenMail, netius | a dot at the beginning of a line isn't stuffed | no message counts before an answer that names one follows it | `unstuffed-dot.txt`, `tests/ends.rs` |
//! | the same | `.a` unstuffed | its dot is lost, the message goes on | `bodies_at_every_split` |
//! | WildDuck | the dot that ends a message comes behind the next answers of the flight | asked again, one command at a time | `tests/ends.rs` |
//! | Exchange | a stray empty line where a status is due | an error, the message before it is in doubt | `stray-empty-line.txt` |
//! | Exchange | `+` without a blank as an empty challenge | accepted | `auth-login.txt` |
//! | Exchange | an answer without an octet for a message that has some | [`session::ServerEvent::End`] reports the octets | `message_without_an_octet` |
//! | Exchange 2000 | `.` CRLF straight after the last octet of text: no terminator | the time-out's text names the missing dot | `what_the_end_of_the_stream_means` |
//! | FTGate | two `+OK` to one command | the second is an error when nothing is outstanding | `answered-twice.txt` |
//! | Dovecot, UW, others | an unasked `-ERR` before closing | a farewell, to be reported as such | `farewell.txt` |
//! | hMailServer | `+ERR` for `-ERR` | understood | `status_indicators` |
//! | various | `+ok`, a tab after it, no text | understood | `status_indicators` |
//! | QQ, 163 | GBK and other octets in texts | any octets but LF | `status_indicators` |
//! | various | long explanations in status lines | up to 8 KiB | `overlong_status_lines` |
//! | Dovecot and others | brackets that are no known code | text | `response_codes` |
//! | various | `+OK` before each line of UIDL | taken off | `unique_ids` |
//! | Comcast, others | several blanks or a tab between number and unique-id | skipped | `unique_ids` |
//! | Fastmail, others | unique-ids of more than 70 octets, 8-bit, with blanks | up to 1024 octets of any kind | `unique_ids` |
//! | various | no unique-id, none that fits | the message has none | `unique_ids` |
//! | various | extra fields in LIST and STAT, sizes that are no numbers | ignored; the size is unknown | `sizes` |
//! | Dovecot, Gmail | SASL and USER no longer listed after the login | lists of two states are never merged | `gmail_and_dovecot` |
//! | any, on an attacker's behalf | answers behind the `+OK` to STLS | the session ends | `stls-injection.txt` |

pub(crate) mod auth;
mod buffer;
pub(crate) mod capability;
pub(crate) mod command;
pub(crate) mod error;
pub(crate) mod framing;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod redact;
pub(crate) mod response;
pub(crate) mod sasl;
pub(crate) mod session;
