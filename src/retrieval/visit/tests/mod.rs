//! What commands show that only look, and what the ones do that a user leads: over a server on loopback.

mod by_hand;
mod check;
mod delete;
mod evidence;
mod list;
mod show;

use crate::retrieval::trial::{Home, Letter};
use crate::types::Selection;

/// Letters whose unique-ids are their contents.
pub(super) fn letters(names: &[&str]) -> Vec<Letter> {
    names.iter().map(|name| Letter::new(name, name)).collect()
}

fn named(words: &[&str]) -> Selection {
    Selection::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A server that holds these, the first of which a run has delivered.
fn home(delivered: &[&str], new: &[&str]) -> Home {
    let home = Home::holding(&letters(delivered));
    assert_eq!(home.run("").exit().number(), 0, "{:?}", home.reported());
    home.post().letters.extend(letters(new));
    home
}
