//! The servers: how each is started, filled and looked into.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::front::Front;
use crate::support::mail::stored;
use crate::support::mailboxes::create_maildir;
use crate::support::{installed, skip};

pub(super) const USER: &str = "joe";
pub(super) const PASSWORD: &str = "secret";

/// A server that runs, with one user.
pub(super) trait Real {
    fn name(&self) -> &'static str;
    fn port(&self) -> u16;
    /// Adds a message, with CRLF line ends, behind the others.
    fn put(&self, octets: &[u8]);
    /// How many messages are left there, once all sessions have ended.
    fn left(&self) -> usize;
    /// Waits for the end of all sessions.
    fn settle(&self);
    /// A delivered message without what the server adds to each.
    fn without_additions(&self, octets: Vec<u8>) -> Vec<u8> {
        octets
    }
}

/// A file of a Debian package, unpacked by `tests/run` (these packages shut each other out), or installed.
pub(crate) fn packaged(package: &str, file: &str) -> Option<PathBuf> {
    let unpacked = servers().join(package).join(file);
    if unpacked.is_file() { Some(unpacked) } else { installed(&format!("/{file}")) }
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers")
}

/// `users.c`, compiled.
fn users() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<tempfile::TempDir>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let compiler = installed("cc")?;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("users.c"), include_str!("users.c")).unwrap();
        let status = Command::new(compiler)
            .args(["-shared", "-fPIC", "-o", "users.so", "users.c", "-ldl"])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(status.success());
        Some(folder)
    });
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let folder = folder.as_ref()?;
    Some(PATH.get_or_init(|| folder.path().join("users.so")))
}

/// A command with nothing inherited, that believes in one user, whose mail is in `mail`.
fn as_user(program: &Path, users: &Path, mail: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LD_PRELOAD", users).env("POP_MAIL", mail);
    command.env("POP_USER", USER).env("POP_PASSWORD", PASSWORD);
    command
}

fn next() -> u64 {
    static PUT: AtomicU64 = AtomicU64::new(1);
    PUT.fetch_add(1, SeqCst)
}

/// Courier's `courierpop3d` behind a login of ours.
pub(super) struct Courier {
    folder: tempfile::TempDir,
    front: Front,
}

impl Courier {
    pub(super) fn start() -> Option<Self> {
        Self::start_with(0)
    }

    /// Each message is removed only after a pause of this many milliseconds.
    pub(super) fn start_with(linger: u64) -> Option<Self> {
        let program = packaged("courier-pop", "usr/lib/courier/courier/courierpop3d")?;
        let users = users()?;
        let folder = tempfile::tempdir().unwrap();
        create_maildir(folder.path());
        let mail = folder.path().to_owned();
        let front = Front::start(move |stream| {
            let utf8 = login(stream)?;
            let mut command = as_user(&program, users, &mail);
            command.current_dir(&mail).arg(".").env("HOME", &mail).env("AUTHENTICATED", USER);
            command.env("TCPREMOTEIP", "127.0.0.1").env("UTF8", if utf8 { "1" } else { "0" });
            // Not named for its users: it only waits.
            command.env("POP_LINGER", linger.to_string());
            Some(command)
        });
        Some(Self { folder, front })
    }
}

/// What `courierpop3login` sends, which drops what came in the same packet behind PASS.  Whether UTF8 was asked for;
/// `None` when nobody logged in.
fn login(stream: &mut TcpStream) -> Option<bool> {
    let mut utf8 = false;
    let say = |stream: &mut TcpStream, line: &str| stream.write_all(line.as_bytes()).ok();
    say(stream, "+OK Hello there.\r\n")?;
    let mut pending = Vec::new();
    loop {
        let Some(end) = pending.iter().position(|octet| *octet == b'\n') else {
            let mut packet = [0; 4096];
            match stream.read(&mut packet) {
                Ok(read @ 1..) => pending.extend(&packet[..read]),
                _ => return None,
            }
            continue;
        };
        let line: Vec<u8> = pending.drain(..=end).collect();
        let line = String::from_utf8(line).unwrap();
        let (command, argument) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match command {
            "CAPA" => say(
                stream,
                "+OK Here's what I can do:\r\nTOP\r\nUSER\r\nPIPELINING\r\nUIDL\r\nUTF8 USER\r\n\
                 IMPLEMENTATION Courier Mail Server\r\n.\r\n",
            )?,
            "UTF8" => {
                utf8 = true;
                say(stream, "+OK UTF8 enabled\r\n")?;
            }
            "USER" => say(stream, "+OK Password required.\r\n")?,
            // courierpop3d reports that it worked.
            "PASS" if argument == PASSWORD => return Some(utf8),
            "PASS" => say(stream, "-ERR Login failed.\r\n")?,
            "QUIT" => {
                say(stream, "+OK Better luck next time.\r\n");
                return None;
            }
            _ => say(stream, "-ERR Invalid command.\r\n")?,
        }
    }
}

