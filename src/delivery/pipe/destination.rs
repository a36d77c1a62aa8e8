//! A program behind the door that all destinations have.

use std::time::Duration;

use super::{PipeInlet, PipeOutlet, PipeSettings, check, is_bound, recover};
use crate::account::{Pipe, PipeCommand};
use crate::delivery::destination::{Destination, Opened, Opening, Order, Recovered, Surroundings};
use crate::delivery::{Error, Settler, Unsettled};
use crate::proof::{DestinationKind, DestinationName};
use crate::text;
use crate::types::Time;

/// A program, and how it is run.
pub(in crate::delivery) struct PipeDestination<'a> {
    pipe: Pipe,
    around: Surroundings<'a>,
}

impl<'a> PipeDestination<'a> {
    pub(in crate::delivery) fn new(pipe: Pipe, around: Surroundings<'a>) -> Self {
        Self { pipe, around }
    }

    /// By its name in the ledger, which is its argv.
    pub(in crate::delivery) fn named(address: &[u8], around: Surroundings<'a>) -> Self {
        let words = address.split(|octet| *octet == 0);
        let argv = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Self::new(Pipe { command: PipeCommand::Argv(argv), time_limit: Duration::ZERO, parallel: 1 }, around)
    }
}

impl Destination for PipeDestination<'_> {
    fn name(&self) -> DestinationName {
        let address = match &self.pipe.command {
            PipeCommand::Argv(argv) => argv.join("\0"),
            PipeCommand::Shell(line) => format!("sh\0-c\0{line}"),
        };
        DestinationName { kind: DestinationKind::Pipe, address: address.into_bytes() }
    }

    fn described(&self) -> String {
        let address = self.name().address;
        let words: Vec<String> = address.split(|octet| *octet == 0).map(text::printable).collect();
        format!("the program {}", words.join(" "))
    }

    fn order(&self) -> Order {
        Order::Program
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn leaves_unsynced(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), Error> {
        check(&self.pipe.command, self.around.search)
    }

    fn open(&self, opening: Opening<'_>) -> Result<Opened, Error> {
        self.check()?;
        let Pipe { command, time_limit, parallel } = self.pipe.clone();
        let state = self.around.state.to_owned();
        let settings = PipeSettings {
            bound: is_bound(&command, self.around.search),
            stop: self.around.stop.clone(),
            grace: PipeSettings::GRACE,
            command,
            time_limit,
            parallel,
            account: opening.account.to_owned(),
            server: opening.server.to_owned(),
            state: state.clone(),
            owner: self.around.owner.cloned(),
        };
        Ok(Opened {
            inlet: Box::new(PipeInlet::new(state)),
            outlet: Box::new(PipeOutlet::new(settings)),
            inode: None,
        })
    }

    fn recover(&self, unsettled: &Unsettled, settler: &mut dyn Settler, _: Time) -> Result<Recovered, Error> {
        recover(unsettled, settler)
    }
}
