//! An fdm.conf: accounts, named actions, and rules that map mail to actions (fdm.conf(5)).
//!
//! popfetch has no rules: an account is taken over with the destination of the first rule that all of its mail reaches.

mod parser;
mod rules;
mod tags;
mod words;

use super::foreign::{ForeignRoute, Password, Protection, StateLines, Stays};
use super::{
    Error, Foreign, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, Include, StateFile,
};
use parser::{Declared, Parsed, Secretive};

/// Reads an fdm.conf and what it includes.
///
/// # Errors
/// [`Error::Syntax`], [`Error::File`].
pub(super) fn read(
    source: ForeignSource<'_>,
    around: ForeignSurroundings<'_>,
    include: &mut Include<'_>,
) -> Result<ForeignFile, Error> {
    let parsed = parser::parse(source, around, include)?;
    let accounts = parsed.accounts.iter().map(|account| foreign(account, &parsed, around));
    Ok(ForeignFile { accounts: accounts.collect(), remarks: parsed.remarks.clone() })
}

fn foreign(declared: &Declared, parsed: &Parsed, around: ForeignSurroundings<'_>) -> Foreign {
    let mut account = Foreign::new(ForeignProgram::Fdm, declared.place.clone());
    account.name.clone_from(&declared.name);
    if declared.disabled {
        account.leave_out("it is disabled");
    }
    if !matches!(declared.kind.as_str(), "pop3" | "pop3s") {
        account.is_not_pop3();
    }
    let line = declared.place.line;
    if declared.value("pipe").is_some() {
        account.leave_out(
            "its connection is a command (pipe): write it with server, and with connect-command in place of pipe",
        );
    }
    let text = |name: &str| declared.value(name).map(|value| value.text.clone());
    account.server = text("server").unwrap_or_default();
    account.user = text("user");
    for name in ["server", "user", "cache", "port"] {
        if declared.value(name).is_some_and(|value| !value.is_known()) {
            account.leave_out(format!("its {name} comes from a command, which is not run"));
        }
    }
    account.port = match text("port").as_deref() {
        Some("pop3") => Some(110),
        Some("pop3s") => Some(995),
        other => other.and_then(|port| port.parse().ok()),
    };
    account.protection = match (declared.kind.as_str(), declared.has("starttls")) {
        ("pop3s", _) => Protection::Implicit,
        (_, true) => Protection::StartTls,
        (_, false) => Protection::None,
    };
    if declared.has("no-verify") {
        account.remark(line, "no-verify: popfetch checks every certificate; tls-fingerprint trusts one");
    }
    if declared.has("insecure") {
        account.remark(line, "insecure: TLS is 1.2 or later");
    }
    password(&mut account, declared);
    if declared.has("old-only") {
        account.leave_out("it retrieves what was retrieved before (old-only)");
    }
    account.route = parsed.proxy.clone().map(ForeignRoute::Proxy);
    account.max_message_size = parsed.largest;
    account.timeout = parsed.timeout;
    let rules = rules::of(parsed, &declared.name, around, &account.server);
    account.stays = if declared.has("keep") || rules.keeps { Stays::All } else { Stays::Nothing };
    // What no rule matches is kept on the server too, and counts as fetched: only where all goes to one place it has gone there.
    account.delivered = declared.has("keep") && rules.is_all && !rules.deliver.is_empty();
    account.deliver = rules.deliver;
    account.remarks.extend(rules.remarks);
    if let Some(cache) = declared.value("cache").filter(|_| declared.has("new-only")) {
        let path = around.file(&cache.text, around.home);
        account.state = vec![StateFile { path, lines: StateLines::Fdm }];
    }
    account.check();
    account
}

fn password(account: &mut Foreign, declared: &Declared) {
    match declared.value("pass") {
        None => account.password = Password::Netrc(None),
        Some(value) => match &value.secretive {
            Secretive::Known => account.take_password(&value.text, declared.place.clone()),
            Secretive::Command(command) => account.password = Password::Shell(command.clone()),
            Secretive::Mixed => {
                account.remark(
                    declared.place.line,
                    "pass: a part of it comes from a command; set password-command",
                );
            }
        },
    }
}
