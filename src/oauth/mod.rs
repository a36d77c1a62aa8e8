//! OAuth 2 (RFC 6749): logins in the browser or by a code, and tokens that are kept and renewed.  Mail can be fetched until the
//! provider ends the login; then the user has to log in again.  Nothing here depends on what the tokens are used for.
//!
//! ```text
//! answer, request, refusal, record   without I/O: what is asked, what is answered, what it means, what is kept
//! ask, endpoints                     questions to the server, and what of them may be shown
//! store                              a file or two commands, under a lock
//! holder                             a token that is good now: from the store, or renewed
//! login                              flows: browser, device, by hand
//! ```
//!
//! Providers are data ([`Provider`](crate::account::Provider)); no client id is shipped.  A token is renewed before the mail
//! server is dialled, under a lock that is never skipped, and saved and synced before it is used ([`store`]'s picture).
//! What the server refuses takes nothing away: a stored login is removed by [`TokenHolder::log_out`] alone.

mod answer;
mod ask;
mod endpoints;
mod error;
mod holder;
mod limits;
mod listener;
mod login;
mod observer;
mod record;
mod refusal;
mod request;
mod store;
mod terminal;
#[cfg(test)]
mod tests;

pub(crate) use error::Error;
pub(crate) use holder::{LoginStanding, TokenHolder};
pub(crate) use limits::WaitLimits;
pub(crate) use login::UserPlace;
pub(crate) use observer::TokenObserver;
#[cfg(test)]
pub(crate) use refusal::{OAuthRefusal, RefusalKind};
pub(crate) use store::{end_of_login, last_login};
pub(crate) use terminal::LoginTerminal;

use record::LoginRecord;

/// For fuzzing: any octets as answers of an authorization server, as a stored login, and as what a browser brings.
#[doc(hidden)]
pub fn fuzz_oauth(octets: &[u8]) {
    answer::fuzz(octets);
    if let Some(record) = LoginRecord::read(octets) {
        let line = record.line();
        assert!(LoginRecord::read(line.expose()).is_some_and(|again| again == record));
    }
    let proof = request::Proof::of([0; 32], [1; 32]);
    let _ = request::came(&String::from_utf8_lossy(octets), &proof, Some(("https://a.example", false)));
    let _ = listener::asked_for(octets);
}
