//! The order of the steps: seen from the server at the moment of each DELE, and from the system calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "crash-points")]
use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::case::Kind::{Maildir, Mbox};
use super::case::{Case, Kind, Plan, tiny};
use crate::support::installed;
use crate::support::mailboxes::{Maildir as Folders, mbox_messages};
use crate::support::server::numbered;
#[cfg(feature = "crash-points")]
use crate::support::{
    sandbox::Sandbox,
    server::{Account, Options, Server},
};

/// What the ledger records of this unique-id at this moment: how many lines each of `staged` and `delivered`.
fn noted(ledger: &str, unique_id: &str) -> (usize, usize) {
    let words: Vec<Vec<&str>> = ledger.lines().map(|line| line.split(' ').collect()).collect();
    let lines = |word: &'static str| words.iter().filter(move |line| line[0] == word);
    let message = lines("message").find(|line| line[3] == format!("u:{unique_id}"));
    let Some(message) = message else { return (0, 0) };
    let staged: Vec<&str> =
        lines("staged").filter(|line| line[2] == message[1]).map(|line| line[1]).collect();
    let delivered = lines("delivered").filter(|line| staged.contains(&line[1])).count();
    (staged.len(), delivered)
}

fn is_stored_at_each_dele(kinds: &'static [Kind]) {
    let case = Case::new(Plan::new(kinds, true));
    let (maildir, mbox, state) = (case.maildir(), case.mbox(), case.sandbox.state());
    let expected: Vec<Vec<u8>> =
        (1..=case.plan.messages.len()).map(|n| case.message(&format!("uid-{n}"))).collect();
    let seen = Arc::new(AtomicUsize::new(0));
    let deletions = Arc::clone(&seen);
    case.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            let (true, Some(message)) = (moment.command.starts_with("DELE"), moment.message) else { return };
            deletions.fetch_add(1, Ordering::SeqCst);
            let unique_id = message.unique_id();
            let number: usize = unique_id.strip_prefix("uid-").unwrap().parse().unwrap();
            for kind in kinds {
                let there = match kind {
                    Maildir => Folders::read(&maildir).new.into_values().collect(),
                    Mbox => mbox_messages(&mbox),
                    Kind::Pipe => continue,
                };
                assert!(there.contains(&expected[number - 1]), "DELE of {unique_id}, not in {kind:?}");
            }
            let folders = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
            let ledger = folders.map(|path| path.join("ledger")).find(|path| path.exists()).unwrap();
            let noted = noted(&std::fs::read_to_string(ledger).unwrap(), &unique_id);
            assert_eq!(noted, (kinds.len(), kinds.len()), "staged and delivered of {unique_id}");
        }));
    });
    case.run().succeeds();
    case.is_complete(0);
    assert_eq!(seen.load(Ordering::SeqCst), case.plan.messages.len());
}

#[test]
fn before_dele_the_message_is_in_maildir_and_ledger() {
    is_stored_at_each_dele(&[Maildir]);
}

#[test]
fn before_dele_the_message_is_in_mbox_and_ledger() {
    is_stored_at_each_dele(&[Mbox]);
}

#[test]
fn before_dele_the_message_is_in_every_destination() {
    is_stored_at_each_dele(&[Maildir, Mbox]);
}

/// One system call: where in the trace it began, and where it had returned.
struct Call {
    name: String,
    arguments: String,
    begun: usize,
    ended: usize,
}

struct Trace(Vec<Call>);

impl Trace {
    /// Runs a case under strace; `None` when there is none.
    fn of(case: &Case) -> Option<Self> {
        installed("strace")?;
        let file = case.sandbox.path("../trace");
        let calls = "trace=write,pwrite64,sendto,sendmsg,fsync,fdatasync,syncfs,sync,sync_file_range,rename,renameat,renameat2";
        let strace = ["strace", "-f", "-y", "-s", "1000000", "-e", calls, "-o", file.to_str().unwrap()];
        case.popfetch().under(strace).run().succeeds();
        Some(Self::parse(&std::fs::read_to_string(file).unwrap()))
    }

    fn parse(text: &str) -> Self {
        let mut calls: Vec<Call> = Vec::new();
        let mut unfinished: HashMap<&str, usize> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let (pid, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            if rest.starts_with("<...") {
                if let Some(index) = unfinished.remove(pid) {
                    calls[index].ended = at;
                }
            } else if let Some((name, arguments)) = rest.split_once('(') {
                if rest.ends_with("<unfinished ...>") {
                    unfinished.insert(pid, calls.len());
                }
                calls.push(Call {
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                    begun: at,
                    ended: at,
                });
            }
        }
        Self(calls)
    }

