//! A page in headless Chromium, and a server for the files of pages.

use std::path::PathBuf;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::PATIENCE;
use super::database::environment;
use super::programs::{Driven, beside_its_libraries, command, is_there};

/// Files over HTTP, from the first of some folders that has them.
pub(crate) struct Pages {
    /// What a browser calls their origin.
    pub(crate) origin: String,
    _serving: JoinSet<()>,
}

impl Pages {
    pub(crate) async fn of(folders: Vec<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(move |uri: Uri| {
            let found = folders.iter().find_map(|folder| page(folder, uri.path()));
            // Browsers ask for an icon on their own.
            let missing = match uri.path() {
                "/favicon.ico" => StatusCode::NO_CONTENT,
                _ => StatusCode::NOT_FOUND,
            };
            std::future::ready(found.unwrap_or_else(|| missing.into_response()))
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            origin,
            _serving: serving,
        }
    }
}

fn page(folder: &std::path::Path, path: &str) -> Option<Response> {
    let name = match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html",
        "js" => "text/javascript",
        "css" => "text/css",
        _ => "application/octet-stream",
    };
    let content = std::fs::read(folder.join(name)).ok()?;
    Some(([(header::CONTENT_TYPE, kind)], content).into_response())
}

/// The browser, with one page.
pub(crate) struct Browser {
    driven: Driven,
    _place: TempDir,
    _profile: TempDir,
}

impl Browser {
    /// `None` where it, or what drives it, is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let place = beside_its_libraries("tests/clients/browser.mjs");
        let path = environment("PATH").unwrap_or_default();
        let chromium = std::env::split_paths(&path)
            .map(|folder| folder.join("chromium"))
            .find(|program| program.exists())
            .unwrap_or_else(|| "chromium".into());
        let mut probe = command("node");
        let import = "await import('playwright-core')";
        probe
            .current_dir(&place)
            .args(["--input-type=module", "-e", import]);
        if !is_there("Playwright", &mut probe).await
            || !is_there("Chromium", command(&chromium).arg("--version")).await
        {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut run = command("node");
        run.arg(place.path().join("browser.mjs"))
            .arg(chromium)
            .arg(profile.path());
        Some(Self {
            driven: Driven::start(&mut run),
            _place: place,
            _profile: profile,
        })
    }

    pub(crate) async fn call(&mut self, verb: Value) -> Value {
        self.driven.call(verb).await
    }

    /// Writes into the field of this name and presses the button of that.
    pub(crate) async fn send(&mut self, text: &str) {
        self.call(json!(["fill", "Message", text])).await;
        self.call(json!(["press", "Send"])).await;
    }

    /// Waits until the elements of a selector have such texts.
    pub(crate) async fn until(
        &mut self,
        selector: &str,
        condition: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        let began = std::time::Instant::now();
        loop {
            let texts = self.call(json!(["texts", selector])).await;
            let texts: Vec<String> = serde_json::from_value(texts).unwrap();
            if condition(&texts) {
                return texts;
            }
            if began.elapsed() > PATIENCE {
                let complaints = self.call(json!(["complaints"])).await;
                panic!("waited in vain for {selector}: {texts:?}; complaints: {complaints}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until the last element of a selector has this text.
    pub(crate) async fn shows(&mut self, selector: &str, text: &str) -> Vec<String> {
        self.until(selector, |texts| {
            texts.last().map(|last| last.trim()) == Some(text)
        })
        .await
    }
}
