//! Bars on a terminal: one for each account that is being polled, with messages, octets, rate and remaining time, and below
//! them how far all accounts are.  When an account is done, its line replaces its bar.
//!
//! The width of the terminal is asked at each draw: windows change their size.  Octets are reported once for each chunk that
//! is read, which costs two atomic additions and, as often as indicatif's own limit allows, a redraw.

mod screen;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{
    HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

use super::plain::{Plain, name};
use super::{Event, Reporter};
use crate::text::{count, part, shown_by, size};
use crate::types::wide;
use screen::Screen;

/// The longest bar.
const LONGEST_BAR: usize = 40;
/// A shorter one shows nothing.
const SHORTEST_BAR: usize = 10;
/// How often bars are drawn though nothing happens.
const BETWEEN_DRAWS: Duration = Duration::from_millis(250);
/// How often bars are drawn at most.
const DRAWS_PER_SECOND: u8 = 20;

/// How wide the terminal is now.
type Columns = Arc<dyn Fn() -> usize + Send + Sync>;

/// Renders a run as bars, and as lines between them.
pub(crate) struct Progress {
    plain: Plain,
    bars: MultiProgress,
    // Made once, so that finding one takes no lock.
    meters: Arc<HashMap<String, Meter>>,
    /// Where there are several accounts.
    total: Option<(ProgressBar, Arc<Totals>)>,
}

shown_by!(Progress, plain);

/// The bar of one account.
#[derive(Debug)]
struct Meter {
    bar: ProgressBar,
    shown: AtomicBool,
    done: AtomicBool,
    counts: Arc<Counts>,
}

/// What a bar shows.
#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    planned: AtomicU64,
    /// Octets of sessions before: the rate is that of the messages now.
    before: AtomicU64,
    /// How far it is, in words, until there is something to count.
    words: Mutex<Option<String>>,
}

/// How far all accounts are.
#[derive(Debug, Default)]
struct Totals {
    accounts: u64,
    begun: AtomicU64,
    done: AtomicU64,
    arrived: AtomicU64,
    octets: AtomicU64,
}

impl Progress {
    /// Bars for these accounts on standard error, which has to be a terminal; lines as `plain` has them.
    #[must_use]
    pub(crate) fn new(plain: Plain, accounts: &[&str]) -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Screen::default()), DRAWS_PER_SECOND);
        let progress = Self::onto(plain, accounts, target, Arc::new(screen::columns));
        progress.keep_drawing();
        progress
    }

    /// Draws the bars again from time to time, as long as this lives: while nothing comes the time goes on, and the window
    /// may change its size.
    fn keep_drawing(&self) {
        let (meters, total) = (Arc::downgrade(&self.meters), self.total.clone());
        // Without it they are drawn when something happens.
        let _ = std::thread::Builder::new().name("bars".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(BETWEEN_DRAWS);
                let Some(meters) = meters.upgrade() else { return };
                let is_shown = |meter: &&Meter| {
                    meter.shown.load(Ordering::Relaxed) && !meter.done.load(Ordering::Relaxed)
                };
                meters.values().filter(is_shown).for_each(|meter| meter.bar.tick());
                if let Some((total, _)) = &total
                    && !total.is_finished()
                {
                    total.tick();
                }
            }
        });
    }

    fn onto(plain: Plain, accounts: &[&str], target: ProgressDrawTarget, columns: Columns) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let screen = bars.clone();
        plain.printer().surround(Arc::new(move |write| screen.suspend(write)));
        let names = accounts.iter().map(|account| name(account).chars().count());
        let width = names.max().unwrap_or_default();
        let meter = |account: &&str| ((*account).to_owned(), Meter::new(account, width, &columns));
        let meters = Arc::new(accounts.iter().map(meter).collect());
        let total = (accounts.len() > 1).then(|| {
            let accounts = wide(accounts.len());
            let totals = Arc::new(Totals { accounts, ..Totals::default() });
            let shown = Arc::clone(&totals);
            (line(move |_| cut(&shown.line(), columns())), totals)
        });
        Self { plain, bars, meters, total }
    }

    /// Shows an account's bar from now on, and the total below.
    fn show(&self, meter: &Meter) {
        if meter.shown.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some((total, totals)) = &self.total else {
            self.bars.add(meter.bar.clone());
            return;
        };
        if add(&totals.begun, 1) == 0 {
            self.bars.add(total.clone());
        }
        self.bars.insert_before(total, meter.bar.clone());
        total.tick();
    }

    fn finish(&self, meter: &Meter) {
        if meter.done.swap(true, Ordering::Relaxed) {
            return;
        }
        meter.bar.finish_and_clear();
        self.bars.remove(&meter.bar);
        let Some((total, totals)) = &self.total else { return };
        if !meter.shown.load(Ordering::Relaxed) {
            add(&totals.begun, 1);
        }
        if add(&totals.done, 1).saturating_add(1) == totals.accounts {
            total.finish_and_clear();
        } else {
            total.tick();
        }
    }

    fn count(&self, messages: u64, octets: u64) {
        if let Some((total, totals)) = &self.total {
            add(&totals.arrived, messages);
            add(&totals.octets, octets);
            total.tick();
        }
    }
}