    fn all<'a>(&'a self, name: &'a str, needle: &'a str) -> impl Iterator<Item = &'a Call> {
        self.0.iter().filter(move |call| call.name == name && call.arguments.contains(needle))
    }

    #[track_caller]
    fn first(&self, name: &str, needle: &str) -> &Call {
        self.next_or_first(None, &[name], needle)
    }

    /// The first that began after `after` had returned.
    #[track_caller]
    fn next(&self, after: usize, names: &[&str], needle: &str) -> &Call {
        self.next_or_first(Some(after), names, needle)
    }

    #[track_caller]
    fn next_or_first(&self, after: Option<usize>, names: &[&str], needle: &str) -> &Call {
        let found = self.0.iter().find(|call| {
            after.is_none_or(|after| call.begun > after)
                && names.contains(&call.name.as_str())
                && call.arguments.contains(needle)
        });
        found.unwrap_or_else(|| panic!("no {names:?} of {needle} after line {after:?}"))
    }

    /// When the last write to a file had returned.
    #[track_caller]
    fn written(&self, file: &str) -> usize {
        self.all("write", file).map(|call| call.ended).max().unwrap_or_else(|| panic!("no write to {file}"))
    }

    /// Everything written to the ledger, and which octets of it by which call.
    fn ledger(&self) -> (String, Vec<(usize, &Call)>) {
        let (mut text, mut writes) = (String::new(), Vec::new());
        for call in self.all("write", "/ledger>, \"") {
            writes.push((text.len(), call));
            let octets = call.arguments.split_once("/ledger>, \"").unwrap().1.rsplit_once("\", ").unwrap().0;
            text.push_str(octets);
        }
        (text.replace("\\n", "\n\0"), writes)
    }
}

/// The lines of the ledger with the calls that wrote their first and last octet.
fn lines(trace: &Trace) -> Vec<(Vec<String>, &Call, &Call)> {
    let (text, writes) = trace.ledger();
    let by = |at: usize| writes.iter().rev().find(|(start, _)| *start <= at).unwrap().1;
    let mut lines = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\0') {
        let words = line.trim_end_matches(['\n', '\0']).split(' ').map(str::to_owned).collect();
        lines.push((words, by(at), by(at + line.len() - 1)));
        at += line.len();
    }
    lines
}

/// Each message's way through the steps; `waits` gives, of a `staged` line, when its octets and name were durable where
/// it waits, and `publishes` when it was durable where it belongs, given when its line was.
fn in_order(
    trace: &Trace,
    messages: usize,
    waits: impl Fn(&Trace, &[String]) -> usize,
    publishes: impl Fn(&Trace, &[String], usize) -> usize,
) {
    let ledger = lines(trace);
    let is = |word: &'static str| ledger.iter().filter(move |(words, _, _)| words[0] == word);
    let mut checked = 0;
    let mut noted_last = 0;
    for (staged, first, last) in is("staged") {
        let waiting = waits(trace, staged);
        assert!(first.begun > waiting, "noted before it was durable: {staged:?}");
        let line = trace.next(last.ended, &["fsync"], "/ledger>").ended;
        let durable = publishes(trace, staged, line);
        let (_, first, last) =
            is("delivered").find(|(words, _, _)| words[1] == staged[1]).expect("delivered");
        assert!(first.begun > durable, "recorded before it was published: {staged:?}");
        let (message, _, _) = is("message").find(|(words, _, _)| words[1] == staged[2]).expect("message");
        let number = message[3].strip_prefix("u:uid-").unwrap();
        let deletion = trace.first("sendto", &format!("DELE {number}\\r\\n"));
        assert!(deletion.begun > last.ended, "deleted before it was recorded: {staged:?}");
        noted_last = noted_last.max(last.ended);
        checked += 1;
    }
    assert_eq!(checked, messages);
    let quit = trace.first("sendto", "\"QUIT").begun;
    assert!(
        trace.next(noted_last, &["fsync"], "/ledger>").ended < quit,
        "QUIT before the ledger was on disk"
    );
}

fn maildir_in_order(plan: &Plan) {
    let case = Case::new(plan.clone());
    let Some(trace) = Trace::of(&case) else { return };
    case.is_complete(0);
    let name = |staged: &[String]| staged[8].clone();
    in_order(
        &trace,
        plan.messages.len(),
        |trace, staged| {
            let file = format!("/tmp/{}>", name(staged));
            let sync = trace.next(trace.written(&file), &["fsync", "syncfs"], "/mail/dir/tmp");
            if sync.name == "syncfs" {
                return sync.ended;
            }
            let own = trace.first("fsync", &file).ended;
            trace.next(own, &["fsync"], "/mail/dir/tmp>").ended
        },
        |trace, staged, line| {
            let renamed = trace.first("renameat2", &format!("/new/{}\"", name(staged)));
            assert!(renamed.begun > line, "published before its line was on disk: {staged:?}");
            trace.next(renamed.ended, &["fsync"], "/mail/dir/new>").ended
        },
    );
}

