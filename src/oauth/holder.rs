//! A token that is good now: from the store where it lasts, else renewed.

use std::path::Path;

use super::answer::TokenRefused;
use super::ask::{self, AskOutcome, Asker};
use super::endpoints::{self, OAuthClient};
use super::error::Error;
use super::limits::WaitLimits;
use super::observer::TokenObserver;
use super::record::LoginRecord;
use super::refusal::{RefusalKind, RefusedRequest};
use super::store::{LockedStore, LoginNotes, Store};
use crate::account::OAuth;
use crate::clock;
use crate::http::{HttpWay, SignalEnds, Url};
use crate::problem::Problem;
use crate::secret::Secret;
use crate::text::shown_by;
use crate::types::Time;

/// Where the client's secret comes from.
pub(crate) type SecretSource<'a> = dyn Fn() -> Result<Option<Secret>, Box<dyn Problem>> + 'a;

/// An account that has, or is to have, tokens; and all that is needed to get one.
#[derive(Clone, Copy)]
pub(crate) struct TokenHolder<'a> {
    /// The account's name, for messages.
    pub account: &'a str,
    /// The user at the mail server.
    pub user: &'a str,
    /// Who gives tokens, and to which client.
    pub settings: &'a OAuth,
    /// Asked when the server is.
    pub client_secret: &'a SecretSource<'a>,
    /// The state directory.
    pub state: &'a Path,
    /// The way to the authorization server.
    pub way: HttpWay<'a>,
    /// How long others are waited for.
    pub limits: WaitLimits,
    /// Sees it.
    pub watch: &'a dyn TokenObserver,
}

shown_by!(TokenHolder<'_>, account);

/// A token that is good now.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub secret: Secret,
    /// Whether it was renewed just now: one that is refused all the same won't get better.
    pub is_new: bool,
}

/// What is known of a login without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginStanding {
    /// When the user logged in.
    pub login: Time,
    /// When a token was given last.
    pub renewed: Time,
    /// When the access token ends.
    pub ends: Time,
    /// When the login ends, as far as that is known: where it isn't used until then, or in any case.
    pub login_ends: Option<Time>,
    /// Whether it can be renewed.
    pub is_renewable: bool,
}

impl LoginStanding {
    /// Whether the user has to log in again.
    #[must_use]
    pub(crate) fn is_due(&self, now: Time) -> bool {
        let over = |ends: Time| ends.seconds_since(now) <= 0;
        self.login_ends.is_some_and(over) || (!self.is_renewable && over(self.ends))
    }
}

