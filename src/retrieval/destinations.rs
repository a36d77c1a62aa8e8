//! An account's destinations, opened for one run: the network's ends and the committer's, under the numbers that the
//! ledger knows them by.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::committer::Exit;
use super::error::Error;
use super::recovery::Settling;
use super::run::Run;
use crate::access::{self, Owner};
use crate::account::{Account, Deliver, Pipe, PipeCommand, Retention, SyncMode};
use crate::clock;
use crate::delivery::mbox::{self, MboxInlet, MboxOutlet};
use crate::delivery::pipe::{self, PipeInlet, PipeOutlet};
use crate::delivery::stdout::{StdoutInlet, StdoutOutlet};
use crate::delivery::{self, Inlet, Outlet, maildir, owned, stdout};
use crate::exit::ExitCode;
use crate::ledger::Ledger;
use crate::proof::{DestinationId, DestinationKind, DestinationName};
use crate::report::Event;
use crate::text;

/// The network's end of a destination.
pub(super) struct Entrance {
    pub(super) id: DestinationId,
    pub(super) inlet: Box<dyn Inlet>,
}

/// All destinations of an account.
pub(super) struct Destinations {
    pub(super) entrances: Vec<Entrance>,
    pub(super) exits: Vec<Exit>,
}

impl Destinations {
    /// Opens them, creating what may be created.  Before anything is retrieved: a destination that's not fit is told
    /// while nothing is in flight.
    pub(super) fn open(run: &Run<'_>, ledger: &mut Ledger, directory: &Path) -> Result<Self, Error> {
        let mut destinations = Self { entrances: Vec::new(), exits: Vec::new() };
        let mut delivers: Vec<&Deliver> = run.account.deliver.iter().collect();
        let owner = run.account.owner.as_ref();
        delivers.sort_by_key(|deliver| turn(deliver, owner));
        one_name_each(&delivers, owner)?;
        for deliver in delivers {
            let name = name(run, deliver);
            let opened = open(run, ledger, directory, deliver, &name)?;
            let id = ledger.destination(&name, opened.inode)?;
            destinations.entrances.push(Entrance { id, inlet: opened.inlet });
            let one_by_one = matches!(deliver, Deliver::Pipe(_) | Deliver::Stdout);
            let deletes = run.options.retention.unwrap_or(run.account.retention) != Retention::Keep;
            let sync_after =
                matches!(deliver, Deliver::Pipe(_)) && deletes && run.account.sync != SyncMode::Off;
            destinations.exits.push(Exit { id, one_by_one, sync_after, outlet: opened.outlet });
        }
        ledger.flush()?;
        Ok(destinations)
    }
}

/// Whether all of them are there and fit: only then may a run that delivers nothing do without opening them, which is
/// where it is told what's wrong with one.
pub(super) fn are_there(run: &Run<'_>) -> bool {
    let owner = run.account.owner.as_ref();
    let is_allowed = |deliver| allowed(&name(run, deliver), owner).is_ok();
    run.account.deliver.iter().all(|deliver| match deliver {
        Deliver::Maildir(path) => {
            is_allowed(deliver) && access::act(owner).is_ok_and(|_acting| maildir::check(path, false).is_ok())
        }
        Deliver::Mbox(path) => {
            is_allowed(deliver) && mbox::check(path, owner, &run.context.stop, Duration::ZERO).is_ok()
        }
        Deliver::Pipe(pipe) => pipe::check(&command(pipe), search(run)).is_ok(),
        Deliver::Stdout => stdout::open().is_ok(),
    })
}

/// Whether mail may go to a destination: root must not follow other users' links, nor leave files with them that they
/// can't read.  See [`access::check_destination`].
pub(super) fn allowed(name: &DestinationName, owner: Option<&Owner>) -> Result<(), access::Error> {
    let path = Path::new(OsStr::from_bytes(&name.address));
    match name.kind {
        DestinationKind::Maildir => access::check_destination(path, &["cur", "new", "tmp"], owner),
        DestinationKind::Mbox => access::check_destination(path, &[], owner),
        DestinationKind::Pipe | DestinationKind::Stdout => Ok(()),
    }
}

/// The same for all destinations of the account.
pub(super) fn all_allowed(run: &Run<'_>) -> Result<(), access::Error> {
    let owner = run.account.owner.as_ref();
    run.account.deliver.iter().try_for_each(|deliver| allowed(&name(run, deliver), owner))
}

/// The order in which destinations get a batch.  Programs come last: what they do cannot be taken back.  Mboxes come by
/// where they really are, the same for every account, so that no two committers hold one and wait for the other's.
fn turn(deliver: &Deliver, owner: Option<&Owner>) -> (u8, PathBuf) {
    match deliver {
        Deliver::Maildir(path) => (0, path.clone()),
        Deliver::Mbox(path) => (1, mbox::real_path(path, owner)),
        Deliver::Pipe(_) => (2, PathBuf::new()),
        Deliver::Stdout => (3, PathBuf::new()),
    }
}

/// An mbox that an account has under two names would wait for itself.
fn one_name_each(sorted: &[&Deliver], owner: Option<&Owner>) -> Result<(), delivery::Error> {
    for pair in sorted.windows(2) {
        if let [Deliver::Mbox(one), Deliver::Mbox(other)] = pair
            && mbox::real_path(one, owner) == mbox::real_path(other, owner)
        {
            let [one, other] = [one, other].map(|path| text::printable(path.as_os_str().as_bytes()));
            return Err(delivery::Error::unfit(
                ExitCode::Configuration,
                format!("mbox {one} and mbox {other} are one file"),
                "leave one of them out",
            ));
        }
    }
    Ok(())
}

