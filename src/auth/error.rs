//! Why a token was refused: told to logs and metrics, and to nobody else.

use super::token::MAX_TOKEN_BYTES;

/// Why a token or a ticket was refused. For logs and metrics; the one who sent it gets [`AuthError::client_text`], which
/// is the same for all. Carries nothing of the token: a parser's message would quote its claims into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Longer than [`MAX_TOKEN_BYTES`]; it was not parsed.
    #[error("token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not three parts of base64url JSON, an unknown algorithm such as `none`, or a claim of the wrong kind.
    #[error("token is malformed")]
    Malformed,
    /// Signed by another algorithm than the key is for.
    #[error("token's algorithm is not the key's")]
    Algorithm,
    /// `typ` says that it is something else than an access token.
    #[error("token's typ is not JWT or at+jwt")]
    Type,
    /// `crit` demands an extension.
    #[error("token demands an extension by crit")]
    Critical,
    /// The signature does not fit the key.
    #[error("token's signature is wrong")]
    Signature,
    /// No published key has the token's `kid` (or, without a `kid`, its algorithm).
    #[error("token's key is not among the issuer's")]
    UnknownKey,
    /// One of `exp`, `sub` and, where configured, `iss`, `aud` and `azp` is absent.
    #[error("token lacks a required claim")]
    MissingClaim,
    /// `exp` is more than [`super::LEEWAY`] ago.
    #[error("token has expired")]
    Expired,
    /// `nbf` or `iat` is more than [`super::LEEWAY`] ahead.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `iss` is none of those configured.
    #[error("token is from another issuer")]
    Issuer,
    /// `aud` does not name us; or names someone although no audience is configured.
    #[error("token is for another audience")]
    Audience,
    /// `azp` is none of the configured parties.
    #[error("token was made for another party")]
    AuthorizedParty,
    /// `sub` is no [`crate::ids::UserId`].
    #[error("token's subject is no user id")]
    Subject,
    /// It was revoked: itself, its user's tokens, or all of its time.
    #[error("token was revoked")]
    Revoked,
    /// No such ticket: never made, used before, or too old.
    #[error("ticket is unknown, used or too old")]
    Ticket,
    /// The issuer's keys could not be fetched, and none are held. Our trouble, not the token's.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
    /// The database, which holds the tickets, did not answer. Our trouble too.
    #[error("tickets cannot be looked up")]
    TicketsUnavailable,
}

impl AuthError {
    /// Every reason, for the metric that has each from the start.
    pub const ALL: [Self; 18] = [
        Self::TooLong,
        Self::Malformed,
        Self::Algorithm,
        Self::Type,
        Self::Critical,
        Self::Signature,
        Self::UnknownKey,
        Self::MissingClaim,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::AuthorizedParty,
        Self::Subject,
        Self::Revoked,
        Self::Ticket,
        Self::KeysUnavailable,
        Self::TicketsUnavailable,
    ];

    /// What the client is told, whatever the reason: a better text would help to guess.
    pub fn client_text(self) -> &'static str {
        "The token was not accepted"
    }

    /// Whether the same token may be accepted later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::KeysUnavailable | Self::TicketsUnavailable)
    }

    /// The reason as a metric's label, one of a closed set.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Critical => "critical",
            Self::Signature => "signature",
            Self::UnknownKey => "unknown_key",
            Self::MissingClaim => "missing_claim",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::AuthorizedParty => "authorized_party",
            Self::Subject => "subject",
            Self::Revoked => "revoked",
            Self::Ticket => "ticket",
            Self::KeysUnavailable => "keys_unavailable",
            Self::TicketsUnavailable => "tickets_unavailable",
        }
    }
}
