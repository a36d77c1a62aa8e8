//! The choice of a method, as a pure function of what the user wants, the channel, and what the server offers.
//!
//! A capability list that came in clear is the attacker's, so `auto` answers with SCRAM there or not at all.  Inside
//! verified TLS, or to a loopback address, the order is that of [`Method::strength`], but that USER and PASS, which
//! pipeline, are preferred to PLAIN and LOGIN where nothing is lost by it.

use std::borrow::Cow;

use super::Method;
use crate::account::Auth;
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::protocol::limits::COMMAND_LINE_LIMIT;
use crate::protocol::redact::Redactor;
use crate::protocol::sasl::{ChannelBinding, Credentials, Hash, Mechanism, SaslError, SaslText, sendable};
use crate::types::Channel;

/// What `CAPA` lists in this state (before login, and after STLS if there was one).
#[derive(Debug, Clone, Default)]
pub(crate) struct LoginOffer<'a> {
    /// The arguments of SASL, in any case.
    pub sasl: Vec<&'a str>,
    pub user: bool,
    pub pipelining: bool,
    /// Whether USER, PASS and APOP may hold UTF-8 (RFC 6856 §2.2).
    pub utf8_user: bool,
}

/// All that the choice depends on.
#[derive(Debug)]
pub(crate) struct Circumstances<'a> {
    /// What the user asked for.
    pub wanted: Auth,
    pub channel: Channel,
    /// What the server offers; `None` if it has no CAPA.
    pub offer: Option<LoginOffer<'a>>,
    /// Whether the greeting held a timestamp, and didn't come before TLS.
    pub apop: bool,
    /// Whether an end-point binding could be computed.
    pub can_bind: bool,
    /// User name, and password or token.
    pub credentials: Credentials<'a>,
    /// The strongest method that `auto` ever chose at this server for this user: it never accepts less.
    pub strongest_ever: Option<Method>,
}

/// Why there is no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// User name or password can't be sent by anything.
    #[error(transparent)]
    Unsendable(#[from] SaslError),
    /// The named method isn't offered.
    #[error("the server doesn't offer {method} here ({offered})")]
    NotOffered { method: &'static str, offered: String },
    /// APOP is named, but the greeting held no timestamp, or none that may be answered.
    #[error("the server's greeting holds no APOP timestamp that may be answered")]
    NoTimestamp,
    /// USER and PASS can't carry the strings.
    #[error("the {0} is too long for USER and PASS, whose lines hold 255 octets")]
    TooLong(SaslText),
    /// In clear, nothing offered keeps the password safe.
    #[error("the line isn't encrypted, and the server offers nothing that keeps a password safe there ({0})")]
    InClear(String),
    /// A token is never sent in clear, whatever the user named.
    #[error("the line isn't encrypted, and a token is not sent in clear")]
    TokenInClear,
    /// Nothing offered is known.
    #[error("the server offers no way to log in that popfetch knows ({0})")]
    Nothing(String),
    /// Something stronger was used before.
    #[error("the server was logged in to with {before} before, and now offers only less ({offered})")]
    Weaker {
        /// What was used before.
        before: &'static str,
        offered: String,
    },
}

impl Problem for AuthError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Unsendable(error) => return error.hint(),
            Self::NotOffered { .. } => "set auth = \"auto\", or name what is offered",
            Self::NoTimestamp => "set auth = \"auto\", or another method",
            Self::TooLong(_) => "set auth = \"plain\" if the server offers it, or use a shorter one",
            Self::InClear(_) => {
                "set tls = \"implicit\" or \"starttls\"; only if others on the way may read the password, \
                 set auth = \"user-pass\""
            }
            Self::TokenInClear => "set tls = \"implicit\" or \"starttls\"",
            Self::Nothing(_) => {
                "POP3 may have to be switched on in the settings of the account at the provider first; \
                 or the server wants a token: oauth (popfetch.toml(5)), and then popfetch auth login"
            }
            Self::Weaker { .. } => {
                "if the server's operator confirms that this was changed, name the method to use as `auth`"
            }
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unsendable(error) => error.exit_code(),
            Self::NotOffered { .. }
            | Self::NoTimestamp
            | Self::TooLong(_)
            | Self::InClear(_)
            | Self::TokenInClear
            | Self::Nothing(_)
            | Self::Weaker { .. } => ExitCode::Refused,
        }
    }
}

