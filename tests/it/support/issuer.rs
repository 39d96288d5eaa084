//! An identity product: publishes keys on this machine and signs tokens with them, in whatever shape the product has.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A key to sign with.
pub(crate) struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl SigningKey {
    /// RSA of 2048 bits, for RS256.
    pub(crate) fn rsa() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self {
            // PKCS #8 is 26 bytes before the key of a length such as this.
            key: EncodingKey::from_rsa_der(&der.as_ref()[26..]),
            algorithm: Algorithm::RS256,
        }
    }

    /// P-256, for ES256.
    pub(crate) fn p256() -> Self {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self {
            key: EncodingKey::from_ec_der(der.as_ref()),
            algorithm: Algorithm::ES256,
        }
    }

    /// A secret, for HS256.
    pub(crate) fn secret(text: &str) -> Self {
        Self {
            key: EncodingKey::from_secret(text.as_bytes()),
            algorithm: Algorithm::HS256,
        }
    }

    /// The public half as it is published, with what a product says besides.
    pub(crate) fn published(&self, besides: &Value) -> Value {
        install_crypto();
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        let besides = besides.as_object().unwrap();
        jwk.as_object_mut().unwrap().extend(besides.clone());
        jwk
    }

    /// A token with this header, to which the algorithm is added, and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        install_crypto();
        let mut header = header.clone();
        header["alg"] = json!(self.algorithm);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// The tests sign before any node has named the backend.
fn install_crypto() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Where keys are published; stops when it is dropped.
pub(crate) struct KeyServer {
    /// For `JWT_JWKS_URL`.
    pub(crate) url: String,
    _serving: JoinSet<()>,
}

impl KeyServer {
    /// Publishes these keys.
    pub(crate) async fn start(keys: &[Value]) -> Self {
        let document = json!({ "keys": keys }).to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let app = Router::new().route("/keys", get(move || std::future::ready(document.clone())));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            _serving: serving,
        }
    }
}