#[test]
fn maildir_syncs_each_file_in_order() {
    maildir_in_order(&Plan::new(&[Maildir], true).of(tiny(3)));
}

#[test]
fn maildir_syncs_the_file_system_in_order() {
    maildir_in_order(&Plan::new(&[Maildir], true).of(tiny(40)).on_disk());
}

#[test]
fn mbox_syncs_in_order() {
    let plan = Plan::new(&[Mbox], true).of(tiny(40));
    let case = Case::new(plan.clone());
    let Some(trace) = Trace::of(&case) else { return };
    case.is_complete(0);
    let state = case.state();
    let state = state.to_str().unwrap();
    in_order(
        &trace,
        plan.messages.len(),
        |trace, staged| {
            let spool =
                format!("/{}>", staged.iter().find(|word| word.starts_with("spool-")).expect("a spool"));
            let spooled = trace.first("fsync", &spool);
            let named = trace.next(spooled.ended, &["fsync"], &format!("{state}>")).ended;
            trace.next(spooled.ended, &["fsync"], "/mbox-open>").ended.max(named)
        },
        |trace, staged, line| {
            let subject = trace.next(line, &["write"], "/mail/box>");
            assert!(
                trace.all("write", "/mail/box>").next().unwrap().begun >= subject.begun || !staged.is_empty()
            );
            trace.next(subject.ended, &["fsync"], "/mail/box>").ended
        },
    );
    // Nothing stood in the mbox before the first lines were on disk.
    let noted = trace.first("fsync", "/ledger>").ended;
    assert!(trace.all("write", "/mail/box>").all(|write| write.begun > noted));
}

/// Until it's on disk, the old ledger is the only one that a power failure is sure to leave.
#[test]
fn rewritten_ledger_is_synced_before_it_replaces_the_old_one() {
    let case = Case::new(Plan::new(&[Maildir], false).of(tiny(3)));
    let replaced_in_order = |least: usize| {
        let Some(trace) = Trace::of(&case) else { return };
        let renames: Vec<&Call> = ["rename", "renameat", "renameat2"]
            .iter()
            .flat_map(|name| trace.all(name, "/ledger\""))
            .collect();
        assert!(renames.len() >= least, "it was not rewritten");
        for rename in renames {
            let before = |call: &&Call| call.ended < rename.begun && call.arguments.contains("/ledger.new>");
            let last = |names: &[&str]| {
                trace.0.iter().filter(before).rfind(|call| names.contains(&call.name.as_str()))
            };
            let written = last(&["write", "pwrite64"]).expect("it was written");
            let synced = last(&["fsync", "fdatasync"]).expect("it was synced");
            assert!(synced.begun > written.ended, "written after it was synced");
        }
    };
    // Made, and rewritten where its end is torn off.
    replaced_in_order(1);
    case.server.add("me", numbered(tiny(4)).split_off(3));
    let ledger = std::fs::read(case.ledger()).unwrap();
    std::fs::write(case.ledger(), &ledger[..ledger.len() - 3]).unwrap();
    replaced_in_order(1);
}

/// All that matters was on disk before: the deletions that `QUIT` confirms would be found out again.
#[test]
fn nothing_is_synced_after_quit() {
    let case = Case::new(Plan::new(&[Maildir], true).of(tiny(3)));
    let Some(trace) = Trace::of(&case) else { return };
    case.is_complete(0);
    let quit = trace.first("sendto", "\"QUIT").begun;
    let late = trace.0.iter().find(|call| call.name.contains("sync") && call.begun > quit);
    assert!(late.is_none_or(|call| panic!("{} {}", call.name, call.arguments)));
    assert_eq!(lines(&trace).iter().filter(|(words, _, _)| words[0] == "asked").count(), 3);
    assert_eq!(lines(&trace).iter().filter(|(words, _, _)| words[0] == "confirmed").count(), 1);
    case.idles();
}

