//! What a refused `RETR` means: whether it's about that message, or about everything.
//!
//! A message backs off only for what it did alone.  Quotas, limits and passing failures are the account's matter, and so
//! is a server that refuses one message after the other.

use crate::protocol::response::{Reply, ResponseCode};
use crate::retrieval::pipeline::Job;

/// After this many equal refusals in a row nothing more is asked for.
const MOST_ALIKE: usize = 10;
/// After this many refusals in a row that speak of something passing nothing more is asked for.
const MOST_PASSING: usize = 3;

/// Words of refusals that aren't about one message.  Lower case.
const PASSING: [&str; 16] = [
    "quota",
    "exceed",
    "too many",
    "too much",
    "too often",
    "limit reached",
    "over limit",
    "rate limit",
    "frequency",
    "throttl",
    "bandwidth",
    "maintenance",
    "temporar",
    "try again",
    "try later",
    "unavailable",
];

/// The words of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetrRefusal {
    /// Its own, fit to print.
    pub(super) text: String,
    /// Why the message was refused, in a sentence.
    reason: String,
    /// It speaks of a quota, a limit, or something that passes.
    pub(super) passing: bool,
}

#[derive(Debug, Clone)]
pub(super) struct RefusedMessage {
    pub(super) job: Job,
    pub(super) refusal: RetrRefusal,
}

impl RetrRefusal {
    /// `text`: its words, fit to print; `reason`: what they mean.
    pub(super) fn of(reply: &Reply<'_>, text: String, reason: String) -> Self {
        let passing = match reply.code {
            Some(ResponseCode::SysTemp | ResponseCode::InUse | ResponseCode::LoginDelay) => true,
            Some(ResponseCode::SysPerm | ResponseCode::Auth | ResponseCode::Utf8) => false,
            None => speaks_of_passing(reply.text),
        };
        Self { text, reason, passing }
    }

    /// What two refusals have in common that mean the same for two messages.
    fn pattern(&self) -> impl Iterator<Item = char> + '_ {
        self.text.chars().filter(|c| !c.is_ascii_digit())
    }
}

fn speaks_of_passing(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    PASSING.iter().any(|words| text.contains(words))
}

/// Whether these refusals, which came one after the other, show that the server refuses everything; then with its words.
pub(super) fn refuses_everything(refusals: &[RefusedMessage]) -> Option<String> {
    let last = refusals.last()?;
    let alike = refusals
        .iter()
        .rev()
        .take_while(|refused| refused.refusal.pattern().eq(last.refusal.pattern()))
        .count();
    let passing = refusals.iter().rev().take_while(|refused| refused.refusal.passing).count();
    (alike >= MOST_ALIKE || passing >= MOST_PASSING).then(|| last.refusal.text.clone())
}

