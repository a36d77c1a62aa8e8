//! The accounts that were found: named, checked, compared with their servers, written.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::find;
use crate::access;
use crate::account::{self, PasswordSource};
use crate::cli::rewrite::{self, Copy};
use crate::cli::setup::{Cli, ConfigArgs};
use crate::config::{self, Addition, ConfigError, Existing};
use crate::credentials;
use crate::environment::Environment;
use crate::exit::ExitCode;
use crate::import::seen::{self, LARGEST_STATE, RetrievedMail};
use crate::import::{self, Foreign, ForeignProgram, Password, Remark, document};
use crate::report::json;
use crate::retrieval::Context;
use crate::retrieval::takeover::{self, Memories, Taken};
use crate::secret::Secret;
use crate::text;
use crate::types::wide;

/// The configuration that accounts are added to.
pub(super) struct ConfigTarget<'a> {
    pub(super) args: &'a ConfigArgs,
    pub(super) path: &'a Path,
    pub(super) existing: &'a Existing,
}

/// An account on its way.
pub(super) struct DraftAccount {
    pub(super) name: String,
    foreign: Foreign,
    addition: Addition,
    /// As popfetch would use it; `None` where it is left out.
    ours: Option<account::Account>,
    /// Where its password goes.
    password_file: PathBuf,
    /// Whether the configuration has its mailbox already, perhaps by another name.
    is_there: bool,
    seen: Option<(PathBuf, RetrievedMail)>,
    /// What the server has of it, once what was to be taken over has been.
    taken: Option<Taken>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "imported")]
struct ImportedObject<'a> {
    program: &'a str,
    file: String,
    line: usize,
    left_out: Option<&'a str>,
    configured: bool,
    taken: bool,
    remembered: Option<usize>,
    on_server: Option<usize>,
    new: Option<usize>,
    recorded: usize,
}

/// Names the accounts, finds their passwords and what was retrieved, and checks what would be written.
///
/// # Errors
/// popfetch's own configuration.
pub(super) fn resolve(
    found: Vec<find::FoundFile>,
    file: &ConfigTarget<'_>,
    cli: &Cli,
) -> anyhow::Result<Vec<DraftAccount>> {
    let mut known: Vec<account::Account> = match file.existing.names.as_slice() {
        [] => Vec::new(),
        _ => cli.accounts(file.args, &[])?,
    };
    let mut foreign: Vec<Foreign> = found.into_iter().flat_map(|found| found.reading.accounts).collect();
    for account in &mut foreign {
        from_netrc(account, &cli.environment);
    }
    let names = document::choose_names(&foreign, file.existing.names.iter().cloned());
    let folder = file.path.parent().unwrap_or(Path::new("/"));
    let mut accounts = Vec::new();
    for (name, mut foreign) in names.into_iter().zip(foreign) {
        let password_file = format!("{}.password", name.replace(['/', '\0'], "-"));
        let mut addition = document::addition(&name, &foreign, &password_file);
        // On its own first: whose mailbox is it?
        let nothing = Existing { text: Secret::new(""), names: Vec::new(), delivers: false };
        let alone = config::with_addition(file.path, &nothing, &addition, &cli.environment);
        let same = alone.as_ref().ok().map(|(_, account)| account.mailbox());
        let same = same.and_then(|mailbox| known.iter().find(|known| known.mailbox() == mailbox)).cloned();
        let ours = match &same {
            Some(same) if foreign.left_out.is_none() => Some(same.clone()),
            _ => as_ours(file, cli, &addition, &mut foreign, alone),
        };
        addition.set_comment(&comment(&foreign, cli.environment.home.as_deref()));
        let mut account = DraftAccount {
            name,
            foreign,
            addition,
            ours,
            password_file: folder.join(password_file),
            is_there: false,
            seen: None,
            taken: None,
        };
        if let Some(same) = same.filter(|_| account.ours.is_some()) {
            account.is_there = true;
            account.name = same.name;
        } else if let Some(ours) = &mut account.ours {
            if let Password::Text(secret, _) = &account.foreign.password {
                ours.password = PasswordSource::Inline(secret.clone());
            }
            known.push(ours.clone());
        }
        accounts.push(account);
    }
    Ok(accounts)
}

