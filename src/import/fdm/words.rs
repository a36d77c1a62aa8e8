//! The words of an fdm.conf: keywords, numbers, quoted texts with macros in them, macros, and commands in `$( )`, which fdm
//! would run as it reads them, and which is not run here.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Characters of one text at most, macros replaced.
const LONGEST_TEXT: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FdmWord {
    Key(String),
    Number(u64),
    /// A text between quotes, macros in it replaced; whether something in it is not known.
    Text(String, bool),
    /// `$name` or `%name`.
    Macro(String),
    /// What is inside `$( )` or `%( )`.
    Command(String),
    /// A character with a meaning of its own; `=` twice is `~`.
    Sign(char),
}

/// A macro's value: a text (and whether something in it is not known), or a number.
#[derive(Debug, Clone)]
pub(super) enum Macro {
    Text(String, bool),
    Number(u64),
}

/// A file that is being read.
struct FdmFile {
    path: PathBuf,
    text: Vec<char>,
    at: usize,
    line: usize,
}

impl FdmFile {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at = self.at.saturating_add(1);
        if next == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(next)
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|next| fits(*next)) {
            taken.push(next);
            self.take();
        }
        taken
    }
}

/// The files that are open, the one that is read last.
pub(super) struct FdmWords {
    files: Vec<FdmFile>,
    pub(super) macros: BTreeMap<String, Macro>,
    peeked: Option<FdmWord>,
    /// How many `ifdef` are open, and whether what follows is passed over up to the last `endif`.
    depth: usize,
    skips: bool,
    /// Where the word stands that was given last.
    pub(super) place: (PathBuf, usize),
}

type Result<T> = std::result::Result<T, String>;

impl FdmWords {
    pub(super) fn new() -> Self {
        Self {
            files: Vec::new(),
            macros: BTreeMap::new(),
            peeked: None,
            depth: 0,
            skips: false,
            place: (PathBuf::new(), 0),
        }
    }

    /// Goes on with this file, and then with those before.
    pub(super) fn open(&mut self, path: PathBuf, text: &str) {
        self.place = (path.clone(), 1);
        self.files.push(FdmFile { path, text: text.chars().collect(), at: 0, line: 1 });
    }

    /// How many files are open.
    pub(super) fn nesting(&self) -> usize {
        self.files.len()
    }

    /// The next word, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<&FdmWord>> {
        if self.peeked.is_none() {
            self.peeked = self.read()?;
        }
        Ok(self.peeked.as_ref())
    }

    pub(super) fn next(&mut self) -> Result<Option<FdmWord>> {
        match self.peeked.take() {
            Some(word) => Ok(Some(word)),
            None => self.read(),
        }
    }

    /// Whether the next word is this key, which is taken then.
    pub(super) fn take_key(&mut self, key: &str) -> Result<bool> {
        let found = matches!(self.peek()?, Some(FdmWord::Key(next)) if next == key);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    /// Whether the next word is this sign, which is taken then.
    pub(super) fn take_sign(&mut self, sign: char) -> Result<bool> {
        let found = matches!(self.peek()?, Some(FdmWord::Sign(next)) if *next == sign);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn read(&mut self) -> Result<Option<FdmWord>> {
        loop {
            let Some(word) = self.lex()? else {
                if self.files.len() > 1 {
                    self.files.pop();
                    continue;
                }
                return if self.depth > 0 { Err("an endif is missing".to_owned()) } else { Ok(None) };
            };
            match &word {
                FdmWord::Key(key) if key == "ifdef" || key == "ifndef" => {
                    let wanted = key == "ifdef";
                    let Some(FdmWord::Macro(name)) = self.lex()? else {
                        return Err("a macro is expected".to_owned());
                    };
                    self.depth = self.depth.saturating_add(1);
                    self.skips = self.skips || self.macros.contains_key(&name) != wanted;
                }
                FdmWord::Key(key) if key == "endif" => {
                    self.depth = self.depth.checked_sub(1).ok_or("an endif without its ifdef")?;
                    self.skips = self.skips && self.depth > 0;
                }
                _ if self.skips => {}
                _ => return Ok(Some(word)),
            }
        }
    }

    fn lex(&mut self) -> Result<Option<FdmWord>> {
        let Some(file) = self.files.last_mut() else { return Ok(None) };
        loop {
            file.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            if file.peek() != Some('#') {
                break;
            }
            file.take_while(|c| c != '\n');
        }
        self.place = (file.path.clone(), file.line);
        let Some(first) = file.peek() else { return Ok(None) };
        Ok(Some(match first {
            '\'' | '"' => {
                file.take();
                let (text, known) = string(file, first, &self.macros)?;
                FdmWord::Text(text, known)
            }
            '$' | '%' => {
                file.take();
                if file.peek() == Some('(') {
                    file.take();
                    FdmWord::Command(command(file)?)
                } else {
                    FdmWord::Macro(name(file, first)?)
                }
            }
            '=' | '!' => {
                file.take();
                if file.peek() == Some('=') {
                    file.take();
                    FdmWord::Sign('~')
                } else {
                    FdmWord::Sign(first)
                }
            }
            '~' | '+' | '(' | ')' | ',' | '<' | '>' | '{' | '}' | '*' => {
                file.take();
                FdmWord::Sign(first)
            }
            _ if first.is_ascii_digit() => FdmWord::Number(
                file.take_while(|c| c.is_ascii_digit()).parse().map_err(|_| "a number is too large")?,
            ),
            _ if is_part(first) => FdmWord::Key(file.take_while(is_part)),
            _ => return Err("a character that has no meaning here".to_owned()),
        }))
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// A macro's name, with `$` or `%` before it, which have been taken.
fn name(file: &mut FdmFile, sign: char) -> Result<String> {
    let braced = file.peek() == Some('{');
    if braced {
        file.take();
    }
    let name = file.take_while(is_part);
    if name.is_empty() || (braced && file.take() != Some('}')) {
        return Err("a macro has no name, or its } is missing".to_owned());
    }
    Ok(format!("{sign}{name}"))
}

/// The rest of a text: with double quotes `\` and macros in braces count.
fn string(file: &mut FdmFile, quote: char, macros: &BTreeMap<String, Macro>) -> Result<(String, bool)> {
    let (mut text, mut known) = (String::new(), true);
    let missing = || "a quote has no end".to_owned();
    loop {
        let next = file.take().ok_or_else(missing)?;
        match next {
            _ if next == quote => return Ok((text, known)),
            '\\' if quote == '"' => text.push(match file.take().ok_or_else(missing)? {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            '$' | '%' if quote == '"' && file.peek() == Some('{') => match macros.get(&name(file, next)?) {
                Some(Macro::Text(value, is_known)) => {
                    text.push_str(value);
                    known = known && *is_known;
                }
                Some(Macro::Number(value)) => text.push_str(&value.to_string()),
                // It may be set on the command line; fdm leaves it out.
                None => {}
            },
            _ => text.push(next),
        }
        if text.len() > LONGEST_TEXT {
            return Err("a text is too long".to_owned());
        }
    }
}

/// The rest of a command, to the parenthesis that ends it.
fn command(file: &mut FdmFile) -> Result<String> {
    let (mut text, mut nesting, mut quote) = (String::new(), 0_usize, None);
    loop {
        let next = file.take().ok_or("a ) is missing")?;
        match (quote, next) {
            (Some(open), _) if open == next => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(next),
            (None, '(') => nesting = nesting.saturating_add(1),
            (None, ')') if nesting == 0 => return Ok(text),
            (None, ')') => nesting = nesting.saturating_sub(1),
            (None, _) => {}
        }
        text.push(next);
    }
}
