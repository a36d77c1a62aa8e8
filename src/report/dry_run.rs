//! The plan that `--dry-run` prints, as a table: a line for each message, and the sums.

use super::table::{Blocks, Column};
use super::{Action, Cause};
use crate::text::{count, shortened, size};
use crate::types::{MessageNumber, Octets};

/// At most this many characters of a unique-id are shown.
const UNIQUE_ID: usize = 40;

/// One account's plan: number, unique-id, size, action and cause of each message.
#[derive(Debug)]
pub(super) struct Plan {
    table: Blocks<5>,
    retrieve: MessageTotal,
    compare: u64,
    delete: MessageTotal,
    leave: u64,
}

/// Messages and their octets, unless one's are not known.
#[derive(Debug)]
struct MessageTotal {
    messages: u64,
    octets: Option<Octets>,
}

impl Default for MessageTotal {
    fn default() -> Self {
        Self { messages: 0, octets: Some(Octets(0)) }
    }
}

impl MessageTotal {
    fn add(&mut self, octets: Option<Octets>) {
        self.messages = self.messages.saturating_add(1);
        self.octets = self.octets.zip(octets).map(|(sum, octets)| sum.plus(octets));
    }

    fn octets(&self) -> String {
        match self.octets {
            Some(octets) if self.messages > 0 => format!(" ({})", size(octets.0)),
            _ => String::new(),
        }
    }
}

impl Plan {
    /// A plan whose lines begin with `prefix`.
    pub(super) fn new(prefix: String) -> Self {
        let columns =
            [Column::number(""), Column::text(""), Column::number(""), Column::text(""), Column::text("")];
        let widths = [0, 0, 0, Action::Retrieve.verb().len(), 0];
        let table = Blocks::new(prefix, columns, widths);
        Self {
            table,
            retrieve: MessageTotal::default(),
            compare: 0,
            delete: MessageTotal::default(),
            leave: 0,
        }
    }

    /// Adds a message.  Returns lines to print whenever a block of them is complete.
    pub(super) fn push(
        &mut self,
        number: MessageNumber,
        unique_id: Option<&str>,
        octets: Option<Octets>,
        action: Action,
        why: Cause,
    ) -> Option<String> {
        match action {
            Action::Retrieve => self.retrieve.add(octets),
            Action::Compare => self.compare = self.compare.saturating_add(1),
            Action::Delete => self.delete.add(octets),
            Action::Leave => self.leave = self.leave.saturating_add(1),
        }
        self.table.push([
            number.to_string(),
            shortened(unique_id.unwrap_or("-"), UNIQUE_ID).into_owned(),
            octets.map_or_else(|| "-".to_owned(), |octets| size(octets.0)),
            action.verb().to_owned(),
            why.text.to_owned(),
        ])
    }

    /// The lines that were held back, and the sums.
    pub(super) fn finish(&mut self) -> String {
        let lines = self.lines();
        let Self { table, retrieve, compare, delete, leave } = self;
        let sums = format!(
            "would retrieve {}{}, compare {compare}, delete {}{}, leave {leave}",
            count(retrieve.messages, "message"),
            retrieve.octets(),
            delete.messages,
            delete.octets(),
        );
        lines + &table.line(&sums)
    }

    /// The lines that were held back.
    pub(super) fn lines(&mut self) -> String {
        self.table.lines()
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::report::table::BLOCK;
    use crate::report::{Action, Cause};
    use crate::types::{MessageNumber, Octets};

    const NEW: Cause = Cause { word: "new", text: "new" };

    fn cause(text: &'static str) -> Cause {
        Cause { word: "", text }
    }

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let mut plan = Plan::new(String::new());
        let long = "x".repeat(50);
        let rows = [
            (9, Some("abc"), Some(Octets(512)), Action::Retrieve, NEW),
            (
                10,
                Some(&*long),
                Some(Octets(26_214_400)),
                Action::Leave,
                cause("larger than max-message-size"),
            ),
            (11, None, None, Action::Compare, cause("has no unique-id")),
            (12, Some("d"), Some(Octets(2048)), Action::Delete, cause("delivered longer ago")),
        ];
        for (n, unique_id, octets, action, why) in rows {
            assert_eq!(plan.push(number(n), unique_id, octets, action, why), None);
        }
        let expected = "
 9  abc                                       512 octets  retrieve  new
10  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…    25.0 MiB  leave     larger than max-message-size
11  -                                                  -  compare   has no unique-id
12  d                                            2.0 KiB  delete    delivered longer ago
would retrieve 1 message (512 octets), compare 1, delete 1 (2.0 KiB), leave 1
";
        assert_eq!(format!("\n{}", plan.finish()), expected);
    }

    #[test]
    fn the_plan_names_each_account() {
        let mut plan = Plan::new("work   ".to_owned());
        plan.push(number(1), Some("a"), None, Action::Retrieve, NEW);
        let expected = "work   1  a  -  retrieve  new\n\
                        work   would retrieve 1 message, compare 0, delete 0, leave 0\n";
        assert_eq!(plan.finish(), expected);
    }

    #[test]
    fn a_long_plan_comes_in_blocks_that_fit_together() {
        let mut plan = Plan::new(String::new());
        let mut text = String::new();
        let most = u32::try_from(BLOCK).unwrap() + 2;
        for n in 1..=most {
            let block = plan.push(
                number(n),
                Some("unique"),
                Some(Octets(1024)),
                Action::Leave,
                cause("delivered before"),
            );
            assert_eq!(block.is_some(), n == most - 2, "{n}");
            text.extend(block);
        }
        text.push_str(&plan.finish());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), BLOCK + 3);
        let ends: Vec<usize> = lines.iter().take(BLOCK + 2).map(|line| line.find("leave").unwrap()).collect();
        assert!(ends.iter().all(|end| end == ends.first().unwrap()));
        assert_eq!(lines.last(), Some(&"would retrieve 0 messages, compare 0, delete 0, leave 1002"));
    }
}
