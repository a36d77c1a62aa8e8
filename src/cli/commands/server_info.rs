//! `popfetch server-info`: what a server offers, its certificate with the line that pins it, and which setting would be
//! better.
//!
//! With `--json` there is one object, of the type `server-info`: docs/popfetch.schema.json describes it.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use crate::account::{self, SettingWord as _, Tls};
use crate::cli::setup::{Cli, ReadArgs};
use crate::config::ConfigError;
use crate::exit::ExitCode;
use crate::report::plain::Level;
use crate::report::prose::wrapped;
use crate::report::table::{padded, width};
use crate::report::{ReportedError, json};
use crate::retrieval::{
    Better, Capabilities, CertificateInfo, Expire, LoginInfo, Options, Server, ServerInfo, find_server,
    server_info,
};
use crate::text::{count, hex, printable, size};

/// Show what a server offers, and which setting would be better.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ServerInfoArgs {
    /// An account, by name or as a POP URL; or a host, at which there is no login.  May be left out where there is one
    /// account.
    #[arg(value_name = "ACCOUNT|HOST[:PORT]", value_hint = clap::ValueHint::Hostname)]
    pub(in crate::cli) server: Option<String>,

    /// Do not log in: what is offered before the login is all that is shown.
    #[arg(long)]
    pub(in crate::cli) no_login: bool,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

/// Columns of the value, at most.
const WIDTH: usize = 80;

/// Looks, prints what there is to see, and gives the exit code of what is wrong: of the certificate, or of the login.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ServerInfoArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let word = args.server.as_deref();
    let account = match cli.account(&args.output.config, word) {
        Ok(account) => Ok(account),
        Err(error) => Err(word.and_then(|word| host_instead(word, &error)).ok_or(error)?),
    };
    let name = account.as_ref().map_or("", |account| account.name.as_str()).to_owned();
    cli.run(cli.lines(Level::Normal, account.as_ref().map_or(&[][..], std::slice::from_ref)), |context| {
        let (host, info) = match &account {
            Ok(account) => {
                let options = Options { insist: true, ..Options::default() };
                (account.host.as_str(), server_info(account, &options, !args.no_login, context))
            }
            Err((host, port)) => (host.as_str(), find_server(host, *port, context)),
        };
        let failure = match &info {
            Ok(info) => failure(info),
            Err(failure) => Some(failure),
        };
        if args.output.json {
            cli.printer.out(&json::line(&name, &object(host, &info, failure)));
        } else if let Ok(info) = &info {
            cli.show(&shown(info), &args.output);
        }
        let Some(failure) = failure else { return ExitCode::Done };
        if let Ok(account) = &account {
            return cli.failed(account, failure);
        }
        cli.printer.complain(&failure.message, failure.hint.as_deref());
        failure.exit
    })
}

/// What is wrong with the server's certificate, or with the login.
fn failure(info: &ServerInfo) -> Option<&ReportedError> {
    let certificate = info.certificate.as_ref().and_then(|certificate| certificate.refused.as_ref());
    certificate.or(info.login.as_ref().and_then(|login| login.as_ref().err()))
}

/// The host and port that a word names which is no account's name, if it can be a host.
fn host_instead(word: &str, error: &anyhow::Error) -> Option<(String, Option<u16>)> {
    let unknown = matches!(
        error.downcast_ref::<ConfigError>(),
        Some(ConfigError::NoAccount { .. } | ConfigError::NoFile { .. })
    );
    if !unknown || word.contains(['/', '@']) {
        return None;
    }
    // In an address literal colons belong to the address.
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) if word.starts_with('[') || !host.contains(':') => {
            (host, Some(port.parse().ok().filter(|port| *port > 0)?))
        }
        _ => (word, None),
    };
    let host = account::host::parse(host).ok()?;
    (host.contains(['.', ':']) || port.is_some() || host == "localhost").then_some((host, port))
}

/// Two columns, and lines to paste.
fn shown(info: &ServerInfo) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("server", info.server.name());
    row("greeting", info.greeting.clone());
    row(
        "protection",
        match (info.server.tls, info.protection) {
            (Tls::Implicit, Some(version)) => format!("{version}, from the start"),
            (_, Some(version)) => format!("{version}, by STLS"),
            (_, None) => "none: clear text".to_owned(),
        },
    );
    if let Some(certificate) = &info.certificate {
        certificate_rows(certificate, &mut row);
    }
    if let Some(before_tls) = &info.before_tls {
        row("before TLS", same_or_words(before_tls.as_ref(), info.before_login.as_ref(), "login"));
    }
    row("before login", words(info.before_login.as_ref()));
    row("login by", mechanisms(info.before_login.as_ref()));
    let after = match &info.login {
        Some(Ok(login)) => {
            row("logged in by", login.mechanism.to_owned());
            row("after login", words(login.capabilities.as_ref()));
            if let Some((messages, octets)) = login.drop_listing {
                row("mailbox", format!("{} ({})", count(messages.into(), "message"), size(octets.0)));
            }
            login.capabilities.as_ref()
        }
        _ => None,
    };
    limits(after, info.before_login.as_ref(), &mut row);
    let mut text = table(&rows);
    if let Some(certificate) = &info.certificate {
        let digest = hex(&certificate.seen.fingerprint);
        let _ = write!(
            text,
            "\nTo trust this certificate alone, until it is renewed:\ntls-fingerprint = \"sha256:{digest}\"\n"
        );
    }
    for better in &info.better {
        let _ = write!(text, "\nBetter: {}\n", advice(*better));
    }
    text
}

