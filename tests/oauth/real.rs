//! Dovecot's `passdb oauth2` behind the login: it asks the authorization server whose token it has been shown.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::{Scene, mail};
use crate::support::dovecot::Dovecot;
use crate::support::mailboxes::Maildir;

#[test]
fn dovecot_takes_what_the_authorization_server_gives() {
    let scene = Scene::with(mail("XOAUTH2"), "");
    // For Dovecot's processes, which run as other users.
    let folder = tempfile::Builder::new().prefix("oauth-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let (ca, settings) = (folder.path().join("ca.pem"), folder.path().join("oauth2.conf"));
    scene.authorization.authority.write(&ca);
    let introspection = scene.authorization.url("/introspect");
    let text = format!(
        "introspection_url = {introspection}\nintrospection_mode = post\nusername_attribute = sub\nactive_attribute = active\n\
         active_value = true\ntls_ca_cert_file = {}\n",
        ca.display()
    );
    fs::write(&settings, text).unwrap();
    let more = format!(
        "auth_mechanisms = plain xoauth2 oauthbearer\npassdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args \
         = {}\n}}",
        settings.display()
    );
    let Some(dovecot) = Dovecot::start_with(&[("me", "unused")], &more) else { return };
    dovecot.put("me", b"Subject: hello\r\n\r\nhi\r\n");
    for (n, auth) in ["auto", "xoauth2", "oauthbearer"].into_iter().enumerate() {
        let account = scene.account("work", dovecot.pop3_port, &scene.oauth(""));
        scene.sandbox.config(format!("{account}auth = \"{auth}\"\n"));
        if n == 0 {
            scene.log_in().succeeds().says("1 message there, 1 new");
        }
        scene.run(&["--all"]).succeeds();
        assert_eq!(Maildir::read(&scene.sandbox.path("mail-work")).messages().len(), n + 1, "{auth}");
        // It has given the token up: 401, one renewal, one more connection.
        scene.authorization.state().access = format!("Quux-access-of-{auth}");
        let before = scene.authorization.refreshes();
        scene.run(&["-v"]).succeeds().complains("another token is asked for");
        assert_eq!(scene.authorization.refreshes(), before + 1);
    }
}
