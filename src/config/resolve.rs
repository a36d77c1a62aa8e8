//! From settings as written to an [`Account`]: paths, users of this machine, defaults, and what does not go together.

use std::net::IpAddr;
use std::path::PathBuf;

use super::context::ResolveContext;
use super::mistake::{LocatedMistake, Mistake, SettingPlace, quoted};
use super::oauth;
use super::route::way;
use super::settings::{AccountTable, DestinationTable, DestinationTables, Located, Table as _};
use super::value::{FileName, Netrc, ProgramValue, UserId};
use crate::access::{self, Owner};
use crate::account::{Account, Auth, Deliver, Hooks, PasswordSource, Pipe, PipeCommand, Tls, Trust};
use crate::environment::Environment;

/// Resolves one account.  `place` is where its name stands.
///
/// # Errors
/// The first setting that is missing, has no meaning on this machine, or does not go with another.
pub(super) fn account(
    name: &str,
    place: &SettingPlace,
    table: &AccountTable,
    context: ResolveContext<'_>,
) -> Result<Account, LocatedMistake> {
    let account = values(name, place, table, context)?;
    consistent(&account, table)?;
    Ok(account)
}

/// Every setting on its own: a line for each field of the account.
pub(super) fn values(
    name: &str,
    place: &SettingPlace,
    table: &AccountTable,
    context: ResolveContext<'_>,
) -> Result<Account, LocatedMistake> {
    let table = table.clone().or(AccountTable::presets()?);
    let needed = Needed { account: name, place };
    let password = password(&table, context)?;
    let way = way(&table, context)?;
    let tls = needed.value(table.tls, "tls")?;
    Ok(Account {
        name: name.to_owned(),
        host: needed.value(table.server, "server")?.0,
        port: table.port.map_or(if tls == Tls::Implicit { 995 } else { 110 }, |port| port.value.0),
        tls,
        trust: Trust {
            ca_file: table.ca_file.as_ref().map(|file| context.file(file)).transpose()?,
            fingerprints: table.tls_fingerprint.map(|setting| setting.value.0).unwrap_or_default(),
            client_certificate: client_certificate(
                table.tls_client_certificate.as_ref(),
                table.tls_client_key.as_ref(),
                context,
            )?,
        },
        way,
        user: needed.value(table.user, "user")?.0,
        auth: match needed.value(table.auth, "auth")? {
            Auth::Auto if table.oauth.is_some() => Auth::Token,
            auth => auth,
        },
        password,
        retention: needed.value(table.leave_on_server, "leave-on-server")?,
        deliver: destinations(&needed.setting(table.deliver, "deliver")?, context)?,
        max_message_size: table.max_message_size.map(|size| size.value.0),
        first_run: needed.value(table.first_run, "first-run")?,
        hooks: Hooks {
            before_run: table.before_run.as_ref().map(|setting| setting.value.argv()),
            on_new_mail: table.on_new_mail.as_ref().map(|setting| setting.value.argv()),
            on_trouble: table.on_trouble.as_ref().map(|setting| setting.value.argv()),
            on_recovered: table.on_recovered.as_ref().map(|setting| setting.value.argv()),
        },
        max_messages: table.max_messages.map(|number| u64::from(number.value.0)),
        max_bytes: table.max_bytes.map(|size| size.value.0),
        owner: table.owner.map(|setting| owner(&setting, context.environment)).transpose()?,
        received_header: needed.value(table.received_header, "received-header")?,
        alert_after: needed.value(table.alert_after, "alert-after")?,
        remind_after: needed.value(table.remind_after, "remind-after")?,
        pipelining: needed.value(table.pipelining, "pipelining")?,
        utf8: needed.value(table.utf8, "utf8")?,
        listing: needed.value(table.listing, "listing")?,
        full_listing_every: needed.value(table.full_listing_every, "full-listing-every")?,
        sync: needed.value(table.sync, "sync")?,
        timeout: needed.value(table.timeout, "timeout")?.0,
    })
}

