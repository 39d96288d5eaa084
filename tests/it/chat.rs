//! `agent-websocket chat`, the real program, through pipes and in a terminal, against the real server.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Stdio};

use crate::support::cable::Cable;
use crate::support::eventually;
use crate::support::node::{SECRET, TestNode, token, values};
use crate::support::process::{Process, ServeProcess};
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::tool;

/// A running `chat`.
struct Chat {
    process: Process,
    stdin: Option<ChildStdin>,
}

impl Chat {
    /// As a user of the tests, with a token in the environment.
    fn start(base: &str, user: &str, arguments: &[&str]) -> Self {
        let settings = HashMap::from([("AGENT_WEBSOCKET_TOKEN".to_owned(), token(user))]);
        let program = Path::new(env!("CARGO_BIN_EXE_agent-websocket"));
        Self::run(
            program,
            &[&["chat", "--url", base], arguments].concat(),
            &settings,
        )
    }

    fn run(program: &Path, arguments: &[&str], settings: &HashMap<String, String>) -> Self {
        let mut process = Process::run("chat", program, arguments, settings, Stdio::piped());
        let stdin = process.take_stdin();
        Self { process, stdin }
    }

    fn say(&mut self, line: &str) {
        self.type_(&format!("{line}\n"));
    }

    fn type_(&mut self, keys: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits until it has written this as an answer.
    async fn wrote(&self, text: &str) {
        eventually(&format!("chat answers {text:?}"), || async {
            self.process.stdout().contains(text)
        })
        .await;
    }

    /// Waits until it has said this beside the answers.
    async fn told(&self, text: &str) {
        eventually(&format!("chat tells {text:?}"), || async {
            self.process.stderr().contains(text)
        })
        .await;
    }

    /// Ends its input, and waits for its end: whether it was a good one.
    async fn ends(&mut self) -> bool {
        drop(self.stdin.take());
        self.process.finished().await.success()
    }

    /// The session that it said it was in first.
    async fn session(&self) -> String {
        self.told("* session ").await;
        let told = self.process.stderr();
        let (_, rest) = told.split_once("* session ").unwrap();
        rest.split(',').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn through_a_pipe_the_output_holds_the_answers_alone_and_the_exit_code_says_whether_they_are_whole() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut chat = Chat::start(&node.base, "alice", &[]);
    chat.say("One?");
    chat.say("Two?");
    assert!(chat.ends().await);
    assert_eq!(
        chat.process.stdout(),
        "Message 2 was: One?\nMessage 4 was: Two?\n"
    );
    let session = chat.session().await;
    assert_eq!(node.database.transcript(&session).await.len(), 4);

    provider.then(Script::status(400, r#"{"error":{"code":400,"message":"no"}}"#));
    let mut failing = Chat::start(&node.base, "alice", &[]);
    failing.say("Three?");
    assert!(!failing.ends().await);
    assert_eq!(failing.process.stdout(), "");
    let told = failing.process.stderr();
    for said in [
        "Failed to generate response: ",
        "* the answer is failed (",
        "not everything",
    ] {
        assert!(told.contains(said), "{told}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_server_killed_in_mid_answer_and_started_again_costs_neither_the_session_nor_a_notification() {
    let provider = ScriptedProvider::start().await;
    provider.on("Half?", Script::new().text("Half ").wait_for("never"));
    let base = TestNode::start(&provider, &[]).await;
    let database = base.database.clone();
    let settings = values(&provider.base_url(), &database.server_url, &[]);
    let mut first = ServeProcess::start("first", settings.clone()).await;
    let cable = Cable::to(&first.base).await;
    let mut chat = Chat::start(&cable.base, "alice", &["--stream"]);
    chat.say("Half?");
    eventually("the text is shown and stored", || async {
        chat.process.stderr().contains("session")
            && database
                .count("SELECT count(*) FROM agent.chunks WHERE content = 'Half '")
                .await
                == 1
    })
    .await;

    first.process.kill9();
    chat.told("* disconnected: ").await;
    database.notify("alice", "Meanwhile").await;
    let mut second = ServeProcess::start("second", settings).await;
    cable.lead_to(&second.base);

    chat.told("* connected again").await;
    chat.told("* notification (message): Meanwhile").await;
    chat.told("* the answer is incomplete (internal)").await;
    chat.say("And now?");
    let is_whole = chat.ends().await;
    assert!(!is_whole, "one answer is not");
    assert_eq!(chat.process.stdout(), "Half \nMessage 4 was: And now?\n");
    let stored = database.transcript(&chat.session().await).await;
    assert_eq!(stored.len(), 4);
    assert_eq!(chat.process.stderr().matches("Meanwhile").count(), 1);
    second.process.terminate();
    second.ended().await;
    let mut base = base;
    base.shut_down().await;
}

#[tokio::test]
async fn a_server_killed_before_the_first_word_is_asked_again_by_another_and_the_answer_comes_once() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().wait_for("never"));
    let mut other = TestNode::start(&provider, &[]).await;
    let settings = values(&provider.base_url(), &other.database.server_url, &[]);
    let mut first = ServeProcess::start("first", settings).await;
    let cable = Cable::to(&first.base).await;
    let mut chat = Chat::start(&cable.base, "alice", &[]);
    chat.say("Well?");
    provider.wait_for(|tally| tally.calls == 1).await;
    cable.lead_to(&other.base);
    first.process.kill9();
    assert!(chat.ends().await);
    assert_eq!(chat.process.stdout(), "Message 2 was: Well?\n");
    other.shut_down().await;
}

#[tokio::test]
async fn text_is_written_once_however_often_the_network_is_cut() {
    let provider = ScriptedProvider::start().await;
    let script = Script::new()
        .text("One 🌍 ")
        .wait_for("two")
        .text("two ")
        .wait_for("three");
    provider.then(script.text("three").finish("stop").done());
    let mut node = TestNode::start(&provider, &[]).await;
    let cable = Cable::to(&node.base).await;
    let mut chat = Chat::start(&cable.base, "alice", &["--stream"]);
    chat.say("Count!");
    provider.wait_for(|tally| tally.calls == 1).await;
    for (cuts, gate) in ["two", "three"].iter().enumerate() {
        cable.cut();
        provider.open(gate);
        eventually("chat is back", || async {
            chat.process.stderr().matches("* connected again").count() > cuts
        })
        .await;
    }
    assert!(chat.ends().await);
    assert_eq!(chat.process.stdout(), "One 🌍 two three\n");
    node.shut_down().await;
}

#[tokio::test]
async fn a_session_is_shown_from_its_start_and_gone_on_with() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut first = Chat::start(&node.base, "alice", &[]);
    first.say("One?");
    assert!(first.ends().await);
    let session = first.session().await;
    for which in [session.as_str(), "latest"] {
        let mut again = Chat::start(&node.base, "alice", &["--session", which]);
        again.say("Two?");
        assert!(again.ends().await);
        assert_eq!(again.session().await, session);
        let told = again.process.stderr();
        assert!(told.contains("> One?\nMessage 2 was: One?\n"), "{told}");
        assert!(again.process.stdout().ends_with(" was: Two?\n"));
    }
    let mut foreign = Chat::start(&node.base, "bob", &["--session", &session]);
    assert!(!foreign.ends().await);
    assert!(
        foreign.process.stderr().contains("(4504)"),
        "{}",
        foreign.process.stderr()
    );
    node.shut_down().await;
}

#[tokio::test]
async fn commands_do_what_help_says() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.database.notify("alice", "Look here").await;
    let mut chat = Chat::start(&node.base, "alice", &[]);
    for line in [
        "/help",
        "First question",
        "/rename A title of mine",
        "/good short",
        "/regenerate",
        "/model test/other",
        "/model",
        "/clear",
        "/cancel",
        "/queue",
        "/inbox",
        "/ack",
        "/inbox",
        "/new",
        "Second question",
        "/sessions",
        "/resume 2",
        "/history",
        "/delete 1",
        "/sessions",
    ] {
        chat.say(line);
    }
    assert!(chat.ends().await, "{}", chat.process.stderr());
    let wrote = chat.process.stdout();
    for expected in [
        "/regenerate       another answer",
        "Message 2 was: First question\nRenamed\nThank you for your feedback\nMessage 2 was: First question\n",
        "model: test/other (you may choose test/model, test/other)\nmodel: the default",
        "A fresh context begins here\ncancel: none\nno queue\n",
        "notification (message): Look here\nacknowledged: 1\nno notifications\nMessage 2 was: Second question\n",
        "  2  ",
        "A title of mine (3 messages)",
        "#1 user: First question\n#2 assistant: Message 2 was: First question\n",
        "Session deleted\n",
    ] {
        assert!(wrote.contains(expected), "{expected}\nis missing in\n{wrote}");
    }
    assert_eq!(
        wrote.matches("messages)\n").count(),
        3,
        "two sessions, then one:\n{wrote}"
    );
    let ratings = node
        .database
        .count("SELECT count(*) FROM agent.feedback WHERE comment = 'short'")
        .await;
    assert_eq!(ratings, 1);
    node.shut_down().await;
}

#[tokio::test]
async fn what_is_refused_is_said_and_fails_and_the_next_line_is_asked() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut chat = Chat::start(&node.base, "alice", &[]);
    for line in ["/model no/such", "/resume 7", "/dance", "//not a command"] {
        chat.say(line);
    }
    assert!(!chat.ends().await);
    assert_eq!(chat.process.stdout(), "Message 2 was: /not a command\n");
    let told = chat.process.stderr();
    for expected in [
        "(model_unavailable)",
        "its number in /sessions",
        "there is no /dance",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn an_interrupt_stops_the_answer_and_a_second_one_leaves() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("Endless ").wait_for("never"));
    provider.then(Script::new().text("Endless ").wait_for("never"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut chat = Chat::start(&node.base, "alice", &["--stream"]);
    chat.say("Go!");
    provider.wait_for(|tally| tally.calls == 1).await;
    chat.process.interrupt();
    chat.told("* the answer is cancelled").await;
    chat.say("Again!");
    provider.wait_for(|tally| tally.calls == 2).await;
    node.database
        .execute("CREATE FUNCTION public.held() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        .await;
    // Nobody notices the wish to stop, so that the second interrupt meets an answer that still runs.
    node.database
        .execute(
            "CREATE TRIGGER held BEFORE UPDATE OF cancel_requested_at ON agent.runs FOR EACH ROW EXECUTE FUNCTION public.held()",
        )
        .await;
    chat.process.interrupt();
    eventually("the second answer is to stop", || async {
        chat.process.stderr().matches("* stopping the answer").count() == 2
    })
    .await;
    chat.process.interrupt();
    assert!(!chat.process.finished().await.success());
    node.database.execute("DROP TRIGGER held ON agent.runs").await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_is_named_where_it_is_missing_signed_where_it_can_be_and_read_anew_from_a_file() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let program = Path::new(env!("CARGO_BIN_EXE_agent-websocket"));
    let remote = ["chat", "--url", "https://agent.example.com"];
    let mut missing = Chat::run(program, &remote, &HashMap::new());
    assert!(!missing.ends().await);
    assert!(missing.process.stderr().contains("AGENT_WEBSOCKET_TOKEN"));

    let secret = HashMap::from([("JWT_SECRET".to_owned(), SECRET.to_owned())]);
    let mut signed = Chat::run(program, &["chat", "--url", &node.base], &secret);
    signed.say("Who?");
    assert!(signed.ends().await);
    assert!(signed.process.stderr().contains(", as demo"));

    let cable = Cable::to(&node.base).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token("alice")).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = ["chat", "--url", &cable.base, "--token-file", path];
    let mut kept = Chat::run(program, &arguments, &HashMap::new());
    kept.told(", as alice").await;
    std::fs::write(file.path(), "no token").unwrap();
    cable.cut();
    assert!(!kept.process.finished().await.success());
    assert!(
        kept.process.stderr().contains("(4501)"),
        "{}",
        kept.process.stderr()
    );
    node.shut_down().await;
}

#[tokio::test]
async fn in_a_terminal_others_write_above_the_line_that_is_typed_and_give_the_terminal_no_orders() {
    // util-linux's, which every Debian has; macOS's takes other arguments.
    let Some(script) = tool::find("script") else {
        return;
    };
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let line = format!(
        "{} chat --url {}",
        env!("CARGO_BIN_EXE_agent-websocket"),
        node.base
    );
    let settings = HashMap::from([
        ("AGENT_WEBSOCKET_TOKEN".to_owned(), token("alice")),
        ("TERM".to_owned(), "xterm".to_owned()),
        ("SHELL".to_owned(), "/bin/sh".to_owned()),
    ]);
    let mut chat = Chat::run(&script, &["-qefc", &line, "/dev/null"], &settings);
    chat.wrote("* session ").await;
    chat.type_("Half a ");
    node.database
        .notify("alice", "Look\u{1b}]0;owned\u{7} here")
        .await;
    chat.wrote("* notification (message): Look\u{fffd}]0;owned\u{fffd} here")
        .await;
    chat.type_("question\r");
    chat.wrote("Message 2 was: Half a question").await;
    chat.type_("/quit\r");
    assert!(chat.process.finished().await.success());
    node.shut_down().await;
}
