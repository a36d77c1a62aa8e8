//! Whose files are whose: what popfetch believes, what it leaves alone, and as whom it delivers.  Most of this can only
//! be seen as root.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::destinations::{account, set_up};
use crate::support::installed;
use crate::support::mailboxes::{Maildir, assert_same, create_maildir, mbox_messages};
use crate::support::sandbox::Sandbox;
use crate::support::scripted::{Scripted, Step};
use crate::support::server::{Message, Server, numbered};

/// The user called nobody, which every system has.
const NOBODY: u32 = 65_534;

fn message(subject: &str) -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n").into_bytes()
}

fn stored(subject: &str) -> Vec<u8> {
    crate::support::mail::stored(&message(subject))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// A server with a message, and a sandbox with a folder `anna` that belongs to nobody; `None`, with a message, where we
/// aren't root.
fn with_anna(lines: &str) -> Option<(Server, Sandbox)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: delivering for another user needs root");
        return None;
    }
    let (server, sandbox) = set_up(numbered([message("a")]), lines);
    for folder in [sandbox.home().parent().unwrap(), &sandbox.home()] {
        mode(folder, 0o711);
    }
    let anna = sandbox.path("anna");
    fs::create_dir(&anna).unwrap();
    give_away(&anna);
    Some((server, sandbox))
}

/// A sandbox in which popfetch runs as nobody; `None`, with a message, where that isn't possible.
fn of_nobody() -> Option<Sandbox> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: running as another user needs root");
        return None;
    }
    installed("setpriv")?;
    // The program is perhaps where only root may look.
    static FOLDER: std::sync::LazyLock<tempfile::TempDir> = std::sync::LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        mode(folder.path(), 0o755);
        fs::copy(env!("CARGO_BIN_EXE_popfetch"), folder.path().join("popfetch")).unwrap();
        folder
    });
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(OsString::from);
    let program = FOLDER.path().join("popfetch").into_os_string();
    Some(Sandbox::of(words.into_iter().chain([program]).collect()))
}

fn all_to_nobody(sandbox: &Sandbox) {
    for (path, _) in owners(sandbox.home().parent().unwrap()) {
        give_away(Path::new(&path));
    }
}

/// Every file below a folder, with its owner.
fn owners(folder: &Path) -> Vec<(String, u32)> {
    let mut found = vec![(folder.display().to_string(), folder.symlink_metadata().unwrap().uid())];
    if folder.is_dir() && !folder.is_symlink() {
        for entry in fs::read_dir(folder).unwrap() {
            found.extend(owners(&entry.unwrap().path()));
        }
    }
    found
}

const EVERYWHERE: &str = "owner = \"nobody\"\n\
    deliver = [{ maildir = \"~/anna/Mail\" }, { mbox = \"~/anna/box\" }, \
    { pipe = \"cat >/dev/null; echo $(id -u) $(id -ru) $(id -G) $HOME $USER$ROOTS >> HERE/anna/who\" }]";

#[test]
fn mail_for_a_user_belongs_to_that_user() {
    let Some((server, sandbox)) = with_anna("") else { return };
    let lines = EVERYWHERE.replace("HERE", sandbox.home().to_str().unwrap());
    sandbox.config(account(&server, &lines));
    sandbox.popfetch([""; 0]).env("ROOTS", "-sees-this").run().succeeds();
    for (path, owner) in owners(&sandbox.path("anna")) {
        assert_eq!(owner, NOBODY, "{path}");
    }
    for (path, owner) in owners(&sandbox.state()) {
        assert_eq!(owner, 0, "{path}");
    }
    let maildir = Maildir::read(&sandbox.path("anna/Mail"));
    assert_same(maildir.messages(), vec![stored("a")]);
    assert_same(mbox_messages(&sandbox.path("anna/box")), vec![stored("a")]);
    let name = maildir.new.keys().next().unwrap();
    assert_eq!(sandbox.path("anna/Mail/new").join(name).metadata().unwrap().mode() & 0o777, 0o600);
    let who = fs::read_to_string(sandbox.path("anna/who")).unwrap();
    let words: Vec<&str> = who.split_whitespace().collect();
    assert_eq!((words[0], words[1], words.last()), ("65534", "65534", Some(&"nobody")), "{who}");
    assert!(!words.contains(&"0") && words[words.len() - 2] != sandbox.home().to_str().unwrap(), "{who}");
    server.add("me", [Message::new("b", message("b"))]);
    sandbox.run([""; 0]).succeeds();
    assert_same(mbox_messages(&sandbox.path("anna/box")), vec![stored("a"), stored("b")]);
    // A box that root has made is to be given to the user, not delivered to as root.
    chown(sandbox.path("anna/box"), Some(0), None).unwrap();
    sandbox
        .run(["--dry-run"])
        .exits(78)
        .complains("belongs to root, not to nobody")
        .complains("chown nobody ");
}

