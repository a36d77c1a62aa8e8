//! Bars on a terminal: one for each account that is being polled, with messages, octets, rate and remaining time.  When
//! an account is done, its line replaces its bar.
//!
//! Octets are reported once for each chunk that is read, which costs two atomic additions and, as often as indicatif's own
//! limit allows, a redraw.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::plain::{Plain, name};
use super::{Event, Reporter};
use crate::text::{count, size};
use crate::types::Octets;

/// Renders a run as bars, and as lines between them.
#[derive(Debug)]
pub struct Progress {
    plain: Plain,
    bars: MultiProgress,
    // Made once, so that finding one takes no lock.
    meters: HashMap<String, Meter>,
}

#[derive(Debug)]
struct Meter {
    bar: ProgressBar,
    /// Whether a bar would not fit on a line.
    is_narrow: bool,
    shown: AtomicBool,
    messages: Arc<Messages>,
}

#[derive(Debug, Default)]
struct Messages {
    arrived: AtomicU64,
    planned: AtomicU64,
}

impl Progress {
    /// Bars for these accounts on standard error, which has to be a terminal; lines as `plain` has them.
    #[must_use]
    pub fn new(plain: Plain, accounts: &[&str]) -> Self {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        // A terminal may not know its width: 0 then.
        let columns = size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(80);
        Self::onto(plain, accounts, ProgressDrawTarget::stderr(), columns)
    }

    fn onto(plain: Plain, accounts: &[&str], target: ProgressDrawTarget, columns: u16) -> Self {
        let columns = usize::from(columns);
        let bars = MultiProgress::with_draw_target(target);
        let screen = bars.clone();
        plain.printer().surround(Arc::new(move |write| screen.suspend(write)));
        let names = accounts.iter().map(|account| name(account).chars().count());
        // Lines have the names in full.
        let width = names.max().unwrap_or_default().min(columns / 3);
        let is_narrow = columns.saturating_sub(width) < ROOM;
        let meters = accounts
            .iter()
            .map(|account| ((*account).to_owned(), Meter::new(account, width, is_narrow)))
            .collect();
        Self { plain, bars, meters }
    }
}

impl Reporter for Progress {
    fn report(&self, account: &str, event: &Event) {
        if let Some(meter) = self.meters.get(account) {
            match event {
                Event::Connecting { server } => {
                    if !meter.shown.swap(true, Ordering::Relaxed) {
                        self.bars.add(meter.bar.clone());
                    }
                    meter.say(format!("connecting to {server}"));
                }
                Event::LoggedIn { .. } => meter.say("asking what there is".to_owned()),
                Event::Listed { messages } => {
                    meter.say(format!("{} on the server", count(*messages, "message")))
                }
                Event::Planned { messages, octets } => meter.plan(*messages, *octets),
                Event::Received { octets } => meter.bar.inc(*octets),
                Event::Arrived => drop(meter.messages.arrived.fetch_add(1, Ordering::Relaxed)),
                Event::Finished(_) => {
                    meter.bar.finish_and_clear();
                    self.bars.remove(&meter.bar);
                }
                Event::Waiting { .. }
                | Event::Intended { .. }
                | Event::Recovered { .. }
                | Event::Delivered(_)
                | Event::MessageFailed { .. }
                | Event::TooLarge { .. }
                | Event::Warning(_)
                | Event::Notice(_)
                | Event::Detail(_)
                | Event::Dialogue(_) => {}
            }
        }
        self.plain.report(account, event);
    }

    fn ended(&self) {
        self.plain.ended();
    }

    fn wants_detail(&self) -> bool {
        self.plain.wants_detail()
    }

    fn wants_dialogue(&self) -> bool {
        self.plain.wants_dialogue()
    }

    fn wants_deliveries(&self) -> bool {
        self.plain.wants_deliveries()
    }
}

