//! From settings as written to an [`Account`] as meant: the meaning of words and numbers, defaults, and what does not
//! go together.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::error::{Fault, Mistake, Place, nearest, quoted};
use super::file::{
    AccountTable, Amount, Command, DestinationTable, LeaveOnServer, Netrc, RetentionTable, Setting,
};
use super::locate::Environment;
use super::units;
use crate::access::{self, Owner};
use crate::account::{
    Account, Auth, Deliver, Limits, ListingMode, PasswordSource, Pipe, PipeCommand, Retention, Switch,
    SyncMode, Tls, Trust, one_line,
};
use crate::types::Octets;

/// What an account is resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// Home, variables, where the command line's relative paths start.
    pub(super) environment: &'a Environment,
    /// Where the file's relative paths start.
    pub(super) folder: &'a Path,
}

/// Resolves one account.  `place` is where its name stands.
///
/// # Errors
/// The first setting that is missing, has no meaning, or does not go with another.
pub(super) fn account(
    name: &str,
    place: &Place,
    table: &AccountTable,
    context: Context<'_>,
) -> Result<Account, Fault> {
    let account = values(name, place, table, context)?;
    consistent(&account, table)?;
    Ok(account)
}

/// Every setting by itself.
pub(super) fn values(
    name: &str,
    place: &Place,
    table: &AccountTable,
    context: Context<'_>,
) -> Result<Account, Fault> {
    let missing = |what: &str, flag: &str| {
        let (account, hint) = match place {
            Place::File(_) => (format!("account {}", quoted(name)), format!("add {flag} = … below it")),
            Place::Flag | Place::Url => ("the account".to_owned(), format!("add --{flag} …")),
        };
        Fault::new(place.clone(), Mistake::new(format!("{account} has no {what}")).hint(hint))
    };
    let path = |setting: &Setting<String>| context.path(setting, &setting.value);
    let tls = choice(table.tls.as_ref(), TLS)?.unwrap_or(Tls::Implicit);
    let client_certificate = match (&table.tls_client_certificate, &table.tls_client_key) {
        (Some(certificate), Some(key)) => Some((path(certificate)?, path(key)?)),
        (None, None) => None,
        (Some(alone), None) => return Err(alone.fault(Mistake::new("there is no tls-client-key beside it"))),
        (None, Some(alone)) => {
            return Err(alone.fault(Mistake::new("there is no tls-client-certificate beside it")));
        }
    };
    let deliver = table.deliver.as_ref().map(|setting| destinations(setting, context)).transpose()?;
    Ok(Account {
        name: name.to_owned(),
        host: meant(table.server.as_ref(), |text| host(text))?.ok_or_else(|| missing("server", "server"))?,
        port: meant(table.port.as_ref(), |n| number(*n, 1, u16::MAX))?.unwrap_or(if tls == Tls::Implicit {
            995
        } else {
            110
        }),
        tls,
        trust: Trust {
            ca_file: table.ca_file.as_ref().map(path).transpose()?,
            fingerprints: meant(table.tls_fingerprint.as_ref(), |words| fingerprints(&words.0))?
                .unwrap_or_default(),
            client_certificate,
        },
        user: meant(table.user.as_ref(), |text| user(text))?.ok_or_else(|| missing("user", "user"))?,
        auth: choice(table.auth.as_ref(), AUTH)?.unwrap_or(Auth::Auto),
        password: password(table, context)?,
        retention: retention(table.leave_on_server.as_ref())?,
        deliver: deliver.ok_or_else(|| match place {
            Place::File(_) => missing("destination", "deliver"),
            Place::Flag | Place::Url => missing("destination", "maildir DIRECTORY, --mbox FILE or --pipe"),
        })?,
        max_message_size: meant(table.max_message_size.as_ref(), limit)?,
        max_messages: meant(table.max_messages.as_ref(), |n| number(*n, 1, u32::MAX))?.map(u64::from),
        max_bytes: meant(table.max_bytes.as_ref(), limit)?,
        owner: meant(table.owner.as_ref(), |user| owner(&user.0, context.environment))?,
        received_header: table.received_header.as_ref().is_some_and(|setting| setting.value),
        alert_after: meant(table.alert_after.as_ref(), |text| units::duration(text))?.unwrap_or(HOUR),
        remind_after: meant(table.remind_after.as_ref(), |text| units::duration(text))?.unwrap_or(WEEK),
        pipelining: choice(table.pipelining.as_ref(), PIPELINING)?.unwrap_or(Switch::Auto),
        utf8: choice(table.utf8.as_ref(), UTF8)?.unwrap_or(Switch::Auto),
        listing: choice(table.listing.as_ref(), LISTING)?.unwrap_or(ListingMode::Auto),
        full_listing_every: meant(table.full_listing_every.as_ref(), |text| units::duration(text))?
            .unwrap_or(HOUR),
        sync: choice(table.sync.as_ref(), SYNC)?.unwrap_or(SyncMode::Auto),
        timeout: meant(table.timeout.as_ref(), |text| some_time(text))?.unwrap_or(Duration::from_secs(60)),
    })
}

