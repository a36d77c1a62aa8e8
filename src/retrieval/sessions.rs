//! The sessions of one run: mostly one.  Another one follows where the server shows only a window of the maildrop, where
//! answers can't be matched to commands any more, or where a session may do only a limited amount.

#[cfg(test)]
mod tests;

use super::course::{Course, Follows, Scope, SessionEnd, SessionOutcome};
use super::error::Error;
use super::login::{agree_on_pipelining, log_in};
use super::run::Run;
use super::session::{MailSession, Stores};
use super::{conditions, quick, survey};
use crate::account::Switch;
use crate::client::{Client, Prefetch, Transaction};
use crate::ledger::memory::{KnownFlight, KnownPipelining, Limit, Memory};
use crate::report::{Event, RunSummary};
use crate::secret::Secret;
use crate::types::Octets;

/// A server that shows only a window of its maildrop is asked again at most this often in one run.
const MOST_WINDOWS: u32 = 100;
/// Sessions of one run: one that takes one message in each gets the rest at the next run.
const MOST_SESSIONS: u32 = 1000;
/// After this many sessions in a row that broke off at one message, and brought no other, the run ends.
const MOST_BROKEN: u32 = 3;
/// After this many of which several messages were void, though they were asked for one by one, the run ends.
const MOST_DISORDERED: u32 = 20;
/// After this many good ones in a row a session may last twice as long.
const GOOD_SESSIONS: u32 = 3;
/// The least that a session is for: one message, its question, its deletion.
const FEWEST_COMMANDS: u32 = 4;

/// What the sessions of one run have in common.
pub(super) struct Sessions<'a, 'b> {
    pub(super) run: &'a Run<'b>,
    pub(super) summary: &'a mut RunSummary,
    pub(super) memory: &'a mut Memory,
    pub(super) secret: &'a Secret,
    /// Messages, and their octets, that its sessions have delivered.
    pub(super) taken: (u64, Octets),
    /// What its sessions have learnt for those that follow.
    pub(super) course: Course,
}

impl<'a, 'b> Sessions<'a, 'b> {
    pub(super) fn new(
        run: &'a Run<'b>,
        summary: &'a mut RunSummary,
        memory: &'a mut Memory,
        secret: &'a Secret,
    ) -> Self {
        Self { run, summary, memory, secret, taken: (0, Octets(0)), course: Course::default() }
    }

    /// One session, or as many as it takes.  The first may have begun.
    pub(super) fn all(
        &mut self,
        held: &mut Stores,
        mut begun: Option<Client<Transaction>>,
    ) -> Result<(), Error> {
        let mut scope = if self.run.options.retry { Scope::Failed } else { Scope::Everything };
        let mut follows = Follows::First;
        let mut windows = 0;
        for _ in 0..MOST_SESSIONS {
            match self.one(held, begun.take(), &scope, follows) {
                // If this server is known to cut sessions, it has done so again.  Otherwise nothing follows from it: the
                // next listing shows what was deleted.
                Ok(_) if self.quit_was_cut() => follows = Follows::Rest,
                Ok(_) if self.run.context.stop.raised() => return Ok(()),
                // They come first, and would keep mail back for good.
                Ok(SessionOutcome { next: None, left: true }) if self.deletes_in_vain() => {
                    (scope, follows) = (Scope::Everything, Follows::Rest);
                }
                Ok(SessionOutcome { next: Some(next), left }) => {
                    (scope, follows) = next;
                    self.course.left = left;
                    self.may_last_longer();
                    windows += u32::from(follows == Follows::Window);
                    if windows >= MOST_WINDOWS {
                        break;
                    }
                }
                Ok(SessionOutcome { next: None, left }) if left || self.course.keeps => break,
                Ok(_) => return Ok(()),
                Err(e) if self.goes_on_after(&e) => follows = Follows::Rest,
                // It took what it could: that deletions are in vain was there before.
                Err(e) if self.course.keeps && e.ends_session() => break,
                Err(e) => {
                    if self.course.unpipelined && e.is_silence() {
                        // It falls silent also when asked one thing at a time: that has nothing to do with pipelining.
                        self.memory.pipelining = KnownPipelining::Unproven;
                    }
                    return Err(e);
                }
            }
        }
        Err(Error::Unfinished)
    }

