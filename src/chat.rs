//! `chat`: a conversation in the terminal, or through a pipe, with any deployment.
//!
//! Owns the loop that joins the person's lines with what the server says. The connection, resume and re-sending are
//! [`crate::client`]'s. Refuses to know where a token comes from: `app` says so and calls [`run`].

mod command;
mod input;
mod listing;
mod paper;
mod talk;

use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};

use self::input::{Input, Line};
use self::paper::Paper;
use self::talk::{Next, Talk};
use crate::client::{self, Client};

/// How to chat.
#[derive(Debug)]
pub struct Options {
    /// With whom, as whom, in which session.
    pub client: client::Options,
    /// Show text as it is written even where the output is no terminal.
    pub stream: bool,
}

/// Talks until the person leaves or the input ends.
///
/// # Errors
/// When the server refuses for good, the output cannot be written, or something that was asked through a pipe failed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (mut input, paper) = if is_terminal {
        let (input, printer) = Input::terminal()?;
        (input, Paper::terminal(printer))
    } else {
        (Input::pipe(), Paper::pipe())
    };
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut client = Client::new(options.client);
    let mut talk = Talk::new(paper, is_terminal || options.stream);
    let mut asked = false;
    loop {
        if !asked && talk.is_idle() {
            talk.paper.listening()?;
            input.ask();
            asked = true;
        }
        let next = tokio::select! {
            event = client.next() => match event {
                Ok(event) => talk.told(event)?,
                Err(why) => {
                    talk.paper.listened()?;
                    talk.paper.end_lines()?;
                    anyhow::bail!("{why}");
                }
            },
            line = input.next(), if asked => {
                asked = false;
                talk.paper.listened()?;
                match line {
                    Line::Text(text) => talk.said(&text)?,
                    Line::Interrupted => talk.hint()?,
                    Line::End => Next::Leave,
                    Line::Broken(why) => anyhow::bail!("{why}"),
                }
            }
            _ = interrupts.recv() => talk.interrupted()?,
        };
        match next {
            Next::GoOn => {}
            Next::Send(frame) => client.send(frame)?,
            Next::Leave => break,
        }
    }
    talk.paper.end_lines()?;
    client.close().await;
    // A person has seen it; a script looks at the exit code.
    anyhow::ensure!(
        is_terminal || !talk.has_failed(),
        "not everything that was asked was answered in full"
    );
    Ok(())
}