/// What settings say of each other.
fn consistent(account: &Account, table: &AccountTable) -> Result<(), Fault> {
    fn of_tls<T>(setting: Option<&Setting<T>>) -> Result<(), Fault> {
        let mistake =
            || Mistake::new("it means nothing with tls = \"none\"").hint("remove it, or choose another tls");
        setting.map_or(Ok(()), |setting| Err(setting.fault(mistake())))
    }
    if account.tls == Tls::None {
        of_tls(table.ca_file.as_ref())?;
        of_tls(table.tls_fingerprint.as_ref())?;
        of_tls(table.tls_client_certificate.as_ref())?;
    }
    if account.tls != Tls::Implicit
        && account.port == 995
        && let Some(port) = &table.port
    {
        // It would wait for a greeting that never comes, because the server waits for a handshake.
        let tls = if account.tls == Tls::None { "none" } else { "starttls" };
        let mistake =
            Mistake::new(format!("on port 995 TLS begins at once, which tls = \"{tls}\" rules out"));
        return Err(port.fault(mistake.hint("set tls = \"implicit\", or port = 110")));
    }
    match &table.auth {
        Some(auth) if account.auth == Auth::External && account.trust.client_certificate.is_none() => {
            let hint = "add tls-client-certificate and tls-client-key";
            Err(auth.fault(Mistake::new("external is a login by certificate, and there is none").hint(hint)))
        }
        _ => Ok(()),
    }
}

impl Context<'_> {
    /// The path that a setting means.
    fn path<T>(&self, setting: &Setting<T>, text: &str) -> Result<PathBuf, Fault> {
        let folder = match setting.place {
            Place::File(_) => self.folder,
            Place::Flag | Place::Url => &self.environment.current_directory,
        };
        self.environment.expand(text, folder).map_err(|mistake| setting.fault(mistake))
    }
}

