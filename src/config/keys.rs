//! Every key of the configuration: its name, values, default and meaning.  The manual's section 5, the flags of the
//! command line and the near misses in errors come from here; a test compares it with what `file.rs` reads.

/// A key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Whether it stands in `[defaults]` and nowhere else.
    pub in_defaults_only: bool,
    /// Whether the command line has a flag of this name, whose value is text of the same form.
    pub is_flag: bool,
    /// What it may be: literal words in lower case, kinds in upper case, separated by `|`.
    pub values: &'static str,
    /// What holds without it; empty when it has to be given, or when its absence is its default.
    pub default: &'static str,
    /// What it means, in whole sentences.
    pub text: &'static str,
}

const fn key(name: &'static str, values: &'static str, default: &'static str, text: &'static str) -> Key {
    Key { name, in_defaults_only: false, is_flag: true, values, default, text }
}

const fn not_a_flag(key: Key) -> Key {
    Key { is_flag: false, ..key }
}

const fn in_defaults_only(key: Key) -> Key {
    Key { in_defaults_only: true, is_flag: false, ..key }
}

/// The keys of `[defaults]` and `[accounts.NAME]`.
pub const KEYS: &[Key] = &[
    key("server", "HOST", "", "The POP3 server's name or address."),
    key("port", "NUMBER", "995 with implicit TLS, else 110", "The server's TCP port."),
    key(
        "tls",
        "implicit|starttls|none",
        "implicit",
        "How the line is protected: TLS from the start, the STLS command (required: without it there is no login), or \
         nothing.",
    ),
    key("ca-file", "FILE", "", "Certificate authorities (PEM) that are trusted besides the system's."),
    key(
        "tls-fingerprint",
        "FINGERPRINT|LIST",
        "",
        "The server's certificate, as \"sha256:\" and 64 hexadecimal digits (colons between them are allowed) of its \
         DER form; or a list of such.  Replaces the checks of chain, dates and name.",
    ),
    key(
        "tls-client-certificate",
        "FILE",
        "",
        "A certificate chain (PEM) to show to the server; needs tls-client-key.",
    ),
    key("tls-client-key", "FILE", "", "The key (PEM, PKCS#8) of tls-client-certificate."),
    key("user", "TEXT", "", "The user's name at the server."),
    key(
        "auth",
        "auto|user-pass|apop|plain|login|cram-md5|scram-sha-1|scram-sha-256|xoauth2|oauthbearer|external",
        "auto",
        "How to log in.  auto takes the strongest mechanism offered that keeps a password safe.  For xoauth2 and \
         oauthbearer the password is a token; external shows the client certificate and needs no password.",
    ),
    not_a_flag(key(
        "password",
        "TEXT",
        "",
        "The password.  A file that holds one must be readable by its owner only.  Without any source of a password \
         it is asked for at the terminal.",
    )),
    key(
        "password-command",
        "COMMAND|LIST",
        "",
        "A program whose first line of output is the password: a line for sh -c, or a list that is executed as it is.",
    ),
    key("password-file", "FILE", "", "A file whose first line is the password; readable by its owner only."),
    key(
        "netrc",
        "true|FILE",
        "",
        "Look the password up in ~/.netrc or the file named, by server and user; readable by its owner only.",
    ),
    key(
        "credential",
        "NAME",
        "",
        "A file in $CREDENTIALS_DIRECTORY (systemd's LoadCredential) with the password.",
    ),
    key(
        "leave-on-server",
        "true|false|TABLE",
        "true",
        "What stays on the server: everything; nothing that is durably delivered; or what no limit of the table \
         names (days, newest, total-size, larger-than).",
    ),
    not_a_flag(key("deliver", "TABLE|LIST", "", "Where messages go: one destination or a list of them.")),
    key(
        "owner",
        "USER",
        "",
        "Only where popfetch runs as root: the user, by name or number, whose mail it is.  Destinations are used, and \
         programs are run, with that user's rights; the ledger stays root's.  ~ is still root's home.",
    ),
    key("max-message-size", "SIZE", "", "Larger messages stay on the server, and are reported once."),
    key("max-messages", "NUMBER", "", "So many messages are retrieved in one run at most."),
    key("max-bytes", "SIZE", "", "So much is retrieved in one run at most."),
    key("received-header", "true|false", "false", "Put a Received line on top of each message."),
    key(
        "alert-after",
        "DURATION",
        "1h",
        "With --quiet, a failure that may pass on its own is reported once it has lasted this long.",
    ),
    key(
        "remind-after",
        "DURATION",
        "7d",
        "With --quiet, a failure that was reported once and still lasts is reported again after this long.",
    ),
    key("pipelining", "auto|on|off", "auto", "Send commands without waiting for the answers before."),
    key(
        "utf8",
        "auto|off",
        "auto",
        "auto sends UTF8 (RFC 6856) where the server lists it, so that messages with 8-bit characters in their headers come \
         as they are stored; some servers otherwise send a substitute in their place.",
    ),
    key(
        "listing",
        "auto|full",
        "auto",
        "auto asks servers that only ever add at the end whether anything is new; full always takes a full listing.",
    ),
    key("full-listing-every", "DURATION", "1h", "A full listing is taken at least so often."),
    key(
        "sync",
        "auto|each|off",
        "auto",
        "How messages are brought to the disk.  off is faster, and a power failure may lose mail.",
    ),
    key(
        "timeout",
        "DURATION",
        "60s",
        "How long the server may be silent: connecting gets half of it for each address, and the answers to PASS, AUTH, \
         the first listing and QUIT five times it.  Within an answer each such time must bring 512 bytes, and ten of \
         them 16 KiB: a slower server is given up, and the next run goes on.",
    ),
    in_defaults_only(key("connections", "NUMBER", "16", "So many accounts are served at once.")),
    in_defaults_only(key("connections-per-server", "NUMBER", "4", "So many of them at one server.")),
];

