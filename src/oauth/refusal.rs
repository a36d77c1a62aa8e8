//! What a refusal of an authorization server means, in one sentence, with what to do.  A pure function of the error's code and
//! of what was asked.
//!
//! What is done follows the code of the RFC alone.  Microsoft's numbers (`AADSTS…`) choose the sentence: Microsoft warns that they change.

use super::answer::TokenRefused;
use crate::access::shell_word;
use crate::account::Provider;
use crate::exit::ExitCode;
use crate::text::{printable, shortened};
use std::path::Path;

/// A refusal as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthRefusal {
    /// What happened, behind the server's name.
    pub what: String,
    pub hint: Option<String>,
    pub exit: ExitCode,
    pub kind: RefusalKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// The login has ended, or never began: only another one helps.
    Login,
    /// The user, or an administrator, has to agree.
    Consent,
    /// A setting of the client is wrong.
    Client,
    /// It may pass.
    Later,
    /// The code of a device flow isn't used yet.
    Pending,
    /// The same, and the question came too soon.
    SlowDown,
    /// Anything else.
    Other,
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedRequest<'a> {
    pub(super) provider: &'a Provider,
    pub(super) account: &'a str,
    pub(super) client_id: &'a str,
    pub(super) has_secret: bool,
    /// Whether it belongs to a device flow.
    pub(super) device: bool,
}

impl RefusedRequest<'_> {
    /// The command that logs in.
    fn login(&self) -> String {
        login_command(self.account)
    }

    fn is(&self, name: &str) -> bool {
        self.provider.name == name
    }
}

/// The command that logs `account` in.
#[must_use]
pub(super) fn login_command(account: &str) -> String {
    format!("popfetch auth login {}", shell_word(Path::new(account)))
}

/// What a refusal means; `error` and `description` are the server's texts with secrets taken out.
pub(super) fn explain(
    refused: &TokenRefused,
    error: &str,
    description: &str,
    asked: RefusedRequest<'_>,
) -> OAuthRefusal {
    let said = said(error, description);
    let code = |numbers: &[u32]| refused.codes.iter().any(|code| numbers.contains(code));
    let make = |what: String, hint: Option<String>, exit, kind| OAuthRefusal { what, hint, exit, kind };
    let again = || Some(format!("log in again: {}", asked.login()));
    if let Some((what, hint, exit)) = by_number(&code, asked, &said) {
        return make(what, hint, exit, kind_of(&refused.error));
    }
    match refused.error.as_str() {
        "authorization_pending" => make(said, None, ExitCode::Later, RefusalKind::Pending),
        "slow_down" => make(said, None, ExitCode::Later, RefusalKind::SlowDown),
        "temporarily_unavailable" | "server_error" => make(said, None, ExitCode::Later, RefusalKind::Later),
        "invalid_grant" if asked.is("google") => make(
            format!(
                "the login has ended: the password was changed, the access was removed, it wasn't used for 6 months, or the \
                 client is in \"Testing\" (7 days) ({said})"
            ),
            Some(format!(
                "if the client is in \"Testing\" publish it first, then log in again: {}",
                asked.login()
            )),
            ExitCode::Refused,
            RefusalKind::Login,
        ),
        "invalid_grant" => {
            make(format!("the login has ended ({said})"), again(), ExitCode::Refused, RefusalKind::Login)
        }
        "interaction_required" | "login_required" => make(
            format!("it wants to see you again ({said})"),
            again(),
            ExitCode::Refused,
            RefusalKind::Login,
        ),
        "consent_required" => make(
            format!("you or an administrator must agree ({said})"),
            again(),
            ExitCode::Refused,
            RefusalKind::Consent,
        ),
        "access_denied" => make(
            format!("the access was refused in the browser ({said})"),
            Some(format!("start again: {}", asked.login())),
            ExitCode::Refused,
            RefusalKind::Consent,
        ),
        "expired_token" => make(
            "the code ran out before it was used".to_owned(),
            Some(format!("start again: {}", asked.login())),
            ExitCode::Refused,
            RefusalKind::Login,
        ),
        error => of_client(error, said, asked),
    }
}