/// The meaning of a setting, if it is set.
fn meant<T, M>(
    setting: Option<&Setting<T>>,
    meaning: impl FnOnce(&T) -> Result<M, Mistake>,
) -> Result<Option<M>, Fault> {
    setting.map(|setting| meaning(&setting.value).map_err(|mistake| setting.fault(mistake))).transpose()
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const TLS: &[(&str, Tls)] = &[("implicit", Tls::Implicit), ("starttls", Tls::StartTls), ("none", Tls::None)];

/// The names of mechanisms; in URLs as well.
pub(super) const AUTH: &[(&str, Auth)] = &[
    ("auto", Auth::Auto),
    ("user-pass", Auth::UserPass),
    ("apop", Auth::Apop),
    ("plain", Auth::Plain),
    ("login", Auth::Login),
    ("cram-md5", Auth::CramMd5),
    ("scram-sha-1", Auth::ScramSha1),
    ("scram-sha-256", Auth::ScramSha256),
    ("xoauth2", Auth::XOAuth2),
    ("oauthbearer", Auth::OAuthBearer),
    ("external", Auth::External),
];

const UTF8: &[(&str, Switch)] = &[("auto", Switch::Auto), ("off", Switch::Off)];
const PIPELINING: &[(&str, Switch)] = &[("auto", Switch::Auto), ("on", Switch::On), ("off", Switch::Off)];

const LISTING: &[(&str, ListingMode)] = &[("auto", ListingMode::Auto), ("full", ListingMode::Full)];

const SYNC: &[(&str, SyncMode)] =
    &[("auto", SyncMode::Auto), ("each", SyncMode::Each), ("off", SyncMode::Off)];

fn choice<T: Copy>(setting: Option<&Setting<String>>, choices: &[(&str, T)]) -> Result<Option<T>, Fault> {
    meant(setting, |text| {
        if let Some((_, value)) = choices.iter().find(|(name, _)| name == text) {
            return Ok(*value);
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let hint = match nearest(text, names()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("one of {}", names().collect::<Vec<_>>().join(", ")),
        };
        Err(Mistake::new(format!("there is no {}", quoted(text))).hint(hint))
    })
}

/// A number between two bounds.
pub(super) fn number<T>(value: i64, least: T, most: T) -> Result<T, Mistake>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let range = format!("a number from {least} to {most}");
    let number = T::try_from(value).ok().filter(|n| *n >= least && *n <= most);
    number.ok_or_else(|| Mistake::new(format!("{value} is not {range}")))
}

/// A size that a message can have.  Zero means "no limit" elsewhere, and would mean "no mail" here.
fn limit(amount: &Amount) -> Result<Octets, Mistake> {
    match units::octets(&amount.0)? {
        Octets(0) => Err(Mistake::new("0 is not a limit").hint("leave the key out for no limit")),
        octets => Ok(octets),
    }
}

fn some_time(text: &str) -> Result<Duration, Mistake> {
    match units::duration(text)? {
        Duration::ZERO => Err(Mistake::new("it must be more than 0")),
        duration => Ok(duration),
    }
}

/// A server's name as it goes to DNS, SNI and the certificate check: an A-label in lower case without final dot; or an
/// address in its usual form, without brackets.
///
/// # Errors
/// What does not convert (RFC 5891), or would be read as an address by some and as a name by others (`127.1`).
pub fn host(text: &str) -> Result<String, Mistake> {
    if text.contains("://") || text.contains('@') {
        // Not quoted: it may hold a password.
        return Err(Mistake::new("this is a URL or an address of mail, not a host")
            .hint("the host alone: \"pop.example.com\""));
    }
    let wrong = || Mistake::new(format!("{} is not a host name or address", quoted(text)));
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|address| address.to_string()).ok_or_else(wrong);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if let Some((name, port)) = text.rsplit_once(':') {
        let hint = format!("server = {} and port = {}", quoted(name), quoted(port).replace('"', ""));
        return Err(wrong().hint(hint));
    }
    let name = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::VerifyAllowRootDot)
        .map_err(|_| wrong())?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.bytes().all(letters) && !numeric { Ok(name.to_owned()) } else { Err(wrong()) }
}

/// A user's name: any text that fits on a line (docs/protocol.md §1: anything else is command injection).
pub(super) fn user(text: &str) -> Result<String, Mistake> {
    one_line(text.as_bytes())?;
    Ok(text.to_owned())
}

/// A user of this machine, whom only root can act as.
fn owner(text: &str, environment: &Environment) -> Result<Owner, Mistake> {
    if !access::is_root() {
        return Err(Mistake::new("only root can deliver as another user").hint(
            "remove it, or run popfetch as root; without it popfetch delivers as the user that runs it",
        ));
    }
    match Owner::find(text, &environment.variables) {
        Ok(Some(owner)) => Ok(owner),
        Ok(None) => Err(Mistake::new(format!("this machine has no user {}", quoted(text)))),
        Err(e) => Err(Mistake::new(format!("user {} cannot be looked up: {e}", quoted(text)))),
    }
}