/// The methods to try, in this order, as long as [`super::after_refusal`] allows; never empty.
///
/// A method that the user named is the only one, and is used as named, in clear as well.
///
/// # Errors
/// When no method is left, with what the server offers.
pub(crate) fn methods(circumstances: &Circumstances<'_>) -> Result<Vec<Method>, AuthError> {
    if circumstances.wanted != Auth::External {
        sendable(SaslText::User, circumstances.credentials.user.as_bytes())?;
        sendable(SaslText::Secret, circumstances.credentials.secret.expose())?;
    }
    let unbound = |hash| Mechanism::Scram(hash, ChannelBinding::Unused);
    match circumstances.wanted {
        Auth::Auto => circumstances.automatic(),
        Auth::UserPass => match circumstances.too_long() {
            Some(which) => Err(AuthError::TooLong(which)),
            None => Ok(vec![Method::UserPass]),
        },
        Auth::Apop if circumstances.apop => Ok(vec![Method::Apop]),
        Auth::Apop => Err(AuthError::NoTimestamp),
        Auth::Plain => circumstances.named(Mechanism::Plain),
        Auth::Login => circumstances.named(Mechanism::Login),
        Auth::CramMd5 => circumstances.named(Mechanism::CramMd5),
        Auth::ScramSha1 => circumstances.named(unbound(Hash::Sha1)),
        Auth::ScramSha256 => circumstances.named(unbound(Hash::Sha256)),
        Auth::XOAuth2 => circumstances.named(Mechanism::XOAuth2),
        Auth::OAuthBearer => circumstances.named(Mechanism::OAuthBearer),
        Auth::External => circumstances.named(Mechanism::External),
        Auth::Token => circumstances.by_token(),
    }
}

