//! Which answer proves that everything before it was what it seemed: the one that *names*.
//!
//! A status line behind a terminator proves nothing: the sender of a mail can write `.` and `+OK` where a server doesn't
//! stuff dots.  So a question is asked for a listed message chosen at random, and the answer must give what the listing
//! gave: `UIDL r`, its unique-id; where the server can't answer that, `LIST r`, its size; else `STAT`, both its
//! numbers. The sender of a mail can't know which message will be chosen.
//!
//! This is a pure state machine: it knows no client and no ledger.  RFC 1939 §5 and §7.

use std::collections::{HashSet, VecDeque};

use crate::protocol::listing;
use crate::retrieval::draws::Draws;
use crate::types::{MessageNumber, Octets, UniqueId, UniqueIdBuf};

pub(in crate::retrieval) use crate::ledger::memory::NamingForm;

/// Of this many messages that the ledger knows the unique-ids are read beforehand, to be asked for.
const SAMPLE: usize = 32;

/// After this many refusals in a row another form of question is tried.
const MOST_REFUSALS: u8 = 3;
/// This many messages are drawn before all are looked through.
const DRAWS: usize = 16;

/// A question, and what the answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::retrieval) struct NamingQuestion {
    /// About which message; the drop listing is about all.
    pub(in crate::retrieval) number: Option<MessageNumber>,
    pub(in crate::retrieval) expected: ExpectedName,
}

/// What an answer that names a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::retrieval) enum ExpectedName {
    /// The number, and this unique-id.
    UniqueId(UniqueIdBuf),
    /// The number, and this size.
    Size(Octets),
    /// What `STAT` reported at the login, perhaps less what was deleted since.
    DropListing,
}

/// What an answer to a question is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamingAnswer {
    /// It names: everything before it is confirmed.
    Named,
    /// Nothing: another question is needed.
    Nothing,
    /// It answers something else: everything since the last naming answer is void.
    Wrong,
}

/// The messages that can be asked for.
pub(in crate::retrieval) trait Candidates {
    /// How many places there are.
    fn places(&self) -> usize;
    /// Places of which it's certain that what the server listed is known.
    fn sample(&self) -> &[usize];
    /// What stands at a place; none where it can't be asked for: what the server listed isn't known.
    fn at(&self, place: usize, form: NamingForm) -> Option<(MessageNumber, ExpectedName)>;
}

/// The questions of one session.
#[derive(Debug, Default)]
pub(in crate::retrieval) struct Naming {
    draws: Draws,
    form: Option<NamingForm>,
    /// The form is known to work.
    works: bool,
    refusals: u8,
    /// Whether any question was asked in this session.
    begun: bool,
    asked: VecDeque<(NamingForm, NamingQuestion)>,
    /// What `STAT` reports while nothing is deleted.
    drop_listing: Option<(u32, Octets)>,
    /// Messages deleted in this session, and their octets.
    deleted: (u32, Octets),
}

impl Naming {
    /// For a new session.  `known`: the form that worked in an earlier one.
    pub(in crate::retrieval) fn new(
        seed: u64,
        known: Option<NamingForm>,
        has_unique_ids: bool,
        drop_listing: Option<(u32, Octets)>,
    ) -> Self {
        let first = if has_unique_ids { NamingForm::UniqueId } else { NamingForm::Size };
        let known = known.filter(|form| *form != NamingForm::UniqueId || has_unique_ids);
        Self {
            draws: Draws::new(seed),
            form: known.or(Some(first)).filter(|form| *form != NamingForm::Nothing),
            works: known.is_some(),
            drop_listing,
            ..Self::default()
        }
    }

    /// Places of a listing of `places`, drawn beforehand where what is listed there must be looked up.
    pub(in crate::retrieval) fn sample(&mut self, places: usize) -> Vec<usize> {
        if self.form != Some(NamingForm::UniqueId) {
            return Vec::new();
        }
        if places <= SAMPLE {
            return (0..places).collect();
        }
        (0..SAMPLE).filter_map(|_| self.draws.below(places)).collect()
    }

