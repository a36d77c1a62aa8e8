//! popfetch, the bare client, and the peers: how each is made to do the same job.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::measure::Invocation;

pub const PASSWORD: &str = "secret";
/// The first argument with which this program calls itself to be the bare client.
pub const BARE: &str = "--bare";
/// The binary of [`Program::Earlier`], when one was named.
pub static EARLIER: OnceLock<PathBuf> = OnceLock::new();

/// Where copies of the binaries stand.
static COPIES: OnceLock<PathBuf> = OnceLock::new();

/// Copies this build of popfetch and the earlier one into a folder, from which they are run.  A program that a linker
/// has written takes up to a sixth longer to start than its copy, whose pages lie together in memory.
pub fn copy_into(folder: &Path) {
    let this = Some(PathBuf::from(env!("CARGO_BIN_EXE_popfetch")));
    for (program, binary) in [(Program::Popfetch, this), (Program::Earlier, EARLIER.get().cloned())] {
        if let Some(binary) = binary {
            std::fs::copy(binary, folder.join(program.name())).unwrap();
        }
    }
    COPIES.set(folder.to_owned()).unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Bare,
    Popfetch,
    /// Another build of popfetch, to compare with this one.
    Earlier,
    Mpop,
    Fdm,
    Fetchmail,
    Getmail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    Maildir,
    Mbox,
    /// procmail, into a Maildir; `parallel` at once where the program can.
    Procmail {
        parallel: u32,
    },
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Job {
    pub port: u16,
    /// The authority's certificate: TLS from the first octet.
    pub tls: Option<PathBuf>,
    /// Everyone has a maildrop of his own.
    pub users: Vec<String>,
    /// Messages stay on the server.
    pub keep: bool,
    pub into: Destination,
    /// popfetch's `listing`, `pipelining`, and other settings to be tried.
    pub settings: &'static str,
}

impl Job {
    pub fn new(port: u16) -> Self {
        Self {
            port,
            tls: None,
            users: vec!["me".into()],
            keep: false,
            into: Destination::Maildir,
            settings: "",
        }
    }
}

impl Program {
    pub const ALL: [Self; 7] =
        [Self::Bare, Self::Popfetch, Self::Earlier, Self::Mpop, Self::Fdm, Self::Fetchmail, Self::Getmail];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare client",
            Self::Popfetch => "popfetch",
            Self::Earlier => "earlier popfetch",
            Self::Mpop => "mpop",
            Self::Fdm => "fdm",
            Self::Fetchmail => "fetchmail",
            Self::Getmail => "getmail",
        }
    }

    /// Whether it is on this machine.
    pub fn installed(self) -> bool {
        let found = |name: &str| {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .any(|folder| folder.join(name).is_file())
        };
        match self {
            Self::Bare | Self::Popfetch => true,
            Self::Earlier => EARLIER.get().is_some(),
            Self::Fetchmail => found("fetchmail") && found("procmail"),
            _ => found(self.name()),
        }
    }

    /// Whether it is popfetch, of this build or an earlier one.
    pub fn is_popfetch(self) -> bool {
        matches!(self, Self::Popfetch | Self::Earlier)
    }

    /// Whether a row that is for these alone has it: where this build runs, an earlier one does.
    pub fn is_in(self, only: &[Self]) -> bool {
        only.contains(&if self == Self::Earlier { Self::Popfetch } else { self })
    }

    /// Whether it can do this at all.
    pub fn can(self, job: &Job) -> bool {
        match self {
            Self::Bare => job.users.len() == 1 && !matches!(job.into, Destination::Procmail { .. }),
            Self::Popfetch | Self::Earlier => true,
            Self::Mpop | Self::Fdm => !matches!(job.into, Destination::Procmail { parallel: 2.. }),
            // It delivers by procmail whatever is asked.
            Self::Fetchmail => !matches!(job.into, Destination::Procmail { parallel: 2.. }),
            Self::Getmail => !matches!(job.into, Destination::Procmail { .. }),
        }
    }

    /// Writes its configuration into `home`, and returns how it is called.
    pub fn prepare(self, home: &Path, job: &Job) -> Invocation {
        std::fs::create_dir_all(home).unwrap();
        let maildir = home.join("Maildir");
        if !self.is_popfetch() && self != Self::Bare {
            for directory in ["", "new", "cur", "tmp"] {
                std::fs::create_dir_all(maildir.join(directory)).unwrap();
                mode(&maildir.join(directory), 0o700);
            }
        }
        let procmailrc = home.join("procmailrc");
        let rules = format!(
            "DEFAULT={}/\n",
            home.join(if job.into == Destination::Mbox { "mbox.d" } else { "Maildir" }).display()
        );
        // procmail knows an mbox from a Maildir by the slash.
        let rules = if job.into == Destination::Mbox { rules.replace("mbox.d/", "mbox") } else { rules };
        write(&procmailrc, &rules);
        let words = match self {
            Self::Bare => self.bare(home, job),
            Self::Popfetch | Self::Earlier => popfetch(&COPIES.get().unwrap().join(self.name()), home, job),
            Self::Mpop => mpop(home, job),
            Self::Fdm => fdm(home, job),
            Self::Fetchmail => fetchmail(home, job),
            Self::Getmail => getmail(home, job),
        };
        let environment = match self {
            Self::Fetchmail => vec![("FETCHMAILHOME", home.into())],
            _ => Vec::new(),
        };
        let idle = if self == Self::Fetchmail { 1 } else { 0 };
        Invocation { words, home: home.to_owned(), idle, environment }
    }

    fn bare(self, home: &Path, job: &Job) -> Vec<OsString> {
        let (mode, path) = match job.into {
            _ if job.keep => ("list", "-"),
            Destination::Mbox => ("mbox", "mbox"),
            _ => ("maildir", "Maildir"),
        };
        let authority = job.tls.as_ref().map_or("-".into(), |path| path.clone().into_os_string());
        let this = std::env::current_exe().unwrap();
        let [port, user] = [job.port.to_string(), job.users[0].clone()];
        vec![
            this.into(),
            BARE.into(),
            mode.into(),
            port.into(),
            authority,
            user.into(),
            PASSWORD.into(),
            home.join(path).into(),
        ]
    }

    /// Makes it know these unique-ids of the first user, as if it had retrieved them.  (popfetch and the bare client
    /// are not helped: one does it on its own, the other one knows nothing.)
    pub fn know(self, home: &Path, job: &Job, unique_ids: &[String]) {
        let user = &job.users[0];
        let mut text = String::new();
        let file = match self {
            Self::Bare | Self::Popfetch | Self::Earlier => return,
            Self::Mpop => {
                writeln!(text, " {} 127.0.0.1 {user}", unique_ids.len()).unwrap();
                let mut sorted = unique_ids.to_vec();
                sorted.sort_unstable();
                sorted.iter().for_each(|id| writeln!(text, "{id}").unwrap());
                home.join(format!("uidls-{user}"))
            }
            Self::Fdm => {
                unique_ids.iter().for_each(|id| writeln!(text, "{} {id}", id.len()).unwrap());
                home.join(format!("cache/{user}"))
            }
            Self::Fetchmail => {
                unique_ids.iter().for_each(|id| writeln!(text, "{user}@127.0.0.1 {id}").unwrap());
                home.join("ids")
            }
            Self::Getmail => {
                unique_ids.iter().for_each(|id| writeln!(text, "{id}\01700000000").unwrap());
                home.join(format!("oldmail-127.0.0.1-{}-{user}", job.port))
            }
        };
        write(&file, &text);
        if self == Self::Fdm {
            // As the folder around it.
            mode(&file, 0o666);
        }
        if self == Self::Getmail {
            own(home, "nobody:nogroup");
        }
    }
}