impl Circumstances<'_> {
    /// Whether CAPA lists the mechanism: then `AUTH` may carry an initial response (RFC 5034 §3).
    #[must_use]
    pub(crate) fn announces(&self, mechanism: Mechanism) -> bool {
        let name = mechanism.name();
        self.offer.as_ref().is_some_and(|offer| offer.sasl.iter().any(|sasl| sasl.eq_ignore_ascii_case(name)))
    }

    /// A mechanism that the user named.  Without CAPA it's tried: it may be there.
    fn named(&self, mechanism: Mechanism) -> Result<Vec<Method>, AuthError> {
        if self.offer.is_none() || self.announces(mechanism) {
            Ok(vec![Method::Sasl(mechanism)])
        } else {
            Err(AuthError::NotOffered { method: mechanism.name(), offered: self.offered() })
        }
    }

    /// Either mechanism carries the same token: Google's, which is older and more widely understood, comes first.
    fn by_token(&self) -> Result<Vec<Method>, AuthError> {
        if self.channel == Channel::Clear {
            return Err(AuthError::TokenInClear);
        }
        let known = [Mechanism::XOAuth2, Mechanism::OAuthBearer];
        match known.into_iter().find(|mechanism| self.offer.is_none() || self.announces(*mechanism)) {
            Some(mechanism) => Ok(vec![Method::Sasl(mechanism)]),
            None => Err(AuthError::NotOffered { method: "XOAUTH2 or OAUTHBEARER", offered: self.offered() }),
        }
    }

    fn automatic(&self) -> Result<Vec<Method>, AuthError> {
        let mut methods = self.scram();
        if self.channel != Channel::Clear {
            self.add_those_for_a_safe_line(&mut methods);
        }
        if methods.is_empty() {
            return Err(match self.too_long() {
                _ if self.channel == Channel::Clear => AuthError::InClear(self.offered()),
                Some(which) if self.takes_user() => AuthError::TooLong(which),
                _ => AuthError::Nothing(self.offered()),
            });
        }
        if let Some(before) = self.strongest_ever {
            methods.retain(|method| method.strength() >= before.strength());
            if methods.is_empty() {
                return Err(AuthError::Weaker { before: before.name(), offered: self.offered() });
            }
        }
        Ok(methods)
    }

    fn scram(&self) -> Vec<Method> {
        use ChannelBinding::{NotOffered, Unused, Used};
        let scram = |hash, binding| Mechanism::Scram(hash, binding);
        let can_bind = self.can_bind && self.channel == Channel::Tls;
        let plus_offered =
            self.announces(scram(Hash::Sha1, Used)) || self.announces(scram(Hash::Sha256, Used));
        let mut found = Vec::new();
        if can_bind {
            found.extend([scram(Hash::Sha256, Used), scram(Hash::Sha1, Used)]);
        }
        // `y` shows a server that offers -PLUS that it was taken out of the list on the way; to send it where it is in the
        // list would make the server refuse (RFC 5802 §6).
        let binding = if can_bind && !plus_offered { NotOffered } else { Unused };
        found.extend([scram(Hash::Sha256, binding), scram(Hash::Sha1, binding)]);
        found.retain(|mechanism| self.announces(*mechanism));
        found.into_iter().map(Method::Sasl).collect()
    }

    /// Those that give the password to a listener, or to the other end: for a connection without the one, and with the right other.
    fn add_those_for_a_safe_line(&self, methods: &mut Vec<Method>) {
        let ascii = self.credentials.user.is_ascii() && self.credentials.secret.expose().is_ascii();
        let user_pass = self.takes_user() && self.too_long().is_none();
        // What UTF8 USER allows is no last resort.
        let plain_strings = ascii || self.offer.as_ref().is_some_and(|offer| offer.utf8_user);
        let pipelines = ascii && self.offer.as_ref().is_some_and(|offer| offer.user && offer.pipelining);
        for mechanism in [Mechanism::Plain, Mechanism::CramMd5, Mechanism::Login] {
            if !self.announces(mechanism) {
                continue;
            }
            // Equal in secrecy to PLAIN and LOGIN, and it saves their round trips.
            if mechanism != Mechanism::CramMd5
                && user_pass
                && pipelines
                && !methods.contains(&Method::UserPass)
            {
                methods.push(Method::UserPass);
            }
            methods.push(Method::Sasl(mechanism));
        }
        // Without `UTF8 USER` only ASCII may be sent (RFC 6856 §2.2); many servers take other octets all the same, so
        // they are tried where nothing else is possible.
        if user_pass && !methods.contains(&Method::UserPass) && (plain_strings || methods.is_empty()) {
            methods.push(Method::UserPass);
        }
        // Its argument ends at the first space, and so would a name.
        if self.apop && plain_strings && !self.credentials.user.contains(' ') {
            methods.push(Method::Apop);
        }
    }

    /// Whether USER may be sent unasked: a server that answers CAPA and doesn't list it would get a password for nothing.
    fn takes_user(&self) -> bool {
        self.offer.as_ref().is_none_or(|offer| offer.user)
    }

    /// Which of the strings doesn't fit into its line, `USER x` or `PASS x` with CRLF.
    fn too_long(&self) -> Option<SaslText> {
        let fits = |octets: usize| octets + b"USER \r\n".len() <= COMMAND_LINE_LIMIT;
        if !fits(self.credentials.user.len()) {
            Some(SaslText::User)
        } else if !fits(self.credentials.secret.expose().len()) {
            Some(SaslText::Secret)
        } else {
            None
        }
    }

    /// What the server offers, for an error's text: escaped, shortened.
    fn offered(&self) -> String {
        const MOST: usize = 20;
        let Some(offer) = &self.offer else { return "it has no CAPA".to_owned() };
        let redactor = Redactor::new(self.credentials.secret);
        let mut words: Vec<String> = Vec::new();
        if offer.user {
            words.push("USER".to_owned());
        }
        if self.apop {
            words.push("APOP".to_owned());
        }
        let mechanisms = offer.sasl.iter().take(MOST);
        words.extend(mechanisms.map(|name| redactor.printable(name.as_bytes()).chars().take(40).collect()));
        if offer.sasl.len() > MOST {
            words.push("…".to_owned());
        }
        if words.is_empty() {
            "it offers nothing".to_owned()
        } else {
            format!("it offers {}", words.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Auth, AuthError, Channel, Circumstances, Credentials, ExitCode, LoginOffer, Method, SaslText, methods,
    };
    use crate::problem::Problem as _;
    use crate::protocol::sasl::SaslError;
    use crate::secret::Secret;

    /// `USER` and `PIPELINING` in a list of mechanisms are those capabilities.
    fn offer(words: &str) -> LoginOffer<'_> {
        let mut offer = LoginOffer::default();
        for word in words.split_whitespace() {
            match word {
                "USER" => offer.user = true,
                "PIPELINING" => offer.pipelining = true,
                "UTF8-USER" => offer.utf8_user = true,
                _ => offer.sasl.push(word),
            }
        }
        offer
    }

    fn as_user<'a>(user: &'a str, secret: &'a Secret) -> Credentials<'a> {
        Credentials { user, secret, host: "pop.example.com", port: 995 }
    }

    fn on<'a>(channel: Channel, words: &'a str, secret: &'a Secret) -> Circumstances<'a> {
        Circumstances {
            wanted: Auth::Auto,
            channel,
            offer: Some(offer(words)),
            apop: false,
            can_bind: false,
            credentials: as_user("user", secret),
            strongest_ever: None,
        }
    }

    fn names(circumstances: &Circumstances<'_>) -> String {
        match methods(circumstances) {
            Ok(methods) => methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(" "),
            Err(error) => format!("{error}"),
        }
    }

    #[test]
    fn auto_inside_tls() {
        let secret = Secret::new("pencil");
        let cases = [
            ("SCRAM-SHA-1 PLAIN SCRAM-SHA-256", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"),
            ("Plain login Cram-Md5 USER", "PLAIN CRAM-MD5 LOGIN USER"),
            ("LOGIN USER", "LOGIN USER"),
            ("USER", "USER"),
            ("PLAIN", "PLAIN"),
            // It pipelines.
            ("PLAIN LOGIN USER PIPELINING", "USER PLAIN LOGIN"),
            ("CRAM-MD5 LOGIN USER PIPELINING", "CRAM-MD5 USER LOGIN"),
            ("SCRAM-SHA-1 PLAIN USER PIPELINING", "SCRAM-SHA-1 USER PLAIN"),
            ("PLAIN PIPELINING", "PLAIN"),
            // Only when named.
            ("XOAUTH2 OAUTHBEARER EXTERNAL PLAIN", "PLAIN"),
            // Never.
            ("NTLM GSSAPI DIGEST-MD5 ANONYMOUS LOGIN", "LOGIN"),
            // Without a channel to bind to.
            ("SCRAM-SHA-256-PLUS SCRAM-SHA-256", "SCRAM-SHA-256"),
        ];
        for (words, expected) in cases {
            assert_eq!(names(&on(Channel::Tls, words, &secret)), expected, "{words}");
            assert_eq!(names(&on(Channel::Loopback, words, &secret)), expected, "{words}");
        }
    }

    #[test]
    fn channel_binding_flags() {
        use crate::protocol::sasl::ChannelBinding::{NotOffered, Unused, Used};
        use crate::protocol::sasl::{Hash, Mechanism};
        let secret = Secret::new("pencil");
        let chosen = |channel, words, can_bind| {
            let circumstances = Circumstances { can_bind, ..on(channel, words, &secret) };
            methods(&circumstances).unwrap().into_iter().next()
        };
        let scram = |hash, binding| Some(Method::Sasl(Mechanism::Scram(hash, binding)));
        let both = "SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1 SCRAM-SHA-256";
        let stripped = "SCRAM-SHA-1 SCRAM-SHA-256";
        assert_eq!(chosen(Channel::Tls, both, true), scram(Hash::Sha256, Used));
        assert_eq!(chosen(Channel::Tls, both, false), scram(Hash::Sha256, Unused));
        assert_eq!(chosen(Channel::Tls, stripped, true), scram(Hash::Sha256, NotOffered));
        assert_eq!(chosen(Channel::Tls, stripped, false), scram(Hash::Sha256, Unused));
        assert_eq!(chosen(Channel::Clear, both, true), scram(Hash::Sha256, Unused));
        // A bound SHA-1 is better than an unbound SHA-256.
        assert_eq!(chosen(Channel::Tls, "SCRAM-SHA-1-PLUS SCRAM-SHA-256", true), scram(Hash::Sha1, Used));
        // Named, it's the way out where binding fails.
        let named =
            Circumstances { wanted: Auth::ScramSha256, can_bind: true, ..on(Channel::Tls, both, &secret) };
        assert_eq!(methods(&named).unwrap().into_iter().next(), scram(Hash::Sha256, Unused));
    }

    #[test]
    fn auto_in_clear_uses_scram_or_nothing() {
        let secret = Secret::new("pencil");
        let words = "SCRAM-SHA-1 PLAIN CRAM-MD5 USER PIPELINING";
        let clear = |words| Circumstances { apop: true, ..on(Channel::Clear, words, &secret) };
        assert_eq!(names(&clear(words)), "SCRAM-SHA-1");
        for words in ["PLAIN LOGIN", "USER", "CRAM-MD5", ""] {
            let error = methods(&clear(words)).unwrap_err();
            assert!(matches!(error, AuthError::InClear(_)), "{words}");
            assert_eq!(error.exit_code(), ExitCode::Refused);
            assert!(error.hint().is_some_and(|hint| hint.contains("starttls")), "{words}");
        }
        assert_eq!(
            methods(&clear("PLAIN LOGIN")).unwrap_err().to_string(),
            "the line isn't encrypted, and the server offers nothing that keeps a password safe there \
             (it offers APOP, PLAIN, LOGIN)"
        );
        // No CAPA at all.
        assert!(methods(&Circumstances { offer: None, ..clear("") }).is_err());
        // The user's word.
        let named = Circumstances { wanted: Auth::UserPass, ..clear("") };
        assert_eq!(names(&named), "USER");
        let named = Circumstances { wanted: Auth::Plain, ..clear("PLAIN") };
        assert_eq!(names(&named), "PLAIN");
    }

    #[test]
    fn without_capabilities_or_usable_ones() {
        let secret = Secret::new("pencil");
        for channel in [Channel::Tls, Channel::Loopback] {
            assert_eq!(names(&Circumstances { offer: None, ..on(channel, "", &secret) }), "USER");
            assert_eq!(
                names(&Circumstances { offer: None, apop: true, ..on(channel, "", &secret) }),
                "USER APOP"
            );
        }
        let error = methods(&on(Channel::Tls, "NTLM X\x1b[31m", &secret)).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Refused);
        assert_eq!(
            error.to_string(),
            "the server offers no way to log in that popfetch knows (it offers NTLM, X\\x1b[31m)"
        );
    }

    #[test]
    fn apop_comes_last() {
        let secret = Secret::new("pencil");
        let with = |words| Circumstances { apop: true, ..on(Channel::Tls, words, &secret) };
        assert_eq!(names(&with("PLAIN")), "PLAIN APOP");
        assert_eq!(names(&with("")), "APOP");
        assert_eq!(
            methods(&Circumstances { credentials: as_user("a b", &secret), ..with("") }).unwrap_err(),
            AuthError::Nothing("it offers APOP".to_owned())
        );
        let forced = Circumstances { wanted: Auth::Apop, ..on(Channel::Tls, "PLAIN", &secret) };
        assert_eq!(methods(&forced).unwrap_err(), AuthError::NoTimestamp);
    }

    #[test]
    fn named_methods() {
        let secret = Secret::new("pencil");
        let named = |wanted, words| Circumstances { wanted, ..on(Channel::Tls, words, &secret) };
        let cases = [
            (Auth::XOAuth2, "PLAIN xoauth2", "XOAUTH2"),
            (Auth::OAuthBearer, "OAUTHBEARER", "OAUTHBEARER"),
            (Auth::External, "EXTERNAL PLAIN", "EXTERNAL"),
            (Auth::Login, "LOGIN PLAIN", "LOGIN"),
            (Auth::CramMd5, "CRAM-MD5", "CRAM-MD5"),
            (Auth::ScramSha1, "SCRAM-SHA-1 SCRAM-SHA-256", "SCRAM-SHA-1"),
            (Auth::UserPass, "PLAIN", "USER"),
            (Auth::Plain, "LOGIN USER", "the server doesn't offer PLAIN here (it offers USER, LOGIN)"),
            (Auth::Plain, "", "the server doesn't offer PLAIN here (it offers nothing)"),
        ];
        for (wanted, words, expected) in cases {
            assert_eq!(names(&named(wanted, words)), expected);
        }
        // Without CAPA there is nothing to go by: tried, without an initial response.
        let blind = Circumstances { offer: None, ..named(Auth::Plain, "") };
        assert_eq!(names(&blind), "PLAIN");
        assert!(!blind.announces(crate::protocol::sasl::Mechanism::Plain));
    }

    #[test]
    fn a_pin_refuses_less() {
        let secret = Secret::new("pencil");
        let pinned = |before: &str, words| Circumstances {
            strongest_ever: Method::from_name(before),
            ..on(Channel::Tls, words, &secret)
        };
        assert_eq!(names(&pinned("SCRAM-SHA-1", "SCRAM-SHA-256 PLAIN")), "SCRAM-SHA-256");
        assert_eq!(names(&pinned("PLAIN", "LOGIN USER")), "LOGIN USER");
        let error = methods(&pinned("SCRAM-SHA-256", "SCRAM-SHA-1 PLAIN")).unwrap_err();
        assert!(matches!(error, AuthError::Weaker { before: "SCRAM-SHA-256", .. }), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Refused);
        // What the user names is above it.
        let named = Circumstances { wanted: Auth::Plain, ..pinned("SCRAM-SHA-256", "PLAIN") };
        assert_eq!(names(&named), "PLAIN");
    }

    #[test]
    fn credentials_that_do_not_fit() {
        let of = |octets: &[u8]| Secret::new(octets);
        let long = "u".repeat(249);
        let fits = of(&[b'p'; 248]);
        let over = of(&[b'p'; 249]);
        let plain = of(b"pencil");
        assert_eq!(names(&on(Channel::Tls, "USER", &fits)), "USER");
        let error = methods(&on(Channel::Tls, "USER", &over)).unwrap_err();
        assert_eq!(error, AuthError::TooLong(SaslText::Secret));
        let too_long =
            Circumstances { credentials: as_user(&long, &plain), ..on(Channel::Tls, "USER", &plain) };
        assert_eq!(methods(&too_long).unwrap_err(), AuthError::TooLong(SaslText::User));
        let named = Circumstances { wanted: Auth::UserPass, ..too_long };
        assert_eq!(methods(&named).unwrap_err().exit_code(), ExitCode::Refused);
        assert_eq!(names(&on(Channel::Tls, "USER PIPELINING PLAIN", &over)), "PLAIN");

        // Beyond ASCII, USER is the last resort.
        let umlaut = Secret::new("pass w\u{f6}rd");
        assert_eq!(names(&on(Channel::Tls, "USER PIPELINING PLAIN", &umlaut)), "PLAIN");
        assert_eq!(names(&on(Channel::Tls, "USER", &umlaut)), "USER");
        assert_eq!(names(&on(Channel::Tls, "USER UTF8-USER PLAIN", &umlaut)), "PLAIN USER");

        for bad in [&b"a\nb"[..], b"a\rb", b"a\0b"] {
            let secret = of(bad);
            let error = methods(&on(Channel::Tls, "PLAIN USER", &secret)).unwrap_err();
            assert_eq!(error, AuthError::Unsendable(SaslError::LineEnd(SaslText::Secret)));
            assert_eq!(error.exit_code(), ExitCode::Configuration);
            let user = std::str::from_utf8(bad).unwrap();
            let circumstances =
                Circumstances { credentials: as_user(user, &plain), ..on(Channel::Tls, "PLAIN", &plain) };
            assert_eq!(
                methods(&circumstances).unwrap_err(),
                AuthError::Unsendable(SaslError::LineEnd(SaslText::User))
            );
        }
        assert!(methods(&on(Channel::Tls, "PLAIN USER", &of(b""))).is_err());
        for kept in [&b"a b "[..], b" x", b"%", b"\""] {
            assert_eq!(names(&on(Channel::Tls, "USER", &of(kept))), "USER");
        }
    }

    /// A server that lists -PLUS with any hash would refuse `y`; one that lists none must be sent it, so that a -PLUS taken
    /// out of the list on the way shows.
    #[test]
    fn what_the_client_says_of_channel_binding_is_what_the_server_lists() {
        use crate::protocol::sasl::ChannelBinding::{NotOffered, Unused, Used};
        use crate::protocol::sasl::{Hash, Mechanism};
        let secret = Secret::new("pencil");
        let (one, two) = (Hash::Sha1, Hash::Sha256);
        let cases = [
            ("SCRAM-SHA-256", true, vec![(two, NotOffered)]),
            ("SCRAM-SHA-256 SCRAM-SHA-1-PLUS", true, vec![(one, Used), (two, Unused)]),
            ("SCRAM-SHA-1 SCRAM-SHA-256-PLUS", true, vec![(two, Used), (one, Unused)]),
            ("SCRAM-SHA-256 SCRAM-SHA-256-PLUS", false, vec![(two, Unused)]),
        ];
        for (words, can_bind, expected) in cases {
            let circumstances = Circumstances { can_bind, ..on(Channel::Tls, words, &secret) };
            let expected: Vec<Method> = expected
                .into_iter()
                .map(|(hash, binding)| Method::Sasl(Mechanism::Scram(hash, binding)))
                .collect();
            assert_eq!(methods(&circumstances).unwrap(), expected, "{words}");
        }
    }

    /// EXTERNAL sends neither name nor password: what they are doesn't matter.
    /// Whoever listens to a line that isn't encrypted could use the token, whatever the user has named.
    #[test]
    fn a_token_is_not_sent_in_clear_and_only_by_what_is_offered() {
        let secret = Secret::new("token");
        let token = |channel, words| Circumstances { wanted: Auth::Token, ..on(channel, words, &secret) };
        for (words, expected) in [
            ("XOAUTH2 OAUTHBEARER PLAIN", Some("XOAUTH2")),
            ("OAUTHBEARER", Some("OAUTHBEARER")),
            ("PLAIN USER", None),
        ] {
            for channel in [Channel::Tls, Channel::Loopback] {
                match methods(&token(channel, words)) {
                    Ok(methods) => {
                        let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
                        assert_eq!(names, expected.into_iter().collect::<Vec<_>>(), "{words}");
                        assert!(methods.iter().all(|method| method.sends_token()));
                    }
                    Err(error) => {
                        assert!(
                            matches!(error, AuthError::NotOffered { .. }) && expected.is_none(),
                            "{words}"
                        );
                    }
                }
            }
            let refused = methods(&token(Channel::Clear, words));
            assert!(matches!(refused, Err(AuthError::TokenInClear)), "{words}: {refused:?}");
        }
        let without = Circumstances { offer: None, ..token(Channel::Tls, "") };
        assert_eq!(names(&without), "XOAUTH2", "it may be there");
        assert!(!Method::UserPass.sends_token() && !Method::Apop.sends_token());
    }

    /// A server could fill the screen.
    #[test]
    fn what_a_server_offers_is_quoted_briefly() {
        let secret = Secret::new("pencil");
        for (count, ends) in [(20, "M19)"), (21, "\u{2026})")] {
            let words: Vec<String> = (0..count).map(|n| format!("M{n}")).collect();
            let shown = methods(&on(Channel::Tls, &words.join(" "), &secret)).unwrap_err().to_string();
            assert!(shown.ends_with(ends), "{shown}");
        }
        let long = "X".repeat(500);
        assert!(methods(&on(Channel::Tls, &long, &secret)).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn external_needs_no_password_that_can_be_sent() {
        for (secret, wanted, accepted) in
            [("a\0b", Auth::External, true), ("a\0b", Auth::Plain, false), ("ab", Auth::Plain, true)]
        {
            let secret = Secret::new(secret);
            let circumstances = Circumstances { wanted, ..on(Channel::Tls, "EXTERNAL PLAIN", &secret) };
            assert_eq!(methods(&circumstances).is_ok(), accepted, "{wanted:?}");
        }
    }
}
