//! An account as another program has it, in words that all four share.

use std::path::PathBuf;

use super::ForeignProgram;
use super::error::SourceLine;
use crate::account::{Auth, Switch};
use crate::secret::Secret;

/// What a configuration file holds.
#[derive(Debug)]
pub(crate) struct ForeignFile {
    /// The accounts, in the order of the file; also those that popfetch cannot have.
    pub accounts: Vec<Foreign>,
    pub remarks: Vec<Remark>,
}

/// What has no counterpart, or means something else here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    /// Where it stands.
    pub place: SourceLine,
    /// What it is; one line, without any text of the file that may be a secret.
    pub what: String,
}

/// An account of another program.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub program: ForeignProgram,
    /// Where it begins.
    pub place: SourceLine,
    /// What it is called there; empty where the program gives no names.
    pub name: String,
    /// The server, as it is written.
    pub server: String,
    /// Its port, if that is written.
    pub port: Option<u16>,
    pub protection: Protection,
    /// How it is reached, where that is written.
    pub route: Option<ForeignRoute>,
    /// The address of this machine that connections come from.
    pub source_address: Option<String>,
    /// Certificate authorities.
    pub ca_file: Option<String>,
    /// SHA-256 digests of certificates, as they are written.
    pub fingerprints: Vec<String>,
    /// What the client shows.
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    /// The user's name at the server.
    pub user: Option<String>,
    /// How to log in, if a way is named.
    pub auth: Option<Auth>,
    pub password: Password,
    pub stays: Stays,
    /// Where mail goes; empty where popfetch cannot deliver there.
    pub deliver: Vec<ForeignTarget>,
    /// Larger messages stay on the server.
    pub max_message_size: Option<u64>,
    /// Messages of one run at most.
    pub max_messages: Option<u64>,
    /// Octets of one run at most.
    pub max_bytes: Option<u64>,
    /// Seconds of silence.
    pub timeout: Option<u64>,
    /// Whether a Received line is asked for explicitly.
    pub received_header: bool,
    /// Whether commands are pipelined, if that is written.
    pub pipelining: Option<Switch>,
    /// A line for the shell, before each run.
    pub before_run: Option<String>,
    pub remarks: Vec<Remark>,
    /// Why it is not taken over; it then is a comment in what is printed.
    pub left_out: Option<String>,
    /// Whether it is an account of another protocol, of which popfetch has no settings.
    pub is_other_protocol: bool,
    /// Where the program remembers what it has retrieved: the first of these that exists counts.
    pub state: Vec<StateFile>,
    /// Whether what it remembers was delivered, so that a policy may delete it; else it was only seen.
    pub delivered: bool,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// By TLS from the start.
    Implicit,
    /// By STLS.
    StartTls,
    /// By STLS, should the server have it.
    Perhaps,
    None,
}

/// A way to the server, as a setting of popfetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForeignRoute {
    /// By this proxy, whose URL has no password.
    Proxy(String),
    /// By a program and its arguments, with `{host}` and `{port}`.
    Command(Vec<String>),
    /// By this Unix socket.
    Socket(String),
}

#[derive(Debug, Clone)]
pub(crate) enum Password {
    /// In the configuration.
    Text(Secret, SourceLine),
    /// A line for the shell prints it.
    Shell(String),
    /// A program prints it.
    Argv(Vec<String>),
    /// In the first line of a file.
    File(String),
    /// In a netrc file, `~/.netrc` where none is named.
    Netrc(Option<String>),
    /// In a key ring, or it is asked for.
    Unknown,
    /// None is needed.
    NotNeeded,
}

/// What stays on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Everything.
    All,
    Nothing,
    /// What is younger, and what is smaller.
    Limits {
        /// Days after delivery.
        days: Option<u32>,
        /// Octets.
        larger_than: Option<u64>,
    },
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForeignTarget {
    /// A Maildir, as a setting of popfetch.
    Maildir(String),
    Mbox(String),
    /// A line for the shell.
    Shell(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

/// A file in which a program remembers what it has retrieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateFile {
    pub path: PathBuf,
    pub lines: StateLines,
}

/// Which lines of a state file are about the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateLines {
    /// fetchmail's: those of this user at one of these hosts, in any case.
    Fetchmail {
        /// The user at the server.
        user: String,
        /// The server's names in the configuration.
        hosts: Vec<String>,
    },
    /// getmail's: all.
    Getmail,
    /// mpop's: those below this heading.
    Mpop {
        /// The user at the server.
        user: String,
        host: String,
    },
    /// fdm's: all.
    Fdm,
}

impl Foreign {
    /// An account of which nothing is known but where it stands.
    pub(super) fn new(program: ForeignProgram, place: SourceLine) -> Self {
        Self {
            program,
            place,
            name: String::new(),
            server: String::new(),
            port: None,
            protection: Protection::None,
            route: None,
            source_address: None,
            ca_file: None,
            fingerprints: Vec::new(),
            client_certificate: None,
            client_key: None,
            user: None,
            auth: None,
            password: Password::Unknown,
            stays: Stays::All,
            deliver: Vec::new(),
            max_message_size: None,
            max_messages: None,
            max_bytes: None,
            timeout: None,
            received_header: false,
            pipelining: None,
            before_run: None,
            remarks: Vec::new(),
            left_out: None,
            is_other_protocol: false,
            state: Vec::new(),
            delivered: true,
        }
    }

    /// Notes what is lost at this line of the account's file.
    pub(super) fn remark(&mut self, line: usize, what: impl Into<String>) {
        let place = SourceLine { file: self.place.file.clone(), line };
        self.remarks.push(Remark { place, what: what.into() });
    }

    /// Leaves it out, for the first reason that is found.
    pub(super) fn leave_out(&mut self, why: impl Into<String>) {
        self.left_out.get_or_insert_with(|| why.into());
    }

    /// Leaves it out: popfetch speaks POP3.
    pub(super) fn is_not_pop3(&mut self) {
        self.leave_out("it is not POP3");
        self.is_other_protocol = true;
    }

    /// Takes a password over, unless no login could carry it.
    pub(super) fn take_password(&mut self, text: &str, place: SourceLine) {
        if text.contains('\u{fffd}') || crate::account::check_one_line(text.as_bytes()).is_err() {
            self.remarks.push(Remark {
                place,
                what: "the password is not UTF-8, or holds a line end: set it by hand".to_owned(),
            });
        } else {
            self.password = Password::Text(Secret::new(text), place);
        }
    }

    /// Whether the server is this machine, so that nobody else can hear what is sent to it.
    pub(super) fn is_local(&self) -> bool {
        match self.route {
            Some(ForeignRoute::Socket(_)) => return true,
            // Its name is looked up somewhere else.
            Some(ForeignRoute::Proxy(_) | ForeignRoute::Command(_)) => return false,
            None => {}
        }
        let address = self.server.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        self.server.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// What every account must have, and what none can have.
    pub(super) fn check(&mut self) {
        if self.server.is_empty() {
            self.leave_out("it names no server");
        }
        if self.user.as_deref().is_none_or(str::is_empty) {
            self.leave_out("it names no user: add user = \"…\"");
        }
        let lossy = |text: &String| text.contains('\u{fffd}');
        if lossy(&self.server) || self.user.as_ref().is_some_and(lossy) {
            self.leave_out("its server or user is not UTF-8");
        }
        if self.deliver.is_empty() {
            self.leave_out("popfetch cannot deliver there: write it with another deliver, and import again");
        }
    }
}
