//! The programs themselves: they retrieve mail from a server, which leaves it there, and then popfetch goes on where they
//! stopped.
//!
//! Most of the 30,000 messages are in a program's state before it runs, as another run of it would have left them.
//! Getmail takes minutes for as many, and fdm writes all of its state after each message.  What is imported is what
//! the program has written at last, of all of them.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::importing::{DAY, delivered, now};
use crate::support::mail;
use crate::support::sandbox::{Sandbox, files};
use crate::support::server::{Message, Server};
use crate::support::{installed, mailboxes};

/// Messages on the server.
const ALL: u64 = 30_000;
/// What the program retrieves in the test.
const FRESH: u64 = 60;

fn maildrop(from: u64, to: u64) -> Vec<Message> {
    (from..=to).map(|n| Message::new(unique_id(n), mail::message(n, 400))).collect()
}

fn unique_id(n: u64) -> String {
    format!("{n:06}.4f/a-{}", n % 7)
}

/// Any user but root.
const NOBODY: u32 = 65_534;

/// Gives all in a folder to a user, who must be able to reach it.
fn own(folder: &Path, user: u32) {
    std::fs::set_permissions(folder.parent().unwrap(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let files = files(folder).into_keys().map(|name| folder.join(name));
    for path in files.chain([folder.to_owned()]) {
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    }
}

/// A home in which the program runs, and the server.
struct Place {
    sandbox: Sandbox,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::in_memory();
        mailboxes::create_maildir(&sandbox.path("Mail"));
        Self { sandbox, server: Server::with("me", "secret", maildrop(1, ALL)) }
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    /// Runs the program, which must succeed: as an ordinary user, for root they refuse one thing or another.
    #[track_caller]
    fn run(&self, program: &Path, args: &[&str]) {
        let home = self.sandbox.home();
        let mut command = Command::new(program);
        command.args(args).env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin").env("USER", "me");
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            own(&home, NOBODY);
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.current_dir(&home).output().unwrap();
        if is_root {
            own(&home, 0);
        }
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "{}: {}\n{out:.2000}\n{err:.2000}",
            program.display(),
            output.status
        );
    }

    /// Imports, and runs popfetch: nothing that the program has retrieved comes again, and what is new does.
    #[track_caller]
    fn moves_in(&self, program: &str, account: &str) {
        let before = self.server.count("RETR");
        let import = self.sandbox.run(["import", program, "--write"]);
        import
            .succeeds()
            .complains(&format!("{account}: 30,000 of 30,000 are on the server now\n"))
            .never_says("secret");
        assert_eq!(self.server.count("RETR"), before);
        self.server.add("me", maildrop(ALL + 1, ALL + 2));
        let had = delivered(&self.sandbox);
        for _ in 0..2 {
            self.sandbox.run([account]).succeeds();
            assert_eq!(self.server.count("RETR") - before, 2);
            assert_eq!(delivered(&self.sandbox) - had, 2);
        }
        let again = self.sandbox.run(["import", program, "--write"]);
        again.succeeds().complains(&format!("{account}: 0 taken over; 30,000 known before"));
        self.sandbox.run([account]).succeeds();
        assert_eq!(self.server.count("RETR") - before, 2);
    }
}

#[test]
fn fetchmail_left_thirty_thousand_messages_and_none_comes_again() {
    let Some(fetchmail) = installed("fetchmail") else { return };
    let place = Place::new();
    let rc = |delivery: &str| {
        format!(
            "poll 127.0.0.1 with proto pop3, service {} and uidl\n  user \"me\" there with password \"secret\" is me here\n\
             \x20 options keep {delivery}\n",
            place.port()
        )
    };
    let old: String = (1..=ALL - FRESH).map(|n| format!("me@127.0.0.1 {}\n", unique_id(n))).collect();
    place.sandbox.write(".fetchids", old);
    place.sandbox.write(".fetchmailrc", rc("mda \"/bin/cat >> $HOME/all.txt\""));
    place.run(&fetchmail, &["--nosyslog", "--silent", "--sslproto", ""]);
    // It asks for whole messages by TOP, so that servers don't mark them as seen.
    assert_eq!(place.server.count("TOP") + place.server.count("RETR"), FRESH as usize);
    place.sandbox.write(".fetchmailrc", rc("mda \"/bin/sh -c 'cat > $HOME/Mail/new/$$.x'\""));
    place.moves_in("fetchmail", "me");
}

#[test]
fn getmail_left_thirty_thousand_messages_and_its_days_go_on() {
    let Some(getmail) = installed("getmail") else { return };
    let place = Place::new();
    let rc = |destination: &str| {
        format!(
            "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = me\npassword = secret\n\
             [destination]\n{destination}\n[options]\nread_all = false\n",
            place.port()
        )
    };
    // Forty of them are older than three weeks.
    let days = |n: u64| if (200..240).contains(&n) { 22 } else { 5 };
    let line = |n: u64| format!("{}\0{}\n", unique_id(n).replace('/', "-"), now() - days(n) * DAY);
    let old: String = (1..=ALL - 5).map(line).collect();
    let state = place.sandbox.write(format!(".getmail/oldmail-127.0.0.1-{}-me", place.port()), old);
    // getmail 6.18 misses the end of a program that ends before it waits, and then waits for minutes.
    let slowly = "type = MDA_external\npath = /bin/sh\narguments = ('-c', 'cat > Mail/new/$$.x; sleep 0.5')";
    place.sandbox.write(".getmail/getmailrc", rc(slowly));
    place.run(&getmail, &["-q"]);
    place.sandbox.write(".getmail/getmailrc", rc("type = Maildir\npath = ~/Mail/"));
    assert_eq!((place.server.count("RETR"), delivered(&place.sandbox)), (5, 5));
    assert_eq!(std::fs::read(state).unwrap().iter().filter(|octet| **octet == b'\n').count(), ALL as usize);
    place.moves_in("getmail", "me");
    assert_eq!(place.server.count("DELE"), 0);
    // What is due now is what getmail would have deleted.
    let config = place.sandbox.path(".config/popfetch/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    place.sandbox.config(text.replace("leave-on-server = true", "leave-on-server = { days = 21 }"));
    let retrieved = place.server.count("RETR");
    place.sandbox.run(["me"]).succeeds();
    assert_eq!((place.server.count("DELE"), place.server.count("RETR") - retrieved), (40, 0));
    let left = place.server.unique_ids("me");
    assert!((200..240).all(|n| !left.contains(&unique_id(n))) && left.len() == ALL as usize + 2 - 40);
}

#[test]
fn mpop_left_thirty_thousand_messages_and_none_comes_again() {
    let Some(mpop) = installed("mpop") else { return };
    let place = Place::new();
    let rc = |lines: &str| {
        format!(
            "defaults\nkeep on\naccount mine\nhost 127.0.0.1\nport {}\nuser me\npassword secret\nauth user\n\
             delivery maildir ~/Mail\n{lines}",
            place.port()
        )
    };
    // mpop(1): with killsize 0 and keep, all messages count as retrieved, and none is.
    place.sandbox.write(".mpoprc", rc("killsize 0\n"));
    place.server.replace("me", maildrop(1, ALL - FRESH));
    place.run(&mpop, &["-Q", "mine"]);
    assert_eq!(place.server.count("RETR"), 0);
    place.server.add("me", maildrop(ALL - FRESH + 1, ALL));
    place.sandbox.write(".mpoprc", rc(""));
    place.run(&mpop, &["-Q", "mine"]);
    assert_eq!((place.server.count("RETR"), delivered(&place.sandbox)), (FRESH as usize, FRESH as usize));
    place.moves_in("mpop", "mine");
}

#[test]
fn fdm_left_thirty_thousand_messages_and_none_comes_again() {
    let Some(fdm) = installed("fdm") else { return };
    let place = Place::new();
    let old: String = (1..=ALL - FRESH).map(unique_id).map(|id| format!("{} {id}\n", id.len())).collect();
    place.sandbox.write("cache", old);
    let file = place.sandbox.write(
        ".fdm.conf",
        format!(
            "set lock-file \"{}\"\naction \"in\" maildir \"{}\"\nmatch all action \"in\"\n\
             account \"mine\" pop3 server \"127.0.0.1\" port {} user \"me\" pass \"secret\" new-only cache \"{}\" no-apop keep\n",
            place.sandbox.path("lock").display(),
            place.sandbox.path("Mail").display(),
            place.port(),
            place.sandbox.path("cache").display(),
        ),
    );
    place.run(&fdm, &["-f", file.to_str().unwrap(), "-q", "fetch"]);
    assert_eq!((place.server.count("RETR"), delivered(&place.sandbox)), (FRESH as usize, FRESH as usize));
    place.moves_in("fdm", "mine");
}

/// The files that other tests read are such as the programs accept.
#[test]
fn the_programs_accept_the_files_that_the_tests_read() {
    let sandbox = Sandbox::new();
    mailboxes::create_maildir(&sandbox.path("Mail"));
    mailboxes::create_maildir(&sandbox.path("Mail/in"));
    sandbox.write("mbox", "");
    sandbox.script("bin/pass", "echo secret");
    for name in ["fetchmailrc", "mpoprc", "fdm.conf", "more.conf", "getmailrc"] {
        sandbox.write(name, std::fs::read(format!("tests/fixtures/import/{name}")).unwrap());
    }
    sandbox.write("getmail/getmailrc", std::fs::read("tests/fixtures/import/getmailrc").unwrap());
    let checks: [(&str, &[&str]); 4] = [
        ("fetchmail", &["-f", "fetchmailrc", "--configdump"]),
        ("getmail", &["-g", "getmail", "--dump"]),
        ("mpop", &["-C", "mpoprc", "--pretend", "two"]),
        ("fdm", &["-f", "fdm.conf", "-nv"]),
    ];
    for (program, args) in checks {
        let Some(path) = installed(program) else { continue };
        let search = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
        let mut command = Command::new(path);
        command.args(args).env_clear().env("HOME", sandbox.home()).env("PATH", search).env("USER", "me");
        let output = command.current_dir(sandbox.home()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        // fdm has no option for that alone: it goes on until it has nothing to do.
        let is_read = output.status.success() || shown.contains("configuration loaded");
        assert!(is_read, "{program}: {shown:.1000}");
    }
}