    /// The form that has been found to work; [`NamingForm::Nothing`] when none does.
    pub(in crate::retrieval) fn found(&self) -> Option<NamingForm> {
        match self.form {
            None => Some(NamingForm::Nothing),
            form => form.filter(|_| self.works),
        }
    }

    /// No question works here.
    pub(in crate::retrieval) fn is_impossible(&self) -> bool {
        self.form.is_none()
    }

    /// Whether a question must come before the first message, to learn what the server answers.
    pub(super) fn needs_trial(&self) -> bool {
        !self.works && !self.begun && self.form.is_some()
    }

    /// Whether the server has still to answer whether this form of question works.
    pub(super) fn is_on_trial(&self) -> bool {
        !self.works && self.form.is_some()
    }

    /// Whether what is asked for changes with each deletion: not every server counts as RFC 1939 §5 wants it, so nothing
    /// can be asked behind a `DELE`.
    pub(in crate::retrieval) fn counts(&self) -> bool {
        self.form == Some(NamingForm::DropListing)
    }

    /// Questions without an answer.
    pub(super) fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// A deletion was accepted.
    pub(super) fn deleted(&mut self, octets: Octets) {
        self.deleted = (self.deleted.0.saturating_add(1), self.deleted.1.plus(octets));
    }

    /// The next question, which is to be sent now.  `last`: the message retrieved last, which is asked for only where
    /// there is no other; `gone`: those whose `DELE` was sent, which can't be asked for.  None when no question can be made.
    pub(super) fn ask(
        &mut self,
        from: &impl Candidates,
        gone: &HashSet<MessageNumber>,
        last: Option<MessageNumber>,
    ) -> Option<NamingQuestion> {
        self.begun = true;
        loop {
            let form = self.form?;
            let question = match form {
                NamingForm::DropListing => self
                    .drop_listing
                    .map(|_| NamingQuestion { number: None, expected: ExpectedName::DropListing }),
                form => self.choose(from, form, gone, last),
            };
            if let Some(question) = question {
                self.asked.push_back((form, question.clone()));
                return Some(question);
            }
            self.next_form();
        }
    }

    fn choose(
        &mut self,
        from: &impl Candidates,
        form: NamingForm,
        gone: &HashSet<MessageNumber>,
        last: Option<MessageNumber>,
    ) -> Option<NamingQuestion> {
        let places = from.places();
        let sample = from.sample();
        let at = |place: usize| from.at(place, form).filter(|(number, _)| !gone.contains(number));
        // An answer to one question must not fit another one that waits for its answer.
        let waits: Vec<MessageNumber> =
            self.asked.iter().filter_map(|(_, question)| question.number).collect();
        for strictness in [2, 1, 0] {
            let good = |number: MessageNumber| match strictness {
                2 => Some(number) != last && !waits.contains(&number),
                1 => Some(number) != last,
                _ => true,
            };
            let fits = |place: usize| at(place).filter(|(number, _)| good(*number));
            let found = (0..DRAWS)
                .find_map(|_| fits(self.draws.below(places)?))
                .or_else(|| (0..DRAWS).find_map(|_| fits(*sample.get(self.draws.below(sample.len())?)?)))
                .or_else(|| {
                    let start = self.draws.below(places)?;
                    (start..places).chain(0..start).find_map(fits)
                });
            if let Some((number, expected)) = found {
                return Some(NamingQuestion { number: Some(number), expected });
            }
        }
        None
    }

