//! What a fuzzer calls.

use std::borrow::Cow;
use std::path::Path;

use crate::types::{Time, wide};

use super::index::Index;
use super::lines::{Fact, FirstLine, Group, Title, VERSION};
use super::replay::replay;
use crate::account::Mailbox;

/// Replays arbitrary octets as a ledger: must neither panic nor take more memory than they warrant.
pub fn fuzz_replay(octets: &[u8]) {
    let mailbox = Mailbox { user: "u".into(), host: "h".into(), port: 110 };
    let length = wide(octets.len());
    let mut index = Index::new(&[7; 32]);
    let _ = replay(octets, length, Path::new("fuzz"), &mailbox, &mut index);
    // The same lines with true checksums come further.
    let mut whole = Vec::new();
    let (user, host) = (Cow::Borrowed(&b"u"[..]), Cow::Borrowed(&b"h"[..]));
    let title = Title { version: VERSION, id: "0", user, host, port: 110, generation: 0 };
    Fact::from(FirstLine { title }).write(&mut whole);
    Fact::from(Group { number: 1, time: Time(1), clock: Time(1), count: u64::MAX }).write(&mut whole);
    octets.split(|octet| *octet == b'\n').filter_map(Fact::parse).for_each(|fact| fact.write(&mut whole));
    let mut index = Index::new(&[7; 32]);
    let length = wide(whole.len());
    let _ = replay(whole.as_slice(), length, Path::new("fuzz"), &mailbox, &mut index);
    for id in index.ids() {
        let _ = (index.entry(id), index.deliveries(id).count(), index.notes(id), index.open_messages(id));
    }
    let _ = (index.messages.open_intents(), index.lingers());
}