/// The keys of a `leave-on-server` table.  A delivered message is deleted when any of them says so.
pub const RETENTION_KEYS: &[Key] = &[
    key("days", "NUMBER", "", "Messages stay for so many days after their delivery."),
    key("newest", "NUMBER", "", "Only so many of the messages delivered last stay."),
    key("total-size", "SIZE", "", "Of what is delivered so much may stay; the oldest are deleted first."),
    key("larger-than", "SIZE", "", "Messages larger than this are deleted as soon as they are delivered."),
];

/// The keys of a `deliver` table: exactly one of the first four, and the last two with `pipe` only.  On the command
/// line each is a flag.
pub const DESTINATION_KEYS: &[Key] = &[
    key("maildir", "DIRECTORY", "", "A Maildir; it is created when only the directory itself is missing."),
    key("mbox", "FILE", "", "An mbox file (mboxrd); locked by fcntl and a dotlock."),
    key(
        "pipe",
        "COMMAND|LIST",
        "",
        "A program that takes each message as its standard input: a line for sh -c, or a list that is executed as it \
         is, in which {sender}, {recipient} and {account} are replaced; \
         but not in what a shell or an interpreter runs, where $SENDER, $RECIPIENT and $POPFETCH_ACCOUNT stand for them.",
    ),
    key("stdout", "true", "", "Standard output, as an mbox stream."),
    key("time-limit", "DURATION", "5m", "The program of pipe is stopped when it takes longer."),
    key("parallel", "NUMBER", "1", "So many programs of pipe run at once."),
];

/// Whether a value of the key `name` may be shown in an error: it is known, and holds no secret.
pub(super) fn is_public(name: &str) -> bool {
    !matches!(name, "password" | "password-command")
        && [KEYS, RETENTION_KEYS, DESTINATION_KEYS].iter().any(|keys| find(keys, name).is_some())
}

/// The key of that name.
pub(super) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// What other programs call it, and what it is here.
pub(super) fn foreign(name: &str) -> Option<&'static str> {
    Some(match name {
        "host" | "hostname" | "poll" => "server",
        "username" | "login" => "user",
        "pass" | "passwd" => "password",
        "passwordeval" | "passeval" | "password_command" => "password-command",
        "ssl" | "starttls" | "tls_starttls" => "tls",
        "sslcertfile" | "tls_trust_file" | "ca_certs" => "ca-file",
        "sslfingerprint" | "tls_fingerprint" => "tls-fingerprint",
        "keep" | "delete" => "leave-on-server",
        "mda" | "delivery" | "destination" | "folder" => "deliver",
        "limit" | "killsize" => "max-message-size",
        "fetchlimit" => "max-messages",
        _ => return None,
    })
}
