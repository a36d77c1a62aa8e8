//! fetchmailrc: a stream of words, in which entries (`poll`, `skip`, `defaults`) hold server options and users, and users
//! hold options of their own; "noise words" and punctuation count for nothing (fetchmail(1), THE RUN CONTROL FILE).
//!
//! fetchmail refuses a server option behind a user's; here each option goes where it belongs, wherever it stands.

mod options;
mod words;

use std::collections::BTreeMap;

use super::foreign::{ForeignRoute, ForeignTarget, Password, Protection, StateLines, Stays};
use super::{
    Error, Foreign, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, Remark, StateFile, shell,
};
use crate::account::Auth;
use options::{NO_COUNTERPART, OptionShape, flags_of_set, known};
use words::{FetchmailWord, FetchmailWords};

/// What an option is set to.
#[derive(Clone)]
enum Given {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

/// Options by their names, each with its line.
type FetchmailOptions = BTreeMap<&'static str, (Given, usize)>;

/// A user of an entry.
#[derive(Clone, Default)]
struct FetchmailUser {
    line: usize,
    remote: Option<String>,
    /// Local names; a mapping counts as two.
    local: Vec<String>,
    options: FetchmailOptions,
}

/// `poll`, `skip` or `defaults`.
#[derive(Default)]
struct PollEntry {
    line: usize,
    /// Empty for `defaults`.
    name: String,
    skip: bool,
    server: FetchmailOptions,
    users: Vec<FetchmailUser>,
}

/// Reads a fetchmailrc.
///
/// # Errors
/// [`Error::Syntax`].
pub(super) fn read(source: ForeignSource<'_>, around: ForeignSurroundings<'_>) -> Result<ForeignFile, Error> {
    let text = source.text();
    let mut parser = FetchmailParser {
        words: FetchmailWords::of(&text),
        source,
        entries: Vec::new(),
        globals: BTreeMap::new(),
    };
    parser.file()?;
    let FetchmailParser { entries, globals, .. } = parser;
    let mut reading = ForeignFile { accounts: Vec::new(), remarks: of_globals(&globals, source) };
    let idfile = match globals.get("idfile") {
        Some((Given::Text(path), _)) => Some(around.file(path, folder(source))),
        _ => None,
    };
    let mut defaults: Option<&PollEntry> = None;
    for entry in &entries {
        if entry.name.is_empty() {
            defaults = Some(entry);
            continue;
        }
        let nobody = [FetchmailUser { line: entry.line, ..FetchmailUser::default() }];
        let users = if entry.users.is_empty() { nobody.as_slice() } else { &entry.users };
        for user in users {
            let account = Merged::of(entry, user, defaults);
            reading.accounts.push(account.foreign(source, around, idfile.as_deref()));
        }
    }
    Ok(reading)
}

fn folder<'a>(source: ForeignSource<'a>) -> &'a std::path::Path {
    source.path.parent().unwrap_or(source.path)
}

fn of_globals(globals: &FetchmailOptions, source: ForeignSource<'_>) -> Vec<Remark> {
    let texts = [
        (
            "daemon",
            "popfetch does not run in the background: popfetch cron prints what cron or systemd needs",
        ),
        ("logfile", "log-file = \"FILE\" in [defaults] keeps a log"),
        ("syslog", "under systemd the journal keeps what is printed; log-file = \"FILE\" keeps a log"),
        ("postmaster", "popfetch has no postmaster: what cannot be delivered stays on the server"),
    ];
    let found = |(name, text): (&str, &str)| {
        let (given, line) = globals.get(name)?;
        let what = format!("set {name}: {text}");
        (!matches!(given, Given::Flag(false) | Given::Number(0)))
            .then(|| Remark { place: source.place(*line), what })
    };
    texts.into_iter().filter_map(found).collect()
}

struct FetchmailParser<'a> {
    words: FetchmailWords<'a>,
    source: ForeignSource<'a>,
    entries: Vec<PollEntry>,
    globals: FetchmailOptions,
}

