//! What an error tells whom.

use super::*;

#[test]
fn the_text_for_a_client_is_a_constant_with_the_contracts_beginning() {
    let codes = [
        LlmCode::ProviderBusy,
        LlmCode::ProviderTimeout,
        LlmCode::ProviderUnavailable,
        LlmCode::ContentFiltered,
        LlmCode::ContextTooLong,
        LlmCode::ModelUnavailable,
        LlmCode::Internal,
    ];
    let texts: std::collections::HashSet<_> = codes.iter().map(|code| code.client_text()).collect();
    assert_eq!(texts.len(), codes.len(), "one text a code");
    assert!(
        texts
            .iter()
            .all(|text| text.starts_with("Failed to generate response: "))
    );
}

#[test]
fn only_the_provider_and_the_breaker_set_a_time_to_return() {
    let wait = Duration::from_secs(3);
    let detail = || Detail::new("");
    let busy = LlmError::Busy {
        retry_after: Some(wait),
        detail: detail(),
    };
    assert_eq!(busy.retry_after(), Some(wait));
    assert_eq!(
        LlmError::CircuitOpen { retry_after: wait }.retry_after(),
        Some(wait)
    );
    assert_eq!(LlmError::Unreachable(detail()).retry_after(), None);
}

#[test]
fn the_metrics_know_every_kind_of_fault() {
    let detail = || Detail::new("");
    let faults = [
        LlmError::Unreachable(detail()),
        LlmError::TimedOut(Wait::End),
        LlmError::Busy {
            retry_after: None,
            detail: detail(),
        },
        LlmError::Unavailable {
            retry_after: None,
            detail: detail(),
        },
        LlmError::CircuitOpen {
            retry_after: Duration::ZERO,
        },
        LlmError::Refused(detail()),
        LlmError::Filtered(detail()),
        LlmError::ContextTooLong(detail()),
        LlmError::ModelUnavailable(detail()),
        LlmError::Rejected(detail()),
        LlmError::Malformed(detail()),
        LlmError::TooLarge { limit_bytes: 1 },
        LlmError::Incomplete(detail()),
        LlmError::Empty {
            finish_reason: FinishReason::Stop,
        },
    ];
    let mut labels = faults.map(|fault| fault.label());
    labels.sort_unstable();
    assert_eq!(labels, crate::metrics::PROVIDER_FAULTS);
}