fn advice(better: Better) -> &'static str {
    match better {
        Better::Implicit => "995 answers too: leave tls and port out",
        Better::StartTls => "STLS works here: set tls = \"starttls\"",
        Better::Chain => "its chain, dates and name are right: leave tls-fingerprint out",
    }
}

fn certificate_rows(certificate: &CertificateInfo, row: &mut impl FnMut(&str, String)) {
    let CertificateInfo { seen, pinned, refused } = certificate;
    row(
        "certificate",
        match (refused, pinned) {
            (Some(_), _) => "refused: nothing below is certain".to_owned(),
            (None, true) => "the one that is pinned".to_owned(),
            (None, false) => "chain, dates and name are right".to_owned(),
        },
    );
    row("  for", seen.names.join(", "));
    row("  issuer", seen.issuer.clone().unwrap_or_else(|| "?".to_owned()));
    if let Some((first, last)) = &seen.days {
        row("  valid", format!("{first} to {last}"));
    }
}

/// How long mail stays on the server, and how often it may be asked, as the server announces it.
fn limits(after: Option<&Capabilities>, before: Option<&Capabilities>, row: &mut impl FnMut(&str, String)) {
    // What is listed after the login holds for this user.
    let listed = |tag: &str| after.filter(|list| list.has(tag)).or(before.filter(|list| list.has(tag)));
    row("pipelining", if listed("PIPELINING").is_some() { "yes" } else { "not listed" }.to_owned());
    row(
        "mail stays",
        match listed("EXPIRE").and_then(Capabilities::expire) {
            Some(Expire::Never) => "for good (EXPIRE NEVER)".to_owned(),
            Some(Expire::Days(0)) => {
                "not at all, once it is retrieved (EXPIRE 0); some servers list this and keep it".to_owned()
            }
            Some(Expire::Days(1)) => "1 day (EXPIRE 1)".to_owned(),
            Some(Expire::Days(days)) => format!("{days} days (EXPIRE {days})"),
            None => "as the server does it: no EXPIRE is listed".to_owned(),
        },
    );
    if let Some(delay) = listed("LOGIN-DELAY").and_then(Capabilities::login_delay) {
        let time = match (delay.as_secs(), delay.as_secs() % 60) {
            (seconds @ 60.., 0) => count(seconds / 60, "minute"),
            (seconds, _) => count(seconds, "second"),
        };
        row("between logins", format!("{time} at least (LOGIN-DELAY {})", delay.as_secs()));
    }
}

/// Rows of two columns; a long value goes on below its beginning.
fn table(rows: &[(String, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let indent = format!("{:widest$}  ", "");
    let row = |(name, value): &(String, String)| {
        wrapped(&format!("{}  {value}\n", padded(name, widest)), Some(WIDTH), &indent)
    };
    rows.iter().map(row).collect()
}

fn same_or_words(list: Option<&Capabilities>, other: Option<&Capabilities>, at: &str) -> String {
    if list.is_some() && list == other { format!("the same as before {at}") } else { words(list) }
}

/// A list of capabilities in words, without those that have rows of their own.
fn words(list: Option<&Capabilities>) -> String {
    let Some(list) = list else { return "nothing is listed: there is no CAPA".to_owned() };
    let words: Vec<String> =
        list.entries().filter_map(|(tag, arguments)| capability(tag, arguments)).collect();
    if words.is_empty() { "nothing else".to_owned() } else { words.join(", ") }
}

fn capability(tag: &str, arguments: &[String]) -> Option<String> {
    let known = match tag {
        "SASL" | "USER" | "EXPIRE" | "LOGIN-DELAY" | "PIPELINING" => return None,
        "TOP" => "headers alone (TOP)",
        "UIDL" => "unique-ids (UIDL)",
        "RESP-CODES" => "reasons of refusals as codes (RESP-CODES)",
        "AUTH-RESP-CODE" => "wrong passwords marked as such (AUTH-RESP-CODE)",
        "STLS" => "TLS (STLS)",
        "UTF8" => "mail with UTF-8 in its header (UTF8)",
        "LANG" => "other languages (LANG)",
        "X-GOOGLE-RICO" => "Gmail: what is retrieved is listed no more (X-GOOGLE-RICO)",
        "IMPLEMENTATION" => return Some(format!("program {}", printable(arguments.join(" ").as_bytes()))),
        _ => {
            let line = std::iter::once(tag).chain(arguments.iter().map(String::as_str));
            return Some(printable(line.collect::<Vec<_>>().join(" ").as_bytes()));
        }
    };
    Some(known.to_owned())
}

/// The ways to log in.
fn mechanisms(list: Option<&Capabilities>) -> String {
    let Some(list) = list else { return "USER and PASS, as far as can be known".to_owned() };
    let mut ways: Vec<String> = list.sasl().map(|name| printable(name.as_bytes())).collect();
    if list.user() {
        ways.push("USER and PASS".to_owned());
    }
    if ways.is_empty() { "nothing that is listed".to_owned() } else { ways.join(", ") }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "server-info")]
struct ServerInfoObject<'a> {
    host: &'a str,
    port: Option<u16>,
    tls: Option<&'static str>,
    protection: Option<&'static str>,
    greeting: Option<&'a str>,
    before_tls: Option<Vec<String>>,
    before_login: Option<Vec<String>>,
    after_login: Option<Vec<String>>,
    mechanisms: Option<Vec<String>>,
    pipelining: Option<bool>,
    expire: Option<u64>,
    login_delay: Option<u64>,
    mechanism: Option<&'static str>,
    messages: Option<u32>,
    octets: Option<u64>,
    certificate: Option<Certificate<'a>>,
    better: Vec<&'static str>,
    exit: u8,
    error: Option<json::ErrorObject<'a>>,
}