impl Reporter for Progress {
    fn report(&self, account: &str, event: &Event) {
        if let Some(meter) = self.meters.get(account) {
            match event {
                Event::Doing(what) => {
                    self.show(meter);
                    meter.say((*what).to_owned());
                }
                Event::Connecting { server } => {
                    self.show(meter);
                    meter.say(format!("connecting to {server}"));
                }
                Event::LoggedIn { .. } => meter.say("asking what there is".to_owned()),
                Event::Listed { messages } => {
                    meter.say(format!("{} on the server", count(*messages, "message")));
                }
                Event::Planned { messages, octets } => meter.plan(*messages, octets.map(|octets| octets.0)),
                Event::Received { octets } => {
                    meter.bar.inc(*octets);
                    self.count(0, *octets);
                }
                Event::Arrived => {
                    add(&meter.counts.arrived, 1);
                    self.count(1, 0);
                }
                Event::Finished(_) => self.finish(meter),
                _ => {}
            }
        }
        self.plain.report(account, event);
    }

    fn below(&self) -> Option<&dyn Reporter> {
        Some(&self.plain)
    }

    fn is_watched(&self) -> bool {
        true
    }
}

impl Meter {
    /// `width` is that of the longest name.
    fn new(account: &str, width: usize, columns: &Columns) -> Self {
        let (name, columns) = (name(account), Arc::clone(columns));
        let counts = Arc::new(Counts::default());
        let shown = Arc::clone(&counts);
        let bar = line(move |state| {
            let columns = columns();
            // Lines have the names in full.
            let width = width.min(columns / 3);
            let name = format!("{name:width$.width$}");
            cut(&format!("{name}  {}", shown.line(state, columns.saturating_sub(width + 2))), columns)
        });
        Self { bar, shown: AtomicBool::new(false), done: AtomicBool::new(false), counts }
    }

    /// Shows in words how far it is, until there is something to count.
    fn say(&self, text: String) {
        *self.counts.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        self.bar.tick();
    }

    /// This much will be retrieved, besides what came in earlier sessions.
    fn plan(&self, messages: u64, octets: Option<u64>) {
        let counts = &self.counts;
        let arrived = counts.arrived.load(Ordering::Relaxed);
        counts.planned.store(arrived.saturating_add(messages), Ordering::Relaxed);
        counts.before.store(self.bar.position(), Ordering::Relaxed);
        match octets {
            Some(octets) => self.bar.set_length(self.bar.position().saturating_add(octets)),
            None => self.bar.unset_length(),
        }
        *counts.words.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // The rate is that of the messages, not of the login before.
        self.bar.reset_elapsed();
        self.bar.tick();
    }
}

