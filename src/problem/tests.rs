//! Every kind of error, once: its exit code is the manual's, and what happened and what to do next reach `--json` apart.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Problem;
use crate::account::{NotOneLine, ProxyKind, Tls};
use crate::client::Error as ClientError;
use crate::config::{self, ConfigError, Mistake, Request};
use crate::connection::{CertificateProblem, Error as ConnectionError, RouteProblem, TrustProblem};
use crate::credentials::Error as CredentialsError;
use crate::delivery::Error as DeliveryError;
use crate::durable::{Error as DiskError, Step};
use crate::environment::Environment;
use crate::exit::ExitCode;
use crate::http::{AnswerFault, Error as HttpError};
use crate::ledger::Error as LedgerError;
use crate::oauth::{Error as OAuthError, OAuthRefusal, RefusalKind};
use crate::plan::maildrop::ListedTwice;
use crate::protocol::auth::{AuthError, Method, RefusalReason};
use crate::protocol::command::{self, Sent};
use crate::protocol::error::{Awaiting, Error as ProtocolError, ServerWords};
use crate::protocol::response::ResponseCode;
use crate::protocol::sasl::{SaslError, SaslText};
use crate::report::json::Json;
use crate::report::plain::tests::Sink;
use crate::report::plain::{Level, Plain, Printer};
use crate::report::{Event, ReportedError, Reporter as _, RunSummary};
use crate::retrieval::Error as RunError;
use crate::types::{MessageNumber, NoSuchMessage};
use crate::{access, connection};

/// Errors, and the exit code of each.
type Problems = Vec<(Box<dyn Problem>, u8)>;

/// Errors of one type, with an example of every variant: a variant that is added has to be listed, and a listed one to
/// have its example.
macro_rules! every {
    ($error:ident: $($variant:ident),+; $($example:expr => $code:literal),+ $(,)?) => {{
        let examples: Vec<($error, u8)> = vec![$(($example, $code)),+];
        let name = |error: &$error| match error { $($error::$variant { .. } => stringify!($variant)),+ };
        let given: Vec<&str> = examples.iter().map(|(error, _)| name(error)).collect();
        for variant in [$(stringify!($variant)),+] {
            assert!(given.contains(&variant), "no example of {}::{variant}", stringify!($error));
        }
        boxed(examples)
    }};
}

