//! The prompt: what of the log a model sees. Pure data and rules; asks no database and no model.
//!
//! The runs build it from a session's turns; `llm` sends it on as it is.

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

/// Who speaks in a [`ChatMessage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    /// The operator's instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}