    /// The answer to the question that was asked first.  `quiet`: nothing has been retrieved since the last answer that
    /// named, so that nothing can have been mistaken for an answer.
    pub(super) fn answered(&mut self, ok: bool, text: &[u8], quiet: bool) -> NamingAnswer {
        let Some((form, question)) = self.asked.pop_front() else { return NamingAnswer::Wrong };
        if self.form != Some(form) {
            // Asked before it was known that this form is no use here.
            return NamingAnswer::Nothing;
        }
        if !ok {
            self.refusals = self.refusals.saturating_add(1);
            if self.refusals >= MOST_REFUSALS {
                self.next_form();
            }
            return NamingAnswer::Nothing;
        }
        if self.is_named(&question, text) {
            self.works = true;
            self.refusals = 0;
            return NamingAnswer::Named;
        }
        if self.works || !quiet {
            return NamingAnswer::Wrong;
        }
        self.next_form();
        NamingAnswer::Nothing
    }

    fn is_named(&self, question: &NamingQuestion, text: &[u8]) -> bool {
        match &question.expected {
            ExpectedName::UniqueId(expected) => match listing::unique_id_line(text) {
                Ok((number, unique_id)) => {
                    Some(number) == question.number
                        && unique_id.map(UniqueId::to_buf).as_ref() == Some(expected)
                }
                Err(_) => false,
            },
            ExpectedName::Size(expected) => match listing::scan_line(text) {
                Ok((number, octets)) => Some(number) == question.number && octets == Some(*expected),
                Err(_) => false,
            },
            ExpectedName::DropListing => {
                let Some((messages, Octets(octets))) = self.drop_listing else { return false };
                let (gone, Octets(freed)) = self.deleted;
                // Not every server takes off what is marked as deleted (RFC 1939 §5 wants it).
                let all = (messages, Some(Octets(octets)));
                let rest = (messages.saturating_sub(gone), Some(Octets(octets.saturating_sub(freed))));
                listing::drop_listing(text)
                    .is_ok_and(|said| [all, rest].contains(&(said.messages, said.octets)))
            }
        }
    }

    fn next_form(&mut self) {
        self.refusals = 0;
        self.works = false;
        self.form = match self.form {
            Some(NamingForm::UniqueId) => Some(NamingForm::Size),
            Some(NamingForm::Size) => Some(NamingForm::DropListing),
            Some(NamingForm::DropListing | NamingForm::Nothing) | None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Candidates, ExpectedName, Naming, NamingAnswer, NamingForm, NamingQuestion};
    use crate::types::{MessageNumber, Octets, UniqueId};

    impl Naming {
        /// Which message the question is about that is to be answered first.
        pub(in crate::retrieval) fn asked_about(&self) -> Option<MessageNumber> {
            self.asked.front().and_then(|(_, question)| question.number)
        }
    }

    fn n(number: usize) -> MessageNumber {
        MessageNumber::new(u32::try_from(number).unwrap()).unwrap()
    }

    /// Messages 1 to `count` but `gone`, with unique-ids `uN` and sizes 100 + N.
    struct Listing {
        count: usize,
        gone: Vec<usize>,
    }

    impl Candidates for Listing {
        fn places(&self) -> usize {
            self.count
        }
        fn sample(&self) -> &[usize] {
            &[]
        }
        fn at(&self, place: usize, form: NamingForm) -> Option<(MessageNumber, ExpectedName)> {
            let number = place + 1;
            if self.gone.contains(&number) {
                return None;
            }
            let expected = match form {
                NamingForm::UniqueId => {
                    ExpectedName::UniqueId(UniqueId::new(format!("u{number}").as_bytes()).unwrap().to_buf())
                }
                _ => ExpectedName::Size(Octets(100 + u64::try_from(number).unwrap())),
            };
            Some((n(number), expected))
        }
    }

    fn listing(count: usize) -> Listing {
        Listing { count, gone: Vec::new() }
    }

    fn naming(seed: u64) -> Naming {
        Naming::new(seed, None, true, Some((5, Octets(500))))
    }

    /// What a true server answers.
    fn answer(question: &NamingQuestion) -> Vec<u8> {
        match (&question.expected, question.number) {
            (ExpectedName::UniqueId(unique_id), Some(number)) => {
                [format!("{number} ").as_bytes(), unique_id.borrow().as_bytes()].concat()
            }
            (ExpectedName::Size(octets), Some(number)) => format!("{number} {}", octets.0).into_bytes(),
            _ => b"5 500".to_vec(),
        }
    }

    #[test]
    fn the_message_retrieved_last_is_asked_for_only_when_alone() {
        for seed in 0..200 {
            let mut naming = naming(seed);
            let question = naming.ask(&listing(2), &HashSet::new(), Some(n(2))).unwrap();
            assert_eq!(question.number, Some(n(1)));
            assert_eq!(naming.answered(true, &answer(&question), false), NamingAnswer::Named);
            let question =
                naming.ask(&Listing { count: 3, gone: vec![1, 2] }, &HashSet::new(), Some(n(3))).unwrap();
            assert_eq!(question.number, Some(n(3)));
        }
    }

    #[test]
    fn every_message_may_be_chosen() {
        let mut naming = naming(7);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let question = naming.ask(&listing(20), &HashSet::new(), None).unwrap();
            seen.insert(question.number);
            naming.answered(true, &answer(&question), false);
        }
        assert_eq!(seen.len(), 20);
    }

