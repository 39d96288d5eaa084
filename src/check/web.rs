//! The steps over plain HTTP: is it there, is it ready, are the clocks right, is the token taken.
//!
//! [`super::run`] calls [`check`] first: what fails here explains what would fail on the socket.

use std::io;

use serde_json::Value;
use time::OffsetDateTime;

use super::Options;
use super::causes;
use super::report::{Finding, Report, Verdict};
use crate::client::web::{Reply, Web};
use crate::secret::Secret;

/// Goes through the steps; whether the token was taken.
pub(super) async fn check(options: &Options, token: &Secret, report: &mut Report) -> io::Result<bool> {
    let web = match Web::new(&options.address) {
        Ok(web) => web,
        Err(why) => {
            report.add("address", &Finding::fail(why, "no TLS on this machine"))?;
            return Ok(false);
        }
    };
    let reply = match web.ask("/healthz", None, None).await {
        Ok(reply) => reply,
        Err(why) => {
            let cause = "no way there: wrong address or port, a firewall, a certificate, or no server runs";
            report.add("address", &Finding::fail(why, cause))?;
            return Ok(false);
        }
    };
    report.add("address", &address(&reply))?;
    if let Ok(reply) = web.ask("/readyz", None, None).await {
        report.add("ready", &ready(&reply))?;
    }
    let here = options.clock.now();
    if let Some(server) = reply.date {
        report.add("clock", &clock(server, here))?;
    }
    let asked = web.ask("/v1/sessions?limit=1", Some(token), None).await;
    let server = reply.date.unwrap_or(here);
    let finding = taken(asked, token, server, here);
    report.add("token", &finding)?;
    Ok(finding.verdict == Verdict::Ok)
}

fn address(reply: &Reply) -> Finding {
    let ms = reply.took.as_secs_f64() * 1000.0;
    let is_ours = reply
        .body
        .as_ref()
        .is_some_and(|body| body.get("status").is_some());
    match (reply.status, is_ours) {
        (200, true) => Finding::ok(format!("/healthz in {ms:.1} ms")),
        (421, _) => Finding::fail(
            "/healthz: 421",
            "unknown host: the name in the address is not in ALLOWED_HOSTS",
        ),
        (500..=599, _) => Finding::fail(
            format!("/healthz: {}", reply.status),
            "proxy without server: it answers, and cannot reach the server",
        ),
        (status, _) => Finding::warn(
            format!("/healthz: {status}, not as the server answers"),
            "something else: another server is at this address, or a proxy passes only some paths on",
        ),
    }
}

fn ready(reply: &Reply) -> Finding {
    let part = |name: &str| {
        let body = reply.body.as_ref()?;
        Some(body.get(name)?.as_str()?.to_owned())
    };
    let (Some(status), Some(database), Some(notify), Some(keys)) = (
        part("status"),
        part("database"),
        part("notify"),
        part("token_keys"),
    ) else {
        return Finding::warn(
            format!("/readyz: {}", reply.status),
            "a proxy passes only some paths on; ask the server itself",
        );
    };
    let measured = format!("{status}: database {database}, NOTIFY {notify}, token keys {keys}");
    let is_draining = reply
        .body
        .as_ref()
        .and_then(|body| body.get("draining"))
        .and_then(Value::as_bool);
    if database != "ok" {
        Finding::fail(
            measured,
            "database: the server cannot reach it. Its log has the reason",
        )
    } else if keys != "ok" {
        Finding::fail(measured, "token keys: JWT_JWKS_URL cannot be read by the server")
    } else if is_draining == Some(true) {
        Finding::fail(measured, "draining: the server was told to end")
    } else if notify != "ok" {
        Finding::fail(measured, causes::POOLER)
    } else {
        Finding::ok(measured)
    }
}

fn clock(server: OffsetDateTime, here: OffsetDateTime) -> Finding {
    // Both in whole seconds, as HTTP has them.
    let apart = server.unix_timestamp() - here.unix_timestamp();
    let measured = format!("the server's clock (or its proxy's) is {apart:+} s from this machine's");
    match causes::skew(server, here) {
        None => Finding::ok(measured),
        Some(cause) => Finding::fail(measured, cause),
    }
}

fn taken(
    asked: Result<Reply, String>,
    token: &Secret,
    server: OffsetDateTime,
    here: OffsetDateTime,
) -> Finding {
    let times = causes::times(token.expose());
    match asked {
        Err(why) => Finding::fail(why, "the connection broke"),
        Ok(reply) if reply.status == 200 && reply.body.is_some() => match times.ends {
            Some(ends) => Finding::ok(format!(
                "taken; it holds for {} s",
                ends - server.unix_timestamp()
            )),
            None => Finding::ok("taken"),
        },
        Ok(reply) if reply.status == 401 => Finding::fail("401", causes::refused_token(times, server, here)),
        Ok(reply) => {
            let detail = reply
                .body
                .as_ref()
                .and_then(|body| body.get("detail")?.as_str())
                .unwrap_or_default();
            let measured = format!("{} {detail}", reply.status);
            match reply.status {
                200 => Finding::fail(
                    "200, and no JSON",
                    "something else: another server is at this address",
                ),
                500..=599 => Finding::fail(
                    measured,
                    "wrong role or schema: the server's login may not read its tables. --database-url shows what is missing",
                ),
                _ => Finding::fail(
                    measured,
                    "a proxy, or a rule of the server; its log has the reason",
                ),
            }
        }
    }
}