/// The account as popfetch would use it beside those that it has.  `None` where it is left out; `foreign` then has why.
/// `alone` is what it would be in a configuration of its own.
fn as_ours(
    file: &ConfigTarget<'_>,
    cli: &Cli,
    addition: &Addition,
    foreign: &mut Foreign,
    alone: Result<(Secret, account::Account), ConfigError>,
) -> Option<account::Account> {
    if foreign.left_out.is_some() {
        return None;
    }
    let whole =
        alone.and_then(|_| config::with_addition(file.path, file.existing, addition, &cli.environment));
    match whole {
        Ok((_, account)) => Some(account),
        Err(e) => {
            foreign.left_out = Some(e.to_string().lines().next().unwrap_or_default().to_owned());
            None
        }
    }
}

/// fdm and getmail take the user, and all take the password, from `~/.netrc` where their own file has none.
fn from_netrc(account: &mut Foreign, environment: &Environment) {
    let Some(home) = &environment.home else { return };
    let named = match &account.password {
        Password::Netrc(file) => {
            file.as_ref().map(|file| PathBuf::from(file.replacen('~', &home.to_string_lossy(), 1)))
        }
        // getmail looks there only where it is configured to.
        Password::Unknown if account.program != ForeignProgram::Getmail => None,
        _ => return,
    };
    let path = named.unwrap_or_else(|| home.join(".netrc"));
    let Ok((content, _)) = access::read(&path, "netrc", import::LARGEST_CONFIGURATION) else { return };
    if account.user.is_none() {
        account.user = credentials::netrc_user(content.expose(), &account.server);
        if account.user.is_some() {
            let missing = "it names no user";
            account.left_out = account.left_out.take().filter(|why| !why.starts_with(missing));
        }
    }
    let user = account.user.as_deref().unwrap_or_default();
    let known = credentials::netrc_has(content.expose(), &account.server, user);
    if known && matches!(account.password, Password::Unknown) {
        account.password = Password::Netrc(None);
    }
}

impl DraftAccount {
    /// Whether what was to be taken over has been, or would be.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Whether popfetch cannot have it, or the other program did not use it.
    pub(super) fn is_left_out(&self) -> bool {
        self.foreign.left_out.is_some()
    }

    /// The line of `--json`.
    pub(super) fn object(&self) -> String {
        let asked = self.taken.filter(|taken| taken.asked);
        let object = ImportedObject {
            program: self.foreign.program.name(),
            file: text::path(&self.foreign.place.file),
            line: self.foreign.place.line,
            left_out: self.foreign.left_out.as_deref(),
            configured: self.is_there,
            taken: self.is_taken(),
            remembered: self.taken.map(|taken| taken.seen),
            on_server: asked.map(|taken| taken.on_server),
            new: asked.map(|taken| taken.new),
            recorded: self.taken.map_or(0, |taken| taken.recorded),
        };
        json::line(&self.name, &object)
    }

