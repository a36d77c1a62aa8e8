//! `popfetch config check`: what would stop a run is found before it.

use super::{Checked, check, destinations};
use crate::account::{Account, Auth, Deliver};
use crate::exit::ExitCode;
use crate::retrieval::trial::{Home, Letter};

fn outline(found: &[Checked]) -> Vec<(&str, Option<ExitCode>)> {
    found.iter().map(|checked| (checked.what.as_str(), checked.failure.as_ref().map(|e| e.exit))).collect()
}

#[test]
fn all_that_a_run_needs_is_tried_and_nothing_is_changed() {
    let home = Home::holding(&[Letter::new("a", "a")]);
    let account = home.account_with_password("");
    let maildir = format!("Maildir {}/Mail", home.path().display());
    let found = check(&account, &home.context(), false);
    assert_eq!(outline(&found), [("state directory", None), (maildir.as_str(), None), ("password", None)]);
    assert_eq!(home.sent().len(), 0, "there is no login that wasn't asked for");
    let found = check(&account, &home.context(), true);
    assert_eq!(found.len(), 4);
    assert!(found[3].what.starts_with("login at 127.0.0.1:") && found[3].failure.is_none(), "{found:?}");
    assert_eq!(home.left(), ["a"]);
    assert!(!home.path().join("Mail").exists() && !home.path().join("state").exists());
}

/// A password that is typed is not asked for, unless the login is to be tried.
#[test]
fn a_password_that_is_typed_is_not_asked_for_without_need() {
    let home = Home::holding(&[]);
    let found = check(&home.account(""), &home.context(), false);
    assert_eq!(outline(&found).last(), Some(&("password, asked for in each run", None)));
    // A client certificate needs none.
    let external = Account { auth: Auth::External, ..home.account("") };
    let found = check(&external, &home.context(), false);
    assert_eq!(found.last().map(|checked| checked.what.as_str()), Some("password"));
}

#[test]
fn a_login_that_is_refused_is_found() {
    let home = Home::holding(&[]);
    home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] wrong".to_owned())];
    let found = check(&home.account_with_password(""), &home.context(), true);
    assert_eq!(found.last().unwrap().failure.as_ref().unwrap().exit, ExitCode::Refused);
    // What a look has met is no pause for the next run.
    home.post().refused_before.clear();
    assert_eq!(home.run("").exit(), ExitCode::Done);
}

#[test]
fn a_password_that_is_not_to_be_had_is_found() {
    let home = Home::holding(&[]);
    let account = home.account("password-file = \"/nonexistent/password\"");
    let found = check(&account, &home.context(), true);
    let (what, exit) = outline(&found).last().copied().unwrap();
    assert_eq!((what, exit.is_some(), found.len()), ("password", true, 3), "the login isn't tried then");
}

/// A Maildir that isn't there is made by the first run, where it can be; one that mail was delivered to is missed.
#[test]
fn a_maildir_may_be_missing_only_before_the_first_delivery() {
    let home = Home::holding(&[Letter::new("a", "a")]);
    let account = home.account("");
    let failure = |account: &Account| destinations(account, &home.context())[0].failure.clone();
    assert_eq!(failure(&account), None);
    let nowhere =
        Account { deliver: vec![Deliver::Maildir("/nonexistent/folder/Mail".into())], ..account.clone() };
    assert!(failure(&nowhere).is_some());
    home.run("");
    assert_eq!(failure(&account), None);
    std::fs::remove_dir_all(home.path().join("Mail")).unwrap();
    assert!(failure(&account).is_some(), "a run wouldn't make it again");
    let other = Account { deliver: vec![Deliver::Maildir(home.path().join("Other"))], ..account };
    assert_eq!(failure(&other), None, "nothing was delivered there");
}

/// A folder that only looks like a Maildir, or a file in its place.
#[test]
fn what_is_no_maildir_is_found() {
    let home = Home::holding(&[]);
    let path = home.path().join("Mail");
    std::fs::write(&path, "").unwrap();
    assert!(destinations(&home.account(""), &home.context())[0].failure.is_some());
    std::fs::remove_file(&path).unwrap();
    for folder in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(path.join(folder)).unwrap();
    }
    assert_eq!(destinations(&home.account(""), &home.context())[0].failure, None);
    assert_eq!(std::fs::read_dir(path.join("tmp")).unwrap().count(), 0, "the trial leaves nothing");
}