    #[test]
    fn no_two_questions_in_flight_have_the_same_answer() {
        for seed in 0..200 {
            let mut naming = naming(seed);
            let mut numbers: Vec<_> =
                (0..5).map(|_| naming.ask(&listing(6), &HashSet::new(), None).unwrap().number).collect();
            numbers.sort();
            numbers.dedup();
            assert_eq!(numbers.len(), 5);
        }
    }

    #[test]
    fn another_answer_is_wrong_once_the_form_is_known_to_work() {
        let wrong: [&[u8]; 6] = [b"", b"2 u3", b"ok", b"9 u2", b"3", b"u2"];
        for text in wrong {
            let mut naming = Naming::new(1, Some(NamingForm::UniqueId), true, None);
            naming.ask(&Listing { count: 2, gone: vec![1] }, &HashSet::new(), None).unwrap();
            assert_eq!(naming.answered(true, text, true), NamingAnswer::Wrong, "{}", text.escape_ascii());
        }
        // And at any time once something was retrieved.
        let mut naming = naming(1);
        naming.ask(&listing(2), &HashSet::new(), None).unwrap();
        assert_eq!(naming.answered(true, b"", false), NamingAnswer::Wrong);
    }

    #[test]
    fn a_refusal_names_nothing() {
        let mut naming = Naming::new(1, Some(NamingForm::UniqueId), true, None);
        for verdict in [NamingAnswer::Nothing, NamingAnswer::Nothing, NamingAnswer::Named] {
            let question = naming.ask(&listing(9), &HashSet::new(), None).unwrap();
            let ok = verdict == NamingAnswer::Named;
            assert_eq!(naming.answered(ok, &answer(&question), false), verdict);
        }
        assert_eq!(naming.found(), Some(NamingForm::UniqueId));
    }

    /// From `UIDL r` to `LIST r` to `STAT` to nothing, each time the server shows that it doesn't do.
    #[test]
    fn the_forms_in_turn() {
        for refuses in [true, false] {
            let mut naming = naming(3);
            let tries = if refuses { 3 } else { 1 };
            for form in [NamingForm::UniqueId, NamingForm::Size, NamingForm::DropListing] {
                for _ in 0..tries {
                    let question = naming.ask(&listing(5), &HashSet::new(), None).unwrap();
                    let expected = match question.expected {
                        ExpectedName::UniqueId(_) => NamingForm::UniqueId,
                        ExpectedName::Size(_) => NamingForm::Size,
                        ExpectedName::DropListing => NamingForm::DropListing,
                    };
                    assert_eq!(expected, form);
                    assert_eq!(naming.answered(!refuses, b"something", true), NamingAnswer::Nothing);
                }
            }
            assert!(naming.is_impossible() && !naming.is_on_trial() && !naming.needs_trial());
            assert_eq!(naming.ask(&listing(5), &HashSet::new(), None), None);
            assert_eq!(naming.found(), Some(NamingForm::Nothing));
        }
    }

