//! A getmailrc: sections of `name = value`, as Python's configparser reads them; one file is one account.

mod ini;

use std::path::Path;

use super::foreign::{ForeignTarget, Password, Protection, StateLines, Stays};
use super::{
    Error, Foreign, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, Remark, StateFile,
    places, python,
};
use crate::account::Auth;
use ini::{Ini, Section};

/// Options that change what becomes of mail and that popfetch has not, in `[options]`.
const NO_COUNTERPART: &[(&str, &str)] = &[
    ("read_all", "popfetch retrieves each message once; popfetch --all retrieves all of them again"),
    ("message_log", "log-file = \"FILE\" in [defaults] keeps a log"),
    (
        "message_log_syslog",
        "under systemd the journal keeps what is printed; log-file = \"FILE\" keeps a log",
    ),
];

/// The same in `[retriever]`.
const NO_RETRIEVER_COUNTERPART: &[(&str, &str)] = &[
    ("ssl_version", "TLS is 1.2 or later"),
    ("ssl_ciphers", "the system's policy chooses the ciphers"),
    (
        "ssl_cert_hostname",
        "the certificate must be for the server's name; tls-fingerprint trusts one certificate",
    ),
    ("delete_dup_msgids", "popfetch retrieves messages with one unique-id, and deletes none for that"),
];

/// Reads a getmailrc.
///
/// # Errors
/// [`Error::Syntax`].
pub(super) fn read(source: ForeignSource<'_>, around: ForeignSurroundings<'_>) -> Result<ForeignFile, Error> {
    let text = source.text();
    let ini = Ini::parse(&text).map_err(|(line, what)| Error::Syntax { place: source.place(line), what })?;
    let missing = |what: &str| Error::Syntax { place: source.place(0), what: what.to_owned() };
    let retriever = ini.section("retriever").ok_or_else(|| missing("there is no section [retriever]"))?;
    let (kind, line) = retriever.get("type").ok_or_else(|| missing("[retriever] has no type"))?;
    let mut account = Foreign::new(ForeignProgram::Getmail, source.place(line));
    let name = source.path.file_name().unwrap_or_default().to_string_lossy();
    // The usual name gives no account name; others were chosen.
    let name = name.trim_start_matches('.');
    account.name = name.strip_prefix("getmailrc").unwrap_or(name).trim_matches(['-', '.', '_']).to_owned();
    account.name = account.name.strip_suffix(".rc").unwrap_or(&account.name).to_owned();
    let reader = GetmailReader { ini: &ini, source, around };
    reader.retriever(&mut account, retriever, kind);
    reader.options(&mut account)?;
    if let Some(destination) = ini.section("destination") {
        if let Some(target) = reader.destination(&mut account, destination, true) {
            account.deliver.extend(target);
        }
    } else {
        return Err(missing("there is no section [destination]"));
    }
    for filter in ini.sections.iter().filter(|section| section.name.starts_with("filter")) {
        account.remark(
            filter.line,
            "a filter: popfetch delivers messages as they are; a program can filter (pipe)",
        );
    }
    let remarks = std::mem::take(&mut account.remarks);
    account.remarks = unique(remarks);
    account.check();
    Ok(ForeignFile { accounts: vec![account], remarks: Vec::new() })
}

fn unique(remarks: Vec<Remark>) -> Vec<Remark> {
    let mut kept: Vec<Remark> = Vec::new();
    for remark in remarks {
        if !kept.contains(&remark) {
            kept.push(remark);
        }
    }
    kept
}

struct GetmailReader<'a> {
    ini: &'a Ini,
    source: ForeignSource<'a>,
    around: ForeignSurroundings<'a>,
}

