use super::{Report, shown};
use crate::bench::bed::Contestant::{Floor, Service};
use crate::bench::suites::{Sample, Suite};

fn sample(rate: f64, lost: usize) -> Sample {
    let mut sample = Sample {
        lost,
        ..Sample::default()
    };
    sample.note("queries/s", rate);
    sample
}

#[test]
fn a_ratio_is_taken_within_a_round() {
    let mut report = Report::default();
    // The second round was disturbed: both are at half their rate.
    for (service, floor) in [(80.0, 100.0), (41.0, 50.0), (78.0, 100.0)] {
        report.add(Suite::Query64, Service, sample(service, 0));
        report.add(Suite::Query64, Floor, sample(floor, 0));
    }
    let tables = report.tables();
    let line = &tables[0].lines[0];
    assert_eq!((line.service, line.floor), (Some(78.0), Some(100.0)));
    assert_eq!(line.ratio, Some(0.8));
    assert_eq!(line.ratios, Some((0.78, 0.82)));
    assert_eq!(line.met, Some(true));
    assert!(tables[0].text().unwrap().contains("| queries/s "));
}

#[test]
fn what_was_lost_is_counted_over_all() {
    let mut report = Report::default();
    report.add(Suite::Query64, Service, sample(1.0, 2));
    report.add(Suite::Query1, Floor, sample(1.0, 1));
    assert_eq!(report.faults(), (3, 0));
    assert_eq!(report.tables().len(), 2);
}

#[test]
fn figures_are_shown_with_three_digits_that_count() {
    let figures = [1_234_567.8, 123.4, 12.34, 1.234, 0.1234, 0.01234, 0.0];
    let texts = figures.map(|figure| shown(Some(figure)));
    assert_eq!(
        texts,
        ["1,234,568", "123", "12.3", "1.23", "0.123", "0.0123", "0"]
    );
    assert_eq!(shown(None), "–");
}