/// For settings that an account must have.
struct Needed<'a> {
    account: &'a str,
    place: &'a SettingPlace,
}

impl Needed<'_> {
    fn value<T>(&self, setting: Option<Located<T>>, key: &str) -> Result<T, LocatedMistake> {
        self.setting(setting, key).map(|setting| setting.value)
    }

    fn setting<T>(&self, setting: Option<Located<T>>, key: &str) -> Result<Located<T>, LocatedMistake> {
        setting.ok_or_else(|| {
            let what = if key == "deliver" { "destination" } else { key };
            let (account, hint) = match self.place {
                SettingPlace::File(_) => {
                    let value = match key {
                        "deliver" => "{ maildir = \"~/Mail\" }",
                        "server" => "\"pop.example.com\"",
                        _ => "\"…\"",
                    };
                    (format!("account {}", quoted(self.account)), format!("add {key} = {value} below it"))
                }
                SettingPlace::Flag | SettingPlace::Url if key == "deliver" => {
                    ("the account".to_owned(), "add --maildir DIRECTORY, --mbox FILE or --pipe …".to_owned())
                }
                SettingPlace::Flag | SettingPlace::Url => {
                    ("the account".to_owned(), format!("add --{key} …"))
                }
            };
            LocatedMistake::new(
                self.place.clone(),
                Mistake::new(format!("{account} has no {what}")).hint(hint),
            )
        })
    }
}

fn client_certificate(
    certificate: Option<&Located<FileName>>,
    key: Option<&Located<FileName>>,
    context: ResolveContext<'_>,
) -> Result<Option<(PathBuf, PathBuf)>, LocatedMistake> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((context.file(certificate)?, context.file(key)?))),
        (None, None) => Ok(None),
        (Some(alone), None) => Err(alone.fault(Mistake::new("there is no tls-client-key beside it"))),
        (None, Some(alone)) => Err(alone.fault(Mistake::new("there is no tls-client-certificate beside it"))),
    }
}