impl Counts {
    /// As much of it as there is room for.
    fn line(&self, state: &ProgressState, room: usize) -> String {
        if let Some(words) = &*self.words.lock().unwrap_or_else(PoisonError::into_inner) {
            return words.clone();
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let messages = format!("{}/{}", load(&self.arrived), load(&self.planned));
        let (octets, now) = (state.pos(), state.pos().saturating_sub(load(&self.before)));
        let rate = format!("{}/s", size(per_second(now, state.elapsed())));
        let Some(all) = state.len() else {
            let octets = size(octets);
            return first_that_fits(
                room,
                [format!("{messages}  {octets}  {rate}"), format!("{messages}  {octets}"), messages.clone()],
            );
        };
        let left = remaining(now, all.saturating_sub(octets), state.elapsed());
        let left = left.map_or_else(|| "- left".to_owned(), |left| format!("{:#} left", HumanDuration(left)));
        let octets = part(octets.min(all), all);
        for numbers in
            [format!("{messages}  {octets}  {rate}  {left}"), format!("{messages}  {octets}  {left}")]
        {
            let rest = room.saturating_sub(numbers.chars().count() + 4);
            if rest >= SHORTEST_BAR {
                let bar = bar(state.pos(), all, rest.min(LONGEST_BAR));
                return format!("[{bar}]  {numbers}");
            }
        }
        first_that_fits(
            room,
            [format!("{messages}  {octets}  {left}"), format!("{messages}  {left}"), messages.clone()],
        )
    }
}

impl Totals {
    fn line(&self) -> String {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (begun, done) = (load(&self.begun), load(&self.done));
        let waiting = match self.accounts.saturating_sub(begun) {
            0 => String::new(),
            waiting => format!(", {waiting} waiting"),
        };
        let (messages, octets) = (count(load(&self.arrived), "message"), size(load(&self.octets)));
        format!("{done} of {} accounts done{waiting}  {messages}  {octets}", self.accounts)
    }
}

/// The sum before.
fn add(sum: &AtomicU64, more: u64) -> u64 {
    sum.fetch_add(more, Ordering::Relaxed)
}

/// A bar whose line is made again at each draw.
fn line(text: impl Fn(&ProgressState) -> String + Clone + Send + Sync + 'static) -> ProgressBar {
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    bar.set_style(style.with_key("line", move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = out.write_str(&text(state));
    }));
    bar
}

/// A line that is too long goes on in the next one.
fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns).collect()
}

fn first_that_fits<const N: usize>(room: usize, texts: [String; N]) -> String {
    let mut last = String::new();
    for text in texts {
        if text.chars().count() <= room {
            return text;
        }
        last = text;
    }
    last
}

fn bar(octets: u64, all: u64, width: usize) -> String {
    let whole = u64::try_from(width).unwrap_or_default();
    let filled = u128::from(octets.min(all)) * u128::from(whole) / u128::from(all.max(1));
    let filled = usize::try_from(filled).unwrap_or(width).min(width);
    let tip = if filled < width { ">" } else { "" };
    format!("{:width$}", format!("{}{tip}", "=".repeat(filled)))
}