impl Real for Courier {
    fn name(&self) -> &'static str {
        "Courier"
    }

    fn port(&self) -> u16 {
        self.front.port()
    }

    fn put(&self, octets: &[u8]) {
        let name = format!("{}.M{:06}.test", 1_700_000_000 + next(), 0);
        let staged = self.folder.path().join("tmp").join(&name);
        fs::write(&staged, stored(octets)).unwrap();
        fs::rename(staged, self.folder.path().join("new").join(name)).unwrap();
    }

    fn left(&self) -> usize {
        self.settle();
        let count = |folder| fs::read_dir(self.folder.path().join(folder)).unwrap().count();
        count("new") + count("cur")
    }

    fn settle(&self) {
        self.front.settle();
    }
}

/// A server with an mbox, started for each connection: GNU mailutils' `pop3d`, or popa3d.
pub(super) struct OfMbox {
    name: &'static str,
    folder: tempfile::TempDir,
    front: Front,
}

impl OfMbox {
    pub(super) fn mailutils() -> Option<Self> {
        let program = packaged("mailutils-pop3d", "usr/sbin/pop3d")?;
        let configuration = |mail: &Path| {
            format!(
                "mailbox {{\n  mail-spool \"{}\";\n  mailbox-type mbox;\n}}\nlogging {{\n  syslog no;\n}}\n\
                 auth {{\n  authentication \"pam\";\n  authorization \"system\";\n}}\n",
                mail.display()
            )
        };
        Self::start("mailutils", program, Some(&configuration))
    }

    pub(super) fn popa3d() -> Option<Self> {
        Self::start("popa3d", packaged("popa3d", "usr/sbin/popa3d")?, None)
    }

    fn start(
        name: &'static str,
        program: PathBuf,
        configuration: Option<&dyn Fn(&Path) -> String>,
    ) -> Option<Self> {
        let users = users()?;
        let folder = tempfile::tempdir().unwrap();
        let mail = folder.path().join("mail");
        fs::create_dir(&mail).unwrap();
        fs::write(mail.join(USER), "").unwrap();
        let file = configuration.map(|text| {
            let file = folder.path().join("configuration");
            fs::write(&file, text(&mail)).unwrap();
            file
        });
        let front = Front::start(move |_| {
            let mut command = as_user(&program, users, &mail);
            if let Some(file) = &file {
                command.arg("--inetd").arg("--config-file").arg(file);
            }
            Some(command)
        });
        Some(Self { name, folder, front })
    }

    fn mbox(&self) -> PathBuf {
        self.folder.path().join("mail").join(USER)
    }
}

impl Real for OfMbox {
    fn name(&self) -> &'static str {
        self.name
    }

    fn port(&self) -> u16 {
        self.front.port()
    }

    fn put(&self, octets: &[u8]) {
        self.settle();
        let entry = [b"From ada@example.org Thu Jan  1 00:00:00 1970\n", &stored(octets)[..], b"\n"].concat();
        fs::OpenOptions::new().append(true).open(self.mbox()).unwrap().write_all(&entry).unwrap();
    }

    fn left(&self) -> usize {
        self.settle();
        let octets = fs::read(self.mbox()).unwrap_or_default();
        octets.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"From ")).count()
    }

    fn settle(&self) {
        self.front.settle();
    }

    /// mailutils writes fields of its own into the header when it opens an mbox.
    fn without_additions(&self, octets: Vec<u8>) -> Vec<u8> {
        let end = octets.windows(2).position(|pair| pair == b"\n\n").map_or(octets.len(), |at| at + 1);
        let (header, body) = octets.split_at(end);
        let added = |line: &&[u8]| {
            ["X-UIDL:", "X-UID:", "X-IMAPbase:", "Status:"]
                .iter()
                .any(|name| line.starts_with(name.as_bytes()))
        };
        let kept: Vec<&[u8]> =
            header.split_inclusive(|octet| *octet == b'\n').filter(|line| !added(line)).collect();
        [&kept.concat(), body].concat()
    }
}

/// WildDuck's POP3 class over a folder, in node.
pub(super) struct WildDuck {
    folder: tempfile::TempDir,
    node: Child,
    port: u16,
}

impl WildDuck {
    /// It comes from npm, by `tests/run`.
    pub(super) fn start() -> Option<Self> {
        let packages = servers().join("wildduck/node_modules");
        if !packages.join("wildduck/lib/pop3/server.js").is_file() {
            skip("WildDuck isn't unpacked (tests/run does it)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut node = Command::new(installed("node")?)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/wildduck.js"))
            .args([packages.as_path(), folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It warns of many listeners.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(node.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("WildDuck doesn't start: {line}"));
        Some(Self { folder, node, port })
    }
}

impl Real for WildDuck {
    fn name(&self) -> &'static str {
        "WildDuck"
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn put(&self, octets: &[u8]) {
        fs::write(self.folder.path().join(format!("{:08}", next())), octets).unwrap();
    }

    fn left(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }

    // It removes messages before it answers QUIT.
    fn settle(&self) {}
}

impl Drop for WildDuck {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