fn popfetch(binary: &Path, home: &Path, job: &Job) -> Vec<OsString> {
    let (tls, authority) = match &job.tls {
        Some(path) => ("implicit", format!("ca-file = \"{}\"\n", path.display())),
        None => ("none", String::new()),
    };
    let many = job.users.len().max(4);
    let mut text = format!("[defaults]\nconnections = {many}\nconnections-per-server = {many}\n");
    for user in &job.users {
        let folder = if job.users.len() > 1 { format!("Maildir-{user}") } else { "Maildir".to_owned() };
        let path = |name: &str| home.join(name).display().to_string();
        let deliver = match job.into {
            Destination::Maildir => format!("maildir = \"{}\"", path(&folder)),
            Destination::Mbox => format!("mbox = \"{}\"", path("mbox")),
            Destination::Procmail { parallel } => {
                format!("pipe = [\"procmail\", \"-m\", \"{}\"], parallel = {parallel}", path("procmailrc"))
            }
        };
        write!(
            text,
            "[accounts.{user}]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\n{authority}user = \"{user}\"\n\
             password = \"{PASSWORD}\"\nleave-on-server = {}\ndeliver = {{ {deliver} }}\n{}\n",
            job.port, job.keep, job.settings
        )
        .unwrap();
    }
    write(&home.join("popfetch.toml"), &text);
    vec![binary.into(), "--config".into(), home.join("popfetch.toml").into()]
}

fn mpop(home: &Path, job: &Job) -> Vec<OsString> {
    let mut text = "defaults\nauth user\nreceived_header off\n".to_owned();
    if let Some(path) = &job.tls {
        write!(text, "tls on\ntls_starttls off\ntls_trust_file {}\n", path.display()).unwrap();
    }
    for user in &job.users {
        let deliver = match job.into {
            Destination::Maildir => format!("maildir {}", home.join("Maildir").display()),
            Destination::Mbox => format!("mbox {}", home.join("mbox").display()),
            Destination::Procmail { .. } => {
                format!("mda procmail -t -f '%F' -m {}", home.join("procmailrc").display())
            }
        };
        write!(
            text,
            "account {user}\nhost 127.0.0.1\nport {}\nuser {user}\npassword {PASSWORD}\nkeep {}\n\
             uidls_file {}\ndelivery {deliver}\n",
            job.port,
            if job.keep { "on" } else { "off" },
            home.join(format!("uidls-{user}")).display()
        )
        .unwrap();
    }
    write(&home.join("mpoprc"), &text);
    vec!["mpop".into(), "-C".into(), home.join("mpoprc").into(), "-q".into(), "-a".into()]
}