impl RefusedMessage {
    pub(super) fn reason(&self) -> String {
        self.refusal.reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{RefusedMessage, RetrRefusal, refuses_everything};
    use crate::plan::{Decision, Why};
    use crate::protocol::response::{Reply, ResponseCode};
    use crate::retrieval::pipeline::{Ask, Job};
    use crate::types::MessageNumber;
    use proptest::prelude::*;

    fn refused(code: Option<ResponseCode>, text: &str) -> RefusedMessage {
        let reply = Reply { ok: false, code, text: text.as_bytes() };
        let refusal = RetrRefusal::of(&reply, text.to_owned(), String::new());
        let number = MessageNumber::FIRST;
        let job = Job {
            index: 0,
            number,
            decision: Decision::Retrieve(Why::New),
            size: 0,
            ask: Ask::Whole,
            counted: true,
            too_large: false,
            failures: 0,
            died: false,
        };
        RefusedMessage { job, refusal }
    }

    #[test]
    fn words_of_quotas_and_limits() {
        for text in [
            "Download exceed",
            "quota exhausted",
            "Too many requests",
            "Server maintenance",
            "Temporary error",
        ] {
            assert!(refused(None, text).refusal.passing, "{text}");
        }
        assert!(refused(Some(ResponseCode::SysTemp), "[SYS/TEMP] x").refusal.passing);
        for text in ["no such message", "message is deleted", "cannot open message 5", ""] {
            assert!(!refused(None, text).refusal.passing, "{text}");
        }
        assert!(!refused(Some(ResponseCode::SysPerm), "[SYS/PERM] quota").refusal.passing);
    }

    /// The code is the server's own word; text decides only where there is none.
    #[test]
    fn a_code_outranks_the_words() {
        use ResponseCode::{Auth, InUse, LoginDelay, SysPerm, SysTemp, Utf8};
        for (code, passing) in [
            (SysTemp, true),
            (InUse, true),
            (LoginDelay, true),
            (SysPerm, false),
            (Auth, false),
            (Utf8, false),
        ] {
            for words in ["quota exceeded", "no such message"] {
                assert_eq!(refused(Some(code), words).refusal.passing, passing, "{code:?} {words}");
            }
        }
    }

    /// Message numbers in the words don't make two refusals different; anything else does.
    #[test]
    fn refusals_are_alike_but_for_their_numbers() {
        let alike = |one: &str, other: &str| {
            let mut refusals: Vec<RefusedMessage> = (1..10).map(|_| refused(None, one)).collect();
            refusals.push(refused(None, other));
            refuses_everything(&refusals).is_some()
        };
        assert!(alike("cannot open 7", "cannot open 1234"));
        assert!(alike("", ""));
        assert!(!alike("cannot open 7", "cannot open /7"));
        assert!(!alike("cannot open", "Cannot open"));
    }

    /// Words of the server can't be too strange: no text is passing by accident of its octets.
    #[test]
    fn words_in_any_case_and_any_octets_are_read() {
        assert!(super::speaks_of_passing(b"\xff MAILBOX OVER QUOTA \xfe"));
        assert!(super::speaks_of_passing(b"RATE LIMITED: rate limit"));
        assert!(!super::speaks_of_passing(b"\xff\xfe\x00"));
        for words in super::PASSING {
            assert_eq!(words, words.to_lowercase(), "the text is compared in lower case");
        }
    }

    /// One other answer between them ends a row of refusals, however many there were.
    #[test]
    fn a_row_of_refusals_is_counted_from_its_end() {
        let busy = || refused(Some(ResponseCode::SysTemp), "later");
        let no = |n: usize| refused(None, &format!("broken {n}"));
        let mut refusals: Vec<RefusedMessage> = (0..9).map(no).collect();
        refusals.push(busy());
        assert_eq!(refuses_everything(&refusals), None);
        refusals.extend((0..9).map(no));
        assert_eq!(refuses_everything(&refusals), None);
        refusals.push(no(9));
        assert_eq!(refuses_everything(&refusals).as_deref(), Some("broken 9"));
        assert_eq!(refuses_everything(&[]), None);
    }

    #[test]
    fn ten_that_say_the_same() {
        let no = |n: usize| refused(None, &format!("cannot read message {n}"));
        let mut refusals: Vec<RefusedMessage> = (1..10).map(no).collect();
        assert_eq!(refuses_everything(&refusals), None);
        refusals.push(no(10));
        assert_eq!(refuses_everything(&refusals).as_deref(), Some("cannot read message 10"));
        refusals.push(refused(None, "something else"));
        assert_eq!(refuses_everything(&refusals), None, "each has a text of its own");
    }

    #[test]
    fn three_that_speak_of_something_passing() {
        let busy = || refused(Some(ResponseCode::SysTemp), "[SYS/TEMP] later");
        assert_eq!(refuses_everything(&[busy(), busy()]), None);
        assert!(refuses_everything(&[busy(), busy(), busy()]).is_some());
        assert_eq!(refuses_everything(&[busy(), busy(), refused(None, "no")]), None);
    }

    proptest! {
        /// Whatever a server answers: a few refusals are never taken for all, and a row is only what stands at the end.
        #[test]
        fn few_refusals_are_never_everything(texts in proptest::collection::vec("[a-c]{0,2}[0-9]{0,2}", 0..40)) {
            let refusals: Vec<RefusedMessage> = texts.iter().map(|text| refused(None, text)).collect();
            let alike = |one: &String, other: &String| {
                let bare = |text: &String| text.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
                bare(one) == bare(other)
            };
            let row = texts.last().map_or(0, |last| texts.iter().rev().take_while(|text| alike(text, last)).count());
            let expected = texts.last().filter(|_| row >= super::MOST_ALIKE).cloned();
            prop_assert_eq!(refuses_everything(&refusals), expected);
        }
    }
}