#[derive(Serialize)]
struct Certificate<'a> {
    names: &'a [String],
    issuer: Option<&'a str>,
    not_before: Option<&'a str>,
    not_after: Option<&'a str>,
    sha256: String,
    trusted: bool,
}

fn object<'a>(
    host: &'a str,
    info: &'a Result<ServerInfo, ReportedError>,
    failure: Option<&'a ReportedError>,
) -> ServerInfoObject<'a> {
    let info = info.as_ref().ok();
    let server: Option<&Server> = info.map(|info| &info.server);
    let before = info.and_then(|info| info.before_login.as_ref());
    let login: Option<&LoginInfo> = info.and_then(|info| info.login.as_ref()?.as_ref().ok());
    let after = login.and_then(|login| login.capabilities.as_ref());
    let listed = |tag: &str| after.filter(|list| list.has(tag)).or(before.filter(|list| list.has(tag)));
    let certificate = info.and_then(|info| info.certificate.as_ref()).map(|certificate| {
        let CertificateInfo { seen, refused, .. } = certificate;
        Certificate {
            names: &seen.names,
            issuer: seen.issuer.as_deref(),
            not_before: seen.days.as_ref().map(|(first, _)| first.as_str()),
            not_after: seen.days.as_ref().map(|(_, last)| last.as_str()),
            sha256: hex(&seen.fingerprint),
            trusted: refused.is_none(),
        }
    });
    let tls_word = |tls: Tls| Tls::WORDS.iter().find(|(_, known)| *known == tls).map(|(word, _)| *word);
    ServerInfoObject {
        host,
        port: server.map(|server| server.port),
        tls: server.and_then(|server| tls_word(server.tls)),
        protection: info.and_then(|info| info.protection),
        greeting: info.map(|info| info.greeting.as_str()),
        before_tls: info.and_then(|info| info.before_tls.as_ref()?.as_ref()).map(lines),
        before_login: before.map(lines),
        after_login: after.map(lines),
        mechanisms: before.map(|list| list.sasl().map(|name| printable(name.as_bytes())).collect()),
        pipelining: before.or(after).map(|_| listed("PIPELINING").is_some()),
        expire: listed("EXPIRE").and_then(Capabilities::expire).and_then(|expire| match expire {
            Expire::Never => None,
            Expire::Days(days) => Some(days),
        }),
        login_delay: listed("LOGIN-DELAY").and_then(Capabilities::login_delay).map(|delay| delay.as_secs()),
        mechanism: login.map(|login| login.mechanism),
        messages: login.and_then(|login| Some(login.drop_listing?.0)),
        octets: login.and_then(|login| Some(login.drop_listing?.1.0)),
        certificate,
        better: info.map_or_else(Vec::new, |info| info.better.iter().map(|better| word(*better)).collect()),
        exit: failure.map_or(ExitCode::Done, |failure| failure.exit).number(),
        error: failure.map(json::ErrorObject::of),
    }
}

fn word(better: Better) -> &'static str {
    match better {
        Better::Implicit => "implicit",
        Better::StartTls => "starttls",
        Better::Chain => "chain",
    }
}

/// Capabilities as the server lists them, fit to print.
fn lines(list: &Capabilities) -> Vec<String> {
    let line = |(tag, arguments): (&str, &[String])| {
        let words = std::iter::once(tag).chain(arguments.iter().map(String::as_str));
        printable(words.collect::<Vec<_>>().join(" ").as_bytes())
    };
    list.entries().map(line).collect()
}
