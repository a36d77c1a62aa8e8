//! fdm's grammar.  Rules are read for where mail goes; of a condition it only matters whether it takes all mail.

use std::collections::BTreeMap;

use super::super::{Error, ForeignSource, ForeignSurroundings, Include, Remark, SourceLine};
use super::tags::tagged;
use super::words::{FdmWord, FdmWords, Macro};

/// Files that include one another, at most.
const DEEPEST: usize = 16;
/// Statements at most: files that include others may multiply.
const MOST_STATEMENTS: usize = 100_000;

/// A text, and whether it is known without running a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FdmValue {
    pub(super) text: String,
    pub(super) secretive: Secretive,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Secretive {
    /// It is written there.
    Known,
    /// It is what this command prints.
    Command(String),
    /// A part of it is.
    Mixed,
}

impl FdmValue {
    pub(super) fn is_known(&self) -> bool {
        self.secretive == Secretive::Known
    }
}

/// An account.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) place: SourceLine,
    pub(super) name: String,
    pub(super) disabled: bool,
    /// `pop3`, `imaps`, `stdin`.
    pub(super) kind: String,
    values: BTreeMap<String, FdmValue>,
    flags: Vec<String>,
}

impl Declared {
    pub(super) fn value(&self, name: &str) -> Option<&FdmValue> {
        self.values.get(name)
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Maildir(FdmValue),
    Mbox(FdmValue),
    /// `pipe`, which gets the message; `exec`, which doesn't, is another.
    Pipe(FdmValue),
    /// Actions by their names.
    Named(Vec<String>),
    Keep,
    Drop,
    /// Anything else, by its keyword.
    Other(String),
}

/// Which mail a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FdmCondition {
    All,
    /// That of accounts, by patterns.
    Accounts(Vec<String>),
    /// What no rule has matched.
    Unmatched,
    Some,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) place: SourceLine,
    pub(super) condition: FdmCondition,
    pub(super) acts: Vec<Act>,
    pub(super) inner: Vec<Self>,
    pub(super) continues: bool,
}

/// All of a configuration.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) accounts: Vec<Declared>,
    pub(super) actions: BTreeMap<String, (Vec<Act>, SourceLine)>,
    pub(super) rules: Vec<Rule>,
    pub(super) remarks: Vec<Remark>,
    pub(super) largest: Option<u64>,
    pub(super) timeout: Option<u64>,
    /// The proxy of all accounts, as popfetch has it.
    pub(super) proxy: Option<String>,
}

/// Reads a configuration and what it includes.
pub(super) fn parse(
    source: ForeignSource<'_>,
    around: ForeignSurroundings<'_>,
    include: &mut Include<'_>,
) -> Result<Parsed, Error> {
    let mut words = FdmWords::new();
    words.open(source.path.to_owned(), &source.text());
    let mut parser = FdmParser { words, around, parsed: Parsed::default(), open: Vec::new() };
    for _ in 0..MOST_STATEMENTS {
        match parser.statement() {
            Ok(FdmStep::Done) => {}
            Ok(FdmStep::End) => return Ok(parser.parsed),
            Ok(FdmStep::Include(path)) => {
                let beside = source.path.parent().map(|folder| folder.join(&path)).unwrap_or_default();
                let file = around.file(&path, around.home);
                let (file, secret) = match include(&file) {
                    Ok(secret) => (file, secret),
                    Err(_) => include(&beside).map(|secret| (beside, secret))?,
                };
                parser.words.open(file, &String::from_utf8_lossy(secret.expose()));
            }
            Err(what) => return Err(Error::Syntax { place: parser.place(), what }),
        }
    }
    Err(Error::Syntax { place: parser.place(), what: "there is no end of statements".to_owned() })
}

/// `socks://HOST:PORT/` or `http://HOST:PORT/` as popfetch writes it; `None` where it has a user, or no port.
fn proxy(value: &FdmValue) -> Option<String> {
    let (kind, rest) = match value.text.split_once("://")? {
        ("socks", rest) => ("socks5", rest),
        ("http", rest) => ("http", rest),
        _ => return None,
    };
    let place = rest.trim_end_matches('/');
    let (host, port) = place.rsplit_once(':')?;
    let is_plain = value.is_known() && !host.is_empty() && !place.contains(['@', '/', '?', '#']);
    (is_plain && port.parse::<u16>().is_ok()).then(|| format!("{kind}://{place}"))
}

