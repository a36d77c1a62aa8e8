//! The maildrop as it truly is: what the server holds, under which unique-ids it shows it, and what became of each
//! mail. The invariant asks nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Mail, MailId};
use crate::random::Random;
use crate::traits::{Trait, Traits};

/// A mail in the maildrop.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: MailId,
    /// Where the server's unique-ids are its own: this one.
    unique_id: String,
    /// A window server: retrieved and dropped from what is shown, though it's kept.
    popped: bool,
}

/// A message as one session shows it, by number.
#[derive(Debug, Clone)]
pub struct Shown {
    pub id: MailId,
    pub unique_id: Option<String>,
    /// As this session sends it, before stuffing.
    pub octets: Vec<u8>,
    /// The size in the listings.
    pub size: usize,
}

/// What has happened to a mail.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// The unique-ids under which sessions have listed it.
    pub unique_ids: BTreeSet<String>,
    /// When it was last taken from the maildrop by a QUIT of popfetch, by popfetch's clock.
    pub deleted_by_popfetch: Option<i64>,
    /// When it was last taken away by another client, by the same.
    pub deleted_by_other: Option<i64>,
    /// How often a backup brought it back when popfetch need not remember it any more, or can't know it again.
    pub forgotten: u32,
    /// It was listed with this session's number last.
    pub last_listed: u64,
}

/// Everything about the server that outlives a session.
pub struct World {
    pub traits: Traits,
    pub mails: Vec<Mail>,
    pub fates: BTreeMap<MailId, Fate>,
    held: Vec<Held>,
    /// Earlier contents, to be restored: one for each run of popfetch.
    backups: Vec<Vec<Held>>,
    /// Which mails a unique-id has stood for.
    meanings: BTreeMap<String, BTreeSet<MailId>>,
    /// To be deleted after the next login: see [`Trait::DeletesLate`].
    going: BTreeSet<MailId>,
    /// Unique-ids of mail that is gone.
    freed: Vec<String>,
    counter: u64,
    renumberings: u64,
    /// Sessions that have logged in.
    pub sessions: u64,
    /// The server's time, in seconds from the life's beginning.
    pub now: i64,
    /// popfetch's clock in its last run, and the latest that it has ever shown.
    clock: i64,
    latest_clock: i64,
    /// Nothing passes by any more: faults that come and go have gone.
    pub well: bool,
}

/// popfetch may forget mail that has been away for this long (90 days, less a day for clocks).
const REMEMBERED: i64 = 89 * 86_400;

/// On a server whose unique-id listing lacks some.
fn lacks_unique_id(id: MailId) -> bool {
    id.0 % 4 == 1
}

/// More aren't copied at a time, so that a life stays short.
const MOST_COPIED: usize = 12;

impl World {
    pub fn new(traits: Traits) -> Self {
        Self {
            traits,
            mails: Vec::new(),
            fates: BTreeMap::new(),
            held: Vec::new(),
            backups: Vec::new(),
            meanings: BTreeMap::new(),
            going: BTreeSet::new(),
            freed: Vec::new(),
            counter: 0,
            renumberings: 0,
            sessions: 0,
            now: 0,
            clock: 0,
            latest_clock: 0,
            well: false,
        }
    }

    pub fn mail(&self, id: MailId) -> &Mail {
        &self.mails[id.0 as usize - 1]
    }

    /// Whether the server has the trait, and it isn't one that has passed.
    pub fn has(&self, one: Trait) -> bool {
        let passes = matches!(
            one,
            Trait::RefusesForAWhile
                | Trait::RefusesDele
                | Trait::RefusesListings
                | Trait::RefusesLogins
                | Trait::DeletesLate
                | Trait::WrongSizes
                | Trait::Throttles
                | Trait::Slows
                | Trait::Cuts
                | Trait::LosesQuit
                | Trait::StaysInUse
                | Trait::ReceivesDuringSessions
                | Trait::VanishesDuringSessions
                | Trait::Renumbers
        );
        self.traits.has(one) && !(self.well && passes)
    }

