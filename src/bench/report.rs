//! What a run found: figures by suite, contestant and round, their medians and ratios, as tables, plots and JSON.
//!
//! A ratio is taken within a round, and the median of the ratios is shown: what disturbs the machine for a while disturbs
//! both. Called by `run`.

mod check;
mod page;
mod plot;
mod table;

use std::collections::BTreeMap;

use super::bed::Contestant;
use super::figures::median;
use super::suites::{DISTURBANCE, Figure, Goal, Sample, Suite};

pub(super) use self::check::worse;
pub(super) use self::page::{Manifest, html};
pub(super) use self::table::{Circumstances, Line, Table};

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    samples: BTreeMap<(Suite, Contestant), Vec<Sample>>,
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

    fn of(&self, suite: Suite, contestant: Contestant) -> &[Sample] {
        self.samples.get(&(suite, contestant)).map_or(&[], Vec::as_slice)
    }

    /// What was found for a suite.
    pub(super) fn table(&self, suite: Suite, circumstances: &Circumstances) -> Table {
        let (service, floor) = (
            self.of(suite, Contestant::Service),
            self.of(suite, Contestant::Floor),
        );
        let both = || service.iter().chain(floor);
        let disturbance = (DISTURBANCE, Goal::None);
        let columns = [("service", service), (suite.compared_with(), floor)];
        Table {
            suite: suite.name(),
            title: suite.title().to_owned(),
            compared_with: suite.compared_with().to_owned(),
            axis: suite.axis().to_owned(),
            rounds: service.len().max(floor.len()),
            lost: both().map(|sample| sample.lost).sum(),
            doubled: both().map(|sample| sample.doubled).sum(),
            lines: suite
                .figures()
                .into_iter()
                .chain([disturbance])
                .map(|figure| line(figure, service, floor))
                .collect(),
            curves: plotted(columns, |sample| sample.times.curve()),
            points: plotted(columns, |sample| sample.points.clone()),
            circumstances: circumstances.clone(),
        }
    }
}

/// What of each contestant's last round goes into the plot.
fn plotted(
    columns: [(&str, &[Sample]); 2],
    of: impl Fn(&Sample) -> Vec<(f64, f64)>,
) -> BTreeMap<String, Vec<(f64, f64)>> {
    columns
        .into_iter()
        .filter_map(|(name, samples)| Some((name.to_owned(), of(samples.last()?))))
        .filter(|(_, curve)| !curve.is_empty())
        .collect()
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
    let ratio = if name == DISTURBANCE {
        None
    } else {
        median(&ratios)
    };
    let own = median(&values(service));
    let range = ratio.map(|_| {
        let ends = |(low, high): (f64, f64), ratio: &f64| (low.min(*ratio), high.max(*ratio));
        ratios.iter().fold((f64::MAX, f64::MIN), ends)
    });
    Line {
        figure: name.to_owned(),
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
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::None => String::new(),
        }
    }

    fn is_met(self, own: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        Some(match self {
            Self::RatioAtLeast(bound) => ratio? >= bound,
            Self::RatioAtMost(bound) => ratio? <= bound,
            Self::AtMost(bound) => own? <= bound,
            Self::AtLeast(bound) => own? >= bound,
            Self::None => return None,
        })
    }
}

#[cfg(test)]
mod tests;
