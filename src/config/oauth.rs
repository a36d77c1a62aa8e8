//! From an `oauth` table to [`OAuth`]: providers are data, from three files that go over each other by key: the one that
//! is compiled in, the administrator's, and the user's beside the configuration.

use std::path::{Path, PathBuf};

use super::context::ResolveContext;
use super::error::line_of;
use super::file::{self, Providers};
use super::mistake::{LocatedMistake, Mistake, SettingPlace, nearest, quoted};
use super::route::by_proxy;
use super::settings::{Located, OAuthTable, ProviderTable, Table as _};
use super::value::{OneLine, ProgramValue, WebAddress};
use crate::access;
use crate::account::{OAuth, OAuthFlow, PasswordSource, Provider, StoreCommands};
use crate::text;

/// What is compiled in.
const KNOWN: &str = include_str!("providers.toml");

/// The file's name, beside the configuration and in the administrator's directory.
const FILE: &str = "providers.toml";

/// Octets of a file at most.
const LARGEST: u64 = 256 * 1024;

/// What an `oauth` table means.
///
/// # Errors
/// A provider that isn't known, or keys that don't go together.
pub(super) fn resolve(
    setting: &Located<OAuthTable>,
    context: ResolveContext<'_>,
) -> Result<OAuth, LocatedMistake> {
    let (table, own) = with_provider(setting, context)?;
    let table = table.or(OAuthTable::presets()?);
    check_complete(setting, &table)?;
    let client_secret = client_secret(setting, &table, context)?;
    let store = match (&table.load_command, &table.save_command) {
        (Some(load), Some(save)) => Some(StoreCommands { load: load.value.argv(), save: save.value.argv() }),
        (None, None) => None,
        (Some(alone), None) => return Err(alone.fault(Mistake::new("there is no save-command beside it"))),
        (None, Some(alone)) => return Err(alone.fault(Mistake::new("there is no load-command beside it"))),
    };
    let tenant = table.tenant.map(|tenant| tenant.value.0).unwrap_or_default();
    let at = |address: Option<Located<WebAddress>>| {
        address.map(|address| address.value.0.replace("{tenant}", &tenant))
    };
    let words = |text: Option<Located<OneLine>>| text.map(|text| text.value.0);
    let has_tenants = setting.value.tenant.is_some() || KNOWN_TENANTS.contains(&named(&setting.value));
    Ok(OAuth {
        provider: Provider {
            name: named(&setting.value).to_owned(),
            title: words(own.title),
            issuer: at(table.issuer),
            authorize: at(table.authorize_url),
            token: at(table.token_url),
            device: at(table.device_url),
            revoke: at(table.revoke_url),
            scope: words(table.scope),
            tenant: has_tenants.then(|| tenant.clone()),
            parameters: words(own.parameters),
            unused_days: own.unused_days.map(|days| days.value.0),
            app_password_page: words(own.app_password_page),
            access_page: words(own.access_page),
            guide: own.guide.map(|guide| guide.value.0),
        },
        client_id: words(table.client_id),
        client_secret,
        flow: table.flow.map_or(OAuthFlow::Auto, |flow| flow.value),
        redirect: table.redirect.map(|redirect| redirect.value.0),
        route: table.proxy.as_ref().map(|proxy| by_proxy(proxy, context)).transpose()?,
        store,
    })
}

/// Providers that have several directories of users.
const KNOWN_TENANTS: [&str; 1] = ["microsoft"];

fn named(table: &OAuthTable) -> &str {
    table.provider.as_ref().map_or("", |provider| provider.value.0.as_str())
}

/// The table over what its provider sets.
fn with_provider(
    setting: &Located<OAuthTable>,
    context: ResolveContext<'_>,
) -> Result<(OAuthTable, ProviderTable), LocatedMistake> {
    let table = setting.value.clone();
    let Some(provider) = &table.provider else { return Ok((table, ProviderTable::default())) };
    if let Some(issuer) = &table.issuer {
        return Err(issuer.fault(Mistake::new("a provider is named as well").hint("keep one")));
    }
    let name = provider.value.0.as_str();
    let files = files(context).map_err(|mistake| provider.fault(mistake))?;
    let mut found = None;
    for (_, (common, own)) in files.iter().flatten().filter(|(known, _)| known == name) {
        let (below_common, below_own) = found.take().unwrap_or_default();
        found = Some((common.clone().or(below_common), own.clone().or(below_own)));
    }
    let Some((common, own)) = found else {
        let names = || files.iter().flatten().map(|(name, _)| name.as_str());
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => format!("one of {}; or set issuer", names().collect::<Vec<_>>().join(", ")),
        };
        return Err(provider.fault(Mistake::new(format!("there is no {}", quoted(name))).hint(hint)));
    };
    // A secret belongs to its id.
    let mut common = common;
    if table.client_id.is_some() || !secrets(&table).is_empty() {
        (common.client_secret, common.client_secret_command) = (None, None);
        (common.client_secret_file, common.client_secret_credential) = (None, None);
    }
    Ok((table.or(common), own))
}

