//! A throw-away Dovecot (Debian's `dovecot-pop3d`, 2.3): its own folder, free ports on loopback, its own users and
//! certificate.  Runs as root, when its processes then become the package's users, and as anybody else, when they all
//! stay what they are.
//!
//! ```ignore
//! let Some(dovecot) = Dovecot::start(&[("me", "secret")]) else { return };
//! dovecot.put("me", &mail::message(1, 1000));
//! sandbox.run(["--port", &dovecot.pop3s_port.to_string(), "--ca-file", …]);
//! assert!(dovecot.messages("me").is_empty());
//! ```

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getgid, getuid, kill_process};

use super::certificates::{Authority, Certified, Leaf};
use super::installed;
use super::mailboxes::{Maildir, create_maildir};

/// The user whose mail it is when the test is root's: Dovecot refuses to serve root's mail.
const MAIL_USER: &str = "nobody";

/// A running Dovecot, ended when dropped.
pub struct Dovecot {
    folder: tempfile::TempDir,
    master: Child,
    /// Clear, or STLS.
    pub pop3_port: u16,
    /// Implicit TLS.
    pub pop3s_port: u16,
    /// Signed [`Dovecot::certified`]; its certificate is in [`Dovecot::ca_file`].
    pub authority: Authority,
    pub certified: Certified,
}

impl Dovecot {
    /// Serves these users with their passwords; `None`, and a word on stderr, where there's no Dovecot.
    pub fn start(users: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(users, "")
    }

    /// The same, with more lines of configuration.  `{folder}` in them is Dovecot's own folder.
    ///
    /// # Panics
    /// When it doesn't start: with its log.
    pub fn start_with(users: &[(&str, &str)], more: &str) -> Option<Self> {
        let program = installed("dovecot")?;
        // Somebody may take a free port before Dovecot does.
        for _ in 0..5 {
            if let Some(started) = Self::launch(&program, users, more) {
                return Some(started);
            }
        }
        panic!("no two ports stay free");
    }

    fn launch(program: &Path, users: &[(&str, &str)], more: &str) -> Option<Self> {
        // Short, as the paths of sockets must be.
        let folder = tempfile::Builder::new().prefix("dovecot-").tempdir_in("/tmp").unwrap();
        let path = folder.path();
        // Its processes run as other users when we are root.
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::new();
        let certified = authority.issue(&Leaf::default());
        authority.write(&path.join("ca.pem"));
        fs::write(path.join("certificate.pem"), &certified.certificate).unwrap();
        fs::write(path.join("key.pem"), &certified.key).unwrap();
        let owner = Owner::of_mail();
        let mut passwords = String::new();
        for (user, password) in users {
            let maildir = path.join("mail").join(user);
            create_maildir(&maildir);
            owner.own(&maildir);
            let Owner { uid, gid } = owner;
            passwords.push_str(&format!("{user}:{{PLAIN}}{password}:{uid}:{gid}::{}::\n", maildir.display()));
        }
        fs::write(path.join("users"), passwords).unwrap();

        let [pop3_port, pop3s_port] = free_ports();
        let configuration = configuration(path, pop3_port, pop3s_port, more);
        let file = path.join("dovecot.conf");
        fs::write(&file, &configuration).unwrap();
        let log = fs::File::create(path.join("output")).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-F")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let master = command.spawn().unwrap();
        let mut dovecot = Self { folder, master, pop3_port, pop3s_port, authority, certified };
        match dovecot.wait_until_ready() {
            Ok(()) => Some(dovecot),
            Err(why) if why.contains("Address already in use") => None,
            Err(why) => panic!("Dovecot doesn't start: {why}\n{configuration}"),
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.pop3_port)) {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut greeting = [0; 3];
                if stream.read_exact(&mut greeting).is_ok() && &greeting == b"+OK" {
                    return Ok(());
                }
            }
            let ended = self.master.try_wait().unwrap().map(|status| format!("{status}\n{}", self.log()));
            match ended {
                Some(why) => return Err(why),
                None if began.elapsed() > Duration::from_secs(20) => return Err(self.log()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// The authority's certificate, for `ca-file`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A user's Maildir.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.folder.path().join("mail").join(user)
    }

    /// Delivers a message, with CRLF line ends, to a user.  Messages are listed in the order of delivery.
    pub fn put(&self, user: &str, octets: &[u8]) {
        static DELIVERED: AtomicU64 = AtomicU64::new(0);
        let number = DELIVERED.fetch_add(1, Ordering::SeqCst);
        let maildir = self.maildir(user);
        // Dovecot orders new messages by the time in their names.
        let name = format!("{}.M{number:06}.test", 1_700_000_000 + number);
        let staged = maildir.join("tmp").join(&name);
        // It sends LF as CRLF, and ends the last line.
        fs::write(&staged, octets).unwrap();
        Owner::of_mail().own(&staged);
        fs::rename(&staged, maildir.join("new").join(&name)).unwrap();
    }

    /// The messages that a user still has there, sorted.
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        Maildir::read(&self.maildir(user)).messages()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        ["log", "output"]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Waits until its log holds `text` this many times: sessions end a moment after their client.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let began = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "no {text:?} in Dovecot's log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let began = Instant::now();
        while matches!(self.master.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(5) {
                let _ = self.master.kill();
                let _ = self.master.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn configuration(path: &Path, pop3_port: u16, pop3s_port: u16, more: &str) -> String {
    let folder = path.display();
    let more = more.replace("{folder}", &folder.to_string());
    // Who isn't root can neither change users nor roots.
    let users = match getuid().is_root() {
        true => String::new(),
        false => {
            let (user, group) = (name("-un"), name("-gn"));
            format!(
                "default_login_user = {user}\ndefault_internal_user = {user}\ndefault_internal_group = {group}\n\
                 service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
            )
        }
    };
    let chroot = if getuid().is_root() { "" } else { "  chroot =\n" };
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\n{users}\
         protocols = pop3\nlisten = 127.0.0.1\nmail_location = maildir:~/\nfirst_valid_uid = 1\n\
         disable_plaintext_auth = no\nauth_failure_delay = 0\nmail_max_userip_connections = 100\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
         auth_mechanisms = plain login apop cram-md5 digest-md5 scram-sha-1 scram-sha-256\n\
         passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%u {folder}/users\n}}\n\
         userdb {{\n  driver = passwd-file\n  args = username_format=%u {folder}/users\n}}\n\
         ssl = yes\nssl_cert = <{folder}/certificate.pem\nssl_key = <{folder}/key.pem\nssl_dh =\n\
         service pop3-login {{\n{chroot}  inet_listener pop3 {{\n    port = {pop3_port}\n  }}\n\
         \x20 inet_listener pop3s {{\n    port = {pop3s_port}\n    ssl = yes\n  }}\n}}\n{more}\n"
    )
}

/// Who owns the mail.
#[derive(Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    fn of_mail() -> Self {
        // Asked for each message that is put there.
        static OWNER: OnceLock<Owner> = OnceLock::new();
        *OWNER.get_or_init(|| {
            if getuid().is_root() {
                let number = |option| id(&[option, MAIL_USER]).parse().unwrap();
                Self { uid: number("-u"), gid: number("-g") }
            } else {
                Self { uid: getuid().as_raw(), gid: getgid().as_raw() }
            }
        })
    }

    /// Gives a file, or a folder and what is in it, to this owner.
    fn own(self, path: &Path) {
        if path.metadata().unwrap().uid() != self.uid {
            chown(path, Some(self.uid), Some(self.gid)).unwrap();
        }
        for entry in fs::read_dir(path).into_iter().flatten() {
            self.own(&entry.unwrap().path());
        }
    }
}