#[test]
fn mail_of_an_owner_survives_a_crash_at_every_step() {
    let lines = "owner = \"nobody\"\ndeliver = [{ maildir = \"~/anna/Mail\" }, { mbox = \"~/anna/box\" }]";
    for step in 1.. {
        let Some((_server, sandbox)) = with_anna(lines) else { return };
        let crashed = sandbox.popfetch([""; 0]).crash_at(step).run().crashed();
        sandbox.run([""; 0]).succeeds();
        let expected = vec![stored("a")];
        assert_same(Maildir::read(&sandbox.path("anna/Mail")).messages(), expected.clone());
        assert_same(mbox_messages(&sandbox.path("anna/box")), expected);
        for (path, owner) in owners(&sandbox.path("anna")) {
            assert_eq!(owner, NOBODY, "step {step}: {path}");
        }
        for (path, owner) in owners(&sandbox.state()) {
            assert_eq!(owner, 0, "step {step}: {path}");
        }
        if !crashed {
            assert!(step > 20, "only {step} steps");
            return;
        }
    }
}

#[test]
fn as_root_a_folder_of_another_user_is_left_alone() {
    /// How it comes to be in another user's hands, and what is delivered to.
    type Case = (&'static str, fn(&Sandbox), &'static str);
    let cases: [Case; 6] = [
        (
            "a Maildir",
            |sandbox| {
                create_maildir(&sandbox.path("anna/Mail"));
                give_away(&sandbox.path("anna/Mail"));
            },
            "{ maildir = \"~/anna/Mail\" }",
        ),
        ("a Maildir that isn't there yet", |_| {}, "{ maildir = \"~/anna/Mail\" }"),
        ("an mbox", |sandbox| give_away(&sandbox.write("anna/box", "")), "{ mbox = \"~/anna/box\" }"),
        (
            "a link that the user has laid",
            |sandbox| {
                create_maildir(&sandbox.path("ours"));
                symlink(sandbox.path("ours"), sandbox.path("anna/Mail")).unwrap();
            },
            "{ maildir = \"~/anna/Mail\" }",
        ),
        (
            "a link into the user's folder",
            |sandbox| symlink(sandbox.path("anna"), sandbox.path("link")).unwrap(),
            "{ mbox = \"~/link/box\" }",
        ),
        (
            "one of the three directories",
            |sandbox| {
                create_maildir(&sandbox.path("Mail"));
                give_away(&sandbox.path("Mail/new"));
            },
            "{ maildir = \"~/Mail\" }",
        ),
    ];
    for (case, prepare, deliver) in cases {
        let Some((server, sandbox)) = with_anna(&format!("deliver = {deliver}")) else { return };
        prepare(&sandbox);
        let files = |sandbox: &Sandbox| {
            let mut files = sandbox.files();
            files.retain(|path, _| !path.starts_with(".local"));
            files
        };
        let before = files(&sandbox);
        let run = sandbox.run([""; 0]);
        run.exits(78).complains("popfetch runs as root");
        run.complains("run as nobody (systemd: User=nobody), or set owner = \"nobody\"");
        sandbox.run(["--dry-run"]).exits(78).complains("set owner = \"nobody\"");
        assert_eq!((files(&sandbox), server.sessions()), (before, 0), "{case}");
    }
}