fn per_second(octets: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(octets) * 1000 / elapsed.as_millis().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// How long the rest takes at the rate so far; none before there is one.
fn remaining(octets: u64, rest: u64, elapsed: Duration) -> Option<Duration> {
    let milliseconds = (u128::from(rest) * elapsed.as_millis()).checked_div(u128::from(octets))?;
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};
    use std::sync::Arc;

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::Progress;
    use crate::report::plain::tests::Sink;
    use crate::report::plain::{Level, Plain, Printer};
    use crate::report::{Event, Reporter as _, RunSummary};
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
        Progress::onto(plain, accounts, target, Arc::new(move || usize::from(columns)))
    }

    #[test]
    fn a_bar_counts_and_makes_place_for_its_line() {
        let (sink, progress) = progress(80, &["work"]);
        let say = |event: Event| progress.report("work", &event);
        say(Event::Connecting { server: "h:995".to_owned() });
        assert!(sink.text().contains("work  connecting to h:995"), "{}", sink.text());
        say(Event::Listed { messages: 2 });
        say(Event::Planned { messages: 2, octets: Some(Octets(4096)) });
        say(Event::Received { octets: 1024 });
        say(Event::Arrived);
        progress.meters["work"].bar.tick();
        let bar = sink.text().rsplit("work  [").next().unwrap().to_owned();
        assert!(bar.starts_with("=======>  ") && bar.contains("]  1/2  1.0 of 4.0 KiB"), "{bar}");
        // The session is followed by another one: what was counted stays counted.
        say(Event::Connecting { server: "h:995".to_owned() });
        say(Event::Planned { messages: 3, octets: Some(Octets(1024)) });
        let bar = &progress.meters["work"].bar;
        assert_eq!((bar.position(), bar.length()), (1024, Some(2048)));
        assert!(sink.text().contains("1/4"), "{}", sink.text());
        say(Event::Planned { messages: 1, octets: None });
        say(Event::Finished(RunSummary { listed: 4, ..RunSummary::default() }));
        let text = sink.text();
        assert!(text.ends_with("<clear>work  nothing new  4 kept on the server\n"), "{text:?}");
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
            assert!(longest <= Some(usize::from(columns)), "{columns}: {text}");
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
        // Both bars, and the total, are taken away before, and drawn again after.
        assert!(before.ends_with("<up><up><clear><down><clear><down><clear><up><up>"), "{before:?}");
        assert!(after.contains("work  connecting") && after.contains("home  connecting"), "{after:?}");
        // An unknown account has lines, but no bar.
        progress.report("other", &Event::Finished(RunSummary::default()));
        assert!(sink.text().contains("other  nothing new"));
    }

    #[test]
    fn a_bar_follows_the_width_of_the_terminal() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let sink = Sink::default();
        let printer = Arc::new(Printer::onto(Box::new(io::sink()), Box::new(sink.clone()), false));
        let columns = Arc::new(AtomicUsize::new(200));
        let asked = Arc::clone(&columns);
        let target = ProgressDrawTarget::term_like(Box::new(Screen(sink.clone(), 200)));
        let plain = Plain::new(printer, Level::Normal, &["work"]);
        let progress =
            Progress::onto(plain, &["work"], target, Arc::new(move || asked.load(Ordering::Relaxed)));
        let say = |event: Event| progress.report("work", &event);
        say(Event::Connecting { server: "h:995".to_owned() });
        say(Event::Planned { messages: 9, octets: Some(Octets(5 << 20)) });
        say(Event::Received { octets: 1 << 20 });
        for (width, bar) in [(200, true), (80, true), (60, true), (40, false), (20, false)] {
            columns.store(width, Ordering::Relaxed);
            let before = sink.text().len();
            progress.meters["work"].bar.tick();
            let drawn = sink.text().split_off(before);
            let line = drawn.rsplit("<clear>").next().unwrap().trim_end();
            let found = line.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0.len()));
            assert!(line.chars().count() <= width, "{width}: {line:?}");
            assert_eq!(found.is_some(), bar, "{width}: {line:?}");
            assert!(found.is_none_or(|found| (10..=40).contains(&found)), "{width}: {line:?}");
            assert_eq!(found == Some(40), width == 200, "{width}: {line:?}");
            assert!(line.contains("0/9"), "{width}: {line:?}");
        }
    }

    #[test]
    fn the_total_of_several_accounts_stands_below_their_bars() {
        let (sink, progress) = progress(80, &["work", "home", "late"]);
        progress.report("work", &Event::Connecting { server: "h:995".to_owned() });
        assert!(sink.text().contains("0 of 3 accounts done, 2 waiting  0 messages"), "{}", sink.text());
        progress.report("home", &Event::Doing("waiting for password-command"));
        assert!(sink.text().contains("home  waiting for password-command"), "{}", sink.text());
        progress.report("work", &Event::Planned { messages: 1, octets: Some(Octets(2048)) });
        progress.report("work", &Event::Received { octets: 2048 });
        progress.report("work", &Event::Arrived);
        progress.report("work", &Event::Finished(RunSummary::default()));
        let total = "1 of 3 accounts done, 1 waiting  1 message  2.0 KiB";
        assert!(sink.text().contains(total), "{}", sink.text());
        progress.report("home", &Event::Finished(RunSummary::default()));
        progress.report("late", &Event::Finished(RunSummary::default()));
        let text = sink.text();
        assert!(!text.rsplit("late  nothing new").next().unwrap().contains("accounts done"), "{text:?}");
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
            progress.report(run, &Event::Finished(RunSummary::default()));
        }
    }
}
