//! The published figures: the manifest, the page with their tables, their plots; and a page of a run for the browser.
//!
//! The page is people's text with marked places; only what stands between the marks is written here. Called by `run`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Table, plot};

/// All figures that were published, each with what it comes from.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::bench) struct Manifest {
    pub(in crate::bench) suites: Vec<Table>,
}

impl Manifest {
    pub(in crate::bench) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// As the file has it.
    pub(in crate::bench) fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Takes a newer measurement of a suite.
    fn take(&mut self, table: &Table) {
        match self.suites.iter_mut().find(|old| old.suite == table.suite) {
            Some(old) => *old = table.clone(),
            None => self.suites.push(table.clone()),
        }
    }

    /// The page with these tables in their places.
    pub(in crate::bench) fn fill(&self, page: &str) -> anyhow::Result<String> {
        let mut page = page.to_owned();
        for table in &self.suites {
            let mark = format!("<!-- bench {} -->\n", table.suite);
            let from = page
                .find(&mark)
                .with_context(|| format!("the page has no {mark}"))?
                + mark.len();
            let rest = page.get(from..).unwrap_or_default();
            let to = from
                + rest
                    .find(END)
                    .with_context(|| format!("no {END} behind {mark}"))?;
            page.replace_range(from..to, &section(table)?);
        }
        Ok(page)
    }

    /// The plots, by their names below the page's directory.
    pub(in crate::bench) fn plots(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let mut plots = Vec::new();
        for table in &self.suites {
            if let Some(svg) = plot::svg(table)? {
                plots.push((PathBuf::from(plot_of(table)), svg));
            }
        }
        Ok(plots)
    }

    /// Puts tables into `performance.json` of a directory, and renews the page and the plots beside it.
    pub(in crate::bench) fn publish(directory: &Path, tables: &[Table]) -> anyhow::Result<()> {
        let path = directory.join("performance.json");
        let mut manifest = if path.exists() {
            Self::read(&path)?
        } else {
            Self::default()
        };
        for table in tables {
            manifest.take(table);
        }
        fs::write(&path, manifest.text()?)?;
        fs::create_dir_all(directory.join("performance"))?;
        for (name, svg) in manifest.plots()? {
            fs::write(directory.join(name), svg)?;
        }
        let page = directory.join("performance.md");
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        Ok(fs::write(&page, manifest.fill(&text)?)?)
    }
}

const END: &str = "<!-- end -->";

fn plot_of(table: &Table) -> String {
    format!("performance/{}.svg", table.suite)
}

/// A suite's place on the page.
fn section(table: &Table) -> anyhow::Result<String> {
    let mut text = table.text()?;
    if plot::svg(table)?.is_some() {
        write!(text, "\n![{}]({})\n", table.title, plot_of(table))?;
    }
    let made = &table.circumstances;
    let day = made.at.to_string();
    write!(
        text,
        "\n`{}`, {}, on {}; {}\n",
        made.command,
        day.get(..10).unwrap_or(&day),
        made.machine,
        made.postgres
    )?;
    Ok(text)
}

/// Tables and plots as one page that needs nothing else.
pub(in crate::bench) fn html(tables: &[Table]) -> anyhow::Result<String> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>agent-websocket bench</title>\
         <style>body{font:15px system-ui;margin:2rem auto;max-width:60rem}pre{overflow-x:auto}</style>\n",
    );
    for table in tables {
        writeln!(
            page,
            "<h2>{}</h2>\n<pre>{}</pre>",
            escaped(&table.suite),
            escaped(&table.text()?)
        )?;
        if let Some(svg) = plot::svg(table)? {
            page.push_str(&svg);
        }
        let made = &table.circumstances;
        let from = format!(
            "{} · {} · {} · {}",
            made.command, made.at, made.machine, made.postgres
        );
        writeln!(page, "<p>{}</p>", escaped(&from))?;
    }
    Ok(page)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
