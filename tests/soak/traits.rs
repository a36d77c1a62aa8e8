//! What a made-up server is like.  Traits can be combined; each was seen on a real server, or is a fault of a real
//! line.

use std::collections::BTreeSet;

use crate::random::Random;

/// One thing in which a server differs from a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    // ---- unique-ids: each of these breaks RFC 1939 §7, or makes no promise at all ---------------------------------
    /// New mail is given the unique-id of mail that was deleted.
    ReusesIds,
    /// Now and then, between sessions, every message gets another unique-id; some are ids that other mail had.
    Renumbers,
    /// Two nodes answer in turn; each has unique-ids of its own, and they overlap.
    TwoNodes,
    /// Unique-ids count from 1 again when mail arrives in an empty maildrop.
    CountsAgain,
    /// The unique-id of a message is its number in this session.
    NumbersAsIds,
    /// Some messages have the unique-id of the message before them.
    TwinIds,
    /// There is no UIDL.
    NoUidl,
    /// The unique-id listing lacks some messages.
    SomeWithoutId,

    // ---- the maildrop ---------------------------------------------------------------------------------------------
    /// All messages have the same size.
    EqualSizes,
    /// As Gmail: only the first few messages are shown, and QUIT takes away what was retrieved (`X-GOOGLE-RICO`).
    Window,
    /// `EXPIRE 0`: QUIT deletes what was retrieved.
    ExpiresAtOnce,
    /// A copy differs from session to session: `Status:` and `X-UIDL:` lines, one more blank line at the end.
    ChangesCopies,
    /// New mail arrives while a session is open (that session doesn't see it).
    ReceivesDuringSessions,
    /// New mail stands before the old.
    NewestFirst,
    /// As Courier: QUIT is answered before the deletions are done; the next session still sees what was deleted.
    DeletesLate,
    /// The sizes in the listings are wrong, and differ from session to session.
    WrongSizes,
    /// One message in five refuses RETR, always.
    RefusesForGood,
    /// One message in five refuses RETR, until the server is well.
    RefusesForAWhile,
    /// One message in five refuses DELE, until the server is well.
    RefusesDele,

    // ---- the dialogue ---------------------------------------------------------------------------------------------
    /// Lines that begin with a dot are not stuffed.
    NoStuffing,
    /// Some mails hold a line with a single dot and answers forged by their sender behind it.
    Forgeries,
    /// As WildDuck: with pipelining, the dot that ends a message follows the status lines of the next two answers.
    Overlaps,
    /// Of several commands that arrive together, now and then only the first is answered.
    Swallows,
    /// PIPELINING isn't offered.
    NoPipelining,
    /// There is no TOP.
    NoTop,
    /// `UIDL n` is refused, or answered in another form.
    OddUidlOfOne,
    /// `LIST n` is refused, or answered in another form.
    OddListOfOne,
    /// STAT is refused, or counts in another way.
    OddStat,
    /// Answers arrive in small pieces.
    Dribbles,

    // ---- limits and faults ----------------------------------------------------------------------------------------
    /// A session is ended after this many commands.
    CommandLimit,
    /// A session is ended after this many RETRs.
    MessageLimit,
    /// In some sessions RETR is refused from some point on: `[SYS/TEMP]`, or a quota in words.
    Throttles,
    /// In some sessions UIDL or LIST is refused: `[SYS/TEMP]`.
    RefusesListings,
    /// Some logins are refused by words that speak of something passing, or `[LOGIN-DELAY]`.
    RefusesLogins,
    /// In some sessions the connection ends at any octet.
    Cuts,
    /// In some sessions QUIT isn't answered; the deletions are done or not.
    LosesQuit,
    /// After a session that ended without QUIT, the mailbox stays `[IN-USE]` for one login.
    StaysInUse,

    // ---- those that lives have from [`LATER`] on ------------------------------------------------------------------
    /// A session is ended where a message would take it beyond this many octets; the first one always comes.
    OctetLimit,
    /// Another client deletes messages while a session is open: RETR, TOP and DELE of them are refused from then on.
    VanishesDuringSessions,

    // ---- those that lives have from [`LATEST`] on -----------------------------------------------------------------
    /// In some sessions each answer from some command on comes slowly, or no more comes from some octet on, until the
    /// client gives up.
    Slows,
}

/// Seeds below this one mean the lives that they meant before the generator learnt more,
pub const LATER: u64 = 10_620;
/// and once more.
pub const LATEST: u64 = 20_801;