impl GetmailReader<'_> {
    fn retriever(&self, account: &mut Foreign, section: &Section, kind: &str) {
        let (is_ssl, broken) = (kind.contains("POP3SSL"), kind.starts_with("BrokenUIDL"));
        match kind {
            "SimplePOP3Retriever" | "SimplePOP3SSLRetriever" => {}
            "BrokenUIDLPOP3Retriever" | "BrokenUIDLPOP3SSLRetriever" => {
                account.remark(
                    account.place.line,
                    "BrokenUIDL: popfetch finds out on its own, and knows messages by their headers",
                );
            }
            _ if kind.contains("Multidrop") => {
                account.leave_out("one mailbox for several users (multidrop) is not supported");
            }
            _ => account.is_not_pop3(),
        }
        let text = |name: &str| section.get(name).map(|(text, _)| text).filter(|text| !text.is_empty());
        let path = |name: &str| text(name).map(|path| self.path(path));
        account.server = text("server").unwrap_or_default().to_owned();
        account.user = text("username").map(str::to_owned);
        account.protection = if is_ssl { Protection::Implicit } else { Protection::None };
        account.port = text("port").and_then(python::number).and_then(|port| u16::try_from(port).ok());
        account.timeout = text("timeout").and_then(python::number);
        account.ca_file = path("ca_certs");
        account.client_certificate = path("certfile");
        account.client_key = path("keyfile").or_else(|| account.client_certificate.clone());
        if let Some((tuple, line)) = section.get("ssl_fingerprints") {
            match python::strings(tuple) {
                Some(digests) if digests.iter().all(|digest| is_sha256(digest)) => {
                    account.fingerprints = digests
                }
                _ => account.remark(line, "ssl_fingerprints: set tls-fingerprint by hand, to a SHA-256"),
            }
        }
        if section.flag("use_apop") == Some(true) {
            account.auth = Some(Auth::Apop);
        }
        // Its password command then prints a token.
        if section.flag("use_xoauth2") == Some(true) {
            account.auth = Some(Auth::XOAuth2);
        }
        self.password(account, section);
        for (name, text) in NO_RETRIEVER_COUNTERPART {
            if let Some((_, line)) = section.get(name).filter(|_| section.flag(name) != Some(false)) {
                account.remark(line, format!("{name}: {text}"));
            }
        }
        if let (false, Some(user)) = (broken, account.user.clone()) {
            let port = account.port.unwrap_or(if is_ssl { 995 } else { 110 });
            let name = places::oldmail(&account.server, port, &user);
            let folders = places::getmail_folders(self.around, self.source.path);
            let state = |folder: &std::path::PathBuf| StateFile {
                path: folder.join(&name),
                lines: StateLines::Getmail,
            };
            account.state = folders.iter().map(state).collect();
        }
    }

    fn password(&self, account: &mut Foreign, section: &Section) {
        let options = self.ini.section("options");
        let netrc = options.and_then(|options| options.flag("use_netrc")) == Some(true);
        if let Some((password, line)) = section.get("password") {
            account.take_password(password, self.source.place(line));
        } else if let Some((command, line)) = section.get("password_command") {
            match python::strings(command).filter(|words| !words.is_empty()) {
                Some(words) => account.password = Password::Argv(words),
                None => account.remark(line, "password_command: set password-command by hand"),
            }
        }
        if netrc {
            let file = options.and_then(|options| options.get("netrc_file")).map(|(file, _)| self.path(file));
            account.password = Password::Netrc(file);
        }
    }

    fn options(&self, account: &mut Foreign) -> Result<(), Error> {
        let Some(options) = self.ini.section("options") else { return Ok(()) };
        let wrong = |line: usize, what: String| Error::Syntax { place: self.source.place(line), what };
        let number = |name: &str| match options.get(name) {
            None => Ok(None),
            Some((text, line)) => match python::number(text) {
                Some(number) => Ok(Some(number).filter(|number| *number > 0)),
                None => Err(wrong(line, format!("{name} needs a number"))),
            },
        };
        let flag = |name: &str| match options.get(name) {
            None => Ok(false),
            Some((_, line)) => {
                options.flag(name).ok_or_else(|| wrong(line, format!("{name} is true or false")))
            }
        };
        account.max_message_size = number("max_message_size")?;
        account.max_messages = number("max_messages_per_session")?;
        account.max_bytes = number("max_bytes_per_session")?;
        account.received_header = flag("received")?;
        let days = number("delete_after")?.map(|days| u32::try_from(days).unwrap_or(u32::MAX));
        let larger_than = number("delete_bigger_than")?;
        let deletes = flag("delete")?;
        account.stays = match (deletes, days, larger_than) {
            (true, ..) => Stays::Nothing,
            (false, None, None) => Stays::All,
            (false, days, larger_than) => Stays::Limits { days, larger_than },
        };
        for (name, text) in NO_COUNTERPART {
            // Without it getmail reads all, and that is what its warning is about.
            let given = options.get(name).filter(|_| options.flag(name) != Some(false));
            if let Some((_, line)) = given.filter(|_| *name != "read_all" || !deletes) {
                account.remark(line, format!("{name}: {text}"));
            }
        }
        Ok(())
    }

    /// The destinations that a section describes; `None`, with a remark, where popfetch has none like it.
    fn destination(
        &self,
        account: &mut Foreign,
        section: &Section,
        nested: bool,
    ) -> Option<Vec<ForeignTarget>> {
        let (kind, line) = section.get("type").unwrap_or(("", section.line));
        let text = |name: &str| section.get(name).map(|(text, _)| text).filter(|text| !text.is_empty());
        if text("user").is_some() || text("group").is_some() {
            account.remark(
                line,
                "user and group: owner = \"USER\" delivers as another user, where root runs popfetch",
            );
        }
        match kind {
            "Maildir" => Some(vec![ForeignTarget::Maildir(self.path(text("path")?.trim_end_matches('/')))]),
            "Mboxrd" => Some(vec![ForeignTarget::Mbox(self.path(text("path")?))]),
            "MDA_external" => self.program(account, section).map(|target| vec![target]),
            "MultiDestination" if nested => {
                let (tuple, line) = section.get("destinations")?;
                let Some(names) = python::strings(tuple) else {
                    account.remark(line, "destinations: set deliver by hand");
                    return None;
                };
                let targets = names.iter().map(|name| self.named(account, name, line));
                targets.collect::<Option<Vec<_>>>().map(|targets| targets.concat())
            }
            "MultiGuesser" | "MultiSorter" if nested => {
                let what =
                    format!("{kind}: popfetch does not sort by recipient; all mail goes to the default");
                account.remark(line, what);
                self.named(account, text("default")?, line)
            }
            _ => {
                account.remark(line, "the destination: popfetch delivers to a Maildir, an mbox or a program");
                None
            }
        }
    }

    /// A destination by its name in a list: a section in brackets, a Maildir with a slash at its end, or an mbox.
    fn named(&self, account: &mut Foreign, name: &str, line: usize) -> Option<Vec<ForeignTarget>> {
        if let Some(section) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            let section = self.ini.section(section);
            if section.is_none() {
                account.remark(line, "a destination names a section that is not there");
            }
            return self.destination(account, section?, false);
        }
        let target = match name.strip_suffix('/') {
            Some(maildir) => ForeignTarget::Maildir(self.path(maildir)),
            None => ForeignTarget::Mbox(self.path(name)),
        };
        Some(vec![target])
    }

    fn program(&self, account: &mut Foreign, section: &Section) -> Option<ForeignTarget> {
        let (path, line) = section.get("path")?;
        let mut argv = vec![expanded(path, self.around)];
        let tuple = section.get("arguments").map_or(("()", line), |given| given);
        let Some(arguments) = python::strings(tuple.0) else {
            account.remark(tuple.1, "arguments: set deliver by hand");
            return None;
        };
        for argument in arguments {
            let argument = expanded(&argument, self.around);
            argv.push(argument.replace("%(sender)", "{sender}").replace("%(recipient)", "{recipient}"));
        }
        if argv.iter().any(|word| word.contains("%(")) {
            account.remark(tuple.1, "arguments: popfetch replaces {sender}, {recipient} and {account} alone");
            return None;
        }
        if section.flag("unixfrom") == Some(true) {
            account.remark(
                line,
                "unixfrom: popfetch puts no From_ line before a message; procmail and maildrop need none",
            );
        }
        Some(ForeignTarget::Argv(argv))
    }

    fn path(&self, path: &str) -> String {
        self.around.setting(&expanded(path, self.around), self.around.home)
    }
}

fn is_sha256(digest: &str) -> bool {
    let digits = digest.replace(':', "");
    digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `~`, `$NAME` and `${NAME}` replaced as os.path does it: what isn't set stays as it is.
fn expanded(text: &str, around: ForeignSurroundings<'_>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, tail) = braced.unwrap_or_else(|| after.split_at(end));
        if let Some(value) = around.variable(name) {
            out.push_str(value);
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    match out.strip_prefix('~') {
        Some(inner) if inner.is_empty() || inner.starts_with('/') => {
            format!("{}{inner}", Path::display(around.home))
        }
        _ => out,
    }
}