fn fdm(home: &Path, job: &Job) -> Vec<OsString> {
    let deliver = match job.into {
        Destination::Maildir => format!("maildir \"{}\"", home.join("Maildir").display()),
        Destination::Mbox => format!("mbox \"{}\"", home.join("mbox").display()),
        Destination::Procmail { .. } => format!("pipe \"procmail -m {}\"", home.join("procmailrc").display()),
    };
    let mut text = format!(
        "set default-user \"{}\"\nset maximum-size 1G\nset no-received\nset lock-file \"{}\"\n\
         action \"deliver\" {deliver}\n",
        if is_root() { "root".into() } else { std::env::var("USER").unwrap_or_default() },
        home.join("lock").display()
    );
    let cache = home.join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    // It reads mail as a user of its own.
    mode(&cache, 0o777);
    let kind = if job.tls.is_some() { "pop3s" } else { "pop3" };
    let check = if job.tls.is_some() { "no-verify" } else { "" };
    for user in &job.users {
        let known = match job.keep {
            true => format!("new-only cache \"{}\" keep", cache.join(user).display()),
            false => String::new(),
        };
        let (port, check) = (job.port, check);
        writeln!(
            text,
            "account \"{user}\" {kind} server \"127.0.0.1\" port {port} user \"{user}\" pass \"{PASSWORD}\" {known} {check}"
        )
        .unwrap();
    }
    text.push_str("match all action \"deliver\"\n");
    write(&home.join("fdm.conf"), &text);
    let mut words = vec!["fdm".into(), "-q".into(), "-f".into(), home.join("fdm.conf").into()];
    words.push("fetch".into());
    words
}

fn fetchmail(home: &Path, job: &Job) -> Vec<OsString> {
    let mut text = format!("set idfile \"{}\"\nset invisible\n", home.join("ids").display());
    let tls = match &job.tls {
        // It checks no address, and wants a common name beside the other names.
        Some(path) => format!("ssl sslcertfile \"{}\" sslcertck sslcommonname localhost", path.display()),
        None => "sslproto \"\"".to_owned(),
    };
    writeln!(text, "poll 127.0.0.1 protocol POP3 port {} auth password uidl", job.port).unwrap();
    for user in &job.users {
        writeln!(
            text,
            "username \"{user}\" password \"{PASSWORD}\" {tls} {} mda \"procmail -f %F -m {}\"",
            if job.keep { "keep" } else { "no keep" },
            home.join("procmailrc").display()
        )
        .unwrap();
    }
    write(&home.join("fetchmailrc"), &text);
    vec!["fetchmail".into(), "-s".into(), "--nosyslog".into(), "-f".into(), home.join("fetchmailrc").into()]
}

fn getmail(home: &Path, job: &Job) -> Vec<OsString> {
    let (kind, check) = match &job.tls {
        Some(path) => ("SimplePOP3SSLRetriever", format!("ca_certs = {}\n", path.display())),
        None => ("SimplePOP3Retriever", String::new()),
    };
    let into = match job.into {
        Destination::Mbox => {
            write(&home.join("mbox"), "");
            format!("type = Mboxrd\npath = {}\n", home.join("mbox").display())
        }
        _ => format!("type = Maildir\npath = {}/\n", home.join("Maildir").display()),
    };
    let mut words: Vec<OsString> = Vec::new();
    if is_root() {
        // It doesn't deliver as root.
        words.extend(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"].map(OsString::from));
    }
    words.extend(["getmail".into(), format!("--getmaildir={}", home.display()).into()]);
    for user in &job.users {
        // The child that delivers may end before its end is waited for: it then fails, after this time-out.
        let text = format!(
            "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {}\nusername = {user}\npassword = {PASSWORD}\n\
             timeout = 20\n{check}\
             [destination]\n{into}[options]\ndelete = {}\nread_all = false\ndelivered_to = false\n\
             received = false\nverbose = 0\n",
            job.port, !job.keep
        );
        write(&home.join(format!("getmailrc-{user}")), &text);
        words.push(format!("--rcfile=getmailrc-{user}").into());
    }
    own(home, "nobody:nogroup");
    words
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own(path: &Path, owner: &str) {
    if is_root() {
        let status = std::process::Command::new("chown").arg("-R").arg(owner).arg(path).status();
        assert!(status.unwrap().success());
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    mode(path, 0o600);
}
