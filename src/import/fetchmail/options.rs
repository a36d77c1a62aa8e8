//! fetchmail's options: their names, what follows them, and which of them have no counterpart here.

/// What follows an option's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionShape {
    /// Nothing; `no` in front of it turns it off.
    Flag,
    /// One word.
    Text,
    /// A number, or a name of a service.
    Service,
    Number,
    /// Words up to the next option.
    List,
    /// Numbers up to the next option.
    Numbers,
    /// A number, if there is one, and a word.
    Envelope,
}

/// Every option: its name (of several, the one that is used below), whether it belongs to the server, and what follows.
const OPTIONS: &[(&[&str], bool, OptionShape)] = &[
    (&["aka"], true, OptionShape::List),
    (&["via"], true, OptionShape::Text),
    (&["localdomains", "local"], true, OptionShape::List),
    (&["proto", "protocol"], true, OptionShape::Text),
    (&["principal"], true, OptionShape::Text),
    (&["esmtpname"], true, OptionShape::Text),
    (&["esmtppassword"], true, OptionShape::Text),
    (&["uidl"], true, OptionShape::Flag),
    (&["checkalias"], true, OptionShape::Flag),
    (&["service", "port"], true, OptionShape::Service),
    (&["interval"], true, OptionShape::Number),
    (&["auth", "authenticate", "preauth", "preauthenticate"], true, OptionShape::Text),
    (&["timeout"], true, OptionShape::Number),
    (&["idletimeout"], true, OptionShape::Number),
    (&["envelope"], true, OptionShape::Envelope),
    (&["qvirtual"], true, OptionShape::Text),
    (&["interface"], true, OptionShape::Text),
    (&["monitor"], true, OptionShape::Text),
    (&["plugin"], true, OptionShape::Text),
    (&["plugout"], true, OptionShape::Text),
    (&["dns"], true, OptionShape::Flag),
    (&["tracepolls"], true, OptionShape::Flag),
    (&["bad-header"], true, OptionShape::Text),
    (&["password", "pass"], false, OptionShape::Text),
    (&["passwordfile"], false, OptionShape::Text),
    (&["passwordfd"], false, OptionShape::Number),
    (&["folder", "folders"], false, OptionShape::List),
    (&["smtphost", "smtp"], false, OptionShape::List),
    (&["fetchdomains"], false, OptionShape::List),
    (&["smtpaddress"], false, OptionShape::Text),
    (&["smtpname"], false, OptionShape::Text),
    (&["antispam"], false, OptionShape::Numbers),
    (&["mda"], false, OptionShape::Text),
    (&["bsmtp"], false, OptionShape::Text),
    (&["lmtp"], false, OptionShape::Flag),
    (&["preconnect", "pre"], false, OptionShape::Text),
    (&["postconnect", "post"], false, OptionShape::Text),
    (&["keep"], false, OptionShape::Flag),
    (&["flush"], false, OptionShape::Flag),
    (&["limitflush"], false, OptionShape::Flag),
    (&["fetchall"], false, OptionShape::Flag),
    (&["rewrite"], false, OptionShape::Flag),
    (&["forcecr"], false, OptionShape::Flag),
    (&["stripcr"], false, OptionShape::Flag),
    (&["pass8bits", "pass8"], false, OptionShape::Flag),
    (&["dropstatus"], false, OptionShape::Flag),
    (&["dropdelivered"], false, OptionShape::Flag),
    (&["mimedecode", "mimedec"], false, OptionShape::Flag),
    (&["idle"], false, OptionShape::Flag),
    (&["forceidle"], false, OptionShape::Flag),
    (&["ssl"], false, OptionShape::Flag),
    (&["sslkey"], false, OptionShape::Text),
    (&["sslcert"], false, OptionShape::Text),
    (&["sslproto"], false, OptionShape::Text),
    (&["sslcertck"], false, OptionShape::Flag),
    (&["sslcertfile"], false, OptionShape::Text),
    (&["sslcertpath"], false, OptionShape::Text),
    (&["sslcommonname"], false, OptionShape::Text),
    (&["sslfingerprint"], false, OptionShape::Text),
    (&["limit"], false, OptionShape::Number),
    (&["warnings"], false, OptionShape::Number),
    (&["fetchlimit"], false, OptionShape::Number),
    (&["fetchsizelimit"], false, OptionShape::Number),
    (&["fastuidl"], false, OptionShape::Number),
    (&["batchlimit"], false, OptionShape::Number),
    (&["expunge"], false, OptionShape::Number),
    (&["properties"], false, OptionShape::Text),
];

/// Options that change what becomes of mail, and that popfetch has not; a flag only counts where it is on.
pub(super) const NO_COUNTERPART: &[(&str, &str)] = &[
    (
        "interval",
        "popfetch has one interval for all accounts: that of cron or the timer; popfetch cron prints them",
    ),
    ("plugout", "popfetch does not deliver by SMTP"),
    ("passwordfd", "popfetch reads a password from a command or a file"),
    ("interface", "popfetch does not look at network interfaces"),
    ("monitor", "popfetch does not look at network interfaces"),
    ("principal", "popfetch has no Kerberos"),
    ("bad-header", "popfetch delivers a message as it is, whatever its header looks like"),
    ("tracepolls", "popfetch adds no such line; received-header = true adds a Received line"),
    ("folder", "POP3 has one mailbox and no folders"),
    ("fetchdomains", "that is ETRN, not POP3"),
    ("postconnect", "nothing is run after a connection; on-new-mail runs after a run with new mail"),
    ("flush", "popfetch never deletes what it has not delivered"),
    ("limitflush", "popfetch never deletes what it has not delivered"),
    ("fetchall", "popfetch retrieves each message once; popfetch --all retrieves all of them again"),
    ("rewrite", "popfetch does not change addresses in headers"),
    ("forcecr", "popfetch stores lines with LF"),
    ("pass8bits", "popfetch does not deliver by SMTP"),
    ("dropstatus", "popfetch delivers the header as it is"),
    ("dropdelivered", "popfetch delivers the header as it is"),
    ("mimedecode", "popfetch delivers the message as it is"),
    ("sslcertpath", "name a file of certificate authorities: ca-file = \"FILE\""),
    (
        "sslcommonname",
        "the certificate must be for the server's name; tls-fingerprint trusts one certificate",
    ),
    ("sslfingerprint", "that is an MD5; tls-fingerprint needs a SHA-256"),
    ("warnings", "popfetch reports a message that is too large once"),
    (
        "antispam",
        "popfetch does not deliver by SMTP; a program that refuses a message keeps it on the server",
    ),
];

/// An option of `set` that is a flag.
pub(super) fn flags_of_set(name: &str) -> Option<&'static str> {
    let names = ["bouncemail", "spambounce", "softbounce", "syslog", "invisible", "showdots"];
    names.into_iter().find(|known| *known == name)
}

/// An option by any of its names: the name that is used here, whether it belongs to the server, and what follows.
pub(super) fn known(word: &str) -> Option<(&'static str, bool, OptionShape)> {
    let (names, of_server, shape) = OPTIONS.iter().find(|(names, ..)| names.contains(&word))?;
    Some((names.first()?, *of_server, *shape))
}
