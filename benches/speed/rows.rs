//! The rows of the table: which mail, which line, which job.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::{self, Digest, Found};
use crate::measure::{Invocation, Measured, settle};
use crate::programs::{Destination, Job, PASSWORD, Program};
use crate::support::certificates::{Authority, Leaf};
use crate::support::mail;
use crate::support::relay::Line;
use crate::support::server::{Account, Message, Options, Server, Tls, numbered};

/// Name, row, what it is.
pub const ROWS: &[(&str, fn(&Bench), &str)] = &[
    (
        "bulk",
        |b| b.bulk(false),
        "1,000 mixed messages (85 MB), loopback, to a Maildir, deleted from the server",
    ),
    ("bulk-tls", |b| b.bulk(true), "the same over TLS"),
    ("latency", |b| b.latency(true), "1,000 x 4 KB at 50 ms round trip, PIPELINING"),
    ("one-by-one", |b| b.latency(false), "50 x 4 KB at 50 ms round trip, no PIPELINING"),
    ("idle", |b| b.idle(50_000, None), "nothing new, 50,000 known, loopback"),
    ("idle-far", |b| b.idle(50_000, Some(FAR)), "nothing new, 50,000 known, at 50 ms"),
    ("idle-large", |b| b.idle(500_000, None), "nothing new, 500,000 known, loopback"),
    ("large", |b| b.large(false), "one message of 1,000 MiB, loopback"),
    ("large-tls", |b| b.large(true), "the same over TLS"),
    (
        "accounts",
        Bench::accounts,
        "50 accounts x 40 messages of 4 KB at 50 ms (the bare client: one account)",
    ),
    ("mbox", Bench::mbox, "500 x 10 KB to an mbox (the bare client doesn't sync)"),
    ("pipe", |b| b.pipe(1), "500 x 10 KB through procmail, into a Maildir"),
    ("pipe-4", |b| b.pipe(4), "the same, four at once"),
    ("start", Bench::start, "start-up: --version, and a refused connection"),
    ("look", Bench::look, "status, and check --max-age, beside --version; 50,000 known"),
    ("listing", Bench::listing, "a listing of a million messages, unique-ids of 20 octets, one retrieved"),
    ("due", Bench::due, "1,000 known messages of 2 KB that fall due for deletion, at 50 ms round trip"),
    (
        "suspicious",
        Bench::suspicious,
        "10,000 known, listed otherwise than the server lists them: all are compared, once",
    ),
    ("cpu", Bench::cpu, "instructions in user space per octet, in bulk (callgrind)"),
];

const FAR: Duration = Duration::from_millis(50);
/// A program that takes longer is not run as often.
const LONG: f64 = 4.0;

pub struct Bench {
    runs: usize,
    programs: Vec<Program>,
    folder: tempfile::TempDir,
    authority: Authority,
}

/// Headers that are looked at with a listing, whatever becomes of the messages.
const SPOT_CHECKS: u64 = 2;

/// The mail of one row.
struct Mail {
    messages: Vec<Message>,
    expected: Vec<Digest>,
}

impl Mail {
    fn new(octets: &[Vec<u8>]) -> Self {
        Self { messages: numbered(octets), expected: check::expected(octets.iter()) }
    }

    fn small(count: u64, size: usize) -> Self {
        Self::new(&(0..count).map(|number| mail::message(number, size)).collect::<Vec<_>>())
    }

    fn octets(&self) -> u64 {
        self.messages.iter().map(|message| message.listed).sum()
    }
}

/// One program's runs.
struct Figures {
    program: Program,
    name: String,
    runs: Vec<Measured>,
    waits: Option<u64>,
    octets: Option<(u64, u64)>,
    /// What it does to the mail.
    note: String,
    /// Why it isn't run again; after the last run, what else is to be added.
    remark: String,
}

impl Figures {
    fn new(program: Program, variant: &str) -> Self {
        Self {
            program,
            name: format!("{}{variant}", program.name()),
            runs: Vec::new(),
            waits: None,
            octets: None,
            note: String::new(),
            remark: String::new(),
        }
    }
}