impl TokenHolder<'_> {
    /// A token: from the store where it has five minutes left, else renewed, saved and synced.
    ///
    /// # Errors
    /// When there was no login, or it has ended; when the server can't be asked; when the disk is full.
    pub(crate) fn token(&self) -> Result<Token, Error> {
        let store = self.store();
        let before = store.load()?.ok_or_else(|| self.not_logged_in(&store))?;
        if let Some(token) = self.good(&before) {
            return Ok(token);
        }
        let lock = store.lock()?;
        // Another process may have renewed it while we waited.
        let before = store.load_locked(&lock)?.ok_or_else(|| self.not_logged_in(&store))?;
        match self.good(&before) {
            Some(token) => Ok(token),
            None => self.renewed(&store, &lock, before),
        }
    }

    /// Another token than `refused`, which the mail server takes no more though it should last.
    ///
    /// # Errors
    /// As [`TokenHolder::token`].
    pub(crate) fn other_than(&self, refused: &Secret) -> Result<Token, Error> {
        let store = self.store();
        let lock = store.lock()?;
        let before = store.load_locked(&lock)?.ok_or_else(|| self.not_logged_in(&store))?;
        match self.good(&before).filter(|token| token.secret != *refused) {
            Some(token) => Ok(token),
            None => self.renewed(&store, &lock, before),
        }
    }

    /// How the login stands; nothing where there is none.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) fn standing(&self) -> Result<Option<LoginStanding>, Error> {
        let Some(record) = self.store().load()? else { return Ok(None) };
        let unused = self
            .settings
            .provider
            .unused_days
            .map(|days| Time(record.obtained.0.saturating_add(i64::from(days).saturating_mul(86_400))));
        Ok(Some(LoginStanding {
            login: record.login,
            renewed: record.obtained,
            ends: record.ends,
            login_ends: record.refresh_ends.or(unused.filter(|_| record.refresh.is_some())),
            is_renewable: record.refresh.is_some(),
        }))
    }

    /// Where the login is kept, for people.
    #[must_use]
    pub(crate) fn place(&self) -> String {
        self.store().shown()
    }

    /// Gives the tokens back where the server takes them (RFC 7009), and removes what is stored.  Whether the server took
    /// them; nothing where there was no login.
    ///
    /// # Errors
    /// A store that can't be removed.  A server that can't be asked is not an error.
    pub(crate) fn log_out(&self) -> Result<Option<bool>, Error> {
        let store = self.store();
        let lock = store.lock()?;
        let record = match store.load_locked(&lock) {
            // What can't be understood can still be removed.
            Err(Error::Damaged { .. }) => None,
            record => record?,
        };
        let given_back = record.as_ref().map(|record| self.give_back(record).unwrap_or(false));
        store.remove(&lock)?;
        Ok(given_back)
    }

    fn give_back(&self, record: &LoginRecord) -> Result<bool, Error> {
        let Some(url) = record.revoke_url.as_deref().or(self.settings.provider.revoke.as_deref()) else {
            return Ok(false);
        };
        let url = endpoints::url("revoke-url", url)?;
        let asker = self.asker(SignalEnds::Always);
        let secret = self.secret_of(record)?;
        let token = record.refresh.as_ref().unwrap_or(&record.access);
        [Some(token), secret.as_ref()].into_iter().flatten().for_each(|secret| asker.hide(secret));
        let mut form = vec![("token", token.expose()), ("client_id", record.client_id.as_bytes())];
        form.extend(secret.as_ref().map(|secret| ("client_secret", secret.expose())));
        Ok(matches!(asker.post(&url, &form, "an answer")?, AskOutcome::Good(_)))
    }

    pub(super) fn store(&self) -> Store<'_> {
        let mut store = Store::new(self.account, self.user, self.settings, self.state, self.way.stop);
        store.limits = self.limits;
        store
    }

    pub(super) fn asker(&self, signal: SignalEnds) -> Asker<'_> {
        Asker::new(HttpWay { signal, ..self.way }, self.watch)
    }

    fn not_logged_in(&self, store: &Store<'_>) -> Error {
        Error::NotLoggedIn { account: self.account.to_owned(), store: store.shown() }
    }

    /// The client's secret: of the login if it registered the client, else of the settings.
    fn secret_of(&self, record: &LoginRecord) -> Result<Option<Secret>, Error> {
        match &record.client_secret {
            Some(secret) => Ok(Some(secret.clone())),
            None => (self.client_secret)().map_err(Error::ClientSecret),
        }
    }

    fn good(&self, record: &LoginRecord) -> Option<Token> {
        let left = record.left(clock::now())?;
        self.watch.detail(format!("token from the store, good for {}", lasting(left)));
        Some(Token { secret: record.access.clone(), is_new: false })
    }

    /// Renews, with the lock held: room first, then the question, then the disk, then the use.
    fn renewed(&self, store: &Store<'_>, lock: &LockedStore, before: LoginRecord) -> Result<Token, Error> {
        let url = endpoints::url("token-url", &before.token_url)?;
        let notes = LoginNotes::read(lock);
        let wait = notes.leave_alone_until.saturating_sub(clock::now().0);
        if (1..=i64::try_from(ask::LONGEST_WAIT).unwrap_or(0)).contains(&wait) {
            let why = format!("it asked to be left alone for {}", lasting(wait));
            return Err(Error::Unavailable { host: url.host().to_owned(), why });
        }
        let secret = self.secret_of(&before)?;
        let room = store.make_room(lock, Some(&before))?;
        let asker = self.asker(SignalEnds::BeforeItIsSent);
        match self.ask(&asker, &url, &before, secret.as_ref(), lock) {
            Ok(record) => {
                store.save(lock, room, &record)?;
                let life = u64::try_from(record.ends.seconds_since(record.obtained)).unwrap_or(0);
                self.watch.refreshed(url.host(), life);
                Ok(Token { secret: record.access, is_new: true })
            }
            Err(e) => {
                store.give_back(room);
                // A process without our lock, on another machine perhaps, may have put another login there.
                let now = store
                    .load()
                    .ok()
                    .flatten()
                    .filter(|now| e.needs_login() && now.refresh != before.refresh);
                match now.and_then(|now| self.good(&now)) {
                    Some(token) => Ok(token),
                    None => Err(e),
                }
            }
        }
    }

    fn ask(
        &self,
        asker: &Asker<'_>,
        url: &Url,
        before: &LoginRecord,
        secret: Option<&Secret>,
        lock: &LockedStore,
    ) -> Result<LoginRecord, Error> {
        let client =
            OAuthClient { id: before.client_id.clone(), secret: secret.cloned(), is_registered: false };
        let asked = self.asked(&client, false);
        let Some(refresh) = &before.refresh else {
            let ended =
                TokenRefused::of("invalid_grant".to_owned(), "no refresh token".to_owned(), Vec::new());
            return Err(self.refused(asker, url, &ended, asked));
        };
        let form = [("grant_type", b"refresh_token".as_slice()), ("refresh_token", refresh.expose())];
        match self.exchange(asker, url, &client, &form, &[refresh, &before.access])? {
            AskOutcome::Good(body) => {
                let tokens = asker.tokens(url, &body)?;
                Ok(before.renewed(tokens, clock::now()))
            }
            AskOutcome::Refused(refused) => Err(self.refused(asker, url, &refused, asked)),
            AskOutcome::Later { status, after } => {
                if let Some(after) = after {
                    let until = clock::now().0.saturating_add(i64::try_from(after).unwrap_or(0));
                    LoginNotes { leave_alone_until: until, ..LoginNotes::read(lock) }.write(lock);
                }
                Err(Error::Unavailable { host: url.host().to_owned(), why: format!("status {status}") })
            }
        }
    }

    /// Asks for tokens; `secrets` are those that the form holds.
    pub(super) fn exchange(
        &self,
        asker: &Asker<'_>,
        url: &Url,
        client: &OAuthClient,
        form: &[(&str, &[u8])],
        secrets: &[&Secret],
    ) -> Result<AskOutcome, Error> {
        secrets.iter().copied().chain(&client.secret).for_each(|secret| asker.hide(secret));
        let mut form = form.to_vec();
        form.push(("client_id", client.id.as_bytes()));
        form.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.expose())));
        asker.post(url, &form, "a token")
    }

    pub(super) fn asked<'b>(&'b self, client: &'b OAuthClient, device: bool) -> RefusedRequest<'b> {
        RefusedRequest {
            provider: &self.settings.provider,
            account: self.account,
            client_id: &client.id,
            has_secret: client.secret.is_some(),
            device,
        }
    }

    pub(super) fn refused(
        &self,
        asker: &Asker<'_>,
        url: &Url,
        refused: &TokenRefused,
        asked: RefusedRequest<'_>,
    ) -> Error {
        let refusal = asker.explain(refused, asked);
        match refusal.kind {
            RefusalKind::Later => Error::Unavailable { host: url.host().to_owned(), why: refusal.what },
            _ => Error::Refused { host: url.host().to_owned(), refusal },
        }
    }
}

/// A time for people: `41 minutes`.
pub(super) fn lasting(seconds: i64) -> String {
    let unit = |n: i64, noun: &str| crate::text::count(u64::try_from(n).unwrap_or(0), noun);
    match seconds {
        ..120 => unit(seconds, "second"),
        120..7200 => unit(seconds / 60, "minute"),
        7200..172_800 => unit(seconds / 3600, "hour"),
        _ => unit(seconds / 86_400, "day"),
    }
}