impl Trait {
    /// All of them.
    pub const ALL: [Self; 40] = [
        Self::ReusesIds,
        Self::Renumbers,
        Self::TwoNodes,
        Self::CountsAgain,
        Self::NumbersAsIds,
        Self::TwinIds,
        Self::NoUidl,
        Self::SomeWithoutId,
        Self::EqualSizes,
        Self::Window,
        Self::ExpiresAtOnce,
        Self::ChangesCopies,
        Self::ReceivesDuringSessions,
        Self::NewestFirst,
        Self::DeletesLate,
        Self::WrongSizes,
        Self::RefusesForGood,
        Self::RefusesForAWhile,
        Self::RefusesDele,
        Self::NoStuffing,
        Self::Forgeries,
        Self::Overlaps,
        Self::Swallows,
        Self::NoPipelining,
        Self::NoTop,
        Self::OddUidlOfOne,
        Self::OddListOfOne,
        Self::OddStat,
        Self::Dribbles,
        Self::CommandLimit,
        Self::MessageLimit,
        Self::Throttles,
        Self::RefusesListings,
        Self::RefusesLogins,
        Self::Cuts,
        Self::LosesQuit,
        Self::StaysInUse,
        Self::OctetLimit,
        Self::VanishesDuringSessions,
        Self::Slows,
    ];

    /// Lives of seeds below this one don't have it.
    fn since(self) -> u64 {
        match self {
            Self::Slows => LATEST,
            Self::OctetLimit | Self::VanishesDuringSessions => LATER,
            _ => 0,
        }
    }

    /// Whether it concerns unique-ids.  Two of these together mean little, so a server has one at most.
    fn concerns_ids(self) -> bool {
        matches!(
            self,
            Self::ReusesIds
                | Self::Renumbers
                | Self::TwoNodes
                | Self::CountsAgain
                | Self::NumbersAsIds
                | Self::TwinIds
                | Self::NoUidl
                | Self::SomeWithoutId
        )
    }

    /// Whether popfetch waits for a time-out on such a server.  Those lives take seconds, so there are fewer of them.
    fn is_slow(self) -> bool {
        matches!(self, Self::Swallows | Self::Overlaps | Self::StaysInUse | Self::Slows)
    }
}

/// The traits of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    pub set: BTreeSet<Trait>,
    /// Makes the numbers that belong to a trait, such as the length of a window.
    pub seed: u64,
}

impl Traits {
    /// A server with some of these traits: one in eight is plain, the others have up to five.
    pub fn made_up(seed: u64, choice: &[Trait]) -> Self {
        let choice: Vec<Trait> = choice.iter().filter(|one| seed >= one.since()).copied().collect();
        let mut random = Random::new(seed, "traits", 0);
        let mut set = BTreeSet::new();
        let draws = if random.once_in(8) || choice.is_empty() { 0 } else { random.between(1, 5) };
        for _ in 0..draws {
            let candidate = *random.pick(&choice);
            let second_id = candidate.concerns_ids() && set.iter().any(|other: &Trait| other.concerns_ids());
            if !(second_id || candidate.is_slow() && !random.once_in(6)) {
                set.insert(candidate);
            }
        }
        // What needs equal sizes or forged lines to matter gets them more often.
        if set.contains(&Trait::NoStuffing) && random.coin() && choice.contains(&Trait::Forgeries) {
            set.insert(Trait::Forgeries);
        }
        if set.iter().any(|one| one.concerns_ids()) && random.coin() && choice.contains(&Trait::EqualSizes) {
            set.insert(Trait::EqualSizes);
        }
        Self { set, seed }
    }

    /// Whether the server has this trait.
    pub fn has(&self, one: Trait) -> bool {
        self.set.contains(&one)
    }

    /// Whether unique-ids are kept as RFC 1939 §7 demands: from session to session, and never for other mail.
    pub fn keeps_ids(&self) -> bool {
        !self.set.iter().any(|one| one.concerns_ids())
    }

    /// Whether no answer of this server may name a message, so that popfetch deletes nothing and reports that.
    pub fn nothing_names(&self) -> bool {
        let has_odd_ids =
            [Trait::OddUidlOfOne, Trait::NoUidl, Trait::NumbersAsIds].iter().any(|one| self.has(*one));
        has_odd_ids && self.has(Trait::OddListOfOne) && self.has(Trait::OddStat)
    }

    /// A number that belongs to a trait of this server, the same for its whole life.
    pub fn number(&self, one: Trait, low: u64, high: u64) -> u64 {
        Random::new(self.seed, "number", one as u64).between(low, high)
    }
}