/// Servers, jobs and checks of one row.
struct Row<'a> {
    bench: &'a Bench,
    server: &'a dyn Fn() -> Server,
    job: Job,
    /// What was done to the mail, if anything; an error is what is wrong.
    check: &'a dyn Fn(&Path) -> Result<String, String>,
    /// Messages, for counts per message.
    messages: u64,
    /// Settings of popfetch's to be compared, each with a name.
    variants: &'a [(&'static str, &'static str)],
    /// The variant of popfetch that has met the server before.
    acquainted: Option<&'static str>,
    count_calls: bool,
    only: Option<&'a [Program]>,
}

impl Row<'_> {
    fn run(&self) {
        let mut lines: Vec<(Figures, Job)> = Vec::new();
        for program in &self.bench.programs {
            if !program.can(&self.job) || self.only.is_some_and(|only| !program.is_in(only)) {
                continue;
            }
            let variants: &[_] = if program.is_popfetch() { self.variants } else { &[("", "")] };
            for (variant, settings) in variants {
                let line = Figures::new(*program, variant);
                lines.push((line, Job { settings, ..self.job.clone() }));
            }
        }
        for round in 0..self.bench.runs {
            for (index, (line, job)) in lines.iter_mut().enumerate() {
                let long = line.runs.first().is_some_and(|run| run.seconds > LONG);
                if line.remark.is_empty() && !(long && round > 0) {
                    self.once(line, job, index);
                }
            }
        }
        if self.count_calls {
            for (index, (line, job)) in lines.iter_mut().enumerate() {
                if line.program.is_popfetch() && line.remark.is_empty() {
                    self.calls(line, job, index);
                }
            }
        }
        print(&lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>());
    }

    fn home(&self, index: usize) -> PathBuf {
        self.bench.folder.path().join(format!("home-{index}"))
    }

    /// A home, with the server that goes with it.
    fn ready(&self, line: &Figures, job: &mut Job, index: usize) -> (Server, Invocation) {
        let home = self.home(index);
        let server = (self.server)();
        let _ = std::fs::remove_dir_all(&home);
        // getmail's memory goes by port, and so does popfetch's: a new server, a new one.
        job.port = server.port();
        let invocation = line.program.prepare(&home, job);
        if self.acquainted.is_some_and(|variant| line.name.ends_with(variant)) {
            let mail = server.maildrop("me");
            server.replace("me", [Message::new("first", "From: a@example.net\r\n\r\nx\r\n")]);
            invocation.measure().unwrap();
            // Only the message: a Maildir that is missing would be missed.
            for delivered in std::fs::read_dir(home.join("Maildir/new")).unwrap() {
                std::fs::remove_file(delivered.unwrap().path()).unwrap();
            }
            server.replace("me", mail);
        }
        (server, invocation)
    }

    fn once(&self, line: &mut Figures, job: &mut Job, index: usize) {
        let (server, invocation) = self.ready(line, job, index);
        let before = server.relay().map(|relay| (relay.waits(), relay.octets()));
        settle(self.bench.folder.path());
        match invocation.measure() {
            Ok(measured) => line.runs.push(measured),
            Err(output) => {
                line.remark = format!("failed: {output}");
                return;
            }
        }
        server.settle();
        if let (Some(relay), Some((waits, (up, down)))) = (server.relay(), before) {
            line.waits = Some(relay.waits() - waits);
            let (up_now, down_now) = relay.octets();
            line.octets = Some((up_now - up, down_now - down));
        }
        match (self.check)(&invocation.home) {
            Ok(note) => line.note = note,
            Err(what) => line.remark = format!("WRONG: {what}"),
        }
        let _ = std::fs::remove_dir_all(&invocation.home);
    }

    fn calls(&self, line: &mut Figures, job: &mut Job, index: usize) {
        let (_server, invocation) = self.ready(line, job, index);
        line.remark = match invocation.system_calls() {
            Ok((all, syncs, most)) => {
                let per = |count: u64| count as f64 / self.messages.max(1) as f64;
                format!("{:.2} system calls a message, {:.3} syncs ({most})", per(all), per(syncs))
            }
            Err(output) => format!("not counted: {output}"),
        };
        let _ = std::fs::remove_dir_all(&invocation.home);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(lines: &[Figures]) {
    let seconds = |line: &Figures| median(line.runs.iter().map(|run| run.seconds).collect());
    let of = |program| lines.iter().find(|line| line.program == program).map(seconds);
    let (bare, mpop) = (of(Program::Bare), of(Program::Mpop));
    println!(
        "| {:24} | {:>9} | {:>7} | {:>7} | {:>8} | {:>6} | |",
        "", "s", "x bare", "x mpop", "RSS MiB", "CPU s"
    );
    for line in lines {
        let time = seconds(line);
        let ratio = |other: Option<f64>| other.map_or("".into(), |other| format!("{:.2}", time / other));
        let rss = line.runs.iter().map(|run| run.rss_kib).max().unwrap_or(0) as f64 / 1024.0;
        let cpu = median(line.runs.iter().map(|run| run.user + run.system).collect());
        let mut remarks = Vec::new();
        if line.runs.len() < 5 {
            remarks.push(format!("{} runs", line.runs.len()));
        }
        if let Some(waits) = line.waits {
            let (up, down) = line.octets.unwrap_or_default();
            remarks.push(format!("{waits} waits, {up} + {down} octets"));
        }
        remarks.extend([&line.note, &line.remark].into_iter().filter(|text| !text.is_empty()).cloned());
        println!(
            "| {:24} | {time:9.4} | {:>7} | {:>7} | {rss:8.1} | {cpu:6.3} | {} |",
            line.name,
            ratio(bare),
            ratio(mpop),
            remarks.join("; ")
        );
    }
}

/// What a server was asked, and the octets that it cost.
struct Asked {
    top: usize,
    retr: usize,
    dele: usize,
    waits: u64,
    up: u64,
    down: u64,
}

impl Asked {
    fn so_far(server: &Server) -> Self {
        server.settle();
        let (up, down) = server.relay().map_or((0, 0), |relay| relay.octets());
        let waits = server.relay().map_or(0, |relay| relay.waits());
        let [top, retr, dele] = ["TOP", "RETR", "DELE"].map(|command| server.count(command));
        Self { top, retr, dele, waits, up, down }
    }

    fn since(self, before: &Self) -> Self {
        Self {
            top: self.top - before.top,
            retr: self.retr - before.retr,
            dele: self.dele - before.dele,
            waits: self.waits - before.waits,
            up: self.up - before.up,
            down: self.down - before.down,
        }
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} TOP, {} RETR, {} DELE", self.top, self.retr, self.dele)
    }
}