impl FetchmailParser<'_> {
    fn wrong(&self, what: impl Into<String>) -> Error {
        Error::Syntax { place: self.source.place(self.words.line), what: what.into() }
    }

    fn file(&mut self) -> Result<(), Error> {
        while let Some(word) = self.words.next().map_err(|what| self.wrong(what))? {
            let line = self.words.line;
            let FetchmailWord::Bare(word) = word else {
                return Err(self.wrong("a text stands where an option is expected"));
            };
            match word.as_str() {
                "set" => self.global()?,
                "poll" | "server" | "skip" => {
                    let name = self.text("poll")?;
                    if name.is_empty() {
                        return Err(self.wrong("poll needs a name"));
                    }
                    self.entries.push(PollEntry { line, name, skip: word == "skip", ..PollEntry::default() });
                }
                "defaults" => self.entries.push(PollEntry { line, ..PollEntry::default() }),
                _ if self.entries.is_empty() => {
                    return Err(self.wrong("poll, skip, defaults or set is expected"));
                }
                "user" | "username" => self.user(line)?,
                "is" | "to" => self.names()?,
                word => self.option(word, line)?,
            }
        }
        Ok(())
    }

    /// `set NAME`, perhaps with a value; the names are few.
    fn global(&mut self) -> Result<(), Error> {
        let line = self.words.line;
        let Some(FetchmailWord::Bare(mut name)) = self.word()? else {
            return Err(self.wrong("set needs a name"));
        };
        let on = name != "no";
        if let Some(rest) = name.strip_prefix("no").filter(|rest| flags_of_set(rest).is_some()) {
            name = rest.to_owned();
            self.globals.insert(flags_of_set(&name).unwrap_or_default(), (Given::Flag(false), line));
            return Ok(());
        }
        if !on {
            let Some(FetchmailWord::Bare(next)) = self.word()? else {
                return Err(self.wrong("set no needs a name"));
            };
            name = next;
        }
        if let Some(name) = flags_of_set(&name) {
            self.globals.insert(name, (Given::Flag(on), line));
            return Ok(());
        }
        let valued = ["logfile", "idfile", "pidfile", "daemon", "postmaster", "properties"];
        let Some(name) = valued.into_iter().find(|known| *known == name) else {
            return Err(self.wrong("set with a name that fetchmail does not know"));
        };
        if self.words.peek_is("=") {
            self.word()?;
        }
        let given = match (name, self.word()?) {
            ("daemon", Some(FetchmailWord::Number(number, _))) => Given::Number(number),
            (
                _,
                Some(
                    FetchmailWord::Bare(text) | FetchmailWord::Quoted(text) | FetchmailWord::Number(_, text),
                ),
            ) => Given::Text(text),
            (_, None) => return Err(self.wrong(format!("set {name} needs a value"))),
        };
        self.globals.insert(name, (given, line));
        Ok(())
    }

    /// `user NAME`, `user NAME there`, or `user NAMES here`.
    fn user(&mut self, line: usize) -> Result<(), Error> {
        let names = self.mapping()?;
        let mut user = FetchmailUser { line, ..FetchmailUser::default() };
        if self.words.peek_is("here") {
            self.word()?;
            user.local = names;
        } else {
            if names.len() > 1 {
                return Err(self.wrong("after the user an option is expected, and this is none of fetchmail"));
            }
            if self.words.peek_is("there") {
                self.word()?;
            }
            user.remote = names.into_iter().next();
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.users.push(user);
        }
        Ok(())
    }

    /// `is NAMES`, `is NAMES here`, `is NAME there`.
    fn names(&mut self) -> Result<(), Error> {
        let names = self.mapping()?;
        let there = self.words.peek_is("there");
        if there || self.words.peek_is("here") {
            self.word()?;
        }
        let line = self.words.line;
        let Some(user) = self.last_user(line) else { return Ok(()) };
        if there {
            user.remote = names.into_iter().next();
        } else {
            user.local.extend(names);
        }
        Ok(())
    }

    /// `NAME`, `NAME=NAME`, and more of them.  The first is a name whatever it looks like.
    fn mapping(&mut self) -> Result<Vec<String>, Error> {
        let mut names = vec![self.text("user")?];
        loop {
            if self.words.peek_is("=") {
                self.word()?;
                names.push(self.text("=")?);
            } else if self.words.peek_is_text(is_known) {
                names.push(self.text("is")?);
            } else {
                return Ok(names);
            }
        }
    }

    fn last_user(&mut self, line: usize) -> Option<&mut FetchmailUser> {
        let entry = self.entries.last_mut()?;
        if entry.users.is_empty() {
            entry.users.push(FetchmailUser { line, ..FetchmailUser::default() });
        }
        entry.users.last_mut()
    }

    fn option(&mut self, word: &str, line: usize) -> Result<(), Error> {
        let (mut word, mut on) = (word.to_owned(), true);
        if known(&word).is_none() {
            let glued = word.strip_prefix("no").filter(|rest| known(rest).is_some()).map(str::to_owned);
            word = match (word.as_str(), glued) {
                (_, Some(rest)) => rest,
                ("no", None) => match self.word()? {
                    Some(FetchmailWord::Bare(next)) => next,
                    _ => return Err(self.wrong("no needs an option")),
                },
                _ => return Err(self.wrong("this is not an option of fetchmail")),
            };
            on = false;
        }
        let Some((name, of_server, shape)) = known(&word) else {
            return Err(self.wrong("this is not an option of fetchmail"));
        };
        let given = if on { self.value(name, shape)? } else { Given::Flag(false) };
        if of_server {
            if let Some(entry) = self.entries.last_mut() {
                entry.server.insert(name, (given, line));
            }
        } else if let Some(user) = self.last_user(line) {
            user.options.insert(name, (given, line));
        }
        Ok(())
    }

    fn value(&mut self, name: &str, shape: OptionShape) -> Result<Given, Error> {
        Ok(match shape {
            OptionShape::Flag => Given::Flag(true),
            OptionShape::Text => Given::Text(self.text(name)?),
            OptionShape::Service => match self.word()? {
                Some(FetchmailWord::Number(number, _)) => Given::Number(number),
                Some(FetchmailWord::Bare(text) | FetchmailWord::Quoted(text)) => Given::Text(text),
                None => return Err(self.wrong(format!("{name} needs a value"))),
            },
            OptionShape::Number => match self.word()? {
                Some(FetchmailWord::Number(number, _)) => Given::Number(number),
                _ => return Err(self.wrong(format!("{name} needs a number"))),
            },
            OptionShape::List => {
                let mut list = vec![self.text(name)?];
                while self.words.peek_is_text(is_known) {
                    list.push(self.text(name)?);
                }
                Given::List(list)
            }
            OptionShape::Numbers => {
                while self.words.peek_is_number() {
                    self.word()?;
                }
                Given::List(Vec::new())
            }
            OptionShape::Envelope => {
                if self.words.peek_is_number() {
                    self.word()?;
                }
                Given::Text(self.text(name)?)
            }
        })
    }

    fn word(&mut self) -> Result<Option<FetchmailWord>, Error> {
        self.words.next().map_err(|what| self.wrong(what))
    }

    fn text(&mut self, name: &str) -> Result<String, Error> {
        match self.word()? {
            Some(
                FetchmailWord::Bare(text) | FetchmailWord::Quoted(text) | FetchmailWord::Number(_, text),
            ) => Ok(text),
            None => Err(self.wrong(format!("{name} needs a value"))),
        }
    }
}

