//! One account with mail waiting, to be interrupted, resumed and looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::mail::{samples, stored};
use crate::support::mailboxes::{Maildir, assert_same, mbox_messages, split_mbox};
use crate::support::sandbox::{Invocation, Run, Sandbox};
use crate::support::server::{Message, Options, Server, numbered};
use crate::support::show;

/// Where mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Maildir,
    Mbox,
    /// A script that puts each message into a file of its own.
    Pipe,
}

/// What a run on its own would have to achieve.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) kinds: &'static [Kind],
    pub(crate) deletes: bool,
    pub(crate) messages: Vec<Vec<u8>>,
    /// One message has been retrieved before: ledger and destinations are there, the server has proved that it
    /// pipelines.
    pub(crate) primed: bool,
    /// On a disk, where syncs cost what they cost, and one may stand for many.
    pub(crate) on_disk: bool,
    /// More keys for the account.
    pub(crate) keys: &'static str,
}

impl Plan {
    pub(crate) fn new(kinds: &'static [Kind], deletes: bool) -> Self {
        Self { kinds, deletes, messages: varied(), primed: false, on_disk: false, keys: "" }
    }

    pub(crate) fn primed(self) -> Self {
        Self { primed: true, ..self }
    }

    pub(crate) fn on_disk(self) -> Self {
        Self { on_disk: true, ..self }
    }

    pub(crate) fn of(self, messages: Vec<Vec<u8>>) -> Self {
        Self { messages, ..self }
    }

    pub(crate) fn with(self, keys: &'static str) -> Self {
        Self { keys, ..self }
    }
}

/// A handful of messages, each hard in its own way, and the same in every destination.
fn varied() -> Vec<Vec<u8>> {
    let names = ["every octet", "From lines", "no last line end after a dot", "attachment"];
    let of = |name: &str| samples().into_iter().find(|sample| sample.name == name).unwrap().octets;
    names.map(of).to_vec()
}

/// `count` messages of a line or two.
pub(crate) fn tiny(count: usize) -> Vec<Vec<u8>> {
    // Their headers distinguish them: what is known is recognised by TOP.
    let header = |number| format!("Received: x\r\nMessage-ID: <{number}@x>\r\nSubject: {number}\r\n");
    (0..count).map(|number| format!("{}\r\nbody {number}\r\n", header(number)).into_bytes()).collect()
}

const PRIMER: &[u8] = b"Subject: primer\r\n\r\nthe first\r\n";

pub(crate) struct Case {
    pub(crate) sandbox: Sandbox,
    pub(crate) server: Server,
    pub(crate) plan: Plan,
}

