//! Whose token this connection lives by, and its end when that is revoked.

use super::{Connection, End};
use crate::auth::Principal;
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};

impl Connection {
    /// From here on this token counts. It was checked a moment ago, and is checked again at the next turn: what was revoked in
    /// between was looked for in the token before.
    pub(super) fn take_principal(&mut self, principal: Principal) {
        self.principal = Some(principal);
        self.revocations_seen = 0;
    }

    /// Ends the connection if its token was revoked. As long as nothing new is revoked this compares two numbers.
    pub(super) async fn check_revoked(&mut self) -> Result<(), End> {
        let Some(principal) = &self.principal else {
            return Ok(());
        };
        let revocations = self.service.auth.revocations();
        let version = revocations.version();
        if version == self.revocations_seen {
            return Ok(());
        }
        self.revocations_seen = version;
        if !revocations.is_revoked(principal) {
            return Ok(());
        }
        let refusal = Refusal::new(ErrorCode::Unauthorized, "The token was revoked");
        Box::pin(self.refuse(refusal, None)).await?;
        Err(End::Close(CloseReason::IdentityChanged))
    }
}
