//! How the sections about others are read: where clients and operators connect, which proxies the server believes,
//! which database and which provider it uses. Forms of addresses and secrets, and the rules between them.
//!
//! Pure: a table of texts in, values and faults out. Called by [`super::Settings::from_lookup`] and by the
//! commands that need only a part.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use reqwest::Url;

use super::Mode;
use super::reader::Reader;
use super::sections::{DatabaseSettings, DatabaseSource, ProviderFlavor, ProviderSettings, ServerSettings};
use super::table as t;
use crate::cidr::Cidr;
use crate::host::HostName;
use crate::secret::DatabaseUrl;

pub(super) fn server(r: &mut Reader<'_>, mode: Mode) -> ServerSettings {
    let bind = address(r, &t::BIND_ADDR, mode);
    let admin_bind = address(r, &t::ADMIN_BIND_ADDR, mode);
    if bind == admin_bind && bind.port() != 0 {
        r.fault(
            &t::ADMIN_BIND_ADDR,
            "is also BIND_ADDR",
            "give them different ports",
        );
    }
    ServerSettings {
        bind,
        admin_bind,
        allowed_origins: r.parsed_list(&t::ALLOWED_ORIGINS, origin),
        allowed_hosts: hosts(r, mode),
        trusted_proxies: r.parsed_list(&t::TRUSTED_PROXIES, str::parse::<Cidr>),
        console: page(r, &t::CONSOLE, mode),
        inspector: page(r, &t::INSPECTOR, mode),
        drain: r.seconds(&t::DRAIN_SECONDS, 0..=3_600),
    }
}

fn address(r: &mut Reader<'_>, setting: &'static t::Setting, mode: Mode) -> SocketAddr {
    let parsed = r.parsed(setting, |text| {
        text.parse().map_err(|_| "not of the form ip:port")
    });
    let address = parsed.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    if mode == Mode::Dev && !address.ip().is_loopback() {
        let fix = format_args!(
            "use an address of this machine such as {}, or the command serve",
            setting.default
        );
        r.fault(setting, "can be reached from outside, which dev refuses", fix);
    }
    address
}

/// In `dev`, unless others are given, the names of this machine: what a page of another site cannot be sent to by its own.
fn hosts(r: &mut Reader<'_>, mode: Mode) -> Vec<HostName> {
    const LOOPBACK: [&str; 3] = ["localhost:*", "127.0.0.1:*", "[::1]:*"];
    let given = r.parsed_list(&t::ALLOWED_HOSTS, str::parse);
    if mode == Mode::Dev && given.is_empty() {
        return LOOPBACK.iter().filter_map(|host| host.parse().ok()).collect();
    }
    given
}

/// Whether a page is served: as the setting says, else only where the person at the machine is the one who uses it.
fn page(r: &mut Reader<'_>, setting: &'static t::Setting, mode: Mode) -> bool {
    if !r.is_given(setting) {
        return mode == Mode::Dev;
    }
    r.choice(setting, &[("true", true), ("false", false)])
        .unwrap_or_default()
}

/// An origin as browsers write it, so that comparing texts is enough.
fn origin(text: &str) -> Result<String, &'static str> {
    const FAULT: &str = "which is not an origin of the form https://app.example.com";
    let url = Url::parse(text).map_err(|_| FAULT)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_bare || !is_anonymous || text.ends_with('/') {
        return Err(FAULT);
    }
    Ok(url.origin().ascii_serialization())
}

pub(super) fn database(r: &mut Reader<'_>, mode: Mode) -> DatabaseSettings {
    let listen_url = database_url(r, &t::LISTEN_DATABASE_URL);
    if listen_url.is_some() && !r.is_given(&t::DATABASE_URL) {
        r.fault(
            &t::LISTEN_DATABASE_URL,
            "is set without DATABASE_URL",
            "set DATABASE_URL too, or remove it",
        );
    }
    let url = match mode {
        Mode::Serve => required_database_url(r),
        Mode::Dev => given_database_url(r),
    };
    let source = url.map_or(DatabaseSource::Embedded, |url| DatabaseSource::Server {
        listen_url: listen_url.unwrap_or_else(|| url.clone()),
        url,
    });
    // The writer, the notifier and the listener each hold one; the rest read.
    DatabaseSettings {
        source,
        max_connections: r.number(&t::DATABASE_MAX_CONNECTIONS, 4..=1_000),
    }
}

pub(super) fn given_database_url(r: &mut Reader<'_>) -> Option<DatabaseUrl> {
    database_url(r, &t::DATABASE_URL)
}

pub(super) fn required_database_url(r: &mut Reader<'_>) -> Option<DatabaseUrl> {
    if !r.is_given(&t::DATABASE_URL) {
        r.fault(
            &t::DATABASE_URL,
            "is missing",
            "set it to postgres://user:password@host:5432/database",
        );
    }
    given_database_url(r)
}

fn database_url(r: &mut Reader<'_>, setting: &'static t::Setting) -> Option<DatabaseUrl> {
    let text = r.given(setting)?;
    let url = DatabaseUrl::new(&text);
    if let Err(fault) = &url {
        r.fault(setting, format_args!("is {fault}"), "correct it");
    }
    url.ok()
}

pub(super) fn data_dir(r: &Reader<'_>) -> PathBuf {
    r.text(&t::DATA_DIR).into()
}

pub(super) fn provider(r: &mut Reader<'_>, mode: Mode) -> ProviderSettings {
    let api_key = r.secret(&t::OPENROUTER_API_KEY);
    let base_url = r.parsed(&t::OPENROUTER_BASE_URL, provider_url);
    let choices = [
        ("auto", None),
        ("openrouter", Some(ProviderFlavor::OpenRouter)),
        ("generic", Some(ProviderFlavor::Generic)),
    ];
    let host = base_url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let is_openrouter = host == "openrouter.ai" || host.ends_with(".openrouter.ai");
    let by_host = if is_openrouter {
        ProviderFlavor::OpenRouter
    } else {
        ProviderFlavor::Generic
    };
    let flavor = r
        .choice(&t::PROVIDER_FLAVOR, &choices)
        .flatten()
        .unwrap_or(by_host);
    let needs_key = is_openrouter || flavor == ProviderFlavor::OpenRouter;
    if mode == Mode::Serve && needs_key && api_key.is_none() {
        let fix = "set it to a key from https://openrouter.ai/keys, or OPENROUTER_BASE_URL to another server";
        r.fault(&t::OPENROUTER_API_KEY, "is missing", fix);
    }
    let base_url = base_url
        .as_ref()
        .map_or("", Url::as_str)
        .trim_end_matches('/')
        .to_owned();
    ProviderSettings {
        api_key,
        base_url,
        flavor,
    }
}

fn provider_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not an address of the form https://host/path")?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        Err("not an address of the form https://host/path")
    } else if !url.username().is_empty() || url.password().is_some() {
        Err("an address with a password in it, which belongs into OPENROUTER_API_KEY")
    } else {
        Ok(url)
    }
}