    /// The time that popfetch's clock shows, which is off.
    pub fn set_clock(&mut self, off_by: i64) -> i64 {
        self.clock = self.now + off_by;
        self.latest_clock = self.latest_clock.max(self.clock);
        self.clock
    }

    /// The mails that the server holds, without those that QUIT took out of the window.
    pub fn on_server(&self) -> Vec<MailId> {
        self.held.iter().filter(|held| !held.popped).map(|held| held.id).collect()
    }

    /// Those that a session would show now.
    pub fn shown(&self) -> Vec<MailId> {
        self.on_server().into_iter().take(self.window()).collect()
    }

    fn window(&self) -> usize {
        match self.has(Trait::Window) {
            true => usize::try_from(self.traits.number(Trait::Window, 2, 6)).unwrap(),
            false => usize::MAX,
        }
    }

    /// Whether this unique-id has ever stood for other mail than this.
    pub fn is_ambiguous(&self, id: MailId) -> bool {
        self.fates[&id].unique_ids.iter().any(|unique_id| self.meanings[unique_id].len() > 1)
    }

    /// Whether no server like this one can ever hand this mail over whole.
    pub fn is_undeliverable(&self, id: MailId) -> bool {
        (self.traits.has(Trait::NoStuffing) && self.mail(id).ends_early_unstuffed())
            || (self.traits.has(Trait::RefusesForGood) && id.0 % 5 == 2)
    }

    /// Whether no answer names any of these, which are all that is listed, so that popfetch deletes nothing and reports that.
    pub fn nothing_names(&self, listed: &[MailId]) -> bool {
        let lack_ids = self.has(Trait::SomeWithoutId) && listed.iter().all(|id| lacks_unique_id(*id));
        let is_odd = self.has(Trait::OddListOfOne) && self.has(Trait::OddStat);
        self.traits.nothing_names() || (lack_ids && is_odd)
    }

    /// Whether QUIT deletes what was retrieved, asked or not.
    pub fn quit_takes_what_was_retrieved(&self) -> bool {
        self.has(Trait::Window) || self.has(Trait::ExpiresAtOnce)
    }

    /// Whether RETR of this mail is refused now.
    pub fn refuses(&self, id: MailId) -> bool {
        (self.has(Trait::RefusesForGood) && id.0 % 5 == 2)
            || (self.has(Trait::RefusesForAWhile) && id.0 % 5 == 3)
    }

    /// Whether DELE of this mail is refused now.
    pub fn refuses_deletion(&self, id: MailId) -> bool {
        self.has(Trait::RefusesDele) && id.0 % 5 == 4
    }

    // ---- what happens between sessions ----------------------------------------------------------------------------

    /// New mail arrives: at the end, on most servers.
    pub fn arrive(&mut self, count: u64) {
        for _ in 0..count {
            let id = self.next_id();
            self.add(Mail::made_up(id, &self.traits));
        }
    }

    fn next_id(&self) -> MailId {
        MailId(u32::try_from(self.mails.len()).unwrap() + 1)
    }

    fn add(&mut self, mail: Mail) {
        let id = mail.id;
        self.mails.push(mail);
        self.fates.insert(id, Fate::default());
        self.put(id);
    }

    /// Puts a mail into the maildrop, under a new unique-id.
    fn put(&mut self, id: MailId) {
        let unique_id = self.new_unique_id(id);
        let place = if self.has(Trait::NewestFirst) { 0 } else { self.held.len() };
        self.held.insert(place, Held { id, unique_id, popped: false });
    }

    /// Another client copies mails, each with this chance in 100: what is there, and what it has in a folder of its own
    /// since it was there once.
    pub fn other_client_copies(&mut self, percent: u64, random: &mut Random) {
        let mails = self.mails.clone();
        let copied = mails.iter().filter(|_| random.between(1, 100) <= percent);
        for mail in copied.take(MOST_COPIED) {
            self.add(mail.copied(self.next_id()));
        }
    }