    /// Compares with the server, and under `write` records what was retrieved.  Reports it all.
    pub(super) fn take(&mut self, write: bool, login: bool, context: &Context<'_>, cli: &Cli) -> ExitCode {
        let home = cli.environment.home.as_deref();
        if let Some(why) = &self.foreign.left_out {
            let place = Remark { place: self.foreign.place.clone(), what: format!("left out: {why}") };
            // What prevents its delivery.
            let why = if self.foreign.deliver.is_empty() { self.foreign.remarks.as_slice() } else { &[] };
            for remark in why.iter().chain([&place]) {
                cli.printer.warn(&format!("{}: {}", self.name, document::remark_text(remark, home)));
            }
            return ExitCode::Done;
        }
        for remark in document::remarks(&self.foreign) {
            cli.printer.err(&format!("{}: {}\n", self.name, document::remark_text(&remark, home)));
        }
        if let Err(code) = self.read_state(cli) {
            return code;
        }
        let Some(ours) = &self.ours else { return ExitCode::Done };
        let nothing = RetrievedMail::default();
        let seen = self.seen.as_ref().map_or(&nothing, |(_, seen)| seen);
        let memories = Memories {
            program: self.foreign.program,
            seen: &seen.messages,
            delivered: self.foreign.delivered,
        };
        let taken = match (write, login) {
            (true, true) => takeover::take_over(ours, context, memories),
            (true, false) => takeover::take_unseen(ours, context, memories),
            (false, true) => takeover::compare(ours, context, memories),
            (false, false) => Ok(Taken { seen: seen.messages.len(), ..Taken::default() }),
        };
        match taken {
            Ok(taken) => {
                self.taken = Some(taken);
                cli.printer.err(&self.outcome(taken, write));
                ExitCode::Done
            }
            Err(failure) => {
                if write {
                    cli.printer.err(&format!("{}: nothing is taken over\n", self.name));
                }
                cli.failed(ours, &failure)
            }
        }
    }

    fn read_state(&mut self, cli: &Cli) -> Result<(), ExitCode> {
        let there = self.foreign.state.iter().find(|state| state.path.exists());
        let Some(state) = there else { return Ok(()) };
        let read = access::read(&state.path, "state file", LARGEST_STATE).map_err(import::Error::from);
        let seen = read.and_then(|(content, _)| seen::read(state, content.expose()));
        match seen {
            Ok(seen) => {
                if seen.passed_over > 0 {
                    let lines = text::count(seen.passed_over, "line");
                    let file = find::shown(&state.path, cli.environment.home.as_deref());
                    let program = self.foreign.program.name();
                    cli.printer.warn(&format!(
                        "{file}: {lines} without a unique-id, which {program} passes over too"
                    ));
                }
                self.seen = Some((state.path.clone(), seen));
                Ok(())
            }
            Err(e) => Err(cli.complain(&self.label(), &e)),
        }
    }

    /// What was found, in one line or a few.
    fn outcome(&self, taken: Taken, write: bool) -> String {
        let program = self.foreign.program.name();
        let number = |n: usize| text::grouped(wide(n));
        let mut text = if taken.seen == 0 {
            let mut text = format!("{}: {program} remembers no messages", self.name);
            if taken.new > 0 {
                text.push_str(&format!("; the first run retrieves all {} on the server", number(taken.new)));
            }
            text
        } else if taken.asked {
            let mut text = format!(
                "{}: {} of {} are on the server now",
                self.name,
                number(taken.on_server),
                number(taken.seen)
            );
            if taken.new > 0 {
                text.push_str(&format!("; {} there are new", number(taken.new)));
            }
            text
        } else {
            format!("{}: {program} has retrieved {}", self.name, number(taken.seen))
        };
        text.push('\n');
        if taken.ambiguous > 0 {
            text.push_str(&format!(
                "{}: {} of the new ones have a unique-id that {program} writes like another's: they come again\n",
                self.name,
                number(taken.ambiguous)
            ));
        }
        if write && taken.seen > 0 {
            let before = taken.seen.saturating_sub(taken.recorded);
            text.push_str(&format!("{}: {} taken over", self.name, number(taken.recorded.min(taken.seen))));
            if before > 0 {
                text.push_str(&format!("; {} known before", number(before)));
            }
            if !self.foreign.delivered {
                text.push_str("; they count as seen, and no policy deletes them");
            }
            text.push('\n');
        }
        text
    }
}