fn boxed(examples: Vec<(impl Problem + 'static, u8)>) -> Problems {
    examples.into_iter().map(|(error, code)| (Box::new(error) as Box<dyn Problem>, code)).collect()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn server() -> String {
    text("pop.example.com:995")
}

fn words() -> ServerWords {
    ServerWords::new(b"hello")
}

fn number() -> MessageNumber {
    MessageNumber::new(3).unwrap()
}

fn full() -> DiskError {
    let full = std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
    DiskError::new(Step::Write, Path::new("/x"), full)
}

fn of_disk() -> Problems {
    let disk = |step, kind: ErrorKind| DiskError::new(step, Path::new("/x"), kind);
    boxed(vec![
        (full(), 74),
        (disk(Step::Open, ErrorKind::PermissionDenied), 73),
        (disk(Step::MakeDirectory, ErrorKind::NotFound), 73),
        (disk(Step::Rename, ErrorKind::Other), 73),
        (disk(Step::Read, ErrorKind::Other), 74),
        (disk(Step::Reserve, ErrorKind::Other), 74),
        (disk(Step::Sync, ErrorKind::Other), 74),
        (disk(Step::Truncate, ErrorKind::Other), 74),
        (disk(Step::Remove, ErrorKind::Other), 74),
    ])
}

fn of_access() -> Problems {
    boxed(vec![(access::Error { what: text("/x is open to all"), hint: text("chmod 600 /x") }, 78)])
}

fn of_ledger() -> Problems {
    let path = || text("/x/ledger");
    every!(LedgerError: Disk, Damaged, Shortened, Newer, Missing, Locked, Broken, ReadOnly, Contradiction;
        LedgerError::Disk(full()) => 74,
        LedgerError::Disk(DiskError::new(Step::MakeDirectory, Path::new("/x"), ErrorKind::ReadOnlyFilesystem)) => 73,
        LedgerError::Damaged { path: path(), line: 3, problem: text("torn") } => 74,
        LedgerError::Shortened { path: path(), octets: 3, known: 4 } => 74,
        LedgerError::Newer { path: path(), version: 9 } => 78,
        LedgerError::Missing { directory: text("/x"), problem: "is gone" } => 74,
        LedgerError::Locked => 75,
        LedgerError::Broken { path: path() } => 74,
        LedgerError::ReadOnly => 70,
        LedgerError::Contradiction("x") => 70,
    )
}

fn of_delivery() -> Problems {
    every!(DeliveryError: Disk, Ledger, Later, Unfit;
        DeliveryError::Disk(full()) => 74,
        DeliveryError::Ledger(Box::new(LedgerError::Locked)) => 75,
        DeliveryError::later("it isn't there", "mount it") => 75,
        DeliveryError::unfit(ExitCode::CannotCreate, "it is a file", "move it away") => 73,
        DeliveryError::differs() => 70,
        DeliveryError::misplaced() => 70,
    )
}

fn of_config() -> Problems {
    let mistake = || Mistake { what: text("it is wrong"), hint: Some(text("change it")) };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "[accounts.work]\npasswrod = \"x\"\n").unwrap();
    let request = Request { file: Some(file), ..Request::default() };
    let wrong = config::for_run(&request, &Environment::default()).unwrap_err();
    every!(ConfigError: FileWrong, ArgumentsWrong, NoAccount, NoFile, FileUnusable;
        wrong => 78,
        ConfigError::ArgumentsWrong { mistake: mistake() } => 64,
        ConfigError::NoAccount { name: text("x"), known: Vec::new(), mistake: mistake() } => 64,
        ConfigError::NoFile { mistake: mistake() } => 78,
        ConfigError::FileUnusable { mistake: mistake() } => 78,
    )
}

fn of_credentials() -> Problems {
    every!(CredentialsError: File, Missing, NoResources, NotKept, OAuth, Stopped, Unusable;
        CredentialsError::OAuth(OAuthError::Stopped) => 75,
        CredentialsError::NoResources { what: text("password-command did not start") } => 75,
        CredentialsError::File(access::Error { what: text("x"), hint: text("y") }) => 78,
        CredentialsError::Missing { what: text("it failed"), hint: text("run it") } => 77,
        CredentialsError::NotKept { what: text("it failed"), hint: text("run it") } => 73,
        CredentialsError::Stopped { waiting_for: "the password was asked for" } => 75,
        CredentialsError::Unusable { account: text("work"), why: NotOneLine::LineEnd } => 78,
    )
}

fn of_oauth() -> Problems {
    let refusal =
        |exit, kind| OAuthRefusal { what: text("it refused"), hint: Some(text("log in")), exit, kind };
    let refused = |exit, kind| OAuthError::Refused { host: server(), refusal: refusal(exit, kind) };
    every!(OAuthError: NotLoggedIn, Refused, Http, NotAnAnswer, UnusableToken, Unavailable, OtherIssuer, Disk, Store, Damaged,
        Command, NoResources, Locked, ClientSecret, Settings, TooLate, Stopped, Local;
        OAuthError::NotLoggedIn { account: text("work"), store: text("/x") } => 77,
        refused(ExitCode::Refused, RefusalKind::Login) => 77,
        refused(ExitCode::Configuration, RefusalKind::Client) => 78,
        OAuthError::Http(HttpError::Closed { server: server() }) => 75,
        OAuthError::NotAnAnswer { host: server(), what: "HTML", expected: "a token" } => 76,
        OAuthError::UnusableToken { host: server(), why: "its type is not Bearer" } => 76,
        OAuthError::Unavailable { host: server(), why: text("status 503") } => 75,
        OAuthError::OtherIssuer { host: server() } => 76,
        OAuthError::Disk(full()) => 74,
        OAuthError::Store(access::Error { what: text("x"), hint: text("y") }) => 78,
        OAuthError::Damaged { account: text("work"), store: text("/x") } => 78,
        OAuthError::Command { which: "load-command", what: text("failed"), account: text("work") } => 77,
        OAuthError::Command { which: "save-command", what: text("failed"), account: text("work") } => 77,
        OAuthError::NoResources { which: "load-command", source: ErrorKind::WouldBlock.into() } => 75,
        OAuthError::Locked { path: "/x".into(), waited: Duration::from_secs(45) } => 75,
        OAuthError::ClientSecret(Box::new(CredentialsError::Unusable { account: text("work"), why: NotOneLine::Empty })) => 78,
        OAuthError::Settings { what: text("x"), hint: text("y") } => 78,
        OAuthError::TooLate { limit: Duration::from_secs(300), account: text("work") } => 77,
        OAuthError::Stopped => 75,
        OAuthError::Local { action: "listen", source: std::io::Error::other("no port") } => 74,
    )
}

fn of_http() -> Problems {
    let fault = |fault| HttpError::Fault { server: server(), fault };
    every!(HttpError: Connection, Clear, TimedOut, Stopped, Closed, Fault, Redirect;
        HttpError::Connection(ConnectionError::Closed { server: server() }) => 75,
        HttpError::Connection(ConnectionError::Lookup { host: text("x"), reason: text("y") }) => 75,
        HttpError::Clear { server: server() } => 78,
        HttpError::TimedOut { server: server(), limit: Duration::from_secs(30) } => 75,
        HttpError::Stopped { server: server() } => 75,
        HttpError::Closed { server: server() } => 75,
        fault(AnswerFault::Cut) => 75,
        fault(AnswerFault::TooLarge) => 76,
        fault(AnswerFault::Malformed("x")) => 76,
        HttpError::Redirect { server: server(), status: 302, to: None } => 76,
    )
}

fn of_protocol() -> Problems {
    let refused = |why| ProtocolError::CommandRefusedLocally { command: Sent::Pass, why };
    every!(ProtocolError: NotPop3, LooksLikeTls, LineTooLong, TooManyLines, AnswerTooLarge, Unsolicited, Farewell,
        InjectionAfterStls, CommandRefusedLocally, Closed, MalformedListing, TooManyMessages;
        ProtocolError::NotPop3 { awaiting: Awaiting::Greeting, came: words() } => 76,
        ProtocolError::LooksLikeTls => 76,
        ProtocolError::LineTooLong { awaiting: Awaiting::Nothing, limit: 3 } => 76,
        ProtocolError::TooManyLines { to: Sent::List, limit: 3 } => 76,
        ProtocolError::AnswerTooLarge { to: Sent::List, limit: 3 } => 76,
        ProtocolError::Unsolicited { came: words() } => 76,
        ProtocolError::Farewell { said: words() } => 75,
        ProtocolError::InjectionAfterStls => 76,
        refused(command::NotSent::ForbiddenOctet) => 78,
        refused(command::NotSent::TooLong(300)) => 76,
        refused(command::NotSent::Over) => 76,
        ProtocolError::Closed { during: Awaiting::Greeting } => 75,
        ProtocolError::MalformedListing { listing: "unique-id listing", line: words() } => 76,
        ProtocolError::TooManyMessages { messages: 9, limit: 3 } => 76,
    )
}

fn of_sasl() -> Problems {
    every!(SaslError: LineEnd, Empty, NotUtf8, Unpreparable, NotAToken, NoBinding, NotBase64, TooLong, Unexpected,
        Premature, Malformed, TooFewRounds, TooManyRounds, Impostor, Refused, NoResources;
        SaslError::LineEnd(SaslText::User) => 78,
        SaslError::Empty(SaslText::User) => 78,
        SaslError::Empty(SaslText::Secret) => 77,
        SaslError::NotUtf8(SaslText::Secret) => 78,
        SaslError::Unpreparable(SaslText::Secret) => 78,
        SaslError::NotAToken => 78,
        SaslError::NoBinding => 77,
        SaslError::NotBase64 => 76,
        SaslError::TooLong => 76,
        SaslError::Unexpected => 76,
        SaslError::Premature => 76,
        SaslError::Malformed("no nonce") => 76,
        SaslError::TooFewRounds(1) => 76,
        SaslError::TooManyRounds => 76,
        SaslError::Impostor => 76,
        SaslError::Refused(text("no")) => 77,
        SaslError::Refused(text("channel-binding-not-supported")) => 77,
        SaslError::NoResources => 75,
    )
}

fn of_auth() -> Problems {
    every!(AuthError: Unsendable, NotOffered, NoTimestamp, TooLong, InClear, TokenInClear, Nothing, Weaker;
        AuthError::TokenInClear => 77,
        AuthError::Unsendable(SaslError::NotAToken) => 78,
        AuthError::NotOffered { method: "plain", offered: text("apop") } => 77,
        AuthError::NoTimestamp => 77,
        AuthError::TooLong(SaslText::Secret) => 77,
        AuthError::InClear(text("user-pass")) => 77,
        AuthError::Nothing(text("gssapi")) => 77,
        AuthError::Weaker { before: "scram-sha-256", offered: text("user-pass") } => 77,
    )
}

fn certificate(problem: CertificateProblem) -> ConnectionError {
    ConnectionError::Certificate { server: server(), problem, look: Some(text("openssl x509")), seen: None }
}

fn of_connection() -> Problems {
    let reason = || text("it is so");
    let not_tls = |tls, said: &[u8]| ConnectionError::NotTls { server: server(), tls, said: said.to_vec() };
    let trust = TrustProblem {
        setting: "ca-file",
        path: "/x".into(),
        reason: reason(),
        hint: Some(text("openssl x509 -in /x")),
    };
    let refused = connection::FailedAddress { address: ([127, 0, 0, 1], 995).into(), reason: reason() };
    let local = ConnectionError::Local { action: "open a socket", source: ErrorKind::Other.into() };
    every!(ConnectionError: Lookup, Connect, TimedOut, Closed, Broken, Stopped, NotTls, Version, Handshake, Certificate,
        ClientCertificate, Trust, Route, Nested, Local;
        ConnectionError::Lookup { host: text("h"), reason: reason() } => 75,
        ConnectionError::Connect { server: server(), attempts: vec![refused] } => 75,
        ConnectionError::TimedOut { server: server(), step: connection::ConnectStep::Lookup, limit: Duration::ZERO } => 75,
        ConnectionError::Closed { server: server() } => 75,
        ConnectionError::Broken { server: server(), reason: reason() } => 75,
        ConnectionError::Stopped { server: server() } => 75,
        not_tls(Tls::Implicit, b"+OK hello\r\n") => 76,
        not_tls(Tls::Implicit, b"220 hello\r\n") => 76,
        not_tls(Tls::StartTls, b"+OK hello\r\n") => 76,
        ConnectionError::Version { server: server(), reason: reason() } => 76,
        ConnectionError::Handshake { server: server(), reason: reason() } => 76,
        certificate(CertificateProblem::SelfSigned) => 77,
        certificate(CertificateProblem::Expired) => 77,
        certificate(CertificateProblem::WrongName { host: text("a"), names: vec![text("b")] }) => 77,
        certificate(CertificateProblem::CommonNameOnly { common_name: None }) => 77,
        certificate(CertificateProblem::Fingerprint { seen: [1; 32] }) => 77,
        certificate(CertificateProblem::Unreadable) => 77,
        ConnectionError::ClientCertificate { server: server(), reason: reason() } => 77,
        ConnectionError::Trust(trust) => 78,
        ConnectionError::from(RouteProblem::Early { proxy: text("h:1") }) => 76,
        ConnectionError::Nested { server: server() } => 70,
        local => 74,
    )
}

fn of_ways() -> Problems {
    let (proxy, said) = (|| text("127.0.0.1:9050"), || b"403 Access \"violation\"\n".to_vec());
    let no_proxy = |proxy: &str| RouteProblem::NoProxy { proxy: text(proxy), reason: text("refused") };
    let no_socket =
        |forbidden| RouteProblem::NoSocket { path: "/run/pop3".into(), reason: text("refused"), forbidden };
    let ended = |said: &[u8]| RouteProblem::CommandEnded {
        server: server(),
        how: text("exit status 255"),
        said: said.to_vec(),
    };
    let not = |kind| RouteProblem::NotAProxy { proxy: proxy(), kind, said: b"+OK hello\r\n".to_vec() };
    every!(RouteProblem: NoProxy, Silent, Ended, NotAProxy, Early, TooLong, Login, OtherLogin, Forbids, CannotReach,
        NoConnections, NoCommand, CommandEnded, NoSocket, SourceAddress;
        no_proxy("127.0.0.1:9050") => 75,
        no_proxy("/run/tor/socks") => 75,
        no_proxy("proxy.example:3128") => 75,
        RouteProblem::Silent { proxy: proxy(), server: server(), limit: Duration::from_secs(60) } => 75,
        RouteProblem::Ended { proxy: proxy(), server: server(), reason: None } => 75,
        RouteProblem::Ended { proxy: proxy(), server: server(), reason: Some(text("reset")) } => 75,
        not(ProxyKind::Socks5) => 76,
        not(ProxyKind::Http) => 76,
        RouteProblem::Early { proxy: proxy() } => 76,
        RouteProblem::TooLong { proxy: proxy() } => 76,
        RouteProblem::Login { proxy: proxy(), given: false } => 77,
        RouteProblem::Login { proxy: proxy(), given: true } => 77,
        RouteProblem::OtherLogin { proxy: proxy(), schemes: b"NTLM".to_vec() } => 77,
        RouteProblem::Forbids { proxy: proxy(), server: server(), said: said() } => 78,
        RouteProblem::CannotReach { proxy: proxy(), server: server(), said: said() } => 75,
        RouteProblem::NoConnections { proxy: proxy(), server: server(), said: said() } => 76,
        RouteProblem::NoCommand { reason: text("cannot run ssh"), said: Vec::new() } => 78,
        RouteProblem::NoCommand { reason: text("exit status 127"), said: b"sh: ssh: not found\n".to_vec() } => 78,
        ended(b"") => 75,
        ended(b"\r\nssh: no route\r\n\x1b[2J\n") => 75,
        no_socket(false) => 75,
        no_socket(true) => 78,
        RouteProblem::SourceAddress { address: [192, 0, 2, 7].into() } => 78,
    )
}

fn refused_login(meaning: RefusalReason) -> ClientError {
    ClientError::LoginRefused {
        server: server(),
        method: Method::UserPass,
        meaning,
        text: text("no"),
        token: None,
        secret_sent: true,
        locked: false,
    }
}

fn refused_greeting(code: Option<ResponseCode>) -> ClientError {
    ClientError::GreetingRefused { server: server(), code, text: text("no") }
}

fn of_client() -> Problems {
    let late = || ClientError::TimedOut { server: server(), during: text("the greeting"), pipelined: false };
    let hung_up =
        ClientError::HungUpBeforeGreeting { peer: ([127, 0, 0, 1], 110).into(), source: Box::new(late()) };
    every!(ClientError: Connection, Protocol, TimedOut, TooSlow, GreetingRefused, HungUpBeforeGreeting, SilentButTls,
        HungUpOnCapa, HungUpOnUtf8, FlightCut, StlsRefused, NoMethod, Sasl, LoginRefused, Farewell,
        NotRecognised, Stopped, Random;
        ClientError::Connection(certificate(CertificateProblem::Expired)) => 77,
        ClientError::Protocol { server: server(), source: ProtocolError::LooksLikeTls } => 76,
        late() => 75,
        ClientError::TooSlow { server: server(), octets: 3, time: Duration::from_secs(9) } => 75,
        refused_greeting(None) => 75,
        refused_greeting(Some(ResponseCode::InUse)) => 75,
        refused_greeting(Some(ResponseCode::SysPerm)) => 69,
        refused_greeting(Some(ResponseCode::Auth)) => 77,
        hung_up => 75,
        ClientError::SilentButTls { server: server() } => 76,
        ClientError::HungUpOnCapa(Box::new(late())) => 75,
        ClientError::HungUpOnUtf8(Box::new(late())) => 75,
        ClientError::FlightCut(Box::new(late())) => 75,
        ClientError::StlsRefused { server: server(), text: text("no") } => 76,
        ClientError::NoMethod { server: server(), source: AuthError::NoTimestamp } => 77,
        ClientError::Sasl { server: server(), mechanism: "PLAIN", source: SaslError::NoResources } => 75,
        refused_login(RefusalReason::Credentials) => 77,
        refused_login(RefusalReason::NeedsUtf8) => 77,
        refused_login(RefusalReason::SysPerm) => 69,
        refused_login(RefusalReason::InUse) => 75,
        refused_login(RefusalReason::LoginDelay) => 75,
        refused_login(RefusalReason::SysTemp) => 75,
        refused_login(RefusalReason::Busy) => 75,
        ClientError::Farewell { server: server(), text: text("bye") } => 75,
        ClientError::NotRecognised { number: number() } => 70,
        ClientError::Stopped => 75,
        ClientError::Random(ErrorKind::Other.into()) => 74,
    )
}

fn of_run() -> Problems {
    every!(RunError: Credentials, Access, Client, Ledger, Delivery, Listing, NoSuchMessage, ListingRefused, NoIdentity,
        NoUniqueIds, NothingMatches, OnlyNumbers, NoHeaders, OnlyWindow, UniqueIdsLost, OutOfStep, NothingNames, NotSafe, Refuses, NoFurtherSession, Unfinished, Endless, Paused, Busy,
        MessageRefused, SeveralMessages, TooManyMessages, OtherMessage, NoThread, Bug;
        RunError::Credentials(access::Error { what: text("x"), hint: text("y") }.into()) => 78,
        RunError::Access(access::Error { what: text("x"), hint: text("y") }) => 78,
        RunError::Client(ClientError::Stopped) => 75,
        RunError::Ledger(LedgerError::Locked) => 75,
        RunError::Delivery(DeliveryError::later("x", "y")) => 75,
        RunError::Listing(ListedTwice(number())) => 76,
        RunError::NoSuchMessage(NoSuchMessage { named: text("9"), messages: 3 }) => 66,
        RunError::ListingRefused { command: "LIST", text: text("no"), passes: false } => 76,
        RunError::ListingRefused { command: "UIDL", text: text("[SYS/TEMP] later"), passes: true } => 75,
        RunError::NoIdentity { server: server() } => 76,
        RunError::NoUniqueIds { server: server() } => 76,
        RunError::NothingMatches { server: server(), program: "getmail", seen: 3, listed: 4 } => 76,
        RunError::OnlyNumbers { program: "mpop" } => 76,
        RunError::NoHeaders { server: server() } => 76,
        RunError::OnlyWindow { server: server() } => 78,
        RunError::UniqueIdsLost { server: server(), directory: text("/x") } => 75,
        RunError::OutOfStep => 76,
        RunError::NothingNames => 76,
        RunError::NotSafe => 76,
        RunError::Refuses { text: text("quota") } => 75,
        RunError::NoFurtherSession(ClientError::Stopped) => 75,
        RunError::Unfinished => 75,
        RunError::Endless { number: number() } => 76,
        RunError::Paused { until: text("tomorrow") } => 77,
        RunError::Busy => 75,
        RunError::MessageRefused { number: number(), text: text("gone") } => 75,
        RunError::SeveralMessages { messages: 2 } => 64,
        RunError::TooManyMessages { messages: 2, most: 1 } => 64,
        RunError::OtherMessage { number: number(), was: text("a") } => 66,
        RunError::NoThread(ErrorKind::Other.into()) => 74,
        RunError::Bug => 70,
    )
}

fn every() -> Problems {
    let rooms = [
        of_disk,
        of_access,
        of_ledger,
        of_delivery,
        of_config,
        of_credentials,
        of_protocol,
        of_sasl,
        of_oauth,
        of_http,
        of_auth,
        of_connection,
        of_ways,
        of_client,
        of_run,
    ];
    rooms.into_iter().flat_map(|of| of()).collect()
}

/// The object of `--json` for an account whose run ended with `problem`.
fn in_json(problem: &dyn Problem) -> Value {
    let (out, err) = (Sink::default(), Sink::default());
    let printer = Arc::new(Printer::onto(Box::new(out.clone()), Box::new(err), false));
    let json = Json::new(Plain::new(printer, Level::Normal, &["work"]));
    let summary = RunSummary { failure: Some(ReportedError::of(problem)), ..RunSummary::default() };
    json.report("work", &Event::Finished(summary));
    serde_json::from_str(&out.text()).unwrap()
}

#[test]
fn every_error_has_the_exit_code_of_the_manual() {
    for (problem, code) in every() {
        assert_eq!(problem.exit_code().number(), code, "{problem:?}");
        assert_eq!(problem.is_transient(), code == 75, "{problem:?}");
    }
}

#[test]
fn json_has_the_hint_of_every_error_beside_its_message() {
    for (problem, code) in every() {
        let object = in_json(problem.as_ref());
        assert_eq!(object["exit"], code, "{problem:?}");
        let (message, hint) = (object["error"]["message"].as_str().unwrap(), &object["error"]["hint"]);
        assert_eq!(message, problem.to_string());
        assert!(
            !message.contains("hint:") && message == message.trim() && !message.is_empty(),
            "{message:?}"
        );
        assert_eq!(hint.as_str(), problem.hint().as_deref(), "{problem:?}");
        let apart = hint.as_str().is_none_or(|hint| {
            !hint.contains("hint:") && hint == hint.trim() && !hint.is_empty() && !message.contains(hint)
        });
        assert!(apart, "{message:?}, {hint:?}");
    }
}

/// A message names the server at which it happened, once.
#[test]
fn an_error_of_a_run_names_the_server() {
    let listing = RunError::OutOfStep;
    assert_eq!(listing.at("h:110").to_string(), format!("h:110: {listing}"));
    let named = RunError::Client(ClientError::StlsRefused { server: text("h:110"), text: text("no") });
    assert_eq!(named.at("h:110").to_string(), named.to_string());
    assert_eq!(named.at("h:110").hint(), named.hint());
    assert_eq!(named.at("h:110").exit_code(), named.exit_code());
}
