//! Reads settings one by one and collects what is wrong with them.
//!
//! A faulty setting reads as some placeholder, so that the others are still looked at; [`Reader::finish`]
//! then returns the faults and nothing else. Refuses to repeat the value of a secret. Used by
//! [`super::connections`] and [`super::behaviour`].

use std::fmt::{self, Display};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::table::Setting;
use crate::secret::Secret;

/// What is wrong with a setting, and what to do about it: one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the setting.
    pub setting: &'static str,
    /// Name, value (unless it is a secret), what is wrong, and the fix.
    pub message: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where values come from: the environment, or a test's table.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Reader<'a> {
    lookup: Lookup<'a>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            faults: Vec::new(),
        }
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() {
            Ok(settings)
        } else {
            Err(self.faults)
        }
    }

    /// Notes that a setting cannot stay as it is. `problem` goes on from its name and value.
    pub(super) fn fault(&mut self, setting: &'static Setting, problem: impl Display, fix: impl Display) {
        let name = setting.name;
        let message = match self.raw(setting) {
            // With an `@` it may be an address with a password in it.
            Some(value) if !setting.is_secret() && !value.contains('@') => {
                format!("{name}={value:?} {problem}; {fix}")
            }
            _ => format!("{name} {problem}; {fix}"),
        };
        self.faults.push(Fault {
            setting: name,
            message,
        });
    }

    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        self.raw(setting).is_some()
    }

    /// The trimmed value, if there is one.
    pub(super) fn given(&self, setting: &Setting) -> Option<String> {
        self.raw(setting).map(|value| value.trim().to_owned())
    }

    /// The trimmed value or the default.
    pub(super) fn text(&self, setting: &Setting) -> String {
        self.given(setting).unwrap_or_else(|| setting.default.to_owned())
    }

    /// The value or the default, turned into something. The error of `parse` tells what the value is not.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let fault = match parse(&self.text(setting)) {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        self.fault(setting, format_args!("is {fault}"), example(setting));
        parse(setting.default).ok()
    }

    /// The parts of a list separated by commas, without blanks.
    pub(super) fn list(&self, setting: &Setting) -> Vec<String> {
        let text = self.text(setting);
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A list whose parts are each turned into something.
    pub(super) fn parsed_list<T, E: Display>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for part in self.list(setting) {
            match parse(&part) {
                Ok(value) => values.push(value),
                Err(fault) => self.fault(
                    setting,
                    format_args!("holds {part:?}, {fault}"),
                    "correct or remove it",
                ),
            }
        }
        values
    }

    /// A secret as it stands: to trim it would make it another one than its owner has.
    pub(super) fn secret(&mut self, setting: &'static Setting) -> Option<Secret> {
        let value = self.raw(setting)?;
        if value.trim() != value {
            self.fault(
                setting,
                "begins or ends with white space",
                "remove it (often a line break of a file)",
            );
        }
        Some(Secret::new(&value))
    }

    pub(super) fn number<T>(&mut self, setting: &'static Setting, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let text = self.text(setting);
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most, unit) = (range.start(), range.end(), setting.unit);
                let problem = format_args!("is not a number from {least} to {most} ({unit})");
                self.fault(setting, problem, example(setting));
                *least
            }
        }
    }

    pub(super) fn millis(&mut self, setting: &'static Setting, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(setting, range))
    }

    pub(super) fn seconds(&mut self, setting: &'static Setting, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(setting, range))
    }

    /// A limit, of which 0 means that there is none.
    pub(super) fn limit(&mut self, setting: &'static Setting) -> Option<NonZeroU32> {
        NonZeroU32::new(self.number(setting, 0..=1_000_000))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, setting: &'static Setting, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(setting, |text| {
            let chosen = choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value);
            chosen.ok_or_else(|| format!("not one of {}", setting.unit.replace('|', ", ")))
        })
    }

    fn raw(&self, setting: &Setting) -> Option<String> {
        (self.lookup)(setting.name).filter(|value| !value.trim().is_empty())
    }
}

fn example(setting: &Setting) -> String {
    if setting.default.is_empty() {
        "correct or remove it".into()
    } else {
        format!("set it to, for example, {}", setting.default)
    }
}