fn fingerprints(words: &[String]) -> Result<Vec<[u8; 32]>, Mistake> {
    if words.is_empty() {
        return Err(
            Mistake::new("the list is empty").hint("leave the key out to trust certificate authorities")
        );
    }
    words.iter().map(|word| digest(word)).collect()
}

/// `sha256:`, or what openssl(1) puts before it, and 64 hexadecimal digits, with or without colons between the octets.
fn digest(text: &str) -> Result<[u8; 32], Mistake> {
    let parse = || {
        // As openssl(1) prints it: `SHA256 Fingerprint=AA:BB…`, `sha256 Fingerprint=…` from version 3 on.
        let (kind, hex) = text.trim().split_at_checked("sha256".len())?;
        let printed = " fingerprint=";
        let hex = match hex.strip_prefix(':') {
            Some(hex) => hex,
            None => {
                hex.split_at_checked(printed.len()).filter(|(word, _)| word.eq_ignore_ascii_case(printed))?.1
            }
        };
        if !kind.eq_ignore_ascii_case("sha256") {
            return None;
        }
        let hex = if hex.contains(':') {
            if hex.split(':').any(|octet| octet.len() != 2) {
                return None;
            }
            hex.replace(':', "")
        } else {
            hex.to_owned()
        };
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; 32];
        for (octet, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    };
    parse().ok_or_else(|| {
        Mistake::new(format!("{} is not a fingerprint", quoted(text)))
            .hint("\"sha256:\" and 64 hexadecimal digits; openssl x509 -noout -fingerprint -sha256 -in FILE prints them")
    })
}

fn password(table: &AccountTable, context: Context<'_>) -> Result<PasswordSource, Fault> {
    if let Some(password) = &table.password {
        one_line(password.value.expose()).map_err(|e| password.fault(e.into()))?;
        return Ok(PasswordSource::Inline(password.value.clone()));
    }
    if let Some(command) = &table.password_command {
        return match &command.value {
            Command::Line(line) if !line.trim().is_empty() => {
                Ok(PasswordSource::Command(["/bin/sh", "-c", line].map(str::to_owned).to_vec()))
            }
            Command::Argv(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                no_nul(argv).map_err(|mistake| command.fault(mistake))?;
                Ok(PasswordSource::Command(argv.clone()))
            }
            Command::Line(_) | Command::Argv(_) => Err(command.fault(Mistake::new("there is no command"))),
        };
    }
    if let Some(file) = &table.password_file {
        return Ok(PasswordSource::File(context.path(file, &file.value)?));
    }
    if let Some(netrc) = &table.netrc {
        let file = match &netrc.value {
            Netrc::Usual => "~/.netrc",
            Netrc::File(file) => file,
        };
        return Ok(PasswordSource::Netrc(context.path(netrc, file)?));
    }
    if let Some(credential) = &table.credential {
        let name = &credential.value;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(credential.fault(Mistake::new(format!("{} is not a file name", quoted(name)))));
        }
        return Ok(PasswordSource::Credential(name.clone()));
    }
    Ok(PasswordSource::Prompt)
}

/// Arguments that can be handed to a program.
fn no_nul(words: &[String]) -> Result<(), Mistake> {
    let nul = words.iter().any(|word| word.contains('\0'));
    if nul { Err(Mistake::new("it holds NUL, which no argument can")) } else { Ok(()) }
}