#[test]
fn a_users_link_leads_nowhere_but_to_the_users_own() {
    for (link, to, deliver) in [
        ("anna/Mail/new", "closed", "{ maildir = \"~/anna/Mail\" }"),
        ("anna/Mail/new", "shown", "{ maildir = \"~/anna/Mail\" }"),
        ("anna/Mail/tmp", "shared", "{ maildir = \"~/anna/Mail\" }"),
        ("anna/Mail", "shared", "{ maildir = \"~/anna/Mail\" }"),
        ("anna/box", "closed/box", "{ mbox = \"~/anna/box\" }"),
        ("anna/box", "shown/box", "{ mbox = \"~/anna/box\" }"),
        ("anna/box", "shared/box", "{ mbox = \"~/anna/box\" }"),
        ("anna/folder", "closed", "{ mbox = \"~/anna/folder/new-box\" }"),
    ] {
        let lines = format!("owner = {NOBODY}\ndeliver = {deliver}");
        let Some((_server, sandbox)) = with_anna(&lines) else { return };
        create_maildir(&sandbox.path("anna/Mail"));
        for (path, _) in owners(&sandbox.path("anna")) {
            give_away(Path::new(&path));
        }
        for (folder, bits) in [("closed", 0o700), ("shown", 0o755), ("shared", 0o777)] {
            sandbox.write(format!("{folder}/box"), "");
            create_maildir(&sandbox.path(folder));
            mode(&sandbox.path(folder), bits);
            mode(&sandbox.path(folder).join("box"), if bits == 0o777 { 0o666 } else { 0o644 });
        }
        let link = sandbox.path(link);
        let _ = fs::remove_dir_all(&link);
        symlink(sandbox.path(to), &link).unwrap();
        let run = sandbox.run([""; 0]);
        assert!(matches!(run.code(), Some(73 | 78)), "{} to {to}: {}", link.display(), run.shown());
        assert!(sandbox.files_with("body of a").is_empty(), "{} to {to}", link.display());
        // It was the link: in its place, the user's own folder or file takes the mail.
        fs::remove_file(&link).unwrap();
        if link.ends_with("folder") {
            fs::create_dir(&link).unwrap();
        } else if !link.ends_with("box") {
            create_maildir(&sandbox.path("anna/Mail"));
        }
        for (path, _) in owners(&sandbox.path("anna")) {
            give_away(Path::new(&path));
        }
        sandbox.run([""; 0]).succeeds();
        assert_eq!(sandbox.files_with("body of a").len(), 1, "{}", link.display());
    }
}

#[test]
fn owner_is_for_root_and_for_users_that_exist() {
    let Some((_server, sandbox)) = with_anna("owner = \"no-such-user\"\ndeliver = { mbox = \"~/box\" }")
    else {
        return;
    };
    sandbox.run([""; 0]).exits(78).complains("this machine has no user \"no-such-user\"");
    let Some(sandbox) = of_nobody() else { return };
    let server = Server::with("me", "secret", numbered([message("a")]));
    let all_theirs = || all_to_nobody(&sandbox);
    sandbox.config(account(&server, "deliver = { mbox = \"~/box\" }\nowner = \"nobody\""));
    all_theirs();
    sandbox.run([""; 0]).exits(78).complains("only root can deliver as another user").complains("hint: ");
    sandbox.config(account(&server, "deliver = { mbox = \"~/box\" }"));
    all_theirs();
    sandbox.run([""; 0]).succeeds();
    assert_same(mbox_messages(&sandbox.path("box")), vec![stored("a")]);
}

#[test]
fn a_state_directory_in_other_hands_is_not_believed() {
    let lines = "deliver = { maildir = \"~/Mail\" }";
    let Some((server, sandbox)) = with_anna(lines) else { return };
    sandbox.run([""; 0]).succeeds();
    let sessions = server.sessions();
    let mailbox = fs::read_dir(sandbox.state()).unwrap().map(|entry| entry.unwrap().path());
    let mailbox = mailbox.into_iter().find(|path| path.is_dir() && path.join("lock").exists()).unwrap();
    for path in [sandbox.path(".local"), sandbox.state(), mailbox] {
        give_away(&path);
        sandbox.run([""; 0]).exits(78).complains("nobody").complains("hint: ");
        chown(&path, Some(0), Some(0)).unwrap();
        for bits in [0o777, 0o702] {
            mode(&path, bits);
            sandbox.run([""; 0]).exits(78).complains("everybody can change").complains("hint: chmod o-w ");
            sandbox.run(["--dry-run"]).exits(78);
        }
        mode(&path, 0o700);
    }
    assert_eq!(server.sessions(), sessions);
    sandbox.run([""; 0]).succeeds();
}

