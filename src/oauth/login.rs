//! Logins: in a browser that comes back to a port of this machine, by a code on another device (RFC 8628), or by hand, with
//! the last address pasted.  Which one fits is decided by where the user sits.

use std::time::{Duration, Instant};

use super::answer::{self, Device, Tokens};
use super::ask::{AskOutcome, Asker};
use super::endpoints::{self, Endpoints, OAuthClient};
use super::error::Error;
use super::holder::{Token, TokenHolder, lasting};
use super::listener::RedirectListener;
use super::record::LoginRecord;
use super::refusal::RefusalKind;
use super::request::{self, Came, Consent, Proof};
use super::store::LoginNotes;
use super::terminal::LoginTerminal;
use crate::account::OAuthFlow;
use crate::clock;
use crate::http::{SignalEnds, Url};
use crate::problem::Problem as _;
use crate::secret::Secret;
use crate::text::printable;
use crate::types::Time;

/// What a device flow adds to its interval when the server asks it to slow down (RFC 8628 §3.5).
const SLOWER: u64 = 5;

/// The longest time between two questions of a device flow.
const SLOWEST: u64 = 60;

/// Where the user sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UserPlace {
    /// There is a screen, or `$BROWSER`.
    pub has_browser: bool,
    /// The terminal is that of another machine.
    pub is_remote: bool,
}

/// How a login goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// In a browser that popfetch opens.
    Browser,
    /// In a browser that the user opens, wherever it is.
    ByHand,
    /// By a code that is typed on another device.
    Device,
}

impl Flow {
    /// The one that was asked for, else the one that fits.
    fn choose(wanted: OAuthFlow, place: UserPlace, endpoints: &Endpoints) -> Self {
        let by_browser = if place.has_browser && !place.is_remote { Self::Browser } else { Self::ByHand };
        match wanted {
            OAuthFlow::Device => Self::Device,
            OAuthFlow::Browser => by_browser,
            OAuthFlow::Auto if endpoints.authorize.is_none() => Self::Device,
            OAuthFlow::Auto if by_browser == Self::ByHand && endpoints.device.is_some() => Self::Device,
            OAuthFlow::Auto => by_browser,
        }
    }
}

/// What a flow has brought.
struct Won {
    tokens: Tokens,
    client: OAuthClient,
}

