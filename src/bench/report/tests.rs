use std::path::Path;

use super::table::shown;
use super::{Circumstances, Manifest, Report, html, worse};
use crate::bench::bed::Contestant::{Floor, Service};
use crate::bench::suites::{Sample, Suite};
use crate::clock::Clock;
use crate::protocol::text::Timestamp;

fn nowhere() -> Circumstances {
    Circumstances {
        version: "0".to_owned(),
        at: Timestamp(Clock::system().now()),
        machine: "none".to_owned(),
        postgres: "none".to_owned(),
        command: "agent-websocket bench".to_owned(),
    }
}

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
    let table = report.table(Suite::Query64, &nowhere());
    let line = &table.lines[0];
    assert_eq!((line.service, line.floor), (Some(78.0), Some(100.0)));
    assert_eq!(line.ratio, Some(0.8));
    assert_eq!(line.ratios, Some((0.78, 0.82)));
    assert_eq!(line.met, Some(true));
    assert!(table.text().unwrap().contains("| queries/s "));
}

#[test]
fn what_was_lost_is_counted_over_all() {
    let mut report = Report::default();
    report.add(Suite::Query64, Service, sample(1.0, 2));
    report.add(Suite::Query1, Floor, sample(1.0, 1));
    assert_eq!(report.faults(), (3, 0));
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

fn table_with(rate: f64) -> super::Table {
    let mut report = Report::default();
    report.add(Suite::Query64, Service, sample(rate, 0));
    report.add(Suite::Query64, Floor, sample(100.0, 0));
    report.table(Suite::Query64, &nowhere())
}

#[test]
fn a_ratio_that_fell_beyond_the_tolerance_is_named() {
    let published = table_with(90.0);
    assert!(worse(Suite::Query64, &published, &table_with(75.0), 0.3).is_empty());
    let worse = worse(Suite::Query64, &published, &table_with(60.0), 0.3);
    assert_eq!(worse.len(), 1);
    assert!(
        worse[0].starts_with("query64, queries/s: 0.600 now, 0.900 published"),
        "{worse:?}"
    );
}

#[test]
fn a_page_holds_the_plots() {
    let mut table = table_with(90.0);
    table
        .points
        .insert("service".to_owned(), vec![(1.0, 10.0), (2.0, 20.0)]);
    let page = html(&[table]).unwrap();
    assert!(
        page.contains("<polyline") && page.contains("| queries/s"),
        "{page}"
    );
}

/// docs/performance.json is what `bench --publish docs` wrote, and so are the page's tables and the plots: none by hand.
#[test]
fn the_published_page_and_its_plots_are_made_of_the_manifest() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let manifest = Manifest::read(&docs.join("performance.json")).unwrap();
    assert!(!manifest.suites.is_empty());
    let page = std::fs::read_to_string(docs.join("performance.md")).unwrap();
    assert!(
        manifest.fill(&page).unwrap() == page,
        "docs/performance.md differs from performance.json"
    );
    let plots = manifest.plots().unwrap();
    for (name, svg) in &plots {
        let file = std::fs::read_to_string(docs.join(name)).unwrap();
        assert!(file == *svg, "{} differs from performance.json", name.display());
    }
    let files = std::fs::read_dir(docs.join("performance")).unwrap().count();
    assert_eq!(files, plots.len(), "a plot of no figures");
    for table in &manifest.suites {
        assert_eq!((table.lost, table.doubled), (0, 0), "{}", table.suite);
    }
}