/// The ledger's last sync takes no time of its own: it's made while the connection is waited for.
#[cfg(feature = "crash-points")]
#[test]
fn ledger_is_synced_while_deletions_are_answered() {
    let case = Case::new(Plan::new(&[Maildir], true).of(tiny(3)));
    let steps = case.sandbox.steps_file();
    let synced = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&synced);
    case.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            if moment.command != "DELE 3" {
                return;
            }
            let began = Instant::now();
            while seen.load(Ordering::SeqCst) < 2 && began.elapsed() < Duration::from_secs(10) {
                let steps = std::fs::read_to_string(&steps).unwrap();
                let syncs = steps.lines().filter(|step| step.contains(" Sync ") && step.ends_with("/ledger"));
                seen.store(syncs.count(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
            }
        }));
    });
    case.popfetch().record_steps().run().succeeds();
    case.is_complete(0);
    assert_eq!(synced.load(Ordering::SeqCst), 2, "of the staged lines, and of the delivered ones");
}

/// However many accounts there are: no directory above theirs is synced for each of them.
#[cfg(feature = "crash-points")]
#[test]
fn shared_directories_are_synced_once() {
    let users = ["a", "b", "c"];
    let server = Server::start(Options {
        accounts: users.map(|user| Account::new(user, "secret", numbered(tiny(1)))).into(),
        ..Options::default()
    });
    let sandbox = Sandbox::new();
    let port = server.port();
    let accounts = users.map(|user| {
        format!(
            "[accounts.{user}]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"{user}\"\n\
             password = \"secret\"\ndeliver = {{ maildir = \"~/{user}\" }}\n"
        )
    });
    sandbox.config(accounts.concat());
    let run = sandbox.popfetch(["-v"]).record_steps().run();
    run.succeeds();
    let state = sandbox.state();
    let directory =
        |step: &str, path: &Path| step.split_once(" Sync ").is_some_and(|(_, at)| Path::new(at) == path);
    let syncs = |path: &Path| run.steps.iter().filter(|step| directory(step, path)).count();
    for above in state.ancestors().skip(1) {
        // Maildirs are synced on their own account.
        let maildirs = if above == sandbox.home() { users.len() } else { 0 };
        assert_eq!(syncs(above), 1 + maildirs, "{}", above.display());
    }
    assert_eq!(syncs(&state), users.len(), "it holds a name for each");
    let mailboxes = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    let mailboxes = mailboxes.filter(|path| path.is_dir());
    assert!(mailboxes.map(|mailbox| syncs(&mailbox)).eq([1; 3]));
}

#[test]
fn idle_poll_syncs_nothing() {
    for kind in [&[Maildir] as &[Kind], &[Mbox], &[Kind::Pipe]] {
        for deletes in [false, true] {
            let case = Case::new(Plan::new(kind, deletes).of(tiny(3)));
            case.run().succeeds();
            let Some(trace) = Trace::of(&case) else { return };
            let syncs = ["fsync", "fdatasync", "syncfs", "sync", "sync_file_range"];
            let found = trace.0.iter().find(|call| syncs.contains(&call.name.as_str()));
            assert!(found.is_none(), "{kind:?}: {} {}", found.unwrap().name, found.unwrap().arguments);
        }
    }
}

/// A killed run leaves its work in the page cache only: every sync is repeated before anything counts as delivered.
#[cfg(feature = "crash-points")]
#[test]
fn recovery_syncs_again_before_anything_is_deleted() {
    for publishing in ["Sync ~/mail/dir/new", "Rename ~/mail/dir/new/"] {
        let plan = Plan::new(&[Maildir], true).primed().of(tiny(3));
        let case = Case::crashed_at(&plan, 0, |step| step.starts_with(publishing));
        let Some(trace) = Trace::of(&case) else { return };
        case.is_complete(0);
        let ledger = lines(&trace);
        let recorded = ledger.iter().filter(|(words, _, _)| words[0] == "delivered");
        let recorded = recorded.map(|(_, first, _)| first.begun).min().expect("delivered");
        let named =
            trace.all("fsync", "/mail/dir/new>").map(|call| call.ended).min().expect("the sync of new/");
        assert!(named < recorded);
        for name in Folders::read(&case.maildir()).new.into_keys() {
            let data = [format!("/new/{name}>"), format!("/tmp/{name}>")];
            let synced = data.iter().flat_map(|file| trace.all("fsync", file)).map(|call| call.ended).min();
            let path = case.maildir().join("new").join(&name);
            if std::fs::read(path).unwrap() != case.message("primer") {
                assert!(synced.is_some_and(|synced| synced < recorded), "{name} was believed unsynced");
            }
        }
        let on_disk = trace.next(recorded, &["fsync"], "/ledger>").ended;
        assert!(on_disk < trace.first("sendto", "DELE").begun);
    }
}