    fn new_unique_id(&mut self, id: MailId) -> String {
        let mut random = Random::new(self.traits.seed, "unique-id", u64::from(id.0));
        if self.has(Trait::CountsAgain) && self.held.is_empty() {
            self.counter = 0;
        }
        if self.has(Trait::ReusesIds) && random.coin() && !self.freed.is_empty() {
            return self.freed.remove(random.index(self.freed.len()));
        }
        if self.has(Trait::TwinIds)
            && random.once_in(3)
            && let Some(before) = self.held.last()
        {
            return before.unique_id.clone();
        }
        self.counter += 1;
        format!("id-{}", self.counter)
    }

    /// Another client deletes mail: each with this chance in 100.
    pub fn other_client_deletes(&mut self, percent: u64, random: &mut Random) {
        let (now, fates, freed) = (self.clock, &mut self.fates, &mut self.freed);
        self.held.retain(|held| {
            let stays = held.popped || random.between(1, 100) > percent;
            if !stays {
                fates.get_mut(&held.id).unwrap().deleted_by_other = Some(now);
                freed.push(held.unique_id.clone());
            }
            stays
        });
    }

    /// Another client deletes one mail, while a session is open.
    pub fn vanish(&mut self, id: MailId) {
        let here = self.held.iter().position(|held| held.id == id && !held.popped);
        if let Some(here) = here {
            self.freed.push(self.held.remove(here).unique_id);
            self.fates.get_mut(&id).unwrap().deleted_by_other = Some(self.clock);
        }
    }

