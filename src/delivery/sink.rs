//! Where formatted octets go: into a spool, a digest, or memory.

use crate::delivery::Error;

/// Where octets go.
pub(crate) trait Sink {
    /// Takes the next octets.
    fn put(&mut self, octets: &[u8]) -> Result<(), Error>;

    /// These would have been next, and are left out.
    fn leave_out(&mut self, _: &[u8]) {}
}

impl Sink for Vec<u8> {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.extend_from_slice(octets);
        Ok(())
    }
}
