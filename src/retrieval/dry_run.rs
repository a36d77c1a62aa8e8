//! `--dry-run`: what a run would do, as far as listings and headers tell.

use super::error::Error;
use super::run::Run;
use super::visit::{Outlook, Sizes, Visit, cause};
use crate::report::{Event, RunSummary};
use crate::types::wide;

/// Shows what a run would do, and changes nothing: no recovery, no file.
pub(super) fn dry_run(run: &Run<'_>, summary: &mut RunSummary) -> Result<(), Error> {
    let mut visit = Visit::begin(run)?;
    run.destinations().allowed()?;
    let ledger = visit.ledger()?;
    match u64::try_from(ledger.intents().len()) {
        Ok(0) => {}
        open => {
            let open = crate::text::count(open.unwrap_or(u64::MAX), "delivery");
            run.warn(format!("a run was interrupted: the next one settles {open} first"));
        }
    }
    let secret = visit.secret()?;
    let mut client = visit.log_in(&secret, visit.listing(Sizes::Wanted))?;
    let mut outlook = Outlook::of(&mut visit, &mut client, ledger)?;
    outlook.examine(&mut client)?;
    summary.listed = wide(outlook.maildrop.len());
    for (index, listed) in outlook.maildrop.iter().enumerate() {
        let Some((action, why)) = outlook.intention(index) else { continue };
        let unique_id = listed.unique_id(&outlook.ledger)?.map(|unique_id| client.shown(unique_id.borrow()));
        let (number, octets, why) = (listed.number, listed.octets, cause(why));
        run.report(&Event::Intended { number, unique_id, octets, action, why });
    }
    client.leave();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::exit::ExitCode;
    use crate::report::RunSummary;
    use crate::retrieval::Options;
    use crate::retrieval::trial::{Home, Letter};

    fn dry(home: &Home, settings: &str) -> (RunSummary, Vec<String>) {
        let summary = home.run_as(settings, Options { dry_run: true, ..Options::default() });
        let intended = home.reported().into_iter().filter(|line| line.starts_with("message ")).collect();
        (summary, intended)
    }

    fn home(names: &[&str]) -> Home {
        Home::holding(&names.iter().map(|name| Letter::new(name, name)).collect::<Vec<_>>())
    }

    /// What a run would do is shown, and nothing is done: no file, no folder, no message.
    #[test]
    fn a_dry_run_shows_what_a_run_would_do_and_does_nothing() {
        let home = home(&["a", "b"]);
        let (summary, intended) = dry(&home, "max-messages = 1");
        assert_eq!(intended, ["message 1: retrieve (new)", "message 2: leave (max-messages)"]);
        assert_eq!((summary.exit(), summary.listed, summary.delivered), (ExitCode::Done, 2, 0));
        assert!(summary.dry_run);
        assert!(!home.path().join("state").exists() && !home.path().join("Mail").exists());
        assert_eq!(home.left().len(), 2);
        let asked = home.sent().concat();
        assert!(
            !asked.iter().any(|command| command.starts_with("RETR") || command.starts_with("DELE")),
            "{asked:?}"
        );
    }

    /// It is what the run then does.
    #[test]
    fn what_a_dry_run_shows_is_what_the_run_does() {
        let home = home(&["a", "b"]);
        home.run("max-messages = 1");
        let settings = "leave-on-server = false";
        let (_, intended) = dry(&home, settings);
        assert_eq!(intended, ["message 1: delete (delete)", "message 2: retrieve (new)"]);
        let summary = home.run(settings);
        assert_eq!((summary.delivered, summary.deleted), (1, 2));
    }

    /// What only a header can show is asked for by TOP.
    #[test]
    fn a_header_settles_what_it_can() {
        let home = home(&["a"]);
        home.run("");
        home.post().letters = vec![Letter::new("b", "b")];
        home.run("");
        home.post().letters = vec![Letter::new("b", "b"), Letter::new("a", "a")];
        let (_, intended) = dry(&home, "listing = \"full\"");
        assert_eq!(intended.len(), 2);
        assert_eq!(intended[1], "message 2: leave (known)", "it has come back, and its header is the same");
    }

    #[test]
    fn a_dry_run_fails_as_a_run_would() {
        let home = home(&["a"]);
        home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] wrong".to_owned())];
        assert_eq!(dry(&home, "").0.exit(), ExitCode::Refused);
        assert!(!home.path().join("state").exists());
    }
}
