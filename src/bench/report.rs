//! What a run found: figures by suite, contestant and round, their medians and ratios, as a table and as JSON. Pure.
//!
//! A ratio is taken within a round, and the median of the ratios is shown: what disturbs the machine for a while disturbs
//! both. Called by `run`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::bed::Contestant;
use super::figures::median;
use super::suites::{Figure, Goal, Sample, Suite};

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    samples: BTreeMap<(Suite, Contestant), Vec<Sample>>,
}

/// A line of a table.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) figure: &'static str,
    pub(super) service: Option<f64>,
    pub(super) floor: Option<f64>,
    pub(super) ratio: Option<f64>,
    /// The smallest and the largest ratio of a round.
    pub(super) ratios: Option<(f64, f64)>,
    pub(super) goal: String,
    pub(super) met: Option<bool>,
}

/// A table.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) suite: String,
    pub(super) title: &'static str,
    pub(super) rounds: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
    pub(super) lines: Vec<Line>,
    /// Quantiles in milliseconds, of the last round.
    pub(super) curves: BTreeMap<&'static str, Vec<(f64, f64)>>,
}

impl Report {
    pub(super) fn add(&mut self, suite: Suite, contestant: Contestant, sample: Sample) {
        self.samples.entry((suite, contestant)).or_default().push(sample);
    }

    /// Messages that were lost, and that came twice, in all.
    pub(super) fn faults(&self) -> (usize, usize) {
        self.samples
            .values()
            .flatten()
            .fold((0, 0), |(lost, doubled), sample| {
                (lost + sample.lost, doubled + sample.doubled)
            })
    }

    /// A table for each suite, in their order.
    pub(super) fn tables(&self) -> Vec<Table> {
        let mut suites: Vec<Suite> = self.samples.keys().map(|(suite, _)| *suite).collect();
        suites.dedup();
        suites.into_iter().map(|suite| self.table(suite)).collect()
    }

    fn of(&self, suite: Suite, contestant: Contestant) -> &[Sample] {
        self.samples.get(&(suite, contestant)).map_or(&[], Vec::as_slice)
    }

    fn table(&self, suite: Suite) -> Table {
        let (service, floor) = (
            self.of(suite, Contestant::Service),
            self.of(suite, Contestant::Floor),
        );
        let both = || service.iter().chain(floor);
        let curve = |samples: &[Sample]| samples.last().map(|sample| sample.times.curve());
        let curves = [(Contestant::Service, service), (Contestant::Floor, floor)]
            .into_iter()
            .filter_map(|(contestant, samples)| Some((contestant.name(), curve(samples)?)))
            .filter(|(_, curve)| !curve.is_empty())
            .collect();
        Table {
            suite: suite.name(),
            title: suite.title(),
            rounds: service.len().max(floor.len()),
            lost: both().map(|sample| sample.lost).sum(),
            doubled: both().map(|sample| sample.doubled).sum(),
            lines: suite
                .figures()
                .iter()
                .map(|figure| line(*figure, service, floor))
                .collect(),
            curves,
        }
    }
}

fn value(sample: &Sample, name: &str) -> Option<f64> {
    let mut named = sample.figures.iter().filter(|(figure, _)| *figure == name);
    named.next().map(|(_, value)| *value)
}

fn line((name, goal): Figure, service: &[Sample], floor: &[Sample]) -> Line {
    let values = |samples: &[Sample]| -> Vec<f64> {
        samples.iter().filter_map(|sample| value(sample, name)).collect()
    };
    let ratios: Vec<f64> = service
        .iter()
        .zip(floor)
        .filter_map(|(service, floor)| Some(value(service, name)? / value(floor, name)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    let (own, ratio) = (median(&values(service)), median(&ratios));
    let range = ratio.map(|_| {
        let ends = |(low, high): (f64, f64), ratio: &f64| (low.min(*ratio), high.max(*ratio));
        ratios.iter().fold((f64::MAX, f64::MIN), ends)
    });
    Line {
        figure: name,
        service: own,
        floor: median(&values(floor)),
        ratio,
        ratios: range,
        goal: goal.words(),
        met: goal.is_met(own, ratio),
    }
}

impl Goal {
    fn words(self) -> String {
        match self {
            Self::RatioAtLeast(bound) => format!("ratio ≥ {bound}"),
            Self::RatioAtMost(bound) => format!("ratio ≤ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
            Self::None => String::new(),
        }
    }

    fn is_met(self, own: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        Some(match self {
            Self::RatioAtLeast(bound) => ratio? >= bound,
            Self::RatioAtMost(bound) => ratio? <= bound,
            Self::AtMost(bound) => own? <= bound,
            Self::None => return None,
        })
    }
}

/// A figure with three digits that count, and thousands apart.
pub(super) fn shown(figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return "–".to_owned();
    };
    let decimals = match figure.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{figure:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut apart = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0
            && digit.is_ascii_digit()
            && (whole.len() - place).is_multiple_of(3)
            && !apart.ends_with('-')
        {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart + rest
}

impl Table {
    /// The table as text, which is also Markdown.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut rows = vec![[
            self.suite.clone(),
            "service".to_owned(),
            "floor".to_owned(),
            "ratio".to_owned(),
            "of rounds".to_owned(),
            "goal".to_owned(),
            String::new(),
        ]];
        rows.extend(self.lines.iter().map(Line::cells));
        let mut widths = [0; 7];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = format!("{}\n\n", self.title);
        for (place, row) in rows.iter().enumerate() {
            text.push('|');
            for (cell, width) in row.iter().zip(widths) {
                write!(text, " {cell:width$} |")?;
            }
            text.push('\n');
            if place == 0 {
                let dashes = widths.map(|width| "-".repeat(width + 2));
                writeln!(text, "|{}|", dashes.join("|"))?;
            }
        }
        writeln!(
            text,
            "\nrounds {}, lost {}, doubled {}",
            self.rounds, self.lost, self.doubled
        )?;
        Ok(text)
    }
}

impl Line {
    fn cells(&self) -> [String; 7] {
        let range = self.ratios.map_or_else(String::new, |(low, high)| {
            format!("{} to {}", shown(Some(low)), shown(Some(high)))
        });
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        [
            self.figure.to_owned(),
            shown(self.service),
            shown(self.floor),
            shown(self.ratio),
            range,
            self.goal.clone(),
            met.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests;