/// Whether a list of names ends before this word.
fn is_known(word: &str) -> bool {
    let others =
        ["set", "poll", "server", "skip", "defaults", "user", "username", "is", "to", "here", "there", "no"];
    others.contains(&word)
        || known(word).is_some()
        || word.strip_prefix("no").is_some_and(|rest| known(rest).is_some())
}

/// An entry and one of its users over the defaults.
struct Merged<'a> {
    entry: &'a PollEntry,
    user: FetchmailUser,
    server: FetchmailOptions,
}

impl<'a> Merged<'a> {
    fn of(entry: &'a PollEntry, user: &FetchmailUser, defaults: Option<&PollEntry>) -> Self {
        let (mut server, mut user) = (entry.server.clone(), user.clone());
        if let Some(defaults) = defaults {
            for (name, given) in &defaults.server {
                server.entry(name).or_insert_with(|| given.clone());
            }
            if let Some(below) = defaults.users.first() {
                for (name, given) in &below.options {
                    user.options.entry(name).or_insert_with(|| given.clone());
                }
                user.remote = user.remote.or_else(|| below.remote.clone());
                if user.local.is_empty() {
                    user.local.clone_from(&below.local);
                }
            }
        }
        Self { entry, user, server }
    }

    fn given(&self, name: &str) -> Option<&(Given, usize)> {
        self.user.options.get(name).or_else(|| self.server.get(name))
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.given(name), Some((Given::Flag(true), _)))
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.given(name) {
            Some((Given::Text(text), _)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.given(name) {
            Some((Given::Number(number), _)) => u64::try_from(*number).ok().filter(|number| *number > 0),
            _ => None,
        }
    }

    fn line(&self, name: &str) -> usize {
        self.given(name).map_or(self.user.line, |(_, line)| *line)
    }

    fn foreign(
        &self,
        source: ForeignSource<'_>,
        around: ForeignSurroundings<'_>,
        idfile: Option<&std::path::Path>,
    ) -> Foreign {
        let mut account = Foreign::new(ForeignProgram::Fetchmail, source.place(self.user.line));
        let via = self.text("via");
        // Only then is the entry's name one of the user's choice.
        account.name = via.map(|_| self.entry.name.clone()).unwrap_or_default();
        account.server = via.unwrap_or(&self.entry.name).to_owned();
        account.user = self.user.remote.clone().or_else(|| around.user().map(str::to_owned));
        if self.entry.skip {
            account.leave_out("it is polled only when it is named (skip)");
        }
        self.protocol(&mut account);
        self.connection(&mut account, source, around);
        self.login(&mut account, source, around);
        self.delivery(&mut account, around);
        account.max_message_size = self.number("limit");
        account.max_messages = self.number("fetchlimit");
        account.stays = if self.is_on("keep") { Stays::All } else { Stays::Nothing };
        // Without keep and flush, fetchmail leaves what it has seen before where it is.
        account.delivered = self.is_on("keep") || self.is_on("flush");
        for (name, text) in NO_COUNTERPART {
            if let Some((given, line)) = self.given(name)
                && !matches!(given, Given::Flag(false))
                // Every message is deleted when it has been retrieved: there is nothing to fetch again.
                && (*name != "fetchall" || self.is_on("keep"))
            {
                account.remark(*line, format!("{name}: {text}"));
            }
        }
        if let Some(user) = &account.user {
            let hosts =
                [Some(self.entry.name.as_str()), via].into_iter().flatten().map(str::to_owned).collect();
            let lines = StateLines::Fetchmail { user: user.clone(), hosts };
            let usual = super::places::fetchids(around, source.path);
            let paths = idfile.map_or(usual, |path| vec![path.to_owned()]);
            account.state = paths.into_iter().map(|path| StateFile { path, lines: lines.clone() }).collect();
        }
        account.check();
        account
    }

    fn protocol(&self, account: &mut Foreign) {
        let line = self.line("proto");
        match self.text("proto").map(str::to_ascii_lowercase).as_deref() {
            None | Some("auto") => account.remark(line, "the protocol is left to fetchmail: POP3 is taken"),
            Some("pop3") => {}
            Some("apop") => account.auth = Some(Auth::Apop),
            Some(_) => account.is_not_pop3(),
        }
        // More than one name, or one that means all of them, is a mailbox for several users.
        if self.user.local.len() > 1 || self.user.local.iter().any(|name| name == "*") {
            account.leave_out("one mailbox for several users (multidrop) is not supported");
        }
    }

    fn connection(&self, account: &mut Foreign, source: ForeignSource<'_>, around: ForeignSurroundings<'_>) {
        let line = self.line("service");
        match self.given("service") {
            Some((Given::Number(port), _)) => {
                account.port = u16::try_from(*port).ok().filter(|port| *port > 0)
            }
            Some((Given::Text(name), _)) if name == "pop3s" => account.port = Some(995),
            Some((Given::Text(name), _)) if name == "pop3" => account.port = Some(110),
            Some((Given::Text(_), _)) => account.remark(line, "service: write the number as port"),
            _ => {}
        }
        account.protection = if self.is_on("ssl") { Protection::Implicit } else { Protection::Perhaps };
        if let Some(line) = self.text("plugin") {
            account.route = connect_command(line);
            if account.route.is_none() {
                account.remark(self.line("plugin"), "plugin: set connect-command by hand");
            }
        }
        let path = |name: &str| self.text(name).map(|path| around.setting(path, folder(source)));
        account.ca_file = path("sslcertfile");
        account.client_certificate = path("sslcert");
        account.client_key = path("sslkey").or_else(|| account.client_certificate.clone());
        if matches!(self.given("sslcertck"), Some((Given::Flag(false), _))) {
            let what = "no sslcertck: popfetch checks every certificate; tls-fingerprint trusts one";
            account.remark(self.line("sslcertck"), what);
        }
        account.timeout = self.number("timeout");
        account.before_run = self.text("preconnect").map(str::to_owned);
        if account.before_run.is_some() {
            let what = "preconnect is before-run here: it gets 30 seconds, and the run goes on if it fails";
            account.remark(self.line("preconnect"), what);
        }
    }

    fn login(&self, account: &mut Foreign, source: ForeignSource<'_>, around: ForeignSurroundings<'_>) {
        let line = self.line("auth");
        match self.text("auth").map(str::to_ascii_lowercase).as_deref() {
            None | Some("any" | "password") => {}
            Some("cram" | "cram-md5") => account.auth = Some(Auth::CramMd5),
            Some("external") => {
                account.auth = Some(Auth::External);
                account.password = Password::NotNeeded;
                return;
            }
            Some("oauthbearer") => account.auth = Some(Auth::OAuthBearer),
            Some("xoauth2") => account.auth = Some(Auth::XOAuth2),
            Some(_) => account
                .remark(line, "auth: popfetch has no such login; auth = \"auto\" takes the best one offered"),
        }
        if let Some((Given::Text(password), line)) = self.given("password") {
            account.take_password(password, source.place(*line));
        } else if let Some(file) = self.text("passwordfile") {
            account.password = Password::File(around.setting(file, folder(source)));
        }
    }

    fn delivery(&self, account: &mut Foreign, around: ForeignSurroundings<'_>) {
        // A file for BSMTP comes before a program, and a program before a mail server.
        if self.text("bsmtp").is_some() {
            account.remark(self.line("bsmtp"), "bsmtp: popfetch does not deliver to a file for BSMTP");
            return;
        }
        if let Some(line) = self.text("mda") {
            let local = if line.contains("%T") { self.local(account, around) } else { None };
            let meaning = |letter| match letter {
                'F' => Some("\"$SENDER\"".to_owned()),
                'T' => local.as_deref().map(shell::word),
                _ => None,
            };
            let (line, unknown) = shell::rewritten(line, meaning);
            if !unknown.is_empty() {
                account.remark(self.line("mda"), "mda: a % that popfetch does not replace");
            }
            account.deliver.push(ForeignTarget::Shell(line));
            return;
        }
        if self.is_on("lmtp") {
            account.remark(self.line("lmtp"), "lmtp: popfetch does not deliver to LMTP");
            return;
        }
        let this_machine = [Some("localhost"), Some("127.0.0.1"), Some("::1"), around.variable("HOSTNAME")];
        if let Some((Given::List(hosts), line)) = self.given("smtphost")
            && !hosts.iter().any(|host| this_machine.contains(&Some(host.as_str())))
        {
            account.remark(*line, "smtphost: popfetch does not deliver to a mail server of another machine");
            return;
        }
        let Some(recipient) = self.local(account, around).map(|local| self.recipient(local)) else { return };
        let what =
            "mail went to the mail server of this machine by SMTP: here /usr/sbin/sendmail hands it on";
        account.remark(self.user.line, what);
        let words = ["/usr/sbin/sendmail", "-i", "-f", "{sender}", "--", &recipient];
        account.deliver.push(ForeignTarget::Argv(words.map(str::to_owned).to_vec()));
    }

    /// The user of this machine that gets the mail: whoever runs fetchmail, where none is named.
    fn local(&self, account: &mut Foreign, around: ForeignSurroundings<'_>) -> Option<String> {
        if let Some(local) = self.user.local.first() {
            return Some(local.clone());
        }
        let caller = around.variable("FETCHMAILUSER").or_else(|| around.user());
        match caller {
            Some(caller) => {
                let what = format!("no local user is named: the mail is for {caller}, who runs this");
                account.remark(self.user.line, what);
            }
            None => account.leave_out("no local user is named, and USER is not set: add is NAME here"),
        }
        caller.map(str::to_owned)
    }

    /// How fetchmail's SMTP names a user.
    fn recipient(&self, local: String) -> String {
        match (self.text("smtpname"), self.text("smtpaddress")) {
            _ if local.contains('@') => local,
            (Some(name), _) => name.to_owned(),
            (None, Some(domain)) => format!("{local}@{domain}"),
            (None, None) => local,
        }
    }
}

/// A plugin as fetchmail runs it: words between blanks, with the server for `%h` and the port for `%p`, and no shell.
fn connect_command(line: &str) -> Option<ForeignRoute> {
    let replaced = |word: &str| word.replace("%h", "{host}").replace("%p", "{port}");
    let words: Vec<String> = line.split_ascii_whitespace().map(replaced).collect();
    // What would mean something else here isn't guessed.
    (!line.contains(['{', '}']) && !words.is_empty()).then_some(ForeignRoute::Command(words))
}