impl Meter {
    fn new(account: &str, width: usize, is_narrow: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(SAYING));
        bar.set_prefix(format!("{:width$.width$}", name(account)));
        Self { bar, is_narrow, shown: AtomicBool::new(false), messages: Arc::default() }
    }

    /// Shows in words how far it is, until there is something to count.
    fn say(&self, text: String) {
        self.bar.set_style(style(SAYING));
        self.bar.set_message(text);
    }

    /// This much will be retrieved, besides what came in earlier sessions.
    fn plan(&self, messages: u64, octets: Option<Octets>) {
        let arrived = self.messages.arrived.load(Ordering::Relaxed);
        self.messages.planned.store(arrived.saturating_add(messages), Ordering::Relaxed);
        match octets {
            Some(octets) => self.bar.set_length(self.bar.position().saturating_add(octets.0)),
            None => self.bar.unset_length(),
        }
        let template = match (octets.is_some(), self.is_narrow) {
            (true, false) => COUNTING,
            (true, true) => COUNTING_NARROW,
            (false, false) => COUNTING_UP,
            (false, true) => COUNTING_UP_NARROW,
        };
        let messages = Arc::clone(&self.messages);
        let counting = style(template)
            .with_key("messages", move |_: &ProgressState, out: &mut dyn fmt::Write| {
                let Messages { arrived, planned } = &*messages;
                let _ =
                    write!(out, "{}/{}", arrived.load(Ordering::Relaxed), planned.load(Ordering::Relaxed));
            })
            .with_key("octets", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&size(state.pos()));
            });
        self.bar.set_style(counting);
        // The rate is that of the messages, not of the login before.
        self.bar.reset_elapsed();
        self.bar.reset_eta();
        self.bar.tick();
    }
}

const SAYING: &str = "{prefix}  {wide_msg}";
const COUNTING: &str = "{prefix}  [{wide_bar}]  {messages}  {octets}  {binary_bytes_per_sec}  {eta} left";
const COUNTING_NARROW: &str = "{prefix}  {messages}  {eta} left";
const COUNTING_UP: &str = "{prefix}  {messages}  {octets}  {binary_bytes_per_sec}";
const COUNTING_UP_NARROW: &str = "{prefix}  {messages}  {octets}";

/// Columns that [`COUNTING`] takes behind the account's name, with a short bar.  A line that is too long goes on in the
/// next one.
const ROOM: usize = 54;