fn name(option: &str) -> String {
    id(&[option])
}

fn id(args: &[&str]) -> String {
    let output = Command::new("id").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn free_ports() -> [u16; 2] {
    // Both are held until both are known, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[cfg(test)]
mod tests {
    use super::Dovecot;
    use crate::support::mail;
    use std::io::{BufRead as _, BufReader, Read, Write};
    use std::net::TcpStream;

    fn dialogue(stream: impl Read + Write, lines: &[&str]) -> Vec<String> {
        let mut stream = BufReader::new(stream);
        let mut answers = Vec::new();
        let mut answer = |stream: &mut BufReader<_>| {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            answers.push(line);
        };
        answer(&mut stream);
        for line in lines {
            write!(stream.get_mut(), "{line}\r\n").unwrap();
            answer(&mut stream);
        }
        answers
    }

    #[test]
    fn it_serves_mail_in_clear_and_over_tls() {
        let Some(dovecot) = Dovecot::start(&[("joe", "secret")]) else { return };
        for number in 0..3 {
            dovecot.put("joe", &mail::message(number, 1_000));
        }
        let clear = TcpStream::connect(("127.0.0.1", dovecot.pop3_port)).unwrap();
        let answers = dialogue(clear, &["USER joe", "PASS secret", "STAT", "LIST 2", "DELE 2", "QUIT"]);
        assert_eq!(answers[3..5], ["+OK 3 3000\r\n", "+OK 2 1000\r\n"], "{answers:?}\n{}", dovecot.log());

        let root = native_tls::Certificate::from_pem(dovecot.authority.pem().as_bytes()).unwrap();
        let connector = native_tls::TlsConnector::builder().add_root_certificate(root).build().unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", dovecot.pop3s_port)).unwrap();
        let tls = connector.connect("localhost", tcp).unwrap();
        let answers = dialogue(tls, &["USER joe", "PASS wrong", "USER joe", "PASS secret", "STAT", "QUIT"]);
        assert!(answers[2].starts_with("-ERR [AUTH]"), "{answers:?}");
        assert_eq!(answers[5], "+OK 2 2000\r\n", "{answers:?}\n{}", dovecot.log());

        // RFC 1939 §7's timestamp for APOP, and an empty challenge from each mechanism that begins with one.
        let clear = TcpStream::connect(("127.0.0.1", dovecot.pop3_port)).unwrap();
        let answers =
            dialogue(clear, &["AUTH PLAIN", "*", "AUTH SCRAM-SHA-1", "*", "AUTH SCRAM-SHA-256", "*", "QUIT"]);
        assert!(answers[0].contains('<'), "{answers:?}");
        assert_eq!([&answers[1], &answers[3], &answers[5]], ["+ \r\n"; 3], "{answers:?}");
        dovecot.wait_for_log("Disconnected: Logged out", 2);
        crate::support::mailboxes::assert_same(
            dovecot.messages("joe"),
            [0, 2].map(|number| mail::message(number, 1_000)).to_vec(),
        );
    }
}