/// Providers of all files, what counts more behind.
fn files(context: ResolveContext<'_>) -> Result<Vec<Providers>, Mistake> {
    let mut all = vec![file::providers(KNOWN).map_err(|fault| fault.mistake)?];
    let system = context.environment.system_directory.as_deref().map(|directory| directory.join(FILE));
    let own = context.folder.join(FILE);
    for path in [system, Some(own)].into_iter().flatten() {
        all.extend(read(&path)?);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Option<Providers>, Mistake> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let unusable = |e: access::Error| Mistake::new(e.what).hint(e.hint);
    // Who can change it could have tokens sent anywhere.
    access::check_path(path).map_err(unusable)?;
    let (content, _) = access::read(path, FILE, LARGEST).map_err(unusable)?;
    let shown = text::path(path);
    let content = std::str::from_utf8(content.expose())
        .map_err(|_| Mistake::new(format!("{shown}: this is not UTF-8")))?;
    let providers = file::providers(content).map_err(|fault| {
        let start = match &fault.place {
            SettingPlace::File(span) => span.start,
            SettingPlace::Flag | SettingPlace::Url => 0,
        };
        let line = line_of(content.as_bytes(), start);
        Mistake { what: format!("{shown}:{line}: {}", fault.mistake.what), ..fault.mistake }
    })?;
    Ok(Some(providers))
}

fn check_complete(setting: &Located<OAuthTable>, table: &OAuthTable) -> Result<(), LocatedMistake> {
    if table.issuer.is_some() {
        return Ok(());
    }
    if table.token_url.is_none() {
        let mistake = Mistake::new("it names nobody who gives tokens");
        return Err(setting.fault(mistake.hint("add provider, issuer, or token-url and authorize-url")));
    }
    if table.authorize_url.is_none() && table.device_url.is_none() {
        let mistake = Mistake::new("there is neither an authorize-url nor a device-url");
        return Err(setting.fault(mistake.hint("add the one that the provider has")));
    }
    if table.scope.is_none() {
        return Err(setting.fault(Mistake::new("there is no scope").hint("the provider names one for POP")));
    }
    Ok(())
}

/// The sources of the client's secret that are set.
fn secrets(table: &OAuthTable) -> Vec<(&'static str, &SettingPlace)> {
    fn source<T>(setting: Option<&Located<T>>) -> Option<(&'static str, &SettingPlace)> {
        setting.map(|s| (s.key, &s.place))
    }
    let sources = [
        source(table.client_secret.as_ref()),
        source(table.client_secret_command.as_ref()),
        source(table.client_secret_file.as_ref()),
        source(table.client_secret_credential.as_ref()),
    ];
    sources.into_iter().flatten().collect()
}

fn client_secret(
    setting: &Located<OAuthTable>,
    table: &OAuthTable,
    context: ResolveContext<'_>,
) -> Result<Option<PasswordSource>, LocatedMistake> {
    if let [(first, _), (second, place), ..] = secrets(&setting.value).as_slice() {
        let mistake = Mistake::new(format!("there are two sources of the secret: {first} and {second}"));
        return Err(LocatedMistake::new((*place).clone(), mistake.hint("keep one")));
    }
    let command = |command: &Located<ProgramValue>| PasswordSource::Command(command.value.argv());
    let file = table.client_secret_file.as_ref().map(|file| context.file(file)).transpose()?;
    let inline = table.client_secret.as_ref().map(|secret| PasswordSource::Inline(secret.value.clone()));
    let credential = table.client_secret_credential.as_ref();
    Ok(inline
        .or(table.client_secret_command.as_ref().map(command))
        .or(file.map(|path: PathBuf| PasswordSource::File(path)))
        .or(credential.map(|name| PasswordSource::SystemdCredential(name.value.0.clone()))))
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, file};

    #[test]
    fn the_providers_that_are_compiled_in_can_be_read() {
        let providers = file::providers(KNOWN).map_err(|fault| fault.mistake.what).unwrap();
        let names: Vec<&str> = providers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["google", "microsoft", "fastmail", "yahoo", "aol", "seznam"]);
        for (name, (common, own)) in &providers {
            assert!(common.authorize_url.is_some() && common.token_url.is_some(), "{name}");
            assert!(common.scope.is_some() && own.title.is_some() && own.guide.is_some(), "{name}");
            assert!(common.client_id.is_none(), "no id is shipped");
        }
    }
}