/// Which settings go together.
fn consistent(account: &Account, table: &AccountTable) -> Result<(), LocatedMistake> {
    fn of_tls<T>(setting: Option<&Located<T>>) -> Result<(), LocatedMistake> {
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
    if let (Some(auth), Some(_)) = (&table.auth, &table.oauth)
        && !matches!(account.auth, Auth::Token | Auth::XOAuth2 | Auth::OAuthBearer)
    {
        let mistake = Mistake::new("it does not take a token, which oauth gives");
        return Err(auth.fault(mistake.hint("leave auth out, or name xoauth2 or oauthbearer")));
    }
    let is_here = || account.host.parse().map_or(account.host == "localhost", |a: IpAddr| a.is_loopback());
    if let (Some(oauth), Tls::None) = (&table.oauth, account.tls)
        && !is_here()
    {
        let mistake = Mistake::new("a token is never sent in clear, which tls = \"none\" asks for");
        return Err(oauth.fault(mistake.hint("set tls = \"implicit\" or \"starttls\"")));
    }
    match &table.auth {
        Some(auth) if account.auth == Auth::External && account.trust.client_certificate.is_none() => {
            let hint = "add tls-client-certificate and tls-client-key";
            Err(auth.fault(Mistake::new("external is a login by certificate, and there is none").hint(hint)))
        }
        _ => Ok(()),
    }
}

/// A user of this machine.  Only root can act as another user.
fn owner(setting: &Located<UserId>, environment: &Environment) -> Result<Owner, LocatedMistake> {
    let name = &setting.value.0;
    let mistake = if !access::is_root() {
        Mistake::new("only root can deliver as another user")
            .hint("remove it, or run popfetch as root; without it popfetch delivers as the user that runs it")
    } else {
        match Owner::find(name, &environment.variables) {
            Ok(Some(owner)) => return Ok(owner),
            Ok(None) => Mistake::new(format!("this machine has no user {}", quoted(name))),
            Err(e) => Mistake::new(format!("user {} cannot be looked up: {e}", quoted(name))),
        }
    };
    Err(setting.fault(mistake))
}

fn password(table: &AccountTable, context: ResolveContext<'_>) -> Result<PasswordSource, LocatedMistake> {
    if let Some(oauth) = &table.oauth {
        return Ok(PasswordSource::OAuth(Box::new(oauth::resolve(oauth, context)?)));
    }
    if let Some(password) = &table.password {
        return Ok(PasswordSource::Inline(password.value.clone()));
    }
    if let Some(command) = &table.password_command {
        return Ok(PasswordSource::Command(command.value.argv()));
    }
    if let Some(file) = &table.password_file {
        return Ok(PasswordSource::File(context.file(file)?));
    }
    if let Some(netrc) = &table.netrc {
        let file = match &netrc.value {
            Netrc::Usual => "~/.netrc",
            Netrc::File(file) => file,
        };
        return Ok(PasswordSource::Netrc(context.path(netrc, file)?));
    }
    let credential = table.credential.as_ref();
    Ok(credential
        .map_or(PasswordSource::Prompt, |name| PasswordSource::SystemdCredential(name.value.0.clone())))
}

fn destinations(
    setting: &Located<DestinationTables>,
    context: ResolveContext<'_>,
) -> Result<Vec<Deliver>, LocatedMistake> {
    let mut all: Vec<Deliver> = Vec::new();
    for (place, table) in &setting.value {
        let whole = Located { value: (), key: "deliver", place: place.clone() };
        let destination = destination(&whole, table, context)?;
        if all.contains(&destination) {
            return Err(whole.fault(Mistake::new("the same destination is there twice")));
        }
        all.push(destination);
    }
    if all.is_empty() {
        let hint = "deliver = { maildir = \"~/Mail\" }";
        return Err(setting.fault(Mistake::new("there is no destination").hint(hint)));
    }
    Ok(all)
}

/// `whole` is the place of the table.
fn destination(
    whole: &Located<()>,
    table: &DestinationTable,
    context: ResolveContext<'_>,
) -> Result<Deliver, LocatedMistake> {
    if table.pipe.is_none() {
        let stray = table.time_limit.as_ref().map(|setting| setting.fault(only_pipe()));
        let stray = stray.or_else(|| table.parallel.as_ref().map(|setting| setting.fault(only_pipe())));
        if let Some(fault) = stray {
            return Err(fault);
        }
    }
    let mut set = Vec::new();
    if let Some(maildir) = &table.maildir {
        set.push(Deliver::Maildir(context.path(maildir, &maildir.value.0)?));
    }
    if let Some(mbox) = &table.mbox {
        set.push(Deliver::Mbox(context.file(mbox)?));
    }
    if let Some(pipe) = &table.pipe {
        set.push(pipe_with(&pipe.value, table, &whole.place)?);
    }
    if table.stdout.is_some() {
        set.push(Deliver::Stdout);
    }
    match set.pop() {
        Some(one) if set.is_empty() => Ok(one),
        Some(_) => Err(whole.fault(
            Mistake::new("a destination is only one of maildir, mbox, pipe and stdout")
                .hint("for several write a list: deliver = [{ maildir = … }, { pipe = … }]"),
        )),
        None => Err(whole.fault(Mistake::new("a destination is one of maildir, mbox, pipe and stdout"))),
    }
}

fn only_pipe() -> Mistake {
    Mistake::new("it belongs to pipe only")
}

fn pipe_with(
    command: &ProgramValue,
    options: &DestinationTable,
    place: &SettingPlace,
) -> Result<Deliver, LocatedMistake> {
    let options = options.clone().or(DestinationTable::presets()?);
    let needed = Needed { account: "", place };
    Ok(Deliver::Pipe(Pipe {
        command: match command {
            ProgramValue::Line(line) => PipeCommand::Shell(line.clone()),
            ProgramValue::Argv(argv) => PipeCommand::Argv(argv.clone()),
        },
        time_limit: needed.value(options.time_limit, "time-limit")?.0,
        parallel: needed.value(options.parallel, "parallel")?.0,
    }))
}
