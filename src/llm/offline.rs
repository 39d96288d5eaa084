//! The built-in model: answers without a network, for a first look and for demonstrations.
//!
//! Owns the pace at which words appear and the faults that can be asked for. Pretends no understanding: an answer
//! quotes the question and what was said before it, so that a person can see the session remember. The same prompt
//! gets the same answer, and the model's name, which every answer carries, says what it is. [`super::Provider`] is
//! its only caller; nothing is retried, so that a fault that was asked for is seen.
//!
//! Directives anywhere in the last question steer it:
//!
//! | directive | effect |
//! |---|---|
//! | `[[delay=200]]` | so many milliseconds a word (at most 10,000) |
//! | `[[slow]]` | the same as `[[delay=500]]` |
//! | `[[words=500]]` | an answer of exactly so many words (1 to 20,000), whatever `max_tokens` says |
//! | `[[fail]]` | fails before any text as `provider_unavailable` |
//! | `[[fail=20]]` | fails so after so many words |
//! | `[[timeout]]` | fails before any text as `provider_timeout` |
//! | `[[empty]]` | ends without a word |

mod composition;
mod directives;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::directives::{Directives, Mishap};
use super::detail::Detail;
use super::error::{FinishReason, LlmError, Wait};
use super::{Event, Finish, Request, Usage};
use crate::prompt::ChatMessage;

/// The model's name in every answer.
pub const MODEL: &str = "offline/echo-1";

/// What a person may type, for a banner.
pub const HELP: &str = "\
The built-in model quotes what you say. Put one of these into a message to steer its answer:
  [[slow]] or [[delay=200]]   milliseconds per word
  [[words=500]]               an answer of that length
  [[fail]] or [[fail=20]]     a provider that fails at once, or after that many words
  [[timeout]], [[empty]]      a provider that never answers, or says nothing";

/// The built-in model at some pace.
#[derive(Debug, Clone, Copy)]
pub struct Offline {
    /// The pause before each word, unless the question asks for another.
    pub word_delay: Duration,
}

impl Default for Offline {
    /// About 40 words a second, as fast as a good hosted model.
    fn default() -> Self {
        Self {
            word_delay: Duration::from_millis(25),
        }
    }
}

impl Offline {
    pub(super) fn start(self, request: &Request) -> Recital {
        let (question, directives) = directives::read(composition::last_question(&request.messages));
        let script = match directives.mishap {
            Some(Mishap::Fail { after_words: 0 } | Mishap::Timeout | Mishap::Empty) => Vec::new(),
            Some(Mishap::Fail { after_words }) => {
                composition::of_length(&question, &request.messages, after_words)
            }
            None => match directives.words {
                Some(words) => composition::of_length(&question, &request.messages, words),
                None => composition::natural(&question, &request.messages),
            },
        };
        Recital::new(
            script,
            &directives,
            self.word_delay,
            input_tokens(&request.messages),
        )
    }
}

/// One answer, recited word by word.
#[derive(Debug)]
pub(super) struct Recital {
    words: std::vec::IntoIter<String>,
    delay: Duration,
    /// When the next word is due. Kept here and not in a timer of the caller's, so that a dropped `next` loses none.
    due: Instant,
    input_tokens: u32,
    output_chars: usize,
    stage: Stage,
    mishap: Option<Mishap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unannounced,
    Speaking,
    Ended,
}

impl Recital {
    fn new(script: Vec<String>, directives: &Directives, pace: Duration, input_tokens: u32) -> Self {
        let delay = directives.delay.unwrap_or(pace);
        Self {
            words: script.into_iter(),
            delay,
            due: Instant::now() + delay,
            input_tokens,
            output_chars: 0,
            stage: Stage::Unannounced,
            mishap: directives.mishap,
        }
    }

    pub(super) async fn next(&mut self) -> Option<Result<Event, LlmError>> {
        match self.stage {
            Stage::Unannounced => {
                self.stage = Stage::Speaking;
                return Some(Ok(Event::Started { generation_id: None }));
            }
            Stage::Speaking => sleep_until(self.due).await,
            Stage::Ended => return None,
        }
        if let Some(word) = self.words.next() {
            // Counted from when it was due, so that a busy machine speaks late but not slowly.
            self.due += self.delay;
            self.output_chars += word.chars().count();
            return Some(Ok(Event::Text(word)));
        }
        self.stage = Stage::Ended;
        Some(self.end().map(Event::Finished))
    }

    fn end(&self) -> Result<Finish, LlmError> {
        match self.mishap {
            Some(Mishap::Fail { .. }) => {
                let detail = Detail::new("a failure that the question asked for");
                Err(LlmError::Unavailable {
                    retry_after: None,
                    detail,
                })
            }
            Some(Mishap::Timeout) => Err(LlmError::TimedOut(Wait::Headers)),
            Some(Mishap::Empty) => Err(LlmError::Empty {
                finish_reason: FinishReason::Stop,
            }),
            None => Ok(Finish {
                finish_reason: FinishReason::Stop,
                model: Some(MODEL.to_owned()),
                usage: Some(Usage {
                    input_tokens: self.input_tokens,
                    output_tokens: tokens(self.output_chars),
                    cost_usd: Some(0.0),
                }),
                generation_id: None,
            }),
        }
    }
}

fn input_tokens(messages: &[ChatMessage]) -> u32 {
    tokens(
        messages
            .iter()
            .map(|message| message.content.chars().count())
            .sum(),
    )
}

/// An estimate: real models take about four characters of English for one token.
fn tokens(chars: usize) -> u32 {
    u32::try_from(chars.div_ceil(4)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