impl TokenHolder<'_> {
    /// Logs in, keeps what that has brought, and gives the token.
    ///
    /// # Errors
    /// What keeps a flow from its end; a store that can't be written.
    pub(crate) fn log_in(
        &self,
        wanted: OAuthFlow,
        place: UserPlace,
        terminal: &dyn LoginTerminal,
    ) -> Result<Token, Error> {
        self.check_room()?;
        let asker = self.asker(SignalEnds::Always);
        let endpoints = endpoints::find(self.settings, &asker)?;
        self.show_hosts(&endpoints, terminal);
        let flow = Flow::choose(wanted, place, &endpoints);
        let won = match flow {
            Flow::Device => self.by_device(&asker, &endpoints, terminal)?,
            Flow::Browser | Flow::ByHand => {
                self.by_browser(&asker, &endpoints, flow == Flow::Browser, terminal)?
            }
        };
        self.keep(&endpoints, won)
    }

    /// Nobody is sent to a browser for what can't be kept.
    fn check_room(&self) -> Result<(), Error> {
        let store = self.store();
        let lock = store.lock()?;
        let room = store.make_room(&lock, None)?;
        store.give_back(room);
        Ok(())
    }

    /// A server that describes itself may name others, which get the codes.
    fn show_hosts(&self, endpoints: &Endpoints, terminal: &dyn LoginTerminal) {
        let Some((issuer, _)) = &endpoints.issuer else { return };
        let own = Url::parse(issuer).map(|url| url.host().to_owned()).unwrap_or_default();
        let all = [&endpoints.authorize, &endpoints.device, &endpoints.revoke, &endpoints.register];
        let mut hosts: Vec<&str> =
            all.into_iter().flatten().chain([&endpoints.token]).map(Url::host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|host| *host != own);
        if !hosts.is_empty() {
            terminal.show(&format!("{own} has these servers ask for and give tokens: {}", hosts.join(", ")));
        }
    }

    /// The client of the settings, else one that is registered now.
    fn client(
        &self,
        asker: &Asker<'_>,
        endpoints: &Endpoints,
        redirects: &[String],
        device: bool,
    ) -> Result<OAuthClient, Error> {
        if let Some(id) = &self.settings.client_id {
            let secret = (self.client_secret)().map_err(Error::ClientSecret)?;
            return Ok(OAuthClient { id: id.clone(), secret, is_registered: false });
        }
        let Some(at) = &endpoints.register else {
            return Err(Error::Settings {
                what: format!(
                    "there is no client-id, and {} gives none to whoever asks",
                    endpoints.token.host()
                ),
                hint: "register an application there, and set client-id in the oauth table".to_owned(),
            });
        };
        let nobody = OAuthClient { id: String::new(), secret: None, is_registered: false };
        endpoints::register(at, redirects, &endpoints.scope, asker, self.asked(&nobody, device))
    }

    fn by_browser(
        &self,
        asker: &Asker<'_>,
        endpoints: &Endpoints,
        open: bool,
        terminal: &dyn LoginTerminal,
    ) -> Result<Won, Error> {
        let Some(authorize) = &endpoints.authorize else { return Err(lacks(endpoints, "browser", "device")) };
        let listener = RedirectListener::bind()?;
        let redirect = self.redirect(listener.port);
        let client = self.client(asker, endpoints, std::slice::from_ref(&redirect), false)?;
        let proof = proof()?;
        [&proof.verifier, &proof.state].into_iter().for_each(|secret| asker.hide(secret));
        let consent = Consent {
            client_id: &client.id,
            redirect: &redirect,
            scope: &endpoints.scope,
            user: self.user,
            parameters: self.settings.provider.parameters.as_deref().unwrap_or_default(),
        };
        let address = request::authorization(authorize, consent, &proof);
        self.invite(&address, open, listener.port, terminal);
        let issuer = endpoints.issuer.as_ref().map(|(issuer, always)| (issuer.as_str(), *always));
        let judge = |address: &str| request::came(address, &proof, issuer);
        let came = listener.wait(terminal, self.way.stop, self.limits.browser, &judge)?;
        drop(listener);
        let code = match came {
            Some(Came::Code(code)) => code,
            Some(Came::Refused(refused)) => {
                return Err(self.refused(asker, authorize, &refused, self.asked(&client, false)));
            }
            Some(Came::OtherIssuer) => return Err(Error::OtherIssuer { host: authorize.host().to_owned() }),
            Some(Came::Stray) | None => {
                return Err(Error::TooLate { limit: self.limits.browser, account: self.account.to_owned() });
            }
        };
        let form = [
            ("grant_type", b"authorization_code".as_slice()),
            ("code", code.expose()),
            ("redirect_uri", redirect.as_bytes()),
            ("code_verifier", proof.verifier.expose()),
        ];
        let url = &endpoints.token;
        match self.exchange(asker, url, &client, &form, &[&code, &proof.verifier])? {
            AskOutcome::Good(body) => Ok(Won { tokens: asker.tokens(url, &body)?, client }),
            AskOutcome::Refused(refused) => {
                Err(self.refused(asker, url, &refused, self.asked(&client, false)))
            }
            AskOutcome::Later { status, .. } => Err(unavailable(url, status)),
        }
    }

    /// Where the browser brings the answer to.
    fn redirect(&self, port: u16) -> String {
        match &self.settings.redirect {
            Some(redirect) => redirect.clone(),
            // Microsoft takes any port of `localhost` for a redirect that was registered without one.
            None if self.settings.provider.name == "microsoft" => format!("http://localhost:{port}/"),
            None => format!("http://127.0.0.1:{port}/"),
        }
    }

    /// Shows the address, opens it, and explains what to do where that isn't enough.
    fn invite(&self, address: &Url, open: bool, port: u16, terminal: &dyn LoginTerminal) {
        let opened = open && terminal.open(&address.to_string());
        let provider = printable(self.settings.provider.called().as_bytes());
        terminal.show(&if opened {
            format!("A browser was opened for you to log in at {provider}.  If it shows nothing, open this page:\n\n{address}\n")
        } else {
            format!("To log in at {provider}, open this page in a browser:\n\n{address}\n")
        });
        if self.settings.redirect.is_some() {
            terminal.show(
                "In the end the browser shows a page that cannot be loaded.  Paste its whole address here:",
            );
        } else if !opened {
            terminal.show(&format!(
                "A browser on another machine finds its way back after this, there: ssh -L {port}:127.0.0.1:{port} \
                 {}\nOr paste the address at which it ends (it cannot be loaded) here:",
                clock::host_name()
            ));
        } else {
            terminal.show("Waiting for the browser; the address at which it ends may also be pasted here.");
        }
    }

    fn by_device(
        &self,
        asker: &Asker<'_>,
        endpoints: &Endpoints,
        terminal: &dyn LoginTerminal,
    ) -> Result<Won, Error> {
        let Some(url) = &endpoints.device else { return Err(lacks(endpoints, "device", "browser")) };
        let client = self.client(asker, endpoints, &[], true)?;
        let asked = self.asked(&client, true);
        let form = [("scope", endpoints.scope.as_bytes())];
        let device = match self.exchange(asker, url, &client, &form, &[])? {
            AskOutcome::Good(body) => asker.read(url, &body, "a code", answer::device)?,
            AskOutcome::Refused(refused) => return Err(self.refused(asker, url, &refused, asked)),
            AskOutcome::Later { status, .. } => return Err(unavailable(url, status)),
        };
        asker.hide(&device.code);
        let (address, code) = (printable(device.address.as_bytes()), printable(device.user_code.as_bytes()));
        terminal.show(&format!(
            "On any device, open {address} and type the code  {code}\n(it lasts for {})",
            lasting(i64::try_from(device.expires_in).unwrap_or(0))
        ));
        if let Some(whole) = &device.whole_address {
            terminal.show(&format!("This address has the code in it: {}", printable(whole.as_bytes())));
        }
        let tokens = self.poll(asker, &endpoints.token, &client, &device)?;
        Ok(Won { tokens, client })
    }

    /// Asks whether the user has agreed, no more often than the server wants (RFC 8628 §3.5).
    fn poll(
        &self,
        asker: &Asker<'_>,
        url: &Url,
        client: &OAuthClient,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let begun = Instant::now();
        let limit = Duration::from_secs(device.expires_in);
        let mut interval = device.interval;
        let form = [
            ("grant_type", b"urn:ietf:params:oauth:grant-type:device_code".as_slice()),
            ("device_code", device.code.expose()),
        ];
        loop {
            let (pause, left) = (Duration::from_secs(interval), limit.saturating_sub(begun.elapsed()));
            if self.way.stop.wait(pause.min(left)) {
                return Err(Error::Stopped);
            }
            // The server may want to be left alone for longer than the code lasts.
            if pause > left {
                break;
            }
            match self.exchange(asker, url, client, &form, &[&device.code]) {
                Ok(AskOutcome::Good(body)) => return asker.tokens(url, &body),
                Ok(AskOutcome::Refused(refused)) => {
                    let refusal = asker.explain(&refused, self.asked(client, true));
                    match refusal.kind {
                        RefusalKind::Pending => {}
                        RefusalKind::SlowDown => interval = interval.saturating_add(SLOWER).min(SLOWEST),
                        _ => return Err(Error::Refused { host: url.host().to_owned(), refusal }),
                    }
                }
                Ok(AskOutcome::Later { after, .. }) => {
                    interval = after.unwrap_or(interval.saturating_mul(2)).clamp(1, SLOWEST);
                }
                // A time-out, a line that broke: it may pass before the code ends.
                Err(Error::Http(e)) if e.is_transient() && !self.way.stop.raised() => {
                    interval = interval.saturating_mul(2).min(SLOWEST);
                }
                Err(e) => return Err(e),
            }
        }
        let ended = answer::TokenRefused::of("expired_token".to_owned(), String::new(), Vec::new());
        Err(self.refused(asker, url, &ended, self.asked(client, true)))
    }

    fn keep(&self, endpoints: &Endpoints, won: Won) -> Result<Token, Error> {
        let (store, now) = (self.store(), clock::now());
        let Won { tokens, client } = won;
        let first = LoginRecord {
            user: self.user.to_owned(),
            client_id: client.id,
            client_secret: client.secret.filter(|_| client.is_registered),
            token_url: endpoints.token.to_string(),
            revoke_url: endpoints.revoke.as_ref().map(ToString::to_string),
            login: now,
            refresh: None,
            refresh_ends: None,
            access: Secret::new(""),
            obtained: now,
            ends: Time(0),
        };
        let record = first.renewed(tokens, now);
        let lock = store.lock()?;
        let room = store.make_room(&lock, None)?;
        store.save(&lock, room, &record)?;
        LoginNotes { login: now.0, leave_alone_until: 0 }.write(&lock);
        Ok(Token { secret: record.access, is_new: true })
    }
}

