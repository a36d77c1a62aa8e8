//! Where an authorization server is asked what: from the settings, or from what the server publishes about itself (RFC 8414); and the
//! registration of a client there (RFC 7591).

use serde_json::json;

use super::answer;
use super::ask::{AskOutcome, Asker};
use super::error::Error;
use super::refusal::RefusedRequest;
use crate::account::OAuth;
use crate::http::Url;
use crate::secret::Secret;

/// The scope of draft-ietf-mailmaint-oauth-public, for servers that describe themselves.
const MAIL_SCOPE: &str = "urn:ietf:params:oauth:scope:mail offline_access";

/// Where what is asked.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) authorize: Option<Url>,
    pub(super) token: Url,
    pub(super) device: Option<Url>,
    pub(super) revoke: Option<Url>,
    pub(super) register: Option<Url>,
    /// The issuer that an answer through the browser must name, and whether every answer must name it (RFC 9207).
    pub(super) issuer: Option<(String, bool)>,
    pub(super) scope: String,
}

/// Those of the settings; a server that describes itself is asked.
///
/// # Errors
/// An address that can't be used, or a server that doesn't answer.
pub(super) fn find(settings: &OAuth, asker: &Asker<'_>) -> Result<Endpoints, Error> {
    let provider = &settings.provider;
    let scope = provider.scope.clone();
    let optional = |key: &str, text: &Option<String>| text.as_deref().map(|text| url(key, text)).transpose();
    let (authorize, device) = (&provider.authorize, &provider.device);
    let Some(issuer) = &provider.issuer else {
        let token = url("token-url", provider.token.as_deref().unwrap_or_default())?;
        return Ok(Endpoints {
            authorize: optional("authorize-url", authorize)?,
            token,
            device: optional("device-url", device)?,
            revoke: optional("revoke-url", &provider.revoke)?,
            register: None,
            issuer: None,
            scope: scope.unwrap_or_default(),
        });
    };
    let metadata = metadata(issuer, asker)?;
    let lacks = || Error::Settings {
        what: format!("{} names no address that gives tokens", url_host(issuer)),
        hint: "set token-url and authorize-url in place of issuer".to_owned(),
    };
    let token = provider.token.as_ref().or(metadata.token_endpoint.as_ref()).ok_or_else(lacks)?;
    Ok(Endpoints {
        authorize: optional("authorize-url", &authorize.clone().or(metadata.authorization_endpoint))?,
        token: url("token-url", token)?,
        device: optional("device-url", &device.clone().or(metadata.device_authorization_endpoint))?,
        revoke: optional("revoke-url", &provider.revoke.clone().or(metadata.revocation_endpoint))?,
        register: optional("registration_endpoint", &metadata.registration_endpoint)?,
        issuer: Some((metadata.issuer, metadata.authorization_response_iss_parameter_supported)),
        scope: scope.unwrap_or_else(|| MAIL_SCOPE.to_owned()),
    })
}

/// An address that tokens may be sent to.
///
/// # Errors
/// 78, with the key that names it.
pub(super) fn url(key: &str, text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|why| Error::Settings {
        what: format!("{key}: {why}"),
        hint: "correct it in the oauth table, or in providers.toml".to_owned(),
    })
}

fn url_host(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "the issuer".to_owned(), |url| url.host().to_owned())
}

/// What a server publishes about itself: below the host, before the path (RFC 8414 §3.1), or behind it, as OpenID Connect has it.
fn metadata(issuer: &str, asker: &Asker<'_>) -> Result<answer::Metadata, Error> {
    const EXPECTED: &str = "a description of itself";
    let base = url("issuer", issuer)?;
    let path = base.target().trim_end_matches('/');
    let places = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    let mut first_error = None;
    for place in places {
        let place = base.with_target(&place);
        match asker.get(&place, EXPECTED) {
            Ok(AskOutcome::Good(body)) => {
                return asker.read(&place, &body, EXPECTED, |body| answer::metadata(body, issuer));
            }
            Ok(AskOutcome::Later { status, .. }) => {
                return Err(Error::Unavailable {
                    host: base.host().to_owned(),
                    why: format!("status {status}"),
                });
            }
            Ok(AskOutcome::Refused(_)) => {}
            Err(e @ Error::NotAnAnswer { .. }) => _ = first_error.get_or_insert(e),
            Err(e) => return Err(e),
        }
    }
    let host = base.host().to_owned();
    Err(first_error.unwrap_or(Error::NotAnAnswer { host, what: "a refusal", expected: EXPECTED }))
}

/// A client: the one of the settings, or one that the server gives an id now.
#[derive(Debug, Clone)]
pub(super) struct OAuthClient {
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    /// Whether it was registered, so that the store has to keep its secret.
    pub(super) is_registered: bool,
}

/// Registers a client (RFC 7591): a native one, without a secret of its own.
///
/// # Errors
/// The server's refusal.
pub(super) fn register(
    at: &Url,
    redirects: &[String],
    scope: &str,
    asker: &Asker<'_>,
    asked: RefusedRequest<'_>,
) -> Result<OAuthClient, Error> {
    const EXPECTED: &str = "an id for popfetch";
    let mut grants = vec!["authorization_code", "refresh_token"];
    if redirects.is_empty() || asked.device {
        grants.push("urn:ietf:params:oauth:grant-type:device_code");
    }
    let request = json!({
        "client_name": "popfetch",
        "redirect_uris": redirects,
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "scope": scope,
    });
    match asker.post_json(at, &request, EXPECTED)? {
        AskOutcome::Good(body) => {
            let registered = asker.read(at, &body, EXPECTED, answer::registration)?;
            registered.secret.iter().for_each(|secret| asker.hide(secret));
            Ok(OAuthClient { id: registered.id, secret: registered.secret, is_registered: true })
        }
        AskOutcome::Refused(refused) => {
            let refusal = asker.explain(&refused, asked);
            Err(Error::Refused { host: at.host().to_owned(), refusal })
        }
        AskOutcome::Later { status, .. } => {
            Err(Error::Unavailable { host: at.host().to_owned(), why: format!("status {status}") })
        }
    }
}
