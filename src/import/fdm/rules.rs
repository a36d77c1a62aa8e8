//! Where an account's mail goes: through the rules in their order, to the first that all of it reaches.

use super::super::foreign::ForeignTarget;
use super::super::{ForeignSurroundings, Remark};
use super::parser::{Act, FdmCondition, FdmValue, Parsed, Rule};
use super::tags::tagged;

/// Actions that name others, at most this deep.
const DEEPEST: usize = 8;

/// What the rules make of an account's mail.
#[derive(Default)]
pub(super) struct RuledMail {
    /// Where what no condition picks out goes.
    pub(super) deliver: Vec<ForeignTarget>,
    /// Whether it stays on the server.
    pub(super) keeps: bool,
    /// Whether no rule picks some of it out.
    pub(super) is_all: bool,
    pub(super) remarks: Vec<Remark>,
}

/// Follows the rules for an account.
pub(super) fn of(parsed: &Parsed, account: &str, around: ForeignSurroundings<'_>, server: &str) -> RuledMail {
    let mut walk = Walk { parsed, account, around, server, outcome: RuledMail::default(), some: Vec::new() };
    walk.rules(&parsed.rules);
    let Walk { mut outcome, some, .. } = walk;
    outcome.is_all = some.is_empty();
    if let Some(first) = some.first() {
        let more = match some.len() {
            1 => "a rule sorts mail by what it is".to_owned(),
            rules => format!("{rules} rules sort mail by what it is, from here on"),
        };
        let what = format!("match: {more}; popfetch has no rules, and delivers all of it to one place");
        outcome.remarks.insert(0, Remark { place: first.clone(), what });
    }
    outcome
}

struct Walk<'a> {
    parsed: &'a Parsed,
    account: &'a str,
    around: ForeignSurroundings<'a>,
    server: &'a str,
    outcome: RuledMail,
    some: Vec<super::super::SourceLine>,
}

impl Walk<'_> {
    /// Whether they end here for all mail of the account.
    fn rules(&mut self, rules: &[Rule]) -> bool {
        for rule in rules {
            let applies = match &rule.condition {
                FdmCondition::All => true,
                FdmCondition::Accounts(patterns)
                    if patterns.iter().any(|pattern| fits(pattern, self.account)) =>
                {
                    true
                }
                FdmCondition::Accounts(_) => continue,
                FdmCondition::Unmatched => self.outcome.deliver.is_empty(),
                FdmCondition::Some => {
                    self.some.push(rule.place.clone());
                    continue;
                }
            };
            if !applies {
                continue;
            }
            if !rule.inner.is_empty() {
                if self.rules(&rule.inner) {
                    return true;
                }
                continue;
            }
            self.acts(&rule.acts, rule, 0);
            if !rule.continues {
                return true;
            }
        }
        false
    }

    fn acts(&mut self, acts: &[Act], rule: &Rule, depth: usize) {
        let parsed = self.parsed;
        for act in acts {
            let target = match act {
                Act::Maildir(path) => {
                    self.expanded(path).map(|path| ForeignTarget::Maildir(self.setting(&path)))
                }
                Act::Mbox(path) => self.expanded(path).map(|path| ForeignTarget::Mbox(self.setting(&path))),
                Act::Pipe(command) => self.expanded(command).map(ForeignTarget::Shell),
                Act::Named(names) => {
                    for name in names {
                        let named = parsed.actions.iter().filter(|(known, _)| fits(name, known));
                        for (_, (acts, _)) in named {
                            if depth < DEEPEST {
                                self.acts(acts, rule, depth.saturating_add(1));
                            }
                        }
                    }
                    continue;
                }
                Act::Keep => {
                    self.outcome.keeps = true;
                    continue;
                }
                Act::Drop => {
                    self.note(rule, "drop: popfetch deletes nothing that it has not delivered");
                    continue;
                }
                Act::Other(what) => {
                    self.note(rule, &format!("{what}: popfetch has no such action"));
                    continue;
                }
            };
            match target {
                Some(target) if self.outcome.deliver.contains(&target) => {}
                Some(target) => self.outcome.deliver.push(target),
                None => self.note(rule, "an action: its path or command is not the same for every message"),
            }
        }
    }

    fn note(&mut self, rule: &Rule, what: &str) {
        self.outcome.remarks.push(Remark { place: rule.place.clone(), what: what.to_owned() });
    }

    /// A text whose tags are the same for every message of the account.
    fn expanded(&self, value: &FdmValue) -> Option<String> {
        let tag = |name: &str| match name {
            "account" | "a" => Some(self.account.to_owned()),
            "source" | "s" => Some(self.server.to_owned()),
            _ => None,
        };
        let (text, all_known) = tagged(&value.text, self.around, tag);
        (value.is_known() && all_known).then_some(text)
    }

    fn setting(&self, path: &str) -> String {
        self.around.setting(path.trim_end_matches('/'), self.around.home)
    }
}

/// Whether a name fits a pattern with `*` and `?` (fnmatch(3), without brackets).
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The usual search with one place to go back to: it takes no more than the product of the lengths.
    let (mut at, mut in_name, mut back) = (0_usize, 0_usize, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                back = Some((at, in_name));
                at = at.saturating_add(1);
            }
            Some(c) if *c == '?' || name.get(in_name) == Some(c) => {
                at = at.saturating_add(1);
                in_name = in_name.saturating_add(1);
            }
            _ => match back {
                Some((star, from)) => {
                    at = star.saturating_add(1);
                    in_name = from.saturating_add(1);
                    back = Some((star, in_name));
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_none_or(|rest| rest.iter().all(|c| *c == '*'))
}
