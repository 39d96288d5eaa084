//! How the section about traces is read: OpenTelemetry's own variables, as far as this service knows them.
//!
//! Pure, like its neighbours. Refuses to start a service whose spans would go nowhere: gRPC's port, a header that is none.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::reader::Reader;
use super::table as t;
use crate::otlp;

/// The port that collectors have for gRPC, which this service does not speak.
const GRPC_PORT: u16 = 4317;

/// Where traces go; `None` = nowhere.
pub(super) fn traces(r: &mut Reader<'_>) -> Option<otlp::Settings> {
    let base = collector(r, &t::OTEL_EXPORTER_OTLP_ENDPOINT).map(with_path);
    let exact = collector(r, &t::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
    let headers = headers(r);
    let service = r.parsed(&t::OTEL_SERVICE_NAME, |text| {
        if text.chars().any(char::is_control) {
            Err("not a name on one line")
        } else {
            Ok(text.to_owned())
        }
    });
    let ratio = r.number(&t::OTEL_TRACES_SAMPLER_ARG, 0.0..=1.0);
    let delay = r.millis(&t::OTEL_BSP_SCHEDULE_DELAY, 1..=60_000);
    Some(otlp::Settings {
        url: exact.or(base)?,
        headers,
        service: service.unwrap_or_default(),
        ratio,
        delay,
    })
}

fn collector(r: &mut Reader<'_>, setting: &'static t::Setting) -> Option<Url> {
    if !r.is_given(setting) {
        return None;
    }
    r.parsed(setting, address)
}

/// The address of a collector as OpenTelemetry has it: what is for traces has a path of its own below it.
fn with_path(mut url: Url) -> Url {
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not an address of the form http://host:4318")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.fragment().is_some() {
        Err("not an address of the form http://host:4318")
    } else if !url.username().is_empty() || url.password().is_some() {
        Err("an address with a password in it, which belongs into OTEL_EXPORTER_OTLP_HEADERS")
    } else if url.port() == Some(GRPC_PORT) {
        Err("the port for gRPC; this service speaks OTLP over HTTP, usually on port 4318")
    } else {
        Ok(url)
    }
}

/// `name=value` by commas, the values percent-encoded, as OpenTelemetry has them.
fn headers(r: &mut Reader<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (index, pair) in r.list(&t::OTEL_EXPORTER_OTLP_HEADERS).iter().enumerate() {
        if let Some((name, value)) = header(pair) {
            headers.append(name, value);
        } else {
            let problem = format_args!(
                "has a part (no. {}) that is not of the form name=value",
                index + 1
            );
            r.fault(
                &t::OTEL_EXPORTER_OTLP_HEADERS,
                problem,
                "correct it: %20 stands for a blank there, %2C for a comma",
            );
        }
    }
    headers
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_bytes(&decoded(value.trim())?).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// What percent-encoding stands for; `None` where a `%` has no two digits behind it.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(bytes)
}