fn style(template: &str) -> ProgressStyle {
    // The templates are ours, and a test tries each; one that didn't parse would only look different.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::sync::Arc;

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::{COUNTING, COUNTING_NARROW, COUNTING_UP, COUNTING_UP_NARROW, Progress, SAYING};
    use crate::report::plain::tests::Sink;
    use crate::report::plain::{Level, Plain, Printer};
    use crate::report::{Event, Reporter as _, Summary};
    use crate::types::Octets;

    /// A terminal of this width that records what is written, with the cursor's movements in brackets.
    #[derive(Clone)]
    struct Screen(Sink, u16);

    impl std::fmt::Debug for Screen {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Screen")
        }
    }

    impl Screen {
        fn note(&self, text: &str) -> io::Result<()> {
            self.0.clone().write_all(text.as_bytes())
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            self.1
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.note(&"<up>".repeat(n))
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.note(&"<down>".repeat(n))
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.note(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.note("<clear>")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The screen, and a run whose lines go to the same screen.
    fn progress(columns: u16, accounts: &[&str]) -> (Sink, Progress) {
        let sink = Sink::default();
        let printer = Arc::new(Printer::onto(Box::new(io::sink()), Box::new(sink.clone()), false));
        let progress = progress_on(&printer, &sink, columns, accounts);
        (sink, progress)
    }

    fn progress_on(printer: &Arc<Printer>, sink: &Sink, columns: u16, accounts: &[&str]) -> Progress {
        let target = ProgressDrawTarget::term_like(Box::new(Screen(sink.clone(), columns)));
        let plain = Plain::new(Arc::clone(printer), Level::Normal, accounts);
        Progress::onto(plain, accounts, target, columns)
    }

    #[test]
    fn the_templates_are_understood() {
        for template in [SAYING, COUNTING, COUNTING_NARROW, COUNTING_UP, COUNTING_UP_NARROW] {
            indicatif::ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn a_bar_counts_and_makes_place_for_its_line() {
        let (sink, progress) = progress(80, &["work", "a"]);
        let say = |event: Event| progress.report("work", &event);
        say(Event::Connecting { server: "h:995".to_owned() });
        assert!(sink.text().contains("work  connecting to h:995"), "{}", sink.text());
        say(Event::Listed { messages: 2 });
        say(Event::Planned { messages: 2, octets: Some(Octets(4096)) });
        say(Event::Received { octets: 1024 });
        say(Event::Arrived);
        progress.meters["work"].bar.tick();
        let bar = sink.text().rsplit("work  [").next().unwrap().to_owned();
        assert!(bar.starts_with("=====") && bar.contains("]  1/2  1.0 KiB"), "{bar}");
        // The session is followed by another one: what was counted stays counted.
        say(Event::Connecting { server: "h:995".to_owned() });
        say(Event::Planned { messages: 3, octets: Some(Octets(1024)) });
        let bar = &progress.meters["work"].bar;
        assert_eq!((bar.position(), bar.length()), (1024, Some(2048)));
        assert!(sink.text().contains("1/4"), "{}", sink.text());
        say(Event::Planned { messages: 1, octets: None });
        say(Event::Finished(Summary { listed: 4, ..Summary::default() }));
        let text = sink.text();
        assert!(text.ends_with("<clear>work  nothing new            4 kept on the server\n"), "{text:?}");
    }

    #[test]
    fn a_bar_keeps_to_one_line() {
        for columns in [36, 60, 80, 120] {
            let account = "an-account-with-a-name-of-40-characters!";
            let (sink, progress) = progress(columns, &[account]);
            progress.report(account, &Event::Connecting { server: "h:995".to_owned() });
            for octets in [Some(Octets(900 << 20)), None] {
                progress.report(account, &Event::Planned { messages: 1234, octets });
                progress.report(account, &Event::Received { octets: 100 << 20 });
                progress.meters[account].bar.tick();
            }
            let text = sink.text();
            let longest = text.split("<clear>").map(|line| line.chars().count()).max();
            assert_eq!(longest, Some(usize::from(columns)), "{text}");
            assert!(text.contains("0/1234"), "{text}");
        }
    }

    #[test]
    fn no_line_stands_beside_a_bar() {
        let (sink, progress) = progress(80, &["work", "home"]);
        for account in ["work", "home"] {
            progress.report(account, &Event::Connecting { server: "h:995".to_owned() });
        }
        progress.report("home", &Event::Warning("beware".to_owned()));
        let text = sink.text();
        let (before, after) = text.split_once("popfetch: home: beware\n").unwrap();
        // Both bars are taken away before, and drawn again after.
        assert!(before.ends_with("<up><clear><down><clear><up>"), "{before:?}");
        assert!(after.contains("work  connecting") && after.contains("home  connecting"), "{after:?}");
        // An unknown account has lines, but no bar.
        progress.report("other", &Event::Finished(Summary::default()));
        assert!(sink.text().contains("other  nothing new"));
    }

    #[test]
    fn a_second_run_of_one_process_has_its_bars_cleared_for_lines_too() {
        let sink = Sink::default();
        let printer = Arc::new(Printer::onto(Box::new(io::sink()), Box::new(sink.clone()), false));
        for run in ["first", "second"] {
            let progress = progress_on(&printer, &sink, 80, &[run]);
            progress.report(run, &Event::Connecting { server: "h:995".to_owned() });
            let drawn = sink.text().len();
            printer.warn("beware");
            let text = sink.text().split_off(drawn);
            let (before, after) = text.split_once("popfetch: beware\n").unwrap();
            assert!(before.ends_with("<clear>"), "{run}: {before:?}");
            assert!(after.contains(&format!("{run}  connecting to h:995")), "{run}: {after:?}");
            progress.report(run, &Event::Finished(Summary::default()));
        }
    }
}