const USUAL: &[(&str, &str)] = &[("", "")];

impl Bench {
    pub fn new(runs: usize, programs: Vec<Program>) -> Self {
        let root = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix("popfetch-bench-").tempdir_in(root).unwrap();
        // getmail is another program.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let authority = Authority::new();
        authority.write(&folder.path().join("ca.pem"));
        Self { runs, programs, folder, authority }
    }

    fn options(&self, mail: &Mail, tls: bool) -> Options {
        let leaf = Leaf { common_name: Some("localhost".to_owned()), ..Leaf::default() };
        let tls = if tls { Tls::Implicit(self.authority.issue(&leaf)) } else { Tls::None };
        Options { tls, ..Options::with("me", PASSWORD, mail.messages.iter().cloned()) }
    }

    fn job(&self, tls: bool) -> Job {
        Job { tls: tls.then(|| self.folder.path().join("ca.pem")), ..Job::new(0) }
    }

    fn row<'a>(
        &'a self,
        job: Job,
        server: &'a dyn Fn() -> Server,
        check: &'a dyn Fn(&Path) -> Result<String, String>,
        messages: usize,
    ) -> Row<'a> {
        Row {
            bench: self,
            server,
            job,
            check,
            messages: messages as u64,
            variants: USUAL,
            acquainted: None,
            count_calls: false,
            only: None,
        }
    }

    fn bulk(&self, tls: bool) {
        let mail = Mail::new(&mail::mixed(1_000, 85_000_000));
        let server = || Server::start(self.options(&mail, tls));
        let check = |home: &Path| Found::in_maildirs([home.join("Maildir")]).compare(&mail.expected);
        let row = self.row(self.job(tls), &server, &check, mail.messages.len());
        Row { count_calls: true, ..row }.run();
    }

    fn latency(&self, pipelining: bool) {
        let mail = Mail::small(if pipelining { 1_000 } else { 50 }, 4096);
        let line = Some(Line::round_trip(FAR));
        let server = || {
            let options = self.options(&mail, false);
            let options = if pipelining { options } else { options.without("PIPELINING") };
            Server::start(Options { line, ..options })
        };
        let check = |home: &Path| Found::in_maildirs([home.join("Maildir")]).compare(&mail.expected);
        let peers = [Program::Popfetch, Program::Mpop];
        let row = self.row(self.job(false), &server, &check, mail.messages.len());
        let (variants, acquainted) = match pipelining {
            true => (&[(", first run", ""), (", server known", "")][..], Some("server known")),
            false => (USUAL, None),
        };
        Row { only: (!pipelining).then_some(&peers[..]), variants, acquainted, ..row }.run();
    }

    fn idle(&self, count: usize, far: Option<Duration>) {
        let octets =
            b"Received: from relay.example.net by pop.example.org;\r\nFrom: a@example.net\r\n\r\nx\r\n";
        let message = Message::new("", octets);
        let unique_ids: Vec<String> = (0..count).map(|number| format!("{number:020}")).collect();
        let messages: Vec<Message> = unique_ids.iter().map(|id| message.named(id.as_str())).collect();
        let line = far.map(Line::round_trip);
        let server = Server::start(Options { line, ..Options::with("me", PASSWORD, messages) });
        // One server for all runs: who knows what goes by its port.
        let port = server.port();
        let job = Job { keep: true, into: Destination::Mbox, port, ..self.job(false) };
        let know = |program: Program, home: &Path, job: &Job| {
            program.know(home, job, &unique_ids);
            if program.is_popfetch() {
                let invocation = program.prepare(home, job);
                invocation.measure().unwrap();
                // From what it then does, it learns what it has no need to ask.
                invocation.measure().unwrap();
                std::fs::remove_file(home.join("mbox")).unwrap();
            }
        };
        let mut lines = Vec::new();
        for program in &self.programs {
            let variants: &[_] = match program {
                Program::Popfetch | Program::Earlier => {
                    &[(" full listing", "listing = \"full\""), (" quick poll", "")]
                }
                _ => USUAL,
            };
            for (variant, settings) in variants {
                let home = self.folder.path().join(format!("home-{}", lines.len()));
                let job = Job { settings, ..job.clone() };
                let invocation = program.prepare(&home, &job);
                know(*program, &home, &job);
                settle(self.folder.path());
                let line = Figures::new(*program, variant);
                lines.push((line, invocation));
            }
        }
        for round in 0..self.runs {
            for (line, invocation) in &mut lines {
                let long = line.runs.first().is_some_and(|run| run.seconds > LONG);
                if !line.remark.is_empty() || (round > 0 && long) {
                    continue;
                }
                let before = server.relay().map(|relay| (relay.waits(), relay.octets()));
                match invocation.measure() {
                    Ok(measured) => line.runs.push(measured),
                    Err(output) => line.remark = format!("failed: {output}"),
                }
                server.settle();
                if let (Some(relay), Some((waits, (up, down)))) = (server.relay(), before) {
                    line.waits = Some(relay.waits() - waits);
                    let (up_now, down_now) = relay.octets();
                    line.octets = Some((up_now - up, down_now - down));
                }
                let delivered = Found::in_mbox(&invocation.home.join("mbox")).count();
                let delivered = delivered
                    + std::fs::read_dir(invocation.home.join("Maildir/new")).map_or(0, Iterator::count);
                if delivered > 0 {
                    line.remark = format!("WRONG: {delivered} messages delivered again");
                }
            }
        }
        for (line, invocation) in &mut lines {
            if line.program.is_popfetch() && line.remark.is_empty() {
                line.remark = match invocation.system_calls() {
                    Ok((all, syncs, _)) => format!("{all} system calls, {syncs} syncs"),
                    Err(output) => format!("not counted: {output}"),
                };
            }
            let _ = std::fs::remove_dir_all(&invocation.home);
        }
        print(&lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>());
    }

    fn large(&self, tls: bool) {
        const TIMES: usize = 1_000;
        let part = mail::message(1, 1 << 20);
        let message = Message::repeated("large", &part, TIMES);
        let expected = [check::repeated(&part, TIMES)];
        let mail = Mail { messages: vec![message], expected: expected.into() };
        let server = || Server::start(self.options(&mail, tls));
        let check = |home: &Path| Found::in_maildirs([home.join("Maildir")]).compare(&mail.expected);
        self.row(self.job(tls), &server, &check, 1).run();
    }

    fn accounts(&self) {
        const MESSAGES: u64 = 40;
        let users: Vec<String> = (0..50).map(|number| format!("user{number}")).collect();
        let octets = |user: usize| {
            (0..MESSAGES)
                .map(move |number| mail::message(user as u64 * MESSAGES + number, 4096))
                .collect::<Vec<_>>()
        };
        let mails: Vec<Mail> = (0..users.len()).map(|user| Mail::new(&octets(user))).collect();
        let line = Some(Line::round_trip(FAR));
        let server = || {
            let accounts = users.iter().zip(&mails);
            let accounts =
                accounts.map(|(user, mail)| Account::new(user, PASSWORD, mail.messages.iter().cloned()));
            Server::start(Options { accounts: accounts.collect(), line, ..Options::default() })
        };
        let mut all: Vec<Digest> = mails.iter().flat_map(|mail| mail.expected.iter().copied()).collect();
        all.sort_unstable();
        let check = |home: &Path| {
            let folders = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
            let maildirs = folders.filter(|path| path.to_string_lossy().contains("/Maildir"));
            let found = Found::in_maildirs(maildirs);
            let expected = if found.count() == MESSAGES as usize { &mails[0].expected } else { &all };
            found.compare(expected)
        };
        let row = self.row(Job { users: users.clone(), ..self.job(false) }, &server, &check, 2_000);
        let one = self.row(Job { users: users[..1].to_vec(), ..self.job(false) }, &server, &check, 40);
        Row { only: Some(&[Program::Bare, Program::Popfetch]), ..one }.run();
        let peers = [Program::Popfetch, Program::Mpop, Program::Fdm];
        Row { only: Some(&peers), ..row }.run();
    }

    fn mbox(&self) {
        let mail = Mail::small(500, 10_240);
        let server = || Server::start(self.options(&mail, false));
        let check = |home: &Path| Found::in_mbox(&home.join("mbox")).compare(&mail.expected);
        let row = self.row(
            Job { into: Destination::Mbox, ..self.job(false) },
            &server,
            &check,
            mail.messages.len(),
        );
        Row { count_calls: true, ..row }.run();
    }

    fn pipe(&self, parallel: u32) {
        let mail = Mail::small(500, 10_240);
        let server = || Server::start(self.options(&mail, false));
        let check = |home: &Path| Found::in_maildirs([home.join("Maildir")]).compare(&mail.expected);
        let into = Destination::Procmail { parallel };
        let row = self.row(Job { into, ..self.job(false) }, &server, &check, mail.messages.len());
        Row { count_calls: true, ..row }.run();
    }

    fn start(&self) {
        // A port that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut lines = Vec::new();
        for program in [Program::Popfetch, Program::Earlier, Program::Mpop] {
            if !self.programs.contains(&program) {
                continue;
            }
            for what in [" --version", " refused", " refused (TLS)"] {
                let home = self.folder.path().join(format!("home-{}", lines.len()));
                let tls = what.ends_with("(TLS)");
                let mut invocation = program.prepare(&home, &Job { port, ..self.job(tls) });
                if what == " --version" {
                    invocation.words.truncate(1);
                    invocation.words.push("--version".into());
                } else {
                    // Its failing is no failure.
                    invocation.words.splice(0..0, ["sh", "-c", "\"$@\" || :", "sh"].map(OsString::from));
                }
                lines.push((Figures::new(program, what), invocation));
            }
        }
        // In turns: what else the machine does is then alike for all.
        for _ in 0..self.runs * 4 {
            for (line, invocation) in &mut lines {
                line.runs.push(invocation.measure().unwrap());
            }
        }
        for (line, invocation) in &mut lines {
            if line.program.is_popfetch()
                && let Ok((all, ..)) = invocation.system_calls()
            {
                line.remark = format!("{all} system calls");
            }
            let _ = std::fs::remove_dir_all(&invocation.home);
        }
        print(&lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>());
    }

    /// What asks no server, and doesn't open the ledger.
    fn look(&self) {
        let octets = b"From: a@example.net\r\n\r\nx\r\n";
        let message = Message::new("", octets);
        let messages: Vec<Message> =
            (0..50_000).map(|number| message.named(format!("{number:020}"))).collect();
        let server = Server::start(Options::with("me", PASSWORD, messages));
        let job = Job { keep: true, into: Destination::Mbox, port: server.port(), ..self.job(false) };
        let mut lines = Vec::new();
        for program in [Program::Popfetch, Program::Earlier] {
            if !self.programs.contains(&program) {
                continue;
            }
            let home = self.folder.path().join("home");
            let mut invocation = program.prepare(&home, &job);
            // It is as it stands that is asked for: all is retrieved once.
            invocation.measure().unwrap();
            let sessions = server.sessions();
            let words = invocation.words.clone();
            for (what, more) in [
                (" --version", &["--version"][..]),
                (" status", &["status"]),
                (" status -v", &["status", "-v"]),
                (" check --max-age", &["check", "--max-age", "1h", "--count"]),
            ] {
                let (first, rest) = words.split_first().unwrap();
                let config = if what == " --version" { &[] } else { rest };
                let more = more.iter().map(OsString::from).chain(config.iter().cloned());
                invocation.words = [first.clone()].into_iter().chain(more).collect();
                invocation.idle = 1;
                settle(self.folder.path());
                let mut line = Figures::new(program, what);
                match (0..self.runs * 4).map(|_| invocation.measure()).collect() {
                    Ok(runs) => line.runs = runs,
                    // An earlier one may not have this command.
                    Err(output) => line.remark = format!("failed: {output}"),
                }
                lines.push(line);
            }
            assert_eq!(server.sessions(), sessions, "a server was asked");
            let _ = std::fs::remove_dir_all(&home);
        }
        print(&lines);
    }

    fn listing(&self) {
        let message = Message::new("", "From: a@example.net\r\n\r\nx\r\n");
        let messages = (0..1_000_000).map(|number| message.named(format!("{number:020}")));
        let server = Server::start(Options::with("me", PASSWORD, messages));
        let settings = "max-messages = 1";
        let job = Job { keep: true, port: server.port(), settings, ..self.job(false) };
        let mut lines = Vec::new();
        for program in [Program::Bare, Program::Popfetch] {
            let home = self.folder.path().join("home");
            let invocation = program.prepare(&home, &job);
            let (runs, remark) = match invocation.measure() {
                Ok(run) => (vec![run], String::new()),
                Err(output) => (Vec::new(), output),
            };
            lines.push(Figures { runs, remark, ..Figures::new(program, "") });
            if program == Program::Popfetch
                && let Ok(run) = invocation.measure()
            {
                lines.push(Figures { runs: vec![run], ..Figures::new(program, ", again") });
            }
            let _ = std::fs::remove_dir_all(&home);
        }
        print(&lines);
    }

    /// What is known, and is now to be deleted, is looked at before: in one flight with its deletion.
    fn due(&self) {
        const MESSAGES: u64 = 1_000;
        let mut lines = Vec::new();
        for count in [MESSAGES / 10, MESSAGES] {
            let mail = Mail::small(count, 2048);
            let line = Some(Line::round_trip(FAR));
            let server = Server::start(Options { line, ..self.options(&mail, false) });
            let mut line = Figures::new(Program::Popfetch, &format!(", {count}"));
            for _ in 0..self.runs {
                let home = self.folder.path().join("home");
                server.replace("me", mail.messages.iter().cloned());
                let keep = Job { keep: true, port: server.port(), ..self.job(false) };
                Program::Popfetch.prepare(&home, &keep).measure().unwrap();
                let invocation = Program::Popfetch.prepare(&home, &Job { keep: false, ..keep });
                let before = Asked::so_far(&server);
                match invocation.measure() {
                    Ok(run) => line.runs.push(run),
                    Err(output) => line.remark = format!("failed: {output}"),
                }
                let asked = Asked::so_far(&server).since(&before);
                line.note = asked.to_string();
                line.waits = Some(asked.waits);
                line.octets = Some((asked.up, asked.down));
                if !server.unique_ids("me").is_empty() {
                    line.remark = format!("WRONG: {} are left", server.unique_ids("me").len());
                } else if asked.top as u64 > count + SPOT_CHECKS || asked.retr > 0 {
                    line.remark = "WRONG: more than one TOP each".to_owned();
                }
                let _ = std::fs::remove_dir_all(&home);
            }
            lines.push(line);
        }
        print(&lines);
    }

    /// A listing that may belong to another maildrop: in another order; or most ids gone, while unknown ones come.
    fn suspicious(&self) {
        let mail = Mail::small(10_000, 600);
        let reversed: Vec<Message> = mail.messages.iter().rev().cloned().collect();
        let renamed = mail.messages.iter().enumerate().map(|(number, message)| match number % 5 {
            0 | 1 => message.clone(),
            _ => message.named(format!("another-{number}")),
        });
        let mut lines = Vec::new();
        for (variant, suspect) in [(", reversed", reversed), (", renamed", renamed.collect())] {
            let home = self.folder.path().join("home");
            let server = Server::start(self.options(&mail, false));
            let job = Job { keep: true, port: server.port(), ..self.job(false) };
            let invocation = Program::Popfetch.prepare(&home, &job);
            invocation.measure().unwrap();
            server.replace("me", suspect);
            for again in ["", ", again"] {
                let mut line = Figures::new(Program::Popfetch, &format!("{variant}{again}"));
                let before = Asked::so_far(&server);
                match invocation.measure() {
                    Ok(run) => line.runs.push(run),
                    Err(output) => line.remark = format!("failed: {output}"),
                }
                line.note = Asked::so_far(&server).since(&before).to_string();
                if let Err(what) = Found::in_maildirs([home.join("Maildir")]).compare(&mail.expected) {
                    line.remark = format!("WRONG: {what}");
                }
                lines.push(line);
            }
            let _ = std::fs::remove_dir_all(&home);
        }
        print(&lines);
    }

    fn cpu(&self) {
        let mail = Mail::new(&mail::mixed(200, 17_000_000));
        for program in [Program::Bare, Program::Popfetch, Program::Earlier, Program::Mpop] {
            if !self.programs.contains(&program) {
                continue;
            }
            let server = Server::start(self.options(&mail, false));
            let home = self.folder.path().join("home");
            let invocation = program.prepare(&home, &Job { port: server.port(), ..self.job(false) });
            match invocation.instructions() {
                Ok(count) => {
                    let per = count as f64 / mail.octets() as f64;
                    println!("| {:24} | {per:6.2} instructions an octet |", program.name());
                }
                Err(output) => println!("| {:24} | {} |", program.name(), output.trim()),
            }
            let _ = std::fs::remove_dir_all(&home);
        }
    }
}
