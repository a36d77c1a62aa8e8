//! Every limit of the protocol, once, with its reason.  What goes beyond one is an error, and no memory is spent on it.

/// The longest command line, CRLF included (RFC 2449 §4).  Servers cut or refuse longer ones, so what they would
/// take for the user's name or password isn't known.  AUTH's initial response counts, later lines of its exchange don't
/// (RFC 5034 §4).
pub(crate) const COMMAND_LINE_LIMIT: usize = 255;

/// The longest status line, its end included.  RFC 2449 §4 allows 512 octets; servers put whole explanations there.
pub(crate) const STATUS_LINE_LIMIT: usize = 8 * 1024;

/// The longest line where a SASL challenge may come, in base64.  RFC 5034 sets no limit; the longest in use are JSON error
/// texts and keys of some KiB.
pub(crate) const CHALLENGE_LIMIT: usize = 16 * 1024;

/// The longest line of CAPA, LIST and UIDL, its end included: a number, blanks and the longest unique-id that
/// [`UniqueId`](crate::types::UniqueId) takes, twice over.  A message's lines have no limit.
pub(crate) const LISTING_LINE_LIMIT: usize = 2 * 1024;

/// The most capabilities in one answer: servers list about fifteen, and each is kept in memory.
pub(crate) const CAPABILITY_LIMIT: usize = 1_000;

/// The most entries of one listing.  A maildrop of that size is not a mailbox but an error or an attack, and memory for
/// a listing is counted in its entries.
pub(crate) const LISTING_LIMIT: usize = 1_000_000;

/// The most octets of one listing: [`LISTING_LIMIT`] entries with unique-ids as long as RFC 1939 §7 allows.  Every
/// unique-id is kept in memory, and servers may make them longer.
pub(crate) const LISTING_OCTETS: u64 = 96 << 20;

/// The most octets of an answer to TOP.  The headers of real mail have some KiB, but some servers ignore how many lines are
/// asked for, and send the whole message; and a message may have a header without an end.
pub(crate) const TOP_OCTETS: u64 = 64 << 20;

/// Octets of unanswered commands in flight at most: some 2,000 RETRs.  Far below what any socket buffers, so that neither
/// side can be stuck writing while the other one doesn't read (RFC 2449 §6.6).
pub(crate) const FLIGHT_OCTETS: usize = 24 << 10;

/// What of a server's line an error quotes: enough to recognise the program that answers.
pub(crate) const QUOTED_CHARACTERS: usize = 80;

/// Octets kept of what a server sent, for an error: any line within the limits whole.  Many more than are shown, because a
/// secret can only be recognised, and taken out, before anything is cut.
pub(crate) const KEPT_OCTETS: usize = 16 * 1024;

/// Of the words by which an OAuth server refuses a token, this much is shown.
pub(crate) const TOKEN_STATUS_CHARACTERS: usize = 200;

/// The longest timestamp of APOP that is answered, with its brackets: as long as a greeting should be (RFC 2449 §4).
pub(crate) const TIMESTAMP_LIMIT: usize = 512;

/// Fewer rounds of SCRAM are refused: RFC 5802 §5.1 asks clients to.  A server that asks for one round gets a
/// proof from which the password is guessed quickly.
pub(crate) const FEWEST_ROUNDS: u32 = 4096;

/// More rounds of SCRAM are refused: these take about a second, and the server has not proved anything yet.  Reached at most
/// once in an exchange, and an exchange that has responded is the last of its login.
pub(crate) const MOST_ROUNDS: u32 = 2_000_000;
