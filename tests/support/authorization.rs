//! An authorization server in a thread of this process (RFC 6749, 7009, 7591, 7636, 8414, 8628), over TLS, made to misbehave by
//! its [`State`].  It keeps to the rules that clients get wrong: a code is good once and only with its verifier and redirect,
//! a refresh token that is used twice ends the family.
//!
//! Tokens of tests are words: `access-…`, `refresh-…`, so that they are found wherever they leak.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use native_tls::TlsAcceptor;
use sha2::{Digest as _, Sha256};

use super::certificates::{Authority, Leaf};

/// The id of the client that the server knows.
pub const CLIENT: &str = "the-client";
/// Its secret.
pub const CLIENT_SECRET: &str = "Xyzzy-Plugh-secret";

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Of the query and of the body.
    pub parameters: HashMap<String, String>,
}

impl Request {
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
}

/// What is to become of a question at the token endpoint.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The rules, as they are now.
    Right,
    /// These octets, and the end of the connection.
    Raw(String),
    /// An error of RFC 6749, with this description.
    Error(&'static str, &'static str),
}

/// How the server behaves.
pub struct State {
    pub requests: Vec<Request>,
    /// The access token that is given.
    pub access: String,
    /// Its life.
    pub expires_in: u64,
    /// Each refresh token is good once; one that is used again ends all.
    pub rotates: bool,
    /// The refresh token that is good now.
    pub refresh: Option<String>,
    given: u32,
    /// Access tokens that were given.
    pub families_ended: u32,
    /// Answers at the token endpoint, the next one first; then `Right`.
    pub answers: Vec<Answer>,
    /// How long an answer takes.
    pub delay: Duration,
    /// Wants the client's secret.
    pub secret: bool,
    /// Codes, with challenge and redirect.
    codes: HashMap<String, (String, String)>,
    /// How many seconds a device's code lasts.
    pub code_life: u64,
    /// Registers clients.
    pub registers: bool,
    /// The redirect names the issuer.
    pub iss: Option<String>,
    /// Is called at each request of tokens, before it is answered.
    pub hook: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// The server.
pub struct AuthorizationServer {
    pub port: u16,
    pub authority: Authority,
    state: Arc<Mutex<State>>,
}

impl AuthorizationServer {
    pub fn start() -> Self {
        let authority = Authority::new();
        let acceptor = authority.issue(&Leaf::default()).acceptor();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            requests: Vec::new(),
            access: "Quux-access-0".to_owned(),
            expires_in: 3600,
            rotates: true,
            refresh: None,
            given: 0,
            families_ended: 0,
            answers: Vec::new(),
            delay: Duration::ZERO,
            secret: false,
            codes: HashMap::new(),
            code_life: 60,
            registers: false,
            iss: None,
            hook: None,
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                thread::spawn(move || serve(stream, &acceptor, &state, port));
            }
        });
        Self { port, authority, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Requests to this path so far.
    pub fn asked(&self, path: &str) -> Vec<Request> {
        self.state().requests.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Requests that have tried to renew a token.
    pub fn refreshes(&self) -> usize {
        self.asked("/token").iter().filter(|request| request.get("grant_type") == "refresh_token").count()
    }

    /// Gives a refresh token out of the order of things, as if there had been a login.
    pub fn seed(&self) -> String {
        let mut state = self.state();
        state.next_refresh()
    }

    /// What a user does in the browser: agrees, and is sent on.  Gives the address.
    pub fn agree(&self, address: &str) -> String {
        let (_, query) = address.split_once('?').expect("an address with a query");
        let parameters = decode(query);
        let get = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        assert_eq!(get("response_type"), "code", "{address}");
        assert_eq!(get("code_challenge_method"), "S256", "{address}");
        assert!(get("state").len() >= 32, "{address}");
        let mut state = self.state();
        let code = format!("Frobozz-{}", state.codes.len());
        state.codes.insert(code.clone(), (get("code_challenge"), get("redirect_uri")));
        let iss = state.iss.as_ref().map(|iss| format!("&iss={}", encode(iss))).unwrap_or_default();
        format!("{}?code={code}&state={}{iss}", get("redirect_uri"), get("state"))
    }
}

impl State {
    fn next_refresh(&mut self) -> String {
        self.given += 1;
        let token = format!("Grue-refresh-{}", self.given);
        self.refresh = Some(token.clone());
        token
    }

    fn tokens(&mut self, new_refresh: bool) -> String {
        let refresh = if new_refresh {
            format!(",\"refresh_token\":\"{}\"", self.next_refresh())
        } else {
            String::new()
        };
        json(
            200,
            &format!(
                "{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",\"expires_in\":{}{refresh}}}",
                self.access, self.expires_in
            ),
        )
    }

    fn token(&mut self, request: &Request) -> String {
        let answer = if self.answers.is_empty() { Answer::Right } else { self.answers.remove(0) };
        match answer {
            Answer::Raw(octets) => return octets,
            Answer::Error(error, description) => return failed(error, description),
            Answer::Right => {}
        }
        if self.secret && request.get("client_secret") != CLIENT_SECRET {
            return failed("invalid_client", "no such client");
        }
        match request.get("grant_type") {
            "refresh_token" if Some(request.get("refresh_token")) == self.refresh.as_deref() => {
                let rotates = self.rotates;
                self.tokens(rotates)
            }
            "refresh_token" => {
                // It was used before, or never given: the server cannot know by which program (RFC 9700 §4.14.2).
                self.refresh = None;
                self.families_ended += 1;
                failed("invalid_grant", "the token was used before")
            }
            "authorization_code" => match self.codes.remove(request.get("code")) {
                Some((challenge, redirect))
                    if redirect == request.get("redirect_uri")
                        && challenge
                            == URL_SAFE_NO_PAD.encode(Sha256::digest(request.get("code_verifier"))) =>
                {
                    self.tokens(true)
                }
                _ => failed("invalid_grant", "bad code"),
            },
            "urn:ietf:params:oauth:grant-type:device_code" if request.get("device_code") == "Zork-device" => {
                self.tokens(true)
            }
            _ => failed("unsupported_grant_type", ""),
        }
    }

    fn answer(&mut self, request: &Request, port: u16) -> String {
        let url = |path: &str| format!("https://localhost:{port}{path}");
        match request.path.as_str() {
            "/token" => self.token(request),
            "/device" => json(
                200,
                &format!(
                    "{{\"device_code\":\"Zork-device\",\"user_code\":\"WDJB-MJHT\",\"verification_uri\":\"{}\",\
                 \"expires_in\":{},\"interval\":1}}",
                    url("/activate"),
                    self.code_life
                ),
            ),
            "/revoke" => {
                self.refresh = None;
                json(200, "")
            }
            "/register" if self.registers => {
                json(201, "{\"client_id\":\"registered-client\",\"client_secret\":\"Wumpus-registered\"}")
            }
            "/.well-known/oauth-authorization-server" => {
                let mut text = format!("{{\"issuer\":\"{}\"", url(""));
                for (name, path) in [
                    ("authorization_endpoint", "/authorize"),
                    ("token_endpoint", "/token"),
                    ("device_authorization_endpoint", "/device"),
                    ("revocation_endpoint", "/revoke"),
                ] {
                    write!(text, ",\"{name}\":\"{}\"", url(path)).unwrap();
                }
                if self.registers {
                    write!(text, ",\"registration_endpoint\":\"{}\"", url("/register")).unwrap();
                }
                let iss = self.iss.is_some();
                json(200, &format!("{text},\"authorization_response_iss_parameter_supported\":{iss}}}"))
            }
            // What a mail server asks about a token (RFC 7662): whose it is.
            "/introspect" if request.get("token") == self.access => {
                json(200, "{\"active\":true,\"sub\":\"me\"}")
            }
            "/introspect" => json(200, "{\"active\":false}"),
            _ => http("404 Not Found", "text/plain", "nothing here"),
        }
    }
}

fn serve(stream: TcpStream, acceptor: &TlsAcceptor, state: &Mutex<State>, port: u16) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let Ok(mut stream) = acceptor.accept(stream) else { return };
    let Some(request) = read(&mut stream) else { return };
    let (delay, hook) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(request.clone());
        let is_token = request.path == "/token";
        (if is_token { state.delay } else { Duration::ZERO }, state.hook.clone().filter(|_| is_token))
    };
    thread::sleep(delay);
    let answer = state.lock().unwrap_or_else(PoisonError::into_inner).answer(&request, port);
    if let Some(hook) = hook {
        hook();
    }
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.shutdown();
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let (mut octets, mut octet) = (Vec::new(), [0]);
    while !octets.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        octets.extend(octet);
    }
    let head = String::from_utf8_lossy(&octets).into_owned();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut words = head.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parameters = decode(query);
    if body.starts_with('{') {
        parameters.insert("json".to_owned(), body);
    } else {
        parameters.extend(decode(&body));
    }
    Some(Request { method, path: path.to_owned(), parameters })
}

/// A whole answer of HTTP.
pub fn http(status: &str, media_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\r\n{body}",
        body.len()
    )
}

fn json(status: u16, body: &str) -> String {
    http(&format!("{status} X"), "application/json", body)
}

fn failed(error: &str, description: &str) -> String {
    json(400, &format!("{{\"error\":\"{error}\",\"error_description\":\"{description}\"}}"))
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |text, b| match b {
        b if b.is_ascii_alphanumeric() => text + &char::from(b).to_string(),
        b => format!("{text}%{b:02X}"),
    })
}

fn decode(text: &str) -> HashMap<String, String> {
    let plain = |text: &str| {
        let (mut octets, mut rest) = (Vec::new(), text.bytes());
        while let Some(octet) = rest.next() {
            octets.push(match octet {
                b'%' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                octet => octet,
            });
        }
        String::from_utf8(octets).unwrap()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (plain(n), plain(v))).collect()
}