impl Case {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::on(plan, |options| options)
    }

    /// On a server that `change` has altered.
    pub(crate) fn on(plan: Plan, change: impl FnOnce(Options) -> Options) -> Self {
        let primer = plan.primed.then(|| Message::new("primer", PRIMER));
        let server = Server::start(change(Options::with("me", "secret", primer)));
        let sandbox = if plan.on_disk { Sandbox::new() } else { Sandbox::in_memory() };
        let case = Self { sandbox, server, plan };
        std::fs::create_dir(case.sandbox.path("log")).unwrap();
        std::fs::create_dir(case.sandbox.path("mail")).unwrap();
        case.reconfigure("");
        if case.plan.primed {
            case.run().succeeds();
        }
        case.server.add("me", numbered(&case.plan.messages));
        case
    }

    /// Writes the configuration, with more keys than the plan's.
    pub(crate) fn reconfigure(&self, more: &str) {
        // A name that ends in .part until all of it is there.
        let script = "part=$(mktemp \"$HOME/log/XXXXXXXXXX.part\") && cat >\"$part\" && mv \"$part\" \"${part%.part}\"";
        let script = self.sandbox.script("take", script);
        let deliver: Vec<String> = self
            .plan
            .kinds
            .iter()
            .map(|kind| match kind {
                Kind::Maildir => "{ maildir = \"~/mail/dir\" }".to_owned(),
                Kind::Mbox => "{ mbox = \"~/mail/box\" }".to_owned(),
                Kind::Pipe => format!("{{ pipe = [{:?}] }}", script.to_str().unwrap()),
            })
            .collect();
        self.sandbox.config(format!(
            "[accounts.a]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"me\"\npassword = \"secret\"\n\
             leave-on-server = {}\ndeliver = [{}]\n{}\n{more}\n",
            self.server.port(),
            !self.plan.deletes,
            deliver.join(", "),
            self.plan.keys,
        ));
    }

    pub(crate) fn maildir(&self) -> PathBuf {
        self.sandbox.path("mail/dir")
    }

    pub(crate) fn mbox(&self) -> PathBuf {
        self.sandbox.path("mail/box")
    }

    /// The one mailbox's directory in the state directory.
    pub(crate) fn state(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.sandbox.state()).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.join("lock").exists()).expect("a mailbox's directory")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.state().join("ledger")
    }

    pub(crate) fn popfetch(&self) -> Invocation<'_> {
        self.sandbox.popfetch(["-v"])
    }

    #[track_caller]
    pub(crate) fn run(&self) -> Run {
        self.popfetch().run()
    }

    /// All messages as a destination should hold them.
    pub(crate) fn expected(&self) -> Vec<Vec<u8>> {
        let primer = self.plan.primed.then_some(PRIMER);
        primer.into_iter().chain(self.plan.messages.iter().map(|octets| &octets[..])).map(stored).collect()
    }

    /// What a message of this unique-id is in a destination.
    pub(crate) fn message(&self, unique_id: &str) -> Vec<u8> {
        match unique_id.strip_prefix("uid-") {
            Some(number) => stored(&self.plan.messages[number.parse::<usize>().unwrap() - 1]),
            None => stored(PRIMER),
        }
    }

    /// What the script got.
    fn handed_over(&self) -> Vec<Vec<u8>> {
        let log = self.sandbox.path("log");
        // A script outlives a popfetch that was killed.
        let began = Instant::now();
        loop {
            let files = crate::support::sandbox::files(&log);
            if files.keys().all(|name| name.extension().is_none()) {
                return files.into_values().collect();
            }
            assert!(began.elapsed() < Duration::from_secs(10), "a script that doesn't end");
            std::thread::yield_now();
        }
    }

    /// What is in this destination now.
    #[track_caller]
    pub(crate) fn delivered(&self, kind: Kind) -> Vec<Vec<u8>> {
        match kind {
            Kind::Maildir => Maildir::read(&self.maildir()).messages(),
            Kind::Mbox if self.sandbox.path("mail/box.lock").exists() => {
                // A run that was killed may have left a part at the end.
                let mut octets = std::fs::read(self.mbox()).unwrap();
                if !octets.is_empty() && !octets.ends_with(b"\n\n") {
                    octets.extend(b"\n\n");
                }
                split_mbox(&octets).into_iter().map(|message| message.octets).collect()
            }
            Kind::Mbox => mbox_messages(&self.mbox()),
            Kind::Pipe => self.handed_over(),
        }
    }

    /// Asserts that everything is as an uninterrupted run would have left it, but for `twice` messages that the script
    /// may have got twice.
    #[track_caller]
    pub(crate) fn is_complete(&self, twice: usize) {
        for kind in self.plan.kinds {
            let mut found = self.delivered(*kind);
            if *kind == Kind::Pipe {
                let all = found.len();
                found.sort();
                found.dedup();
                assert!(all - found.len() <= twice, "{} messages handed over twice", all - found.len());
            }
            assert_same(found, self.expected());
        }
        let left = if self.plan.deletes {
            Vec::new()
        } else {
            let primer = self.plan.primed.then(|| "primer".to_owned());
            primer.into_iter().chain((1..=self.plan.messages.len()).map(|n| format!("uid-{n}"))).collect()
        };
        assert_eq!(self.server.unique_ids("me"), left, "left on the server");
        self.nothing_is_left_over();
    }

    /// Asserts that no spool, lock, temporary file or marker is there.
    #[track_caller]
    pub(crate) fn nothing_is_left_over(&self) {
        let known = ["ledger", "lock", "memory", "history"];
        let in_state = |name: &str| known.contains(&name);
        for (path, _) in self.sandbox.files() {
            let name = path.file_name().unwrap_or_default().to_str().unwrap();
            let shown = path.to_str().unwrap();
            let folder = shown.ends_with('/');
            let fine = if let Some(rest) = shown.strip_prefix(".local/state/popfetch/") {
                folder || rest == "key" || rest.contains('/') && in_state(name)
            } else if shown.starts_with("mail/") {
                folder || shown.contains("/new/") || shown.contains("/cur/") || shown == "mail/box"
            } else {
                true
            };
            assert!(fine, "left over: {shown}");
        }
    }

    /// Asserts that no reader can see a part of a message, nor one twice.
    #[track_caller]
    pub(crate) fn nothing_partial_is_visible(&self) {
        for kind in self.plan.kinds {
            let found = match kind {
                Kind::Maildir => self.delivered(*kind),
                // A program that takes both locks doesn't look while the dotlock is there.
                Kind::Mbox if self.sandbox.path("mail/box.lock").exists() => continue,
                Kind::Mbox => self.delivered(*kind),
                // The at-least-once one.
                Kind::Pipe => continue,
            };
            let mut expected = self.expected();
            for message in found {
                match expected.iter().position(|other| *other == message) {
                    Some(at) => drop(expected.swap_remove(at)),
                    None => {
                        panic!("visible in {kind:?}, and not (or no longer) expected:\n{}", show(&message))
                    }
                }
            }
        }
    }

    /// Asserts that every deletion that was asked for was of a message that is in every destination.
    #[track_caller]
    pub(crate) fn deletions_were_safe(&self) {
        let deleted: Vec<String> = self
            .server
            .log()
            .into_iter()
            .filter(|entry| entry.command.starts_with("DELE"))
            .filter_map(|entry| entry.unique_id)
            .collect();
        for kind in self.plan.kinds {
            if deleted.is_empty() {
                return;
            }
            let found = self.delivered(*kind);
            for unique_id in &deleted {
                let message = self.message(unique_id);
                assert!(found.contains(&message), "{unique_id} was to be deleted, and is not in {kind:?}");
            }
        }
    }

    /// Runs again: nothing changes, nothing is retrieved or deleted, nothing is synced.
    #[track_caller]
    pub(crate) fn idles(&self) {
        let before = self.sandbox.files();
        let run = self.popfetch().record_steps().run();
        run.succeeds();
        let syncs: Vec<&String> = run.steps.iter().filter(|step| step.contains(" Sync ")).collect();
        assert!(syncs.is_empty(), "an idle poll synced: {syncs:?}");
        same_but_for_a_listing(&before, &self.sandbox.files());
        let session = self.server.sessions();
        for command in self.server.commands(session) {
            let does = ["RETR", "DELE", "TOP"].iter().any(|verb| command.starts_with(verb));
            assert!(!does, "an idle poll sent {command}");
        }
    }

    /// A good run puts everything right, and a further one changes nothing.
    #[track_caller]
    pub(crate) fn recovers(&self, twice: usize) {
        self.run().succeeds();
        self.is_complete(twice);
        self.idles();
    }

    /// Everything on disk, to come back to.
    #[cfg(feature = "crash-points")]
    pub(crate) fn save(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.sandbox.files()
    }

    /// Puts files and maildrop back (folders stay, and so do their inodes).
    #[cfg(feature = "crash-points")]
    pub(crate) fn restore(&self, saved: &BTreeMap<PathBuf, Vec<u8>>, maildrop: &[Message]) {
        let home = self.sandbox.home();
        let is_folder = |path: &std::path::Path| path.as_os_str().as_encoded_bytes().ends_with(b"/");
        for path in self.sandbox.files().into_keys().filter(|path| !saved.contains_key(path)) {
            if !is_folder(&path) {
                std::fs::remove_file(home.join(&path)).unwrap();
            }
        }
        for (path, octets) in saved {
            if is_folder(path) {
                std::fs::create_dir_all(home.join(path)).unwrap();
            } else if std::fs::read(home.join(path)).ok().as_ref() != Some(octets) {
                // Modes are kept where the file is still there; a new one is made as popfetch makes them.
                self.sandbox.write(path, octets);
            }
        }
        self.server.settle();
        self.server.replace("me", maildrop.iter().cloned());
    }

    /// A case as a run leaves it that is aborted at the `nth` (from 0) durable step that `wanted` accepts, given as
    /// `Step path` with `~` for the home folder.
    #[cfg(feature = "crash-points")]
    #[track_caller]
    pub(crate) fn crashed_at(plan: &Plan, nth: usize, wanted: impl Fn(&str) -> bool) -> Self {
        let crash = |case: &Self, step| case.popfetch().record_steps().crash_at(step).run();
        Self::hit(plan, nth, wanted, crash)
    }

    /// As [`Case::crashed_at`], where that step fails for lack of space.
    #[cfg(feature = "crash-points")]
    #[track_caller]
    pub(crate) fn failed_at(plan: &Plan, nth: usize, wanted: impl Fn(&str) -> bool) -> Self {
        let fail = |case: &Self, step| case.popfetch().record_steps().fail_at(step, "ENOSPC").run();
        Self::hit(plan, nth, wanted, fail)
    }

    #[cfg(feature = "crash-points")]
    #[track_caller]
    fn hit(plan: &Plan, nth: usize, wanted: impl Fn(&str) -> bool, run: impl Fn(&Self, u64) -> Run) -> Self {
        let find = |case: &Self, steps: &[String]| -> Option<u64> {
            let home = case.sandbox.home();
            let steps = steps.iter().map(|step| step.replace(home.to_str().unwrap(), "~"));
            let numbered = steps.map(|step| {
                let (number, step) = step.split_once(' ').unwrap();
                (number.parse().unwrap(), step.to_owned())
            });
            numbered.filter(|(_, step): &(u64, String)| wanted(step)).nth(nth).map(|(number, _)| number)
        };
        let trial = Self::new(plan.clone());
        let steps = trial.popfetch().record_steps().run().steps;
        let mut at = find(&trial, &steps).unwrap_or_else(|| panic!("no such step: {steps:#?}"));
        // Two threads take steps: the number differs from run to run.
        for _ in 0..40 {
            let case = Self::new(plan.clone());
            match find(&case, &run(&case, at).steps) {
                Some(number) if number == at => return case,
                Some(number) => at = number,
                None => at += 1,
            }
        }
        panic!("the step cannot be hit: {steps:#?}");
    }
}