/// What proves that the answer is that to our question.
fn proof() -> Result<Proof, Error> {
    let random = || clock::random().map_err(|source| Error::Local { action: "get random numbers", source });
    Ok(Proof::of(random()?, random()?))
}

fn lacks(endpoints: &Endpoints, flow: &str, other: &str) -> Error {
    Error::Settings {
        what: format!("{} has no login by {flow}", endpoints.token.host()),
        hint: format!("use the other one: --flow {other}"),
    }
}

fn unavailable(url: &Url, status: u16) -> Error {
    Error::Unavailable { host: url.host().to_owned(), why: format!("status {status}") }
}

#[cfg(test)]
mod tests {
    use super::{Endpoints, Flow, UserPlace};
    use crate::account::OAuthFlow;
    use crate::http::Url;

    #[test]
    fn the_flow_fits_where_the_user_sits() {
        let url = || Url::parse("https://a.example/x").unwrap();
        let with = |authorize: bool, device: bool| Endpoints {
            authorize: authorize.then(url),
            token: url(),
            device: device.then(url),
            revoke: None,
            register: None,
            issuer: None,
            scope: String::new(),
        };
        let here = UserPlace { has_browser: true, is_remote: false };
        let by_ssh = UserPlace { has_browser: true, is_remote: true };
        let console = UserPlace::default();
        use OAuthFlow::{Auto, Browser, Device};
        for (wanted, place, authorize, device, flow) in [
            (Auto, here, true, true, Flow::Browser),
            (Auto, by_ssh, true, true, Flow::Device),
            (Auto, by_ssh, true, false, Flow::ByHand),
            (Auto, console, true, false, Flow::ByHand),
            (Auto, console, true, true, Flow::Device),
            (Auto, here, false, true, Flow::Device),
            (Browser, here, true, true, Flow::Browser),
            (Browser, by_ssh, true, true, Flow::ByHand),
            (Device, here, true, true, Flow::Device),
        ] {
            assert_eq!(Flow::choose(wanted, place, &with(authorize, device)), flow, "{wanted:?} {place:?}");
        }
    }
}