/// All remarks about an account, as comments above its section.
fn comment(foreign: &Foreign, home: Option<&Path>) -> String {
    let mut comment = format!("# from {}\n", find::shown(&foreign.place.file, home));
    if let Password::Text(_, place) = &foreign.password {
        let place = place.to_string();
        let home = home.map(text::path);
        let place = text::in_home(&place, home.as_deref());
        comment.push_str(&format!("# the password is that of {place}\n"));
    }
    comment + &document::comments(&document::remarks(foreign), home)
}

/// All accounts as TOML, those that are left out as comments.
pub(super) fn shown(accounts: &[DraftAccount], home: Option<&Path>) -> String {
    let sections = accounts.iter().map(|account| {
        let section = account.addition.section();
        match &account.foreign.left_out {
            Some(why) => {
                let place = Remark { place: account.foreign.place.clone(), what: format!("left out: {why}") };
                let section = if account.foreign.is_other_protocol { "" } else { &section };
                format!("# {}\n{}", document::remark_text(&place, home), document::commented(section))
            }
            None if account.is_there => {
                let name = text::printable(account.name.as_bytes());
                format!("# the configuration has it: account {name}\n{}", document::commented(&section))
            }
            None => section,
        }
    });
    sections.collect::<Vec<_>>().join("\n")
}

/// Writes the passwords, and then the accounts that were taken over, all in one step.
pub(super) fn write(accounts: &[DraftAccount], file: &ConfigTarget<'_>, cli: &Cli) -> ExitCode {
    let home = cli.environment.home.as_deref();
    let wanted: Vec<&DraftAccount> =
        accounts.iter().filter(|account| account.is_taken() && !account.is_there).collect();
    let there: Vec<&DraftAccount> =
        accounts.iter().filter(|account| account.is_taken() && account.is_there).collect();
    for account in there {
        cli.printer.err(&format!("{}: the account is in the configuration already\n", account.name));
    }
    if wanted.is_empty() {
        return ExitCode::Done;
    }
    let (before, mut whole) = (&file.existing.text, file.existing.clone());
    for account in &wanted {
        match config::with_addition(file.path, &whole, &account.addition, &cli.environment) {
            Ok((text, _)) => whole.text = text,
            Err(e) => return cli.complain(&account.label(), &e),
        }
        whole.names.push(account.name.clone());
    }
    for account in &wanted {
        if let Err(code) = write_password(account, cli) {
            return code;
        }
    }
    // What a link leads to is changed, and the link stays.
    let path = std::fs::canonicalize(file.path).unwrap_or_else(|_| file.path.to_owned());
    let replaced = Copy::of(&path, b"").and_then(|copy| {
        copy.write(before.expose(), whole.text.expose())?;
        copy.keep_mode(&path)?;
        copy.replace(&path)
    });
    if let Err(e) = replaced {
        cli.printer.complain(&format!("cannot change {}: {e}", text::path(&path)), None);
        return ExitCode::CannotCreate;
    }
    let names: Vec<String> = wanted.iter().map(|account| text::printable(account.name.as_bytes())).collect();
    let (noun, names) = (if names.len() == 1 { "account" } else { "accounts" }, names.join(", "));
    cli.printer.err(&format!("{} now has the {noun} {names}\n", find::shown(file.path, home)));
    ExitCode::Done
}

/// Puts a password into a file of its own, unless it is there.
fn write_password(account: &DraftAccount, cli: &Cli) -> Result<(), ExitCode> {
    let Password::Text(secret, _) = &account.foreign.password else { return Ok(()) };
    let line = Secret::new([secret.expose(), b"\n"].concat());
    if let Ok((before, _)) =
        access::read(&account.password_file, "password-file", import::LARGEST_CONFIGURATION)
    {
        if before == line {
            return Ok(());
        }
        let file = text::path(&account.password_file);
        cli.printer.complain(
            &format!("{}: {file} holds another password", account.label()),
            Some("move it away, and run this again"),
        );
        return Err(ExitCode::CannotCreate);
    }
    rewrite::put(&account.password_file, line.expose()).map_err(|e| {
        cli.printer.complain(&e.to_string(), None);
        ExitCode::CannotCreate
    })
}