    /// What was asked in the flight of the first question doesn't condemn a server that can't answer any of them.
    #[test]
    fn questions_of_a_form_that_was_given_up_prove_nothing() {
        let mut naming = naming(3);
        for _ in 0..3 {
            naming.ask(&listing(9), &HashSet::new(), None).unwrap();
        }
        assert_eq!(naming.answered(true, b"no such thing", true), NamingAnswer::Nothing);
        assert_eq!(naming.answered(true, b"no such thing", false), NamingAnswer::Nothing);
        let question = naming.ask(&listing(9), &HashSet::new(), None).unwrap();
        assert!(matches!(question.expected, ExpectedName::Size(_)));
        assert_eq!(naming.answered(true, b"no such thing", false), NamingAnswer::Nothing);
        assert_eq!(naming.answered(true, &answer(&question), false), NamingAnswer::Named);
        assert_eq!(naming.found(), Some(NamingForm::Size));
    }

    #[test]
    fn the_drop_listing_counts_deletions_or_not() {
        let mut naming = Naming::new(1, Some(NamingForm::DropListing), true, Some((5, Octets(500))));
        naming.deleted(Octets(90));
        for (text, verdict) in [
            ("5 500", NamingAnswer::Named),
            ("4 410", NamingAnswer::Named),
            ("4 500", NamingAnswer::Wrong),
            ("5 410", NamingAnswer::Wrong),
            ("3 320", NamingAnswer::Wrong),
            ("4", NamingAnswer::Wrong),
        ] {
            naming.ask(&listing(5), &HashSet::new(), None).unwrap();
            assert_eq!(naming.answered(true, text.as_bytes(), false), verdict, "{text}");
        }
    }

    /// The form that worked before is asked again, unless it needs what this listing lacks; what never worked isn't asked.
    #[test]
    fn a_session_begins_with_the_form_that_worked_before() {
        use NamingForm::{DropListing, Nothing, Size, UniqueId};
        for (known, has_unique_ids, form, works) in [
            (None, true, Some(UniqueId), false),
            (None, false, Some(Size), false),
            (Some(UniqueId), true, Some(UniqueId), true),
            (Some(UniqueId), false, Some(Size), false),
            (Some(Size), true, Some(Size), true),
            (Some(Size), false, Some(Size), true),
            (Some(DropListing), true, Some(DropListing), true),
            (Some(Nothing), true, None, false),
        ] {
            let mut naming = Naming::new(1, known, has_unique_ids, Some((5, Octets(500))));
            let what = format!("{known:?} {has_unique_ids}");
            assert_eq!(naming.form, form, "{what}");
            assert_eq!(naming.is_impossible(), form.is_none(), "{what}");
            assert_eq!(naming.counts(), form == Some(DropListing), "{what}");
            let found = if form.is_none() { Some(Nothing) } else { form.filter(|_| works) };
            assert_eq!(naming.found(), found, "{what}: what hasn't worked isn't remembered as if it had");
            // A trial is due until a question was asked, and open until one was answered well.
            let open = form.is_some() && !works;
            assert_eq!((naming.needs_trial(), naming.is_on_trial()), (open, open), "{what}");
            let Some(question) = naming.ask(&listing(5), &HashSet::new(), None) else { continue };
            assert_eq!((naming.needs_trial(), naming.is_on_trial()), (false, open), "{what}");
            assert_eq!(naming.answered(true, &answer(&question), true), NamingAnswer::Named);
            assert_eq!((naming.needs_trial(), naming.is_on_trial()), (false, false), "{what}");
            assert_eq!(naming.found(), form, "{what}");
        }
    }

