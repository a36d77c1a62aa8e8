//! The plan that `--dry-run` prints, as a table: a line for each message, and the sums.
//!
//! Columns are as wide as what stands in them.  To know their width, lines are held back, at most one block of
//! them: a maildrop may list a million messages.

use std::fmt::Write as _;

use super::Action;
use crate::plan::Why;
use crate::text::{count, shortened, size};
use crate::types::{MessageNumber, Octets};

/// At most this many lines are held back.
const BLOCK: usize = 1000;

/// At most this many characters of a unique-id are shown.
const UNIQUE_ID: usize = 40;

/// One account's plan.
#[derive(Debug, Default)]
pub(super) struct Table {
    // The account, where there are several, already padded.
    account: Option<String>,
    rows: Vec<Row>,
    // Of the first three columns; they never shrink, so that a later block fits under an earlier one.
    widths: [usize; 3],
    retrieve: Sum,
    compare: u64,
    delete: Sum,
    leave: u64,
}

#[derive(Debug)]
struct Row {
    cells: [String; 3],
    action: Action,
    why: Why,
}

/// Messages and their octets, unless one's are not known.
#[derive(Debug)]
struct Sum {
    messages: u64,
    octets: Option<Octets>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { messages: 0, octets: Some(Octets(0)) }
    }
}

impl Sum {
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

impl Table {
    /// The plan of one account, named at the start of each line if there are several.
    pub(super) fn new(account: Option<String>) -> Self {
        Self { account, ..Self::default() }
    }

    /// Adds a message.  Returns lines to print whenever a block of them is complete.
    pub(super) fn push(
        &mut self,
        number: MessageNumber,
        unique_id: Option<&str>,
        octets: Option<Octets>,
        action: Action,
        why: Why,
    ) -> Option<String> {
        match action {
            Action::Retrieve => self.retrieve.add(octets),
            Action::Compare => self.compare = self.compare.saturating_add(1),
            Action::Delete => self.delete.add(octets),
            Action::Leave => self.leave = self.leave.saturating_add(1),
        }
        let size = octets.map_or_else(|| "-".to_owned(), |octets| size(octets.0));
        let cells = [number.to_string(), shortened(unique_id.unwrap_or("-"), UNIQUE_ID).into_owned(), size];
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(Row { cells, action, why });
        (self.rows.len() >= BLOCK).then(|| self.lines())
    }

    /// The lines that were held back, and the sums.
    pub(super) fn finish(&mut self) -> String {
        let mut text = self.lines();
        self.begin_line(&mut text);
        let Self { retrieve, compare, delete, leave, .. } = self;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "would retrieve {}{}, compare {compare}, delete {}{}, leave {leave}",
            count(retrieve.messages, "message"),
            retrieve.octets(),
            delete.messages,
            delete.octets(),
        );
        text
    }

    /// The lines that were held back.
    pub(super) fn lines(&mut self) -> String {
        let [number, unique_id, size] = self.widths;
        let mut text = String::new();
        for Row { cells: [n, id, octets], action, why } in std::mem::take(&mut self.rows) {
            self.begin_line(&mut text);
            let action = action.verb();
            let _ = writeln!(text, "{n:>number$}  {id:unique_id$}  {octets:>size$}  {action:8}  {why}");
        }
        text
    }

    fn begin_line(&self, text: &mut String) {
        if let Some(account) = &self.account {
            text.push_str(account);
            text.push_str("  ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Table};
    use crate::plan::Why;
    use crate::report::Action;
    use crate::types::{MessageNumber, Octets};

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let mut table = Table::new(None);
        let long = "x".repeat(50);
        let rows = [
            (9, Some("abc"), Some(Octets(512)), Action::Retrieve, Why::New),
            (10, Some(&*long), Some(Octets(26_214_400)), Action::Leave, Why::TooLarge),
            (11, None, None, Action::Compare, Why::Nameless),
            (12, Some("d"), Some(Octets(2048)), Action::Delete, Why::Days),
        ];
        for (n, unique_id, octets, action, why) in rows {
            assert_eq!(table.push(number(n), unique_id, octets, action, why), None);
        }
        let expected = "
 9  abc                                       512 octets  retrieve  new
10  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…    25.0 MiB  leave     larger than max-message-size
11  -                                                  -  compare   has no unique-id
12  d                                            2.0 KiB  delete    delivered longer ago than leave-on-server's days
would retrieve 1 message (512 octets), compare 1, delete 1 (2.0 KiB), leave 1
";
        assert_eq!(format!("\n{}", table.finish()), expected);
    }

    #[test]
    fn several_accounts_are_told_apart() {
        let mut table = Table::new(Some("work ".to_owned()));
        table.push(number(1), Some("a"), None, Action::Retrieve, Why::New);
        let expected = "work   1  a  -  retrieve  new\n\
                        work   would retrieve 1 message, compare 0, delete 0, leave 0\n";
        assert_eq!(table.finish(), expected);
    }

    #[test]
    fn a_long_plan_comes_in_blocks_that_fit_together() {
        let mut table = Table::new(None);
        let mut text = String::new();
        let most = u32::try_from(BLOCK).unwrap() + 2;
        for n in 1..=most {
            let block = table.push(number(n), Some("unique"), Some(Octets(1024)), Action::Leave, Why::Known);
            assert_eq!(block.is_some(), n == most - 2, "{n}");
            text.extend(block);
        }
        text.push_str(&table.finish());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), BLOCK + 3);
        let ends: Vec<usize> = lines.iter().take(BLOCK + 2).map(|line| line.find("leave").unwrap()).collect();
        assert!(ends.iter().all(|end| end == ends.first().unwrap()));
        assert_eq!(lines.last(), Some(&"would retrieve 0 messages, compare 0, delete 0, leave 1002"));
    }
}