/// A poll may add to the ledger that it took a listing.
#[track_caller]
fn same_but_for_a_listing(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    for (path, octets) in after {
        let old = &before[path];
        if path.ends_with("ledger") {
            let added = octets.strip_prefix(&old[..]);
            let added = added.unwrap_or_else(|| panic!("the ledger was rewritten: {}", show(octets)));
            for line in String::from_utf8_lossy(added).lines() {
                let word = line.split(' ').next().unwrap();
                assert!(["group", "listing", "unlisted"].contains(&word), "an idle poll noted: {line}");
            }
        } else {
            assert!(old == octets, "{} changed: {}\n->\n{}", path.display(), show(old), show(octets));
        }
    }
}

/// Runs that are aborted at their durable step 1, 2, 3 … until one completes.  `prepare` makes each one's case, and what
/// must live as long.  The run after each crash makes everything whole.
pub(crate) fn killed_at_every_step<T>(prepare: impl Fn() -> (Case, T)) {
    for step in 1.. {
        let (case, _alive) = prepare();
        let run = case.popfetch().crash_at(step).run();
        if !run.crashed() {
            run.succeeds();
            case.is_complete(0);
            assert!(step > 12, "only {step} steps?");
            return;
        }
        case.nothing_partial_is_visible();
        case.deletions_were_safe();
        case.recovers(1);
    }
}
