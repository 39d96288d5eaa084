//! Plots as SVG: latency by percentile, and growth. Plain lines on a white ground, readable by any browser. Pure. Called by `page`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Table;
use super::page::escaped;
use super::table::shown;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// One colour a contestant, told apart without colours by the dashes of the second.
const STYLES: [&str; 2] = [
    "stroke=\"#b45309\" stroke-dasharray=\"6 4\"",
    "stroke=\"#1d4ed8\"",
];

type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Where a figure lies between the ends of an axis, from 0 to 1.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn over(figures: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let (low, high) = figures.fold((f64::MAX, f64::MIN), |(low, high), figure| {
            (low.min(figure), high.max(figure))
        });
        if logarithmic {
            let low = 10_f64.powf(low.max(1e-6).log10().floor());
            let high = 10_f64.powf(high.max(1e-6).log10().ceil()).max(low * 10.0);
            return Self {
                low,
                high,
                logarithmic,
            };
        }
        let high = if high > 0.0 { high * 1.1 } else { 1.0 };
        Self {
            low: 0.0,
            high,
            logarithmic,
        }
    }

    fn place(&self, figure: f64) -> f64 {
        if self.logarithmic {
            return (figure.max(self.low) / self.low).log10() / (self.high / self.low).log10();
        }
        (figure - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=4).map(|part| self.high / 4.0 * f64::from(part)).collect();
        }
        let mut ticks = vec![self.low];
        while let Some(last) = ticks.last().copied().filter(|last| *last < self.high * 0.99) {
            ticks.push(last * 10.0);
        }
        ticks
    }
}

/// The plot of a table, if there is anything to plot.
pub(super) fn svg(table: &Table) -> Result<Option<String>, std::fmt::Error> {
    if !table.points.is_empty() {
        let largest = table
            .points
            .values()
            .flatten()
            .map(|(x, _)| *x)
            .fold(1.0, f64::max);
        let ticks: Vec<(f64, String)> = table
            .points
            .values()
            .next()
            .map(|points| {
                points
                    .iter()
                    .map(|(x, _)| (x / largest, shown(Some(*x))))
                    .collect()
            })
            .unwrap_or_default();
        return drawn(
            table,
            &table.points,
            &|x| x / largest,
            &ticks,
            (&table.axis, "queries/s"),
            false,
        )
        .map(Some);
    }
    if table.curves.is_empty() {
        return Ok(None);
    }
    // Each nine takes as much room as the one before.
    let nines = |share: f64| -(1.0 - share).max(1e-6).log10();
    let last = table
        .curves
        .values()
        .flatten()
        .map(|(share, _)| nines(*share))
        .fold(1.0, f64::max);
    let ticks: Vec<(f64, String)> = [
        (0.5, "p50"),
        (0.9, "p90"),
        (0.99, "p99"),
        (0.999, "p99.9"),
        (0.9999, "p99.99"),
    ]
    .into_iter()
    .map(|(share, name)| (nines(share) / last, name.to_owned()))
    .filter(|(place, _)| *place <= 1.0)
    .collect();
    drawn(
        table,
        &table.curves,
        &|share| nines(share) / last,
        &ticks,
        ("percentile", "ms"),
        true,
    )
    .map(Some)
}

fn drawn(
    table: &Table,
    lines: &Lines,
    across: &dyn Fn(f64) -> f64,
    ticks: &[(f64, String)],
    (below, beside): (&str, &str),
    logarithmic: bool,
) -> Result<String, std::fmt::Error> {
    let axis = Axis::over(lines.values().flatten().map(|(_, y)| *y), logarithmic);
    let x = |place: f64| LEFT + place * (WIDTH - LEFT - RIGHT);
    let y = |figure: f64| HEIGHT - BOTTOM - axis.place(figure) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n",
        escaped(&table.title)
    );
    for tick in axis.ticks() {
        let at = y(tick);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            shown(Some(tick))
        )?;
    }
    for (place, name) in ticks {
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            x(*place),
            HEIGHT - BOTTOM + 18.0
        )?;
    }
    for (number, (name, points)) in lines.iter().enumerate() {
        let style = STYLES.get(usize::from(name == "service")).unwrap_or(&"");
        let path: Vec<String> = points
            .iter()
            .map(|(along, figure)| format!("{:.1},{:.1}", x(across(*along)), y(*figure)))
            .collect();
        let at = LEFT + 130.0 * number as f64;
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke-width=\"2\" {style}/>\n\
             <path d=\"M{at:.1} 16h24\" stroke-width=\"2\" {style}/><text x=\"{:.1}\" y=\"20\">{}</text>",
            path.join(" "),
            at + 30.0,
            escaped(name)
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"6\" y=\"20\">{beside}</text>\n</svg>",
        WIDTH / 2.0,
        HEIGHT - 6.0,
        escaped(below)
    )?;
    Ok(svg)
}