/// What a refusal means that is about the client, and not about the user.
fn of_client(error: &str, said: String, asked: RefusedRequest<'_>) -> OAuthRefusal {
    let wrong = |what: String, hint: String| OAuthRefusal {
        what,
        hint: Some(hint),
        exit: ExitCode::Configuration,
        kind: RefusalKind::Client,
    };
    match error {
        "invalid_scope" if asked.device => wrong(
            format!("it gives no tokens for mail by a code on another device ({said})"),
            format!("use the browser: {} --flow browser", asked.login()),
        ),
        "invalid_scope" => wrong(
            format!("it does not know the scope ({said})"),
            "check scope, and what the application may do there".to_owned(),
        ),
        "invalid_client" | "unauthorized_client" => {
            let hint = if asked.is("google") && !asked.has_secret {
                "for Google the client's secret has to be given as well: client-secret"
            } else {
                "check client-id and client-secret, and that the application is of a kind that may do this"
            };
            wrong(format!("the client's id or secret is wrong ({said})"), hint.to_owned())
        }
        "invalid_request"
        | "unsupported_grant_type"
        | "unsupported_response_type"
        | "redirect_uri_mismatch" => wrong(
            format!("it does not take the request ({said})"),
            "check how the application is registered there".to_owned(),
        ),
        _ => OAuthRefusal {
            what: format!("it refused ({said})"),
            hint: Some("these are its own words; -vv shows what it was asked".to_owned()),
            exit: ExitCode::Refused,
            kind: RefusalKind::Other,
        },
    }
}

fn kind_of(error: &str) -> RefusalKind {
    match error {
        "invalid_grant" | "interaction_required" | "login_required" => RefusalKind::Login,
        "consent_required" | "access_denied" => RefusalKind::Consent,
        "invalid_client" | "unauthorized_client" | "invalid_request" | "invalid_scope" => RefusalKind::Client,
        _ => RefusalKind::Other,
    }
}

/// What Microsoft's numbers mean: what happened, a hint, an exit code.
type Meaning = Option<(String, Option<String>, ExitCode)>;

fn by_number(code: &dyn Fn(&[u32]) -> bool, asked: RefusedRequest<'_>, said: &str) -> Meaning {
    let tenant = asked.provider.tenant.as_deref().unwrap_or("common");
    let again = || Some(format!("log in again: {}", asked.login()));
    let refused = |what: String, hint: Option<String>| Some((what, hint, ExitCode::Refused));
    let wrong = |what: String, hint: &str| Some((what, Some(hint.to_owned()), ExitCode::Configuration));
    if code(&[700_082]) {
        return refused(format!("the login has ended: it wasn't used for 90 days ({said})"), again());
    }
    if code(&[70_043, 70_044]) {
        return refused(
            format!("your organisation asks for a new login from time to time ({said})"),
            again(),
        );
    }
    if code(&[50_173]) {
        return refused(format!("the login has ended: the password was changed ({said})"), again());
    }
    if code(&[50_076, 50_079]) {
        let hint = format!("log in again, in the browser: {} --flow browser", asked.login());
        return refused(format!("your organisation wants a second factor ({said})"), Some(hint));
    }
    if code(&[53_003]) {
        let hint = format!("try the browser: {} --flow browser", asked.login());
        return refused(format!("your organisation forbids this way of login ({said})"), Some(hint));
    }
    if code(&[65_001, 90_094, 90_095]) {
        let id = printable(asked.client_id.as_bytes());
        let hint = format!(
            "have this page opened by the administrator: https://login.microsoftonline.com/{tenant}/adminconsent?client_id={id}"
        );
        return refused(format!("an administrator has to allow this application ({said})"), Some(hint));
    }
    if code(&[700_016]) {
        let hint = "check client-id; else set tenant to \"consumers\" (outlook.com), \"organizations\", or your domain";
        return wrong(format!("that client id isn't known in the tenant \"{tenant}\" ({said})"), hint);
    }
    if code(&[50_020]) {
        let hint = "set tenant to \"consumers\" (outlook.com), \"organizations\", or your domain";
        return wrong(format!("you belong to another tenant than \"{tenant}\" ({said})"), hint);
    }
    if code(&[7_000_218]) {
        let hint = "allow public client flows in the application (\"Authentication\"), or give client-secret";
        return wrong(format!("it wants the client's secret ({said})"), hint);
    }
    if code(&[7_000_112]) {
        return wrong(format!("that application is disabled ({said})"), "use the id of another one");
    }
    if code(&[50_011]) {
        let hint = "register the redirect http://localhost as \"Mobile and desktop applications\"";
        return wrong(format!("the redirect isn't registered ({said})"), hint);
    }
    None
}

/// The server's own words: its code, its number, its first line.
fn said(error: &str, description: &str) -> String {
    let error = shortened(error, 200).into_owned();
    let line = description.lines().next().unwrap_or_default().trim();
    if line.is_empty() { error } else { format!("{error}: {}", shortened(line, 200)) }
}

#[cfg(test)]
mod tests {
    use super::{RefusalKind, RefusedRequest, explain};
    use crate::account::Provider;
    use crate::oauth::answer::TokenRefused;
    use crate::text::printable;

