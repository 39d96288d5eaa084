//! How `JWT_ISSUERS` is read: a JSON array with an object for each issuer.
//!
//! Pure, and refuses to repeat what stands in it, since that may be a secret: a fault names the entry by its number. Called
//! by [`super::tokens`].

use serde_json::{Map, Value};

use super::reader::Reader;
use super::table as t;
use super::tokens::published;
use crate::auth::{IssuerSettings, JwksUrl, KeySource, MIN_SECRET_BYTES, PublicKey};
use crate::secret::Secret;

/// The longest prefix, in bytes: it is part of every id of its users, which has 255 at most.
const MAX_PREFIX_BYTES: usize = 64;

/// What an entry may say.
const FIELDS: [&str; 7] = [
    "issuer",
    "jwks_url",
    "public_key",
    "secret",
    "audiences",
    "authorized_parties",
    "user_prefix",
];

/// One entry, and what is wrong with it.
struct Entry<'a> {
    fields: &'a Map<String, Value>,
    faults: Vec<String>,
}

/// The issuers, none where the setting is not given; every fault of every entry.
pub(super) fn issuers(r: &mut Reader<'_>) -> Vec<IssuerSettings> {
    let Some(text) = r.given(&t::JWT_ISSUERS) else {
        return Vec::new();
    };
    let entries: Vec<Map<String, Value>> = match serde_json::from_str(&text) {
        Ok(entries) => entries,
        Err(fault) => {
            let problem = format_args!(
                "is not a JSON array of objects (line {}, column {})",
                fault.line(),
                fault.column()
            );
            r.fault(&t::JWT_ISSUERS, problem, "correct it");
            return Vec::new();
        }
    };
    if entries.is_empty() {
        r.fault(&t::JWT_ISSUERS, "is empty", "add an issuer, or remove it");
    }
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    for (index, fields) in entries.iter().enumerate() {
        let (issuer, mut faults) = Entry::new(fields).read();
        faults.extend(meeting(&issuer, &issuers));
        for fault in faults {
            r.fault(
                &t::JWT_ISSUERS,
                format_args!("has an entry {} that {fault}", index + 1),
                "correct it",
            );
        }
        issuers.push(issuer);
    }
    issuers
}

/// What keeps an issuer from standing beside those before it: with the same name nobody could say whose keys a token must
/// pass, and where one prefix begins another, two users could have the same id.
fn meeting(issuer: &IssuerSettings, others: &[IssuerSettings]) -> Option<String> {
    let position =
        |found: &dyn Fn(&IssuerSettings) -> bool| others.iter().position(found).map(|index| index + 1);
    if let Some(number) = position(&|other| other.issuer == issuer.issuer && issuer.issuer.is_some()) {
        return Some(format!("has the issuer of entry {number}"));
    }
    let prefix = issuer.user_prefix.as_str();
    let begins = |other: &IssuerSettings| {
        let other = other.user_prefix.as_str();
        !prefix.is_empty() && !other.is_empty() && (other.starts_with(prefix) || prefix.starts_with(other))
    };
    position(&begins)
        .map(|number| format!("has a user_prefix that begins that of entry {number}, or is begun by it"))
}

impl<'a> Entry<'a> {
    fn new(fields: &'a Map<String, Value>) -> Self {
        let unknown = fields.keys().filter(|name| !FIELDS.contains(&name.as_str()));
        let faults = unknown
            .map(|name| format!("has the unknown field {name:?} (known: {})", FIELDS.join(", ")))
            .collect();
        Self { fields, faults }
    }

    fn read(mut self) -> (IssuerSettings, Vec<String>) {
        let settings = IssuerSettings {
            keys: self.keys(),
            issuer: self.text("issuer"),
            audiences: self.list("audiences"),
            authorized_parties: self.list("authorized_parties"),
            user_prefix: self.prefix(),
        };
        if settings.issuer.is_none() {
            self.fault("lacks issuer");
        }
        if settings.audiences.is_empty() && settings.authorized_parties.is_empty() {
            self.fault("lacks audiences, and authorized_parties, which may take their place");
        }
        (settings, self.faults)
    }

    fn fault(&mut self, fault: &str) {
        self.faults.push(fault.to_owned());
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.fault(&format!("has no text in {name}"));
                None
            }
        }
    }

    fn list(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.fields.get(name) else {
            return Vec::new();
        };
        let texts = value.as_array().and_then(|list| {
            list.iter()
                .map(|item| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        texts.unwrap_or_else(|| {
            self.fault(&format!("has no list of texts in {name}"));
            Vec::new()
        })
    }

    fn prefix(&mut self) -> String {
        let Some(prefix) = self.text("user_prefix") else {
            if !self.fields.contains_key("user_prefix") {
                self.fault("lacks user_prefix");
            }
            return String::new();
        };
        if prefix.len() > MAX_PREFIX_BYTES || prefix.chars().any(char::is_control) {
            self.fault(&format!(
                "has a user_prefix over {MAX_PREFIX_BYTES} bytes, or with control characters"
            ));
        }
        prefix
    }

    /// The one source of keys that the entry names.
    fn keys(&mut self) -> KeySource {
        let secret = self.text("secret").map(|text| self.secret(&text));
        let public = self.text("public_key").and_then(|text| {
            let key = PublicKey::from_pem(&text);
            self.good("public_key", key)
        });
        let url = self.text("jwks_url").and_then(|text| {
            let url = JwksUrl::new(&text);
            self.good("jwks_url", url)
        });
        let named = FIELDS[1..4]
            .iter()
            .filter(|name| self.fields.contains_key(**name));
        if named.count() != 1 {
            self.fault("must name one of jwks_url, public_key and secret");
        }
        let keys = [
            secret.map(KeySource::Shared),
            public.map(KeySource::Public),
            url.map(published),
        ];
        keys.into_iter()
            .flatten()
            .next()
            .unwrap_or(KeySource::DataDirectory)
    }

    fn secret(&mut self, text: &str) -> Secret {
        if text.len() < MIN_SECRET_BYTES {
            self.fault(&format!("has a secret under {MIN_SECRET_BYTES} bytes"));
        }
        Secret::new(text)
    }

    fn good<T, E: std::fmt::Display>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|fault| self.fault(&format!("has a {name} that is {fault}")))
            .ok()
    }
}