#[test]
fn a_configuration_that_others_can_change_is_not_read() {
    let lines = "deliver = { maildir = \"~/Mail\" }";
    let Some((server, sandbox)) = with_anna(lines) else { return };
    let folder = sandbox.path(".config/popfetch");
    give_away(&folder);
    sandbox.run([""; 0]).exits(78).complains("could make popfetch run programs").complains("nobody");
    chown(&folder, Some(0), Some(0)).unwrap();
    mode(&folder, 0o777);
    sandbox.run([""; 0]).exits(78).complains("everybody can change");
    mode(&folder, 0o755);
    let file = folder.join("config.toml");
    chown(&file, None, Some(NOBODY)).unwrap();
    mode(&file, 0o620);
    sandbox.run([""; 0]).exits(78).complains("its group can change");
    assert_eq!(server.sessions(), 0);
    mode(&file, 0o600);
    sandbox.run([""; 0]).succeeds();
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    for (setting, tls) in [
        ("password-file = \"~/fifo\"", "none"),
        ("netrc = \"~/fifo\"", "none"),
        ("password = \"x\"\nca-file = \"~/fifo\"", "implicit"),
        ("password = \"x\"\ntls-client-certificate = \"~/fifo\"\ntls-client-key = \"~/fifo\"", "implicit"),
        ("", "none"),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::with("me", "secret", numbered([message("a")]));
        let fifo = sandbox.path(if setting.is_empty() { ".config/popfetch/config.toml" } else { "fifo" });
        let text = account(&server, &format!("deliver = {{ maildir = \"~/Mail\" }}\n{setting}"));
        let text = text
            .replace("password = \"secret\"\n", "")
            .replace("tls = \"none\"", &format!("tls = \"{tls}\""));
        let config = sandbox.config(text);
        if setting.is_empty() {
            fs::remove_file(config).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let run = sandbox.popfetch([""; 0]).limit(Duration::from_secs(30)).run();
        run.exits(78).complains("not a regular file").complains("hint: ");
    }
}

#[test]
fn container_secret_with_a_fixed_mode_is_accepted() {
    let Some(sandbox) = of_nobody() else { return };
    let server = Server::with("me", "secret", numbered([message("a")]));
    let folder = sandbox.path("secrets");
    let write = |source: &str| {
        let text = account(&server, &format!("deliver = {{ mbox = \"~/box\" }}\n{source}"));
        sandbox.config(text.replace("password = \"secret\"\n", ""));
        sandbox.write("secrets/pw", "secret\n");
        all_to_nobody(&sandbox);
        // As Docker and Kubernetes lay them down: root's, and for everybody to read.
        chown(folder.join("pw"), Some(0), Some(0)).unwrap();
        mode(&folder.join("pw"), 0o444);
    };
    let file = folder.join("pw").display().to_string();
    write("password-file = \"~/secrets/pw\"");
    let run = sandbox.run([""; 0]);
    run.exits(78)
        .complains("credential = \"pw\"")
        .complains(&format!("CREDENTIALS_DIRECTORY={}", folder.display()));
    run.complains(&format!("password-command = [\"cat\", \"{file}\"]")).never_says("chmod");
    write(&format!("password-command = [\"cat\", \"{file}\"]"));
    sandbox.run([""; 0]).succeeds();
    write("credential = \"pw\"");
    sandbox.popfetch([""; 0]).env("CREDENTIALS_DIRECTORY", &folder).run().succeeds();
}

/// Other programs of the same user could read passwords in the memory of a process that may be traced.
#[test]
fn nobody_else_looks_into_the_memory() {
    let Some(sandbox) = of_nobody() else { return };
    let server = Scripted::start(vec![vec![Step::Stall]]);
    let more = "tls = \"none\"\npassword = \"secret\"\ntimeout = \"50s\"";
    sandbox.config(crate::mailbox::named_account("work", server.port(), more));
    all_to_nobody(&sandbox);
    let running = sandbox.popfetch([""; 0]).start();
    let process = Path::new("/proc").join(running.pid().as_raw_nonzero().to_string());
    let until = Instant::now() + Duration::from_secs(30);
    // The files of a process that cannot be traced are root's, whoever it belongs to.
    let is_closed = || {
        let read = |name: &str| fs::read_to_string(process.join(name)).unwrap();
        read("comm").trim() == "popfetch"
            && read("status").contains("Uid:\t65534\t65534")
            && process.join("environ").metadata().unwrap().uid() == 0
    };
    while !is_closed() {
        assert!(Instant::now() < until, "it can be traced");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_users_mail_gets_its_received_line_and_is_synced_like_anybodys() {
    let lines = "owner = \"nobody\"\nreceived-header = true\nleave-on-server = false\n\
        deliver = [{ maildir = \"~/anna/Mail\" }, { pipe = \"cat > HERE/anna/copy\" }]";
    let Some((server, sandbox)) = with_anna("") else { return };
    let lines = lines.replace("HERE", sandbox.home().to_str().unwrap());
    sandbox.config(account(&server, &lines));
    let run = sandbox.popfetch([""; 0]).record_steps().run();
    run.succeeds();
    let message = Maildir::read(&sandbox.path("anna/Mail")).messages().remove(0);
    for found in [message, fs::read(sandbox.path("anna/copy")).unwrap()] {
        assert!(found.starts_with(b"Received: "), "{}", String::from_utf8_lossy(&found));
    }
    // A program has taken it: everything is synced before it is deleted.
    assert!(run.steps.iter().any(|step| step.contains("every file system")), "{:#?}", run.steps);
    assert_eq!(server.unique_ids("me"), [""; 0]);
}
