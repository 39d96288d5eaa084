//! How the section about tokens is read: one issuer by settings of its own, or several by a JSON array; and the rules
//! between them.
//!
//! Pure: a table of texts in, values and faults out. Refuses to repeat a key or a secret. Called by
//! [`super::Settings::from_lookup`] and by the commands that need only a part.

use super::Mode;
use super::issuers::issuers;
use super::reader::Reader;
use super::table as t;
use crate::auth::{
    AuthSettings, IssuerSettings, JwksPolicy, JwksUrl, KeySource, MIN_SECRET_BYTES, PublicKey,
};
use crate::secret::Secret;

/// Where keys can come from. In the order in which the first that is given is kept.
static SOURCES: [&t::Setting; 4] = [
    &t::JWT_SECRET,
    &t::JWT_PUBLIC_KEY,
    &t::JWT_JWKS_URL,
    &t::JWT_ISSUERS,
];

pub(super) fn auth(r: &mut Reader<'_>, mode: Mode) -> AuthSettings {
    check_sources(r, mode);
    let single = single(r);
    // Read in any case, so that its own faults are reported too.
    let several = issuers(r);
    let issuers = if r.is_given(&t::JWT_ISSUERS) {
        refuse_single(r);
        several
    } else {
        require_claims(r, &single);
        vec![single]
    };
    AuthSettings { issuers }
}

/// Keys come from one source.
fn check_sources(r: &mut Reader<'_>, mode: Mode) {
    let mut given = SOURCES
        .iter()
        .copied()
        .filter(|source| r.is_given(source))
        .collect::<Vec<_>>()
        .into_iter();
    match given.next() {
        Some(first) => {
            for source in given {
                let problem = format_args!("is set together with {}", first.name);
                r.fault(source, problem, "remove one of them");
            }
        }
        None if mode == Mode::Serve => {
            let fix = "set it (openssl rand -base64 32 makes one), or set JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_ISSUERS";
            r.fault(&t::JWT_SECRET, "is missing", fix);
        }
        None => {}
    }
}

/// The one issuer of the settings that are about one.
fn single(r: &mut Reader<'_>) -> IssuerSettings {
    let secret = jwt_secret(r);
    let key = public_key(r);
    let url = jwks_url(r);
    IssuerSettings {
        keys: match (secret, key, url) {
            (Some(secret), ..) => KeySource::Shared(secret),
            (None, Some(key), _) => KeySource::Public(key),
            (None, None, Some(url)) => published(url),
            (None, None, None) => KeySource::DataDirectory,
        },
        issuer: r.given(&t::JWT_ISSUER),
        audiences: r.list(&t::JWT_AUDIENCE),
        authorized_parties: r.list(&t::JWT_AUTHORIZED_PARTIES),
        user_prefix: String::new(),
    }
}

/// A public key signs for every application of the issuer, so the key alone says little.
fn require_claims(r: &mut Reader<'_>, settings: &IssuerSettings) {
    let public = [&t::JWT_PUBLIC_KEY, &t::JWT_JWKS_URL];
    let Some(source) = public.into_iter().find(|source| r.is_given(source)) else {
        return;
    };
    let problem = format!("is missing, which {} requires", source.name);
    if settings.issuer.is_none() {
        let fix = "set it to the iss that your issuer puts into tokens";
        r.fault(&t::JWT_ISSUER, &problem, fix);
    }
    if settings.audiences.is_empty() && settings.authorized_parties.is_empty() {
        let fix = "set it to the aud that your issuer puts into tokens for this service, \
                   or, where it puts none, JWT_AUTHORIZED_PARTIES to the azp";
        r.fault(&t::JWT_AUDIENCE, &problem, fix);
    }
}

/// With several issuers each says for itself what the settings about one say.
fn refuse_single(r: &mut Reader<'_>) {
    for setting in [&t::JWT_ISSUER, &t::JWT_AUDIENCE, &t::JWT_AUTHORIZED_PARTIES] {
        if r.is_given(setting) {
            let problem = "is set together with JWT_ISSUERS, whose entries have their own";
            r.fault(setting, problem, "remove one of them");
        }
    }
}

pub(super) fn published(url: JwksUrl) -> KeySource {
    KeySource::Published {
        url,
        policy: JwksPolicy::default(),
    }
}

fn jwks_url(r: &mut Reader<'_>) -> Option<JwksUrl> {
    r.is_given(&t::JWT_JWKS_URL)
        .then(|| r.parsed(&t::JWT_JWKS_URL, JwksUrl::new))
        .flatten()
}

fn public_key(r: &mut Reader<'_>) -> Option<PublicKey> {
    let text = r.given(&t::JWT_PUBLIC_KEY)?;
    let key = PublicKey::from_pem(&text);
    if let Err(fault) = &key {
        r.fault(
            &t::JWT_PUBLIC_KEY,
            format_args!("is {fault}"),
            "correct or remove it",
        );
    }
    key.ok()
}

pub(super) fn jwt_secret(r: &mut Reader<'_>) -> Option<Secret> {
    let secret = r.secret(&t::JWT_SECRET)?;
    let n_bytes = secret.expose().len();
    if n_bytes < MIN_SECRET_BYTES {
        let problem = format_args!("has {n_bytes} bytes, fewer than {MIN_SECRET_BYTES}");
        r.fault(
            &t::JWT_SECRET,
            problem,
            "make a longer one, such as by openssl rand -base64 32",
        );
    }
    Some(secret)
}