    /// Unique-ids are read beforehand of all where there are few, else of some that nobody can know.
    #[test]
    fn a_sample_is_drawn_where_unique_ids_are_asked_for() {
        assert_eq!(naming(1).sample(32), (0..32).collect::<Vec<_>>());
        let drawn = naming(1).sample(33);
        assert!(drawn.len() == 32 && drawn.iter().all(|place| *place < 33) && drawn != naming(2).sample(33));
        assert!(naming(1).sample(0).is_empty());
        for form in [NamingForm::Size, NamingForm::DropListing, NamingForm::Nothing] {
            assert!(Naming::new(1, Some(form), true, None).sample(9).is_empty(), "{form:?}");
        }
    }

    /// What was marked as deleted can't be asked for, and what was retrieved last only where nothing else is left: its sender
    /// knows its number.
    #[test]
    fn neither_what_is_gone_nor_what_came_last_is_asked_for() {
        for seed in 0..100 {
            let gone = HashSet::from([n(1), n(2), n(4)]);
            let question = naming(seed).ask(&listing(5), &gone, Some(n(5))).unwrap();
            assert_eq!(question.number, Some(n(3)));
            // Rather is one asked for twice.
            let mut naming = naming(seed);
            for _ in 0..6 {
                let number = naming.ask(&listing(3), &HashSet::new(), Some(n(3))).unwrap().number;
                assert_ne!(number, Some(n(3)));
            }
        }
        // Where all are gone, or none is listed, the next form is asked.
        let all = (1..=5).map(n).collect();
        for (listing, gone) in [(listing(5), all), (listing(0), HashSet::new())] {
            let question = naming(1).ask(&listing, &gone, None).unwrap();
            assert_eq!(question, NamingQuestion { number: None, expected: ExpectedName::DropListing });
        }
    }

    /// A server that refuses now and then has not stopped to answer.
    #[test]
    fn refusals_count_only_in_a_row() {
        let mut naming = naming(1);
        for _ in 0..4 {
            for verdict in [NamingAnswer::Nothing, NamingAnswer::Nothing, NamingAnswer::Named] {
                let question = naming.ask(&listing(9), &HashSet::new(), None).unwrap();
                let ok = verdict == NamingAnswer::Named;
                assert_eq!(naming.answered(ok, &answer(&question), false), verdict);
            }
        }
        assert_eq!(naming.found(), Some(NamingForm::UniqueId));
        // Three do, and the next form has to be tried first.
        for _ in 0..3 {
            naming.ask(&listing(9), &HashSet::new(), None).unwrap();
            assert_eq!(naming.answered(false, b"no", false), NamingAnswer::Nothing);
        }
        assert!(naming.found().is_none() && naming.is_on_trial() && !naming.is_impossible());
    }

    /// An answer names only by the number that was asked for and what was listed for it, both of them.
    #[test]
    fn a_size_names_only_with_its_number() {
        for (text, verdict) in [
            ("2 102", NamingAnswer::Named),
            ("1 102", NamingAnswer::Wrong),
            ("2 101", NamingAnswer::Wrong),
            ("2", NamingAnswer::Wrong),
            ("", NamingAnswer::Wrong),
        ] {
            let mut naming = Naming::new(1, Some(NamingForm::Size), true, None);
            let question = naming.ask(&Listing { count: 2, gone: vec![1] }, &HashSet::new(), None).unwrap();
            assert_eq!(question.number, Some(n(2)));
            assert_eq!(naming.answered(true, text.as_bytes(), true), verdict, "{text}");
        }
        let mut naming = Naming::new(1, Some(NamingForm::DropListing), true, None);
        assert_eq!(naming.ask(&listing(1), &HashSet::new(), None), None, "what STAT reports isn't known");
        assert_eq!(naming.answered(true, b"1 101", false), NamingAnswer::Wrong, "nothing was asked");
    }
}