    #[test]
    fn each_refusal_says_what_to_do() {
        // provider, error, Microsoft's number, whether by device; exit code, kind, part of the sentence, part of the hint
        type Case = (&'static str, &'static str, u32, bool, u8, RefusalKind, &'static str, &'static str);
        let cases: [Case; 26] = [
            (
                "google",
                "invalid_grant",
                0,
                false,
                77,
                RefusalKind::Login,
                "in \"Testing\" (7 days)",
                "publish it first, then log in again: popfetch auth login work",
            ),
            (
                "fastmail",
                "invalid_grant",
                0,
                false,
                77,
                RefusalKind::Login,
                "the login has ended",
                "popfetch auth login work",
            ),
            ("microsoft", "invalid_grant", 700_082, false, 77, RefusalKind::Login, "90 days", "log in again"),
            (
                "microsoft",
                "invalid_grant",
                70_043,
                false,
                77,
                RefusalKind::Login,
                "from time to time",
                "log in again",
            ),
            (
                "microsoft",
                "invalid_grant",
                50_173,
                false,
                77,
                RefusalKind::Login,
                "password was changed",
                "log in again",
            ),
            (
                "microsoft",
                "interaction_required",
                50_076,
                false,
                77,
                RefusalKind::Login,
                "second factor",
                "--flow browser",
            ),
            (
                "microsoft",
                "interaction_required",
                50_079,
                false,
                77,
                RefusalKind::Login,
                "second factor",
                "--flow browser",
            ),
            (
                "microsoft",
                "invalid_grant",
                53_003,
                true,
                77,
                RefusalKind::Login,
                "forbids this way",
                "--flow browser",
            ),
            (
                "microsoft",
                "invalid_grant",
                65_001,
                false,
                77,
                RefusalKind::Login,
                "administrator",
                "firm.example/adminconsent?client_id=the-id",
            ),
            (
                "microsoft",
                "access_denied",
                90_094,
                false,
                77,
                RefusalKind::Consent,
                "administrator",
                "adminconsent",
            ),
            ("other", "consent_required", 0, false, 77, RefusalKind::Consent, "agree", "log in again"),
            (
                "microsoft",
                "unauthorized_client",
                700_016,
                false,
                78,
                RefusalKind::Client,
                "isn't known in the tenant \"firm.example\"",
                "consumers",
            ),
            (
                "microsoft",
                "invalid_request",
                50_020,
                false,
                78,
                RefusalKind::Client,
                "another tenant",
                "consumers",
            ),
            (
                "microsoft",
                "invalid_client",
                7_000_218,
                false,
                78,
                RefusalKind::Client,
                "secret",
                "public client flows",
            ),
            (
                "microsoft",
                "unauthorized_client",
                7_000_112,
                false,
                78,
                RefusalKind::Client,
                "disabled",
                "another",
            ),
            (
                "microsoft",
                "invalid_request",
                50_011,
                false,
                78,
                RefusalKind::Client,
                "redirect",
                "http://localhost",
            ),
            ("google", "invalid_scope", 0, true, 78, RefusalKind::Client, "by a code", "--flow browser"),
            ("other", "invalid_scope", 0, false, 78, RefusalKind::Client, "scope", "check scope"),
            ("google", "invalid_client", 0, false, 78, RefusalKind::Client, "id or secret", "client-secret"),
            (
                "other",
                "unauthorized_client",
                0,
                false,
                78,
                RefusalKind::Client,
                "id or secret",
                "check client-id",
            ),
            (
                "other",
                "access_denied",
                0,
                false,
                77,
                RefusalKind::Consent,
                "refused in the browser",
                "start again",
            ),
            ("other", "expired_token", 0, true, 77, RefusalKind::Login, "ran out", "start again"),
            ("other", "slow_down", 0, true, 75, RefusalKind::SlowDown, "", ""),
            ("other", "authorization_pending", 0, true, 75, RefusalKind::Pending, "", ""),
            ("other", "temporarily_unavailable", 0, false, 75, RefusalKind::Later, "", ""),
            ("other", "some\u{1b}thing", 0, false, 77, RefusalKind::Other, "some\\x1bthing", ""),
        ];
        for (name, error, number, device, exit, kind, what, hint) in cases {
            let provider = Provider {
                name: name.to_owned(),
                tenant: Some("firm.example".to_owned()),
                ..Provider::default()
            };
            let asked = RefusedRequest {
                provider: &provider,
                account: "work",
                client_id: "the-id",
                has_secret: false,
                device,
            };
            let refused =
                TokenRefused { error: error.to_owned(), description: String::new(), codes: vec![number] };
            let refusal = explain(&refused, &printable(error.as_bytes()), "what it says\r\nTrace", asked);
            assert_eq!((refusal.exit.number(), refusal.kind), (exit, kind), "{error} {number}");
            assert!(refusal.what.contains(what), "{}", refusal.what);
            assert!(refusal.hint.unwrap_or_default().contains(hint), "{error} {number}");
            assert!(!refusal.what.contains("Trace") && !refusal.what.contains('\u{1b}'));
        }
    }
}