enum FdmStep {
    Done,
    End,
    Include(String),
}

type Result<T, E = String> = std::result::Result<T, E>;

struct FdmParser<'a> {
    words: FdmWords,
    around: ForeignSurroundings<'a>,
    parsed: Parsed,
    /// Rules whose `{` is open.
    open: Vec<Rule>,
}

/// Keys of accounts that a value follows, or values in braces.
const VALUED: [&str; 10] =
    ["server", "port", "user", "users", "pass", "folder", "folders", "group", "groups", "cache"];
/// Those that stand alone.
const FLAGS: [&str; 15] = [
    "new-only",
    "old-only",
    "no-apop",
    "no-verify",
    "no-uidl",
    "starttls",
    "insecure",
    "no-cram-md5",
    "no-plain",
    "no-login",
    "oauthbearer",
    "xoauth2",
    "keep",
    "compress",
    "disabled",
];
const SCALES: [(&str, u64); 22] = [
    ("b", 1),
    ("byte", 1),
    ("bytes", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kilobyte", 1 << 10),
    ("kilobytes", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("megabyte", 1 << 20),
    ("megabytes", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gigabyte", 1 << 30),
    ("gigabytes", 1 << 30),
    ("second", 1),
    ("seconds", 1),
    ("minute", 60),
    ("minutes", 60),
    ("hour", 3_600),
    ("hours", 3_600),
    ("day", 86_400),
];
/// Units that no setting of popfetch is made of.
const LONG_SCALES: [&str; 7] = ["days", "week", "weeks", "month", "months", "year", "years"];

impl FdmParser<'_> {
    fn place(&self) -> SourceLine {
        let (file, line) = self.words.place.clone();
        SourceLine { file, line }
    }

    fn statement(&mut self) -> Result<FdmStep> {
        let Some(word) = self.words.next()? else {
            return if self.open.is_empty() { Ok(FdmStep::End) } else { Err("a } is missing".to_owned()) };
        };
        match word {
            FdmWord::Macro(name) => {
                if !self.words.take_sign('=')? {
                    return Err("a = is expected".to_owned());
                }
                let value = self.macro_value()?;
                self.words.macros.insert(name, value);
            }
            FdmWord::Sign('}') => {
                let rule = self.open.pop().ok_or("a } without its {")?;
                self.add(rule);
            }
            FdmWord::Key(key) => match key.as_str() {
                "account" => self.account()?,
                "action" => self.action()?,
                "match" => self.rule()?,
                "set" => self.set()?,
                "cache" => {
                    self.text()?;
                    if self.words.take_key("expire")? {
                        self.amount()?;
                    }
                }
                "include" => {
                    if self.words.nesting() >= DEEPEST {
                        return Err("too many files include one another".to_owned());
                    }
                    // One text: what follows it comes after all that the file holds.
                    let value = self.piece()?;
                    return Ok(FdmStep::Include(self.tags(&value.text)));
                }
                _ => return Err("this is not a statement of fdm".to_owned()),
            },
            _ => return Err("a statement is expected".to_owned()),
        }
        Ok(FdmStep::Done)
    }

    fn macro_value(&mut self) -> Result<Macro> {
        if let Some(FdmWord::Number(number)) = self.words.peek()? {
            let number = *number;
            self.words.next()?;
            return Ok(Macro::Number(number));
        }
        let value = self.text()?;
        Ok(Macro::Text(value.text.clone(), value.is_known()))
    }

    /// Texts, joined by `+`.
    fn text(&mut self) -> Result<FdmValue> {
        let mut value = self.piece()?;
        while self.words.take_sign('+')? {
            let next = self.piece()?;
            value.text.push_str(&next.text);
            if !(value.is_known() && next.is_known()) {
                value.secretive = Secretive::Mixed;
            }
        }
        Ok(value)
    }

    fn piece(&mut self) -> Result<FdmValue> {
        let known = |text, known| FdmValue {
            text,
            secretive: if known { Secretive::Known } else { Secretive::Mixed },
        };
        match self.words.next()? {
            Some(FdmWord::Text(text, is_known)) => Ok(known(text, is_known)),
            Some(FdmWord::Command(command)) => {
                Ok(FdmValue { text: String::new(), secretive: Secretive::Command(command) })
            }
            Some(FdmWord::Macro(name)) => match self.words.macros.get(&name) {
                Some(Macro::Text(text, is_known)) => Ok(known(text.clone(), *is_known)),
                Some(Macro::Number(number)) => Ok(known(number.to_string(), true)),
                None => Err("a macro is not defined".to_owned()),
            },
            Some(FdmWord::Number(number)) => Ok(known(number.to_string(), true)),
            _ => Err("a text is expected".to_owned()),
        }
    }

    /// One text, or several in braces.
    fn texts(&mut self) -> Result<Vec<FdmValue>> {
        if !self.words.take_sign('{')? {
            return Ok(vec![self.text()?]);
        }
        let mut texts = Vec::new();
        while !self.words.take_sign('}')? {
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    fn key(&mut self) -> Result<String> {
        match self.words.next()? {
            Some(FdmWord::Key(key)) => Ok(key),
            _ => Err("a keyword is expected".to_owned()),
        }
    }

    /// A number with its unit; `None` where it is not known.
    fn amount(&mut self) -> Result<Option<u64>> {
        let number = match self.words.next()? {
            Some(FdmWord::Number(number)) => Some(number),
            Some(FdmWord::Macro(name)) => match self.words.macros.get(&name) {
                Some(Macro::Number(number)) => Some(*number),
                _ => return Err("a number is expected".to_owned()),
            },
            Some(FdmWord::Command(_)) => None,
            _ => return Err("a number is expected".to_owned()),
        };
        let Some(FdmWord::Key(unit)) = self.words.peek()? else { return Ok(number) };
        let unit = unit.to_ascii_lowercase();
        if LONG_SCALES.contains(&unit.as_str()) {
            self.words.next()?;
            return Ok(None);
        }
        let Some((_, factor)) = SCALES.iter().find(|(name, _)| *name == unit) else { return Ok(number) };
        self.words.next()?;
        Ok(number.and_then(|number| number.checked_mul(*factor)))
    }

    fn users(&mut self) -> Result<()> {
        if self.words.take_key("user")? || self.words.take_key("users")? {
            self.texts()?;
        }
        Ok(())
    }

    fn account(&mut self) -> Result<()> {
        let place = self.place();
        let name = self.text()?;
        let disabled = self.words.take_key("disabled")?;
        self.users()?;
        let kind = self.key()?;
        let mut declared = Declared {
            place,
            name: self.tags(&name.text),
            disabled,
            kind,
            values: BTreeMap::new(),
            flags: Vec::new(),
        };
        match declared.kind.as_str() {
            "pop3" | "pop3s" | "imap" | "imaps" | "nntp" | "nntps" | "stdin" => {}
            "maildir" | "maildirs" | "mbox" | "mboxes" => {
                self.texts()?;
            }
            _ => return Err("this is not a kind of account".to_owned()),
        }
        if self.words.take_key("pipe")? {
            let command = self.text()?;
            declared.values.insert("pipe".to_owned(), command);
        }
        while let Some(FdmWord::Key(key)) = self.words.peek()? {
            let key = key.clone();
            if VALUED.contains(&key.as_str()) {
                // A cache of its own is a statement; that of an account follows what it is for.
                if key == "cache"
                    && !(declared.has("new-only")
                        || declared.has("old-only")
                        || declared.kind.starts_with("nntp"))
                {
                    break;
                }
                self.words.next()?;
                let mut value = self.texts()?.into_iter().next().ok_or("a value is expected")?;
                value.text = self.tags(&value.text);
                declared.values.insert(key, value);
            } else if FLAGS.contains(&key.as_str()) {
                self.words.next()?;
                declared.flags.push(key);
            } else {
                break;
            }
        }
        self.parsed.accounts.push(declared);
        Ok(())
    }

    fn action(&mut self) -> Result<()> {
        let place = self.place();
        let name = self.text()?;
        self.users()?;
        let acts = self.acts()?;
        let name = self.tags(&name.text);
        self.parsed.actions.insert(name, (acts, place));
        Ok(())
    }

    /// One act, or several in braces.
    fn acts(&mut self) -> Result<Vec<Act>> {
        if !self.words.take_sign('{')? {
            return Ok(vec![self.act()?]);
        }
        let mut acts = Vec::new();
        while !self.words.take_sign('}')? {
            acts.push(self.act()?);
        }
        Ok(acts)
    }

    fn act(&mut self) -> Result<Act> {
        let key = self.key()?;
        Ok(match key.as_str() {
            "pipe" => Act::Pipe(self.text()?),
            "maildir" => Act::Maildir(self.text()?),
            "mbox" => {
                let path = self.text()?;
                if self.words.take_key("compress")? {
                    Act::Other("mbox compress".to_owned())
                } else {
                    Act::Mbox(path)
                }
            }
            "action" | "actions" => Act::Named(self.texts()?.into_iter().map(|name| name.text).collect()),
            "keep" => Act::Keep,
            "drop" => Act::Drop,
            "stdout" => Act::Other(key),
            "exec" | "rewrite" | "write" | "append" => {
                self.text()?;
                Act::Other(key)
            }
            "remove-header" | "remove-headers" => {
                self.texts()?;
                Act::Other(key)
            }
            "add-header" | "tag" => {
                self.text()?;
                let valued = self.words.take_key("value")?;
                if valued || (key == "add-header") {
                    self.text()?;
                }
                Act::Other(key)
            }
            "add-to-cache" | "to-cache" | "remove-from-cache" => {
                self.text()?;
                if self.words.take_key("key")? {
                    self.text()?;
                }
                Act::Other(key)
            }
            "smtp" | "lmtp" | "imap" | "imaps" => {
                self.sending()?;
                Act::Other(key)
            }
            _ => return Err("this is not an action of fdm".to_owned()),
        })
    }

    /// What follows `smtp`, `lmtp` and `imap`.
    fn sending(&mut self) -> Result<()> {
        while let Some(FdmWord::Key(key)) = self.words.peek()? {
            let key = key.as_str();
            if VALUED.contains(&key) || matches!(key, "from" | "to") {
                self.words.next()?;
                self.texts()?;
            } else if FLAGS.contains(&key) && key != "keep" {
                self.words.next()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn rule(&mut self) -> Result<()> {
        let place = self.place();
        let mut condition = self.condition()?;
        while self.words.take_key("and")? || self.words.take_key("or")? {
            self.condition()?;
            condition = FdmCondition::Some;
        }
        let mut rule = Rule { place, condition, acts: Vec::new(), inner: Vec::new(), continues: false };
        if self.words.take_sign('{')? {
            self.open.push(rule);
            return Ok(());
        }
        self.users()?;
        if !(self.words.take_key("action")? || self.words.take_key("actions")?) {
            return Err("an action is expected".to_owned());
        }
        rule.acts = match self.words.peek()? {
            Some(FdmWord::Key(_)) => vec![self.act()?],
            Some(FdmWord::Sign('{')) => self.acts_or_names()?,
            _ => vec![Act::Named(vec![self.text()?.text])],
        };
        rule.continues = self.words.take_key("continue")?;
        self.add(rule);
        Ok(())
    }

    /// What is between braces: names of actions, or actions.
    fn acts_or_names(&mut self) -> Result<Vec<Act>> {
        self.words.take_sign('{')?;
        let (mut acts, mut names) = (Vec::new(), Vec::new());
        while !self.words.take_sign('}')? {
            if matches!(self.words.peek()?, Some(FdmWord::Key(_))) {
                acts.push(self.act()?);
            } else {
                names.push(self.text()?.text);
            }
        }
        if !names.is_empty() {
            acts.push(Act::Named(names));
        }
        Ok(acts)
    }

    /// One condition, which is read to its end.
    fn condition(&mut self) -> Result<FdmCondition> {
        let negated = self.words.take_key("not")?;
        let Some(FdmWord::Key(key)) = self.words.peek()? else {
            return self.pattern();
        };
        let key = key.clone();
        if key == "case" {
            return self.pattern();
        }
        self.words.next()?;
        let whole = match key.as_str() {
            "all" => FdmCondition::All,
            "unmatched" => FdmCondition::Unmatched,
            "matched" => FdmCondition::Some,
            "account" | "accounts" => {
                FdmCondition::Accounts(self.texts()?.into_iter().map(|name| name.text).collect())
            }
            "exec" | "pipe" => {
                self.text()?;
                self.users()?;
                self.returns()?;
                FdmCondition::Some
            }
            "tagged" => {
                self.text()?;
                FdmCondition::Some
            }
            "string" => {
                self.text()?;
                self.words.take_key("to")?;
                self.pattern()?
            }
            "in-cache" => {
                self.text()?;
                self.words.take_key("key")?;
                self.text()?;
                FdmCondition::Some
            }
            "size" | "age" => {
                self.comparison()?;
                FdmCondition::Some
            }
            "attachment" => {
                match self.key()?.as_str() {
                    "any-type" | "any-name" => drop(self.text()?),
                    _ => self.comparison()?,
                }
                FdmCondition::Some
            }
            _ => return Err("this is not a condition of fdm".to_owned()),
        };
        Ok(if negated { FdmCondition::Some } else { whole })
    }

    /// `"expression" in headers`.
    fn pattern(&mut self) -> Result<FdmCondition> {
        self.words.take_key("case")?;
        self.text()?;
        if self.words.take_key("in")? {
            self.key()?;
        }
        Ok(FdmCondition::Some)
    }

    /// `returns (CODE, "expression")`, either of which may be missing.
    fn returns(&mut self) -> Result<()> {
        if !(self.words.take_key("returns")? && self.words.take_sign('(')?) {
            return Err("returns ( is expected".to_owned());
        }
        while !self.words.take_sign(')')? {
            if self.words.next()?.is_none() {
                return Err("a ) is missing".to_owned());
            }
        }
        Ok(())
    }

    /// `< 5 days`, `== 3`, or `invalid`.
    fn comparison(&mut self) -> Result<()> {
        if self.words.take_key("invalid")? {
            return Ok(());
        }
        match self.words.next()? {
            Some(FdmWord::Sign('<' | '>' | '~')) => self.amount().map(drop),
            _ => Err("a comparison is expected".to_owned()),
        }
    }

    fn set(&mut self) -> Result<()> {
        let place = self.place();
        let key = self.key()?;
        match key.as_str() {
            "maximum-size" => self.parsed.largest = self.amount()?,
            "timeout" => self.parsed.timeout = self.amount()?,
            "lock-timeout" | "queue-high" | "queue-low" | "parallel-accounts" => drop(self.amount()?),
            "purge-after" if self.words.take_key("none")? => {}
            "purge-after" => drop(self.amount()?),
            "proxy" => {
                self.parsed.proxy = proxy(&self.text()?);
                if self.parsed.proxy.is_none() {
                    let what = "proxy: set proxy by hand; a password in it must be written there".to_owned();
                    self.parsed.remarks.push(Remark { place, what });
                }
            }
            "lock-file" | "default-user" | "command-user" | "strip-characters" => {
                self.text()?;
                let what = match key.as_str() {
                    "default-user" => {
                        "default-user: owner = \"USER\" delivers as a user, where root runs popfetch"
                    }
                    "command-user" => "command-user: programs run as the user that popfetch delivers as",
                    _ => return Ok(()),
                };
                self.parsed.remarks.push(Remark { place, what: what.to_owned() });
            }
            "lock-type" | "lock-types" | "lookup-order" => {
                let listed = ["fcntl", "flock", "dotlock", "none", "passwd", "courier"];
                while matches!(self.words.peek()?, Some(FdmWord::Key(next)) if listed.contains(&next.as_str()))
                {
                    self.words.next()?;
                }
            }
            "delete-oversized" => {
                let what = "delete-oversized: popfetch deletes nothing that it has not delivered";
                self.parsed.remarks.push(Remark { place, what: what.to_owned() });
            }
            "unmatched-mail" => drop(self.key()?),
            "file-group" | "file-umask" => {
                if !self.words.take_key("user")? {
                    self.text()?;
                }
            }
            "lock-wait"
            | "ignore-errors"
            | "allow-multiple"
            | "verify-certificates"
            | "no-received"
            | "no-create"
            | "impersonate" => {}
            _ => return Err("this is not a setting of fdm".to_owned()),
        }
        Ok(())
    }

    fn add(&mut self, rule: Rule) {
        match self.open.last_mut() {
            Some(outer) => outer.inner.push(rule),
            None => self.parsed.rules.push(rule),
        }
    }

    /// The tags that are known when the file is read: the user's home and name.
    fn tags(&self, text: &str) -> String {
        tagged(text, self.around, |_| None).0
    }
}