fn retention(setting: Option<&Setting<LeaveOnServer>>) -> Result<Retention, Fault> {
    let Some(setting) = setting else { return Ok(Retention::Keep) };
    let table = match &setting.value {
        LeaveOnServer::All => return Ok(Retention::Keep),
        LeaveOnServer::Nothing => return Ok(Retention::Delete),
        LeaveOnServer::Limits(table) => table,
    };
    if table.is_empty() {
        let hint = "true leaves everything, false nothing, { days = 14 } what is younger";
        return Err(setting.fault(Mistake::new("the table is empty").hint(hint)));
    }
    Ok(Retention::Limits(limits(table)?))
}

/// Zero is refused throughout: some read it as "at once", some as "never", and mail hangs on it.
fn limits(table: &RetentionTable) -> Result<Limits, Fault> {
    let count =
        |setting: &Option<Setting<i64>>, most: u32| {
            meant(setting.as_ref(), |n| match n {
                0 => Err(Mistake::new("0 is not a limit")
                    .hint("leave-on-server = false deletes what is delivered")),
                n => number(*n, 1, most),
            })
        };
    let days = u32::try_from(units::LONGEST.as_secs() / (24 * 60 * 60)).unwrap_or(u32::MAX);
    Ok(Limits {
        days: count(&table.days, days)?,
        newest: count(&table.newest, u32::MAX)?,
        total_size: meant(table.total_size.as_ref(), limit)?,
        larger_than: meant(table.larger_than.as_ref(), limit)?,
    })
}

fn destinations(
    setting: &Setting<Vec<(Place, DestinationTable)>>,
    context: Context<'_>,
) -> Result<Vec<Deliver>, Fault> {
    let mut all: Vec<Deliver> = Vec::new();
    for (place, table) in &setting.value {
        let at = |mistake| Setting { value: (), key: "deliver", place: place.clone() }.fault(mistake);
        let destination = destination(table, context)?.map_err(at)?;
        if all.contains(&destination) {
            return Err(at(Mistake::new("the same destination is there twice")));
        }
        all.push(destination);
    }
    if all.is_empty() {
        return Err(
            setting.fault(Mistake::new("there is no destination").hint("deliver = { maildir = \"~/Mail\" }"))
        );
    }
    Ok(all)
}

/// The outer error has its place already, the inner one is about the table.
fn destination(table: &DestinationTable, context: Context<'_>) -> Result<Result<Deliver, Mistake>, Fault> {
    let path = |setting: &Setting<String>| context.path(setting, &setting.value);
    if table.pipe.is_none() {
        let stray = table.time_limit.as_ref().map(|s| s.fault(only_pipe()));
        if let Some(fault) = stray.or_else(|| table.parallel.as_ref().map(|s| s.fault(only_pipe()))) {
            return Err(fault);
        }
    }
    Ok(Ok(match (&table.maildir, &table.mbox, &table.pipe, &table.stdout) {
        (Some(maildir), None, None, None) => Deliver::Maildir(path(maildir)?),
        (None, Some(mbox), None, None) => Deliver::Mbox(path(mbox)?),
        (None, None, Some(pipe), None) => Deliver::Pipe(Pipe {
            command: pipe_command(&pipe.value).map_err(|mistake| pipe.fault(mistake))?,
            time_limit: meant(table.time_limit.as_ref(), |text| some_time(text))?.unwrap_or(FIVE_MINUTES),
            parallel: meant(table.parallel.as_ref(), |n| number(*n, 1, MOST_PARALLEL))?.unwrap_or(1),
        }),
        (None, None, None, Some(stdout)) if stdout.value => Deliver::Stdout,
        (None, None, None, Some(stdout)) => {
            return Err(stdout.fault(Mistake::new("there is no destination").hint("stdout can only be true")));
        }
        (None, None, None, None) => {
            return Ok(Err(Mistake::new("a destination is one of maildir, mbox, pipe and stdout")));
        }
        _ => {
            let mistake = Mistake::new("a destination is only one of maildir, mbox, pipe and stdout")
                .hint("for several write a list: deliver = [{ maildir = … }, { pipe = … }]");
            return Ok(Err(mistake));
        }
    }))
}

const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

/// Programs at once; each is a process and a message in memory or on disk.
const MOST_PARALLEL: u16 = 256;