/// Whether this account's configuration has a destination of this name.
pub(super) fn configured(account: &Account, name: &DestinationName) -> bool {
    account.deliver.iter().any(|deliver| match deliver {
        // Into whichever file or pipe.
        Deliver::Stdout => name.kind == DestinationKind::Stdout,
        other => name_of(other, false) == *name,
    })
}

struct Opened {
    inlet: Box<dyn Inlet>,
    outlet: Box<dyn Outlet>,
    inode: Option<(u64, u64)>,
}

/// The numbers of those that the ledger knows.
pub(super) fn numbers(run: &Run<'_>, ledger: &Ledger) -> Vec<DestinationId> {
    let names: Vec<DestinationName> = run.account.deliver.iter().map(|deliver| name(run, deliver)).collect();
    let known = ledger.destinations().iter().filter(|record| names.contains(&record.name));
    known.map(|record| record.id).collect()
}

/// What a destination is called in the ledger.
fn name(run: &Run<'_>, deliver: &Deliver) -> DestinationName {
    name_of(deliver, run.context.stdout_is_regular_file)
}

fn name_of(deliver: &Deliver, stdout_is_regular_file: bool) -> DestinationName {
    let (kind, address) = match deliver {
        Deliver::Maildir(path) => (DestinationKind::Maildir, path.as_os_str().as_bytes().to_vec()),
        Deliver::Mbox(path) => (DestinationKind::Mbox, path.as_os_str().as_bytes().to_vec()),
        Deliver::Pipe(Pipe { command: PipeCommand::Argv(argv), .. }) => {
            (DestinationKind::Pipe, argv.join("\0").into_bytes())
        }
        Deliver::Pipe(Pipe { command: PipeCommand::Shell(line), .. }) => {
            (DestinationKind::Pipe, format!("sh\0-c\0{line}").into_bytes())
        }
        // What goes into a file is as good as delivered, what is printed isn't.  Which file: `> mail-$(date)` would make
        // a destination of each day.
        Deliver::Stdout if stdout_is_regular_file => (DestinationKind::Stdout, b"file".to_vec()),
        Deliver::Stdout => (DestinationKind::Stdout, b"-".to_vec()),
    };
    DestinationName { kind, address }
}

fn command(pipe: &Pipe) -> pipe::Command {
    match &pipe.command {
        PipeCommand::Argv(argv) => pipe::Command::Argv(argv.clone()),
        PipeCommand::Shell(line) => pipe::Command::Shell(line.clone()),
    }
}

/// Where programs are looked for.
fn search<'a>(run: &Run<'a>) -> Option<&'a OsStr> {
    run.context.environment.variables.get(OsStr::new("PATH")).map(OsString::as_os_str)
}

fn open(
    run: &Run<'_>,
    ledger: &Ledger,
    directory: &Path,
    deliver: &Deliver,
    name: &DestinationName,
) -> Result<Opened, Error> {
    let owner = run.account.owner.as_ref();
    allowed(name, owner)?;
    Ok(match deliver {
        Deliver::Maildir(path) => {
            let known = ledger.destinations().iter().find(|record| record.name == *name);
            let delivered = known.is_some_and(|record| ledger.has_delivered_to(record.id));
            let id = ledger.id().to_owned();
            let named: Vec<String> = super::recovery::maildir_names(ledger);
            let _acting = access::act(owner)?;
            if path.is_dir() {
                maildir::clean(path, &id, &|name| named.iter().any(|named| named == name))?;
            }
            let settings = maildir::Settings {
                ledger: id,
                host: run.context.host_name.clone(),
                sync: run.account.sync,
                may_create: !delivered,
            };
            let opened = maildir::open(path, &settings)?;
            Opened {
                inlet: owned::inlet(opened.inlet, owner),
                outlet: owned::outlet(opened.outlet, owner),
                inode: Some(opened.inode),
            }
        }
        Deliver::Mbox(path) => {
            mbox::check(path, owner, &run.context.stop, mbox::Settings::PATIENCE)?;
            let settings = mbox::Settings {
                path: path.clone(),
                owner: owner.cloned(),
                state_root: run.context.state.clone(),
                state: directory.to_owned(),
                ledger: ledger.id().to_owned(),
                sync: run.account.sync != SyncMode::Off,
                patience: mbox::Settings::PATIENCE,
                stop: run.context.stop.clone(),
            };
            let neighbours = Box::new(Settling {
                state: run.context.state.clone(),
                owner: owner.cloned(),
                stop: run.context.stop.clone(),
            });
            let (reporter, account) = (Arc::clone(&run.context.reporter), run.account.name.clone());
            let warn = Box::new(move |text| reporter.report(&account, &Event::Warning(text)));
            Opened {
                inlet: Box::new(MboxInlet::new(directory.to_owned(), clock::now)),
                outlet: Box::new(MboxOutlet::new(settings, neighbours, warn)),
                inode: None,
            }
        }
        Deliver::Pipe(pipe) => {
            let command = command(pipe);
            pipe::check(&command, search(run))?;
            let settings = pipe::Settings {
                command,
                time_limit: pipe.time_limit,
                parallel: pipe.parallel,
                account: run.account.name.clone(),
                server: run.account.host.clone(),
                state: directory.to_owned(),
                owner: owner.cloned(),
            };
            Opened {
                inlet: Box::new(PipeInlet::new(directory.to_owned())),
                outlet: Box::new(PipeOutlet::new(settings)),
                inode: None,
            }
        }
        Deliver::Stdout => Opened {
            inlet: Box::new(StdoutInlet::new(directory.to_owned(), clock::now)),
            outlet: Box::new(StdoutOutlet::new(stdout::open()?, run.account.sync != SyncMode::Off)),
            inode: None,
        },
    })
}
