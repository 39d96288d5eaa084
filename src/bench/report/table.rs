//! A suite's figures as a file keeps them, and as a table of text, which is also Markdown. Called by `report` and `run`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::protocol::text::Timestamp;

/// What figures come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Circumstances {
    pub(in crate::bench) version: String,
    pub(in crate::bench) at: Timestamp,
    pub(in crate::bench) machine: String,
    pub(in crate::bench) postgres: String,
    /// Measures the same again.
    pub(in crate::bench) command: String,
}

/// A line of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Line {
    pub(in crate::bench) figure: String,
    pub(in crate::bench) service: Option<f64>,
    pub(in crate::bench) floor: Option<f64>,
    pub(in crate::bench) ratio: Option<f64>,
    /// The smallest and the largest ratio of a round.
    pub(in crate::bench) ratios: Option<(f64, f64)>,
    pub(in crate::bench) goal: String,
    pub(in crate::bench) met: Option<bool>,
}

/// A table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Table {
    pub(in crate::bench) suite: String,
    pub(in crate::bench) title: String,
    pub(in crate::bench) compared_with: String,
    /// What the points are along.
    pub(in crate::bench) axis: String,
    pub(in crate::bench) rounds: usize,
    pub(in crate::bench) lost: usize,
    pub(in crate::bench) doubled: usize,
    pub(in crate::bench) lines: Vec<Line>,
    /// Quantiles in milliseconds, of the last round.
    pub(in crate::bench) curves: BTreeMap<String, Vec<(f64, f64)>>,
    /// Growth: how much of something, and the rate with it; of the last round.
    pub(in crate::bench) points: BTreeMap<String, Vec<(f64, f64)>>,
    pub(in crate::bench) circumstances: Circumstances,
}

/// A figure with three digits that count, and thousands apart.
pub(in crate::bench) fn shown(figure: Option<f64>) -> String {
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
    pub(in crate::bench) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut rows = vec![[
            self.suite.clone(),
            "service".to_owned(),
            self.compared_with.clone(),
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
            self.figure.clone(),
            shown(self.service),
            shown(self.floor),
            shown(self.ratio),
            range,
            self.goal.clone(),
            met.to_owned(),
        ]
    }
}