    /// Another client has moved mails to a folder and back, each with this chance in 100: they are the last ones now, under
    /// new unique-ids.
    pub fn other_client_moves(&mut self, percent: u64, random: &mut Random) {
        let moves = |held: &Held, random: &mut Random| !held.popped && random.between(1, 100) <= percent;
        let (moved, rest): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.held).into_iter().partition(|held| moves(held, random));
        self.held = rest;
        for Held { id, unique_id, .. } in moved {
            self.freed.push(unique_id);
            self.put(id);
        }
    }

    /// Keeps a copy of the maildrop, to be restored one day.
    pub fn back_up(&mut self) {
        self.backups.push(self.held.clone());
    }

    /// The mailbox is restored from a backup: what was deleted since comes back, under the ids that it had; what came
    /// since stays.
    pub fn restore(&mut self, random: &mut Random) {
        if self.backups.is_empty() {
            return;
        }
        let backup = self.backups[random.index(self.backups.len())].clone();
        let newer: Vec<Held> =
            self.held.iter().filter(|held| backup.iter().all(|old| old.id != held.id)).cloned().collect();
        for old in &backup {
            let here = self.held.iter().find(|held| held.id == old.id);
            let fate = self.fates.get_mut(&old.id).unwrap();
            let changed_id = here.is_some_and(|held| held.unique_id != old.unique_id);
            if here.is_none() || changed_id {
                let away = fate.deleted_by_popfetch.max(fate.deleted_by_other);
                let long_ago = away.is_some_and(|then| self.latest_clock - then > REMEMBERED);
                // Without ids that were kept, only what popfetch didn't delete can be known again.
                if long_ago || !self.traits.keeps_ids() {
                    fate.forgotten += 1;
                }
                fate.deleted_by_popfetch = None;
                fate.deleted_by_other = None;
            }
            self.freed.retain(|unique_id| *unique_id != old.unique_id);
        }
        self.held = backup.into_iter().chain(newer).collect();
    }

    // ---- what a session shows and does ----------------------------------------------------------------------------

    /// A session logs in: the messages that it shows, by number.
    pub fn open(&mut self) -> Vec<Shown> {
        self.sessions += 1;
        let mut random = Random::new(self.traits.seed, "open", self.sessions);
        if self.has(Trait::Renumbers) && random.once_in(3) {
            self.renumber(&mut random);
        }
        let shown: Vec<Held> =
            self.held.iter().filter(|held| !held.popped).take(self.window()).cloned().collect();
        self.delete_late();
        (1..)
            .zip(shown)
            .map(|(number, held)| {
                let unique_id = self.unique_id_shown(number, &held);
                let fate = self.fates.get_mut(&held.id).unwrap();
                fate.last_listed = self.sessions;
                if let Some(unique_id) = &unique_id {
                    fate.unique_ids.insert(unique_id.clone());
                    self.meanings.entry(unique_id.clone()).or_default().insert(held.id);
                }
                let octets = self.copy_of(held.id, &mut random);
                let wrong = self.has(Trait::WrongSizes) && random.coin();
                let size = octets.len() + if wrong { random.index(40) } else { 0 };
                Shown { id: held.id, unique_id, octets, size }
            })
            .collect()
    }

    /// What the last session deleted goes now, on a server that is late with it.
    fn delete_late(&mut self) {
        let going = std::mem::take(&mut self.going);
        if self.traits.keeps_ids() {
            return self.remove(&going);
        }
        for id in self.held.iter().map(|held| held.id).filter(|id| going.contains(id)) {
            self.fates.get_mut(&id).unwrap().forgotten += 1;
        }
        self.remove(&going);
    }

    fn unique_id_shown(&self, number: usize, held: &Held) -> Option<String> {
        if self.has(Trait::NoUidl) || (self.has(Trait::SomeWithoutId) && lacks_unique_id(held.id)) {
            None
        } else if self.has(Trait::NumbersAsIds) {
            Some(number.to_string())
        } else if self.has(Trait::TwoNodes) && self.sessions % 2 == 1 {
            // The other node's ids either overlap with this one's, or don't.
            let other = match self.traits.number(Trait::TwoNodes, 0, 1) {
                0 => format!("id-{}", held.id.0 + 2),
                _ => format!("other-{}", held.id.0),
            };
            Some(other)
        } else {
            Some(held.unique_id.clone())
        }
    }

    fn renumber(&mut self, random: &mut Random) {
        self.renumberings += 1;
        // Sliding: the ids of some messages stand for others now.  Else all are new, perhaps but one.
        let slides = random.coin();
        let common = random.coin();
        let by = random.between(1, 3);
        let base = if slides { self.renumberings * by } else { self.renumberings * 1000 };
        let first = self.held.first().map(|held| held.unique_id.clone());
        for (index, held) in (1..).zip(&mut self.held) {
            held.unique_id = format!("id-{}", base + index);
        }
        self.counter = base + self.held.len() as u64;
        if let (true, Some(last), Some(first)) = (common && !slides, self.held.last_mut(), first) {
            last.unique_id = first;
        }
    }

    /// The mail as this session sends it.
    fn copy_of(&self, id: MailId, random: &mut Random) -> Vec<u8> {
        let mut octets = self.mail(id).octets.clone();
        if self.has(Trait::ChangesCopies) {
            match random.between(1, 4) {
                1 => octets.splice(0..0, *b"Status: RO\r\n").for_each(drop),
                2 => {
                    let line = format!("X-UIDL: {}\r\n", random.next());
                    octets.splice(0..0, line.into_bytes()).for_each(drop);
                }
                3 => octets.extend(b"\r\n"),
                _ => {}
            }
        }
        octets
    }

    /// UPDATE: popfetch's QUIT takes these away.
    pub fn delete(&mut self, ids: &BTreeSet<MailId>) {
        if self.has(Trait::DeletesLate) {
            self.going.extend(ids);
        } else {
            self.remove(ids);
        }
    }

    fn remove(&mut self, ids: &BTreeSet<MailId>) {
        let (now, fates, freed) = (self.clock, &mut self.fates, &mut self.freed);
        self.held.retain(|held| {
            let goes = ids.contains(&held.id) && !held.popped;
            if goes {
                fates.get_mut(&held.id).unwrap().deleted_by_popfetch = Some(now);
                freed.push(held.unique_id.clone());
            }
            !goes
        });
    }

    /// A window server's QUIT: what was retrieved isn't shown any more.
    pub fn pop(&mut self, ids: &BTreeSet<MailId>) {
        for held in self.held.iter_mut().filter(|held| ids.contains(&held.id)) {
            held.popped = true;
            self.fates.get_mut(&held.id).unwrap().deleted_by_popfetch = Some(self.clock);
        }
    }
}