    /// Whether the session that has just ended was one of those that are cut before `QUIT` is answered, and the next one
    /// ends earlier.  Once is chance, unless the server is known for that.
    fn quit_was_cut(&mut self) -> bool {
        let SessionEnd { quit_lost, quit_unanswered, .. } = self.course.ended;
        let again = std::mem::replace(&mut self.memory.quit_unanswered, quit_unanswered) && quit_unanswered;
        quit_lost
            && (again || self.memory.limit.is_some())
            && self.lasts_less_long("the server did not confirm QUIT, and nothing was deleted")
    }

    /// Whether the session that has just ended was as short as can be, and its deletions weren't confirmed all the same.
    fn deletes_in_vain(&mut self) -> bool {
        let in_vain = self.course.ended.quit_lost && self.memory.limit.is_some();
        in_vain && !std::mem::replace(&mut self.course.keeps, true)
    }

    /// Whether there is another session after one that ended so.
    pub(super) fn goes_on_after(&mut self, e: &Error) -> bool {
        if self.run.context.stop.raised() {
            return false;
        }
        let ended = self.course.ended;
        if e.is_disorder() {
            return self.asks_again(e, ended);
        }
        match e {
            // Nothing can be believed in a session that goes on: one message in each.
            Error::NothingNames if !self.course.nothing_names => {
                (self.course.nothing_names, self.course.unpipelined) = (true, true);
                true
            }
            // It was a spot check, or may have been one: without it mail comes all the same.
            Error::Client(e) if e.is_endless_header() || (e.ends_session() && ended.unlisted) => {
                let checked = survey::draw_spot_checks(self.memory)[0].is_some();
                self.memory.habits.top = false;
                checked
            }
            // A server that takes only a limited number of commands in one session: fewer, so that its end is reached.
            e if e.ends_session() && ended.unconfirmed => {
                self.lasts_less_long(&format!("{e}, and nothing was deleted"))
            }
            // Given up for now; but so long a session would never reach its QUIT.
            Error::Client(slow) if slow.is_slow() && ended.unconfirmed => {
                self.lasts_less_long(&format!("{e}, and nothing was deleted"));
                false
            }
            // Once is chance.
            e if e.ends_session() && ended.cut_again => self.lasts_less_long(&format!("{e}, again")),
            _ => false,
        }
    }

    /// After a session that was cut before its deletions counted: the next one ends earlier, if it can.
    fn lasts_less_long(&mut self, why: &str) -> bool {
        self.course.good = 0;
        let commands = (self.course.ended.answered / 2).max(FEWEST_COMMANDS);
        let before = self.memory.limit.map(|limit| limit.commands);
        if self.run.context.stop.raised() || before.is_some_and(|before| before <= commands) {
            return false;
        }
        self.memory.limit = Some(Limit { commands, since: self.run.now });
        let text = format!("{why}: sessions end after {commands} commands from now on");
        if before.is_none() {
            self.run.warn(text)
        } else {
            self.run.detail(|| text)
        }
        true
    }

    /// After some sessions that ended well before their limit the next one may last longer: a connection that broke by chance is
    /// no limit of the server's.
    fn may_last_longer(&mut self) {
        self.course.good = self.course.good.saturating_add(1);
        if let (Some(limit), true) = (&mut self.memory.limit, self.course.good >= GOOD_SESSIONS) {
            limit.commands = limit.commands.saturating_mul(2);
            self.course.good = 0;
        }
    }

