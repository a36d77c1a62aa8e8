//! Which way an account takes to its server, from its settings.

use super::context::ResolveContext;
use super::mistake::{LocatedMistake, Mistake};
use super::settings::{AccountTable, Located};
use super::way::{ProxySetting, proxy, socket};
use crate::account::{Route, Way};

/// What an account's way comes to.
///
/// # Errors
/// What doesn't go together, or has no meaning on this machine.
pub(super) fn way(table: &AccountTable, context: ResolveContext<'_>) -> Result<Way, LocatedMistake> {
    let route = match (&table.proxy, &table.connect_command, &table.socket, &table.connect_to) {
        (Some(proxy), ..) => by_proxy(proxy, context)?,
        (_, Some(command), ..) => Route::Command(command.value.0.clone()),
        (_, _, Some(path), _) => {
            use std::os::unix::ffi::OsStringExt as _;
            let octets = context.file(path)?.into_os_string().into_vec();
            Route::Socket(socket(octets).map_err(|mistake| path.fault(mistake))?)
        }
        (_, _, _, Some(place)) => Route::ConnectTo(place.value.clone()),
        (None, None, None, None) => Route::Direct,
    };
    let source_addresses = match (&table.source_address, &route) {
        (Some(setting), Route::Command(_) | Route::Socket(_)) => {
            let key = if matches!(route, Route::Socket(_)) { "socket" } else { "connect-command" };
            let mistake = Mistake::new(format!("it means nothing with {key}"));
            return Err(setting.fault(mistake.hint(format!("remove it, or {key}"))));
        }
        (setting, _) => setting.as_ref().map(|setting| setting.value.0.clone()).unwrap_or_default(),
    };
    Ok(Way { route, source_addresses })
}

/// The way by a proxy, or past any.
///
/// # Errors
/// A variable that isn't set, or holds no URL.
pub(super) fn by_proxy(
    setting: &Located<ProxySetting>,
    context: ResolveContext<'_>,
) -> Result<Route, LocatedMistake> {
    match &setting.value {
        ProxySetting::Direct => Ok(Route::Direct),
        ProxySetting::Proxy(proxy) => Ok(Route::Proxy(proxy.clone())),
        ProxySetting::Variable(name) => {
            let Some(value) = context.environment.variable(name) else {
                let hint = "set it, write the URL, or proxy = \"none\" for no proxy";
                return Err(setting.fault(Mistake::new(format!("${name} is not set")).hint(hint)));
            };
            // In the environment it may stand with a slash at its end, as URLs of HTTP do.
            let proxy = proxy(value.to_str().unwrap_or_default());
            proxy.map(Route::Proxy).map_err(|mistake| {
                let what = format!("${name}: {}", mistake.what);
                setting.fault(Mistake { what, ..mistake })
            })
        }
    }
}