fn only_pipe() -> Mistake {
    Mistake::new("it belongs to pipe only")
}

fn pipe_command(command: &Command) -> Result<PipeCommand, Mistake> {
    match command {
        Command::Argv(argv) => {
            no_nul(argv)?;
            if argv.first().is_none_or(String::is_empty) {
                return Err(Mistake::new("there is no program").hint("pipe = [\"procmail\", \"-d\", \"me\"]"));
            }
            Ok(PipeCommand::Argv(argv.clone()))
        }
        Command::Line(line) if line.trim().is_empty() => Err(Mistake::new("there is no command")),
        Command::Line(line) => {
            no_nul(std::slice::from_ref(line))?;
            Ok(PipeCommand::Shell(line.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{digest, host, user};

    #[test]
    fn hosts() {
        let cases = [
            ("pop.example.com", Some("pop.example.com")),
            ("POP.Example.COM.", Some("pop.example.com")),
            // H7
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("BÜCHER.example.", Some("xn--bcher-kva.example")),
            ("bu\u{308}cher.example", Some("xn--bcher-kva.example")),
            ("XN--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("mail。example", Some("mail.example")),
            ("mail_server", Some("mail_server")),
            ("localhost", Some("localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("[2001:DB8::1]", Some("2001:db8::1")),
            ("[127.0.0.1]", None),
            ("[::1", None),
            ("127.1", None),
            ("0x7f.0x1", None),
            ("1.2.3.4.5", None),
            ("", None),
            (".", None),
            ("..", None),
            ("a..b", None),
            (".a", None),
            ("a b", None),
            ("a\nb", None),
            ("a/b", None),
            ("a;b", None),
            ("a%41", None),
            ("pop.example.com:995", None),
            ("pops://me:hunter2@h", None),
            ("xn--\u{fc}", None),
            ("xn--a-ecp.ru", None),
            ("\u{200b}", None),
            ("\u{202e}evil.example", None),
        ];
        for (text, expected) in cases {
            assert_eq!(host(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(host(&"a".repeat(64)).is_err());
        assert!(host(&"a.".repeat(200)).is_err());
        assert!(!host("me:hunter2@h").unwrap_err().what.contains("hunter2"));
    }

    #[test]
    fn users() {
        for text in ["me@example.com", " ", "jörg", "a b;c\"\\"] {
            assert_eq!(user(text).as_deref(), Ok(text));
        }
        for text in ["", "a\r\nDELE 1", "a\nb", "a\0b"] {
            assert!(user(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn digests() {
        let plain = "0123456789abcdefABCDEF00".repeat(3);
        let plain = plain.get(..64).unwrap();
        let octets: Vec<String> =
            plain.as_bytes().chunks(2).map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
        let coloned = octets.join(":");
        let expected = digest(&format!("sha256:{plain}")).unwrap();
        assert_eq!(expected[..3], [0x01, 0x23, 0x45]);
        assert_eq!(digest(&format!("sha256:{coloned}")).unwrap(), expected);
        for openssl in ["SHA256 Fingerprint", "sha256 Fingerprint"] {
            assert_eq!(digest(&format!("{openssl}={coloned}\n")).unwrap(), expected);
        }
        for bad in [
            plain.to_owned(),
            format!("SHA1 Fingerprint={coloned}"),
            format!("sha256={plain}"),
            format!("sha256 fingerprint {plain}"),
            "sha2é".to_owned(),
            format!("sha1:{plain}"),
            format!("sha256:{plain}0"),
            format!("sha256:{}", &plain[1..]),
            format!("sha256::{coloned}"),
            format!("sha256:{coloned}:"),
            format!("sha256:{}g", &plain[1..]),
            format!("sha256:+{}", &plain[1..]),
            "sha256:".to_owned(),
            String::new(),
        ] {
            assert!(digest(&bad).is_err(), "{bad}");
        }
    }
}