    /// After a session whose answers could no longer be matched to commands: what they were asked for is asked for
    /// again, one command at a time.
    fn asks_again(&mut self, e: &Error, ended: SessionEnd) -> bool {
        if matches!(e, Error::OutOfStep) {
            // It may be the question that the server answers otherwise now: it's tried again before it's relied on.
            self.memory.names = None;
        }
        if ended.blamed {
            // That message is reported; the others go on.
            self.course.broken = if ended.confirmed > 0 { 1 } else { self.course.broken.saturating_add(1) };
            return self.course.broken < MOST_BROKEN;
        }
        // What it was is among those that were asked for; what was compared before it is compared again.
        self.course.careful = ended.asked;
        // Before the listing only a server that falls silent is known to have been asked several things at once.
        if self.course.unpipelined || !(ended.pipelined || e.is_silence()) {
            self.course.disordered = self.course.disordered.saturating_add(1);
            return ended.void > 1 && self.course.disordered < MOST_DISORDERED;
        }
        if self.run.account.pipelining == Switch::Auto {
            self.memory.pipelining = KnownPipelining::Broken(self.run.now);
        }
        self.course.unpipelined = true;
        self.run.warn(format!("{e}: asked again, one command at a time, from now on"));
        true
    }

    /// A session that begins with a quick poll's question.  Mostly it ends with it, the maildrop being as it was left;
    /// else it goes on, with the listings on their way.
    pub(super) fn glance(&mut self, question: Prefetch) -> Result<Option<Client<Transaction>>, Error> {
        let mut client = log_in(self.run, self.memory, self.secret, Some(question))?;
        let glance = match client.quick_poll() {
            Ok(glance) => glance,
            Err(e) => {
                // The server may no longer answer what comes behind the password: the next run doesn't count on it.
                self.memory.flight = KnownFlight::Unproven;
                quick::forget(self.memory);
                return Err(e.into());
            }
        };
        let Some(glance) = glance else { return Ok(Some(client)) };
        if let Some(messages) = quick::unchanged(self.memory, &glance) {
            self.summary.listed = messages;
            self.run.report(&Event::Listed { messages: self.summary.listed });
            self.run.detail(|| "the maildrop is as it was left: no listing taken".to_owned());
            conditions::carry(self.memory, self.summary);
            client.quit_without_answer()?;
            return Ok(None);
        }
        client.ask_listing()?;
        agree_on_pipelining(self.run, self.memory, &mut client);
        Ok(Some(client))
    }

    /// One session, perhaps one that has begun.
    fn one(
        &mut self,
        held: &mut Stores,
        begun: Option<Client<Transaction>>,
        scope: &Scope,
        follows: Follows,
    ) -> Result<SessionOutcome, Error> {
        self.course.ended = SessionEnd::default();
        let client = match begun.map_or_else(|| self.open(held), Ok) {
            Ok(client) => client,
            // Nothing is lost when an extra session isn't available, whatever the server answers: it has just let us in.
            Err(e) if follows == Follows::Window => {
                self.run.detail(|| format!("no further session: {e}"));
                return Ok(SessionOutcome { next: None, left: self.course.left });
            }
            Err(Error::Client(e)) if follows == Follows::Rest && e.refuses_credentials() => {
                return Err(Error::NoFurtherSession(e));
            }
            Err(e) => return Err(e),
        };
        self.course.ended.unlisted = true;
        let Self { run, summary, memory, taken, course, .. } = self;
        let session = MailSession { run, summary, memory, scope, taken, course };
        let outcome = session.transact(client, held);
        if outcome.is_err() {
            // What it was about may be due although the maildrop looks as it was left.
            quick::forget(self.memory);
        }
        outcome
    }

    /// Logs in, and asks for the listings in the same flight.
    fn open(&mut self, held: &Stores) -> Result<Client<Transaction>, Error> {
        let listing = Prefetch::Listing {
            drop_listing: true,
            headers: match (survey::draw_spot_checks(self.memory), self.memory.limit) {
                // Where commands are few, one must do.
                ([first, _], Some(_)) => [first, None],
                (headers, None) => headers,
            },
            sizes: survey::sizes_are_due(self.memory.sizes, held.ledger.now())
                || quick::expects_mail(self.run, self.memory),
        };
        log_in(self.run, self.memory, self.secret, Some(listing))
    }
}
