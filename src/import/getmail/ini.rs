//! Sections of `name = value`, as configparser.RawConfigParser reads them: a name may be followed by `:` as well, a line that
//! is indented goes on with the value before it, comments take whole lines.

/// A file.
#[derive(Debug, Default)]
pub(super) struct Ini {
    pub(super) sections: Vec<Section>,
}

/// A section; its values are those of `[DEFAULT]` where it has none.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) line: usize,
    values: Vec<(String, String, usize)>,
}

impl Section {
    /// A value, without blanks around it, and its line.
    pub(super) fn get(&self, name: &str) -> Option<(&str, usize)> {
        let found = self.values.iter().find(|(known, ..)| known == name);
        found.map(|(_, value, line)| (value.as_str(), *line))
    }

    /// A value that is true or false; `None` for anything else.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.0.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

impl Ini {
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Reads a file; else the line of the fault, and what it is.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut ini = Self::default();
        // The indentation of the value's first line; a line that is further in goes on with it.
        let mut depth: Option<usize> = None;
        for (index, whole) in text.lines().enumerate() {
            let number = index.saturating_add(1);
            let line = whole.trim();
            let indentation = whole.len().saturating_sub(whole.trim_start().len());
            if line.starts_with(['#', ';']) {
                continue;
            }
            if line.is_empty() {
                continue;
            }
            let section = ini.sections.last_mut();
            if let (Some(depth), Some(section)) = (depth, section)
                && indentation > depth
                && let Some((_, value, _)) = section.values.last_mut()
            {
                value.push('\n');
                value.push_str(line);
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                let name = name.0.to_owned();
                if ini.section(&name).is_some() {
                    return Err((number, "a section stands there twice".to_owned()));
                }
                ini.sections.push(Section { name, line: number, values: Vec::new() });
                depth = None;
                continue;
            }
            let Some(section) = ini.sections.last_mut() else {
                return Err((number, "a section such as [retriever] is expected first".to_owned()));
            };
            let Some((name, value)) = line.split_once(['=', ':']) else {
                return Err((number, "this is neither a section nor name = value".to_owned()));
            };
            let name = name.trim().to_lowercase();
            if name.is_empty() {
                return Err((number, "a value has no name".to_owned()));
            }
            if section.get(&name).is_some() {
                return Err((number, "a value stands in its section twice".to_owned()));
            }
            section.values.push((name, value.trim().to_owned(), number));
            depth = Some(indentation);
        }
        ini.inherit();
        Ok(ini)
    }

    fn inherit(&mut self) {
        let Some(at) = self.sections.iter().position(|section| section.name == "DEFAULT") else { return };
        let defaults = self.sections.remove(at);
        for section in &mut self.sections {
            for (name, value, line) in &defaults.values {
                if section.get(name).is_none() {
                    section.values.push((name.clone(), value.clone(), *line));
                }
            }
        }
    }
}
