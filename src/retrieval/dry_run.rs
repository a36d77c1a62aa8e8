//! `--dry-run`: what a run would do, as far as listings and headers tell.

use super::error::Error;
use super::run::Run;
use super::visit::{Outlook, Visit, cause};
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
    let mut client = visit.log_in(&secret, visit.listing(true))?;
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
