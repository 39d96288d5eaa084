//! The one list of settings: name, default, unit and meaning of each.
//!
//! Parsing takes its defaults from here, `--help` and `.env.example` are printed from here, and a setting
//! that is not here cannot be read, so none of them can drift from the others. The comment above each says why its
//! default is what it is. Refuses to know ranges and rules between settings: those stand where the value is read
//! and are named by the fault.

use std::fmt::Write as _;

/// One setting, read from the environment variable of its name. A blank value counts as none.
#[derive(Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What counts when it is not set; empty = nothing.
    pub default: &'static str,
    /// What its number counts, or what kind of text it is.
    pub unit: &'static str,
    /// What it does, as one line for the operator.
    pub meaning: &'static str,
}

/// Settings that are about the same thing.
#[derive(Debug)]
pub struct Section {
    /// Its title in `--help`.
    pub heading: &'static str,
    /// In the order in which an operator would ask for them.
    pub settings: &'static [&'static Setting],
}

impl Setting {
    /// Whether its value must not be repeated in a message.
    pub fn is_secret(&self) -> bool {
        // Where a public key belongs, a private one may have been put.
        self.unit.starts_with("secret") || self.unit == "PEM"
    }
}

macro_rules! settings {
    ($($heading:literal { $($name:ident = $default:literal, $unit:literal, $meaning:literal;)* })*) => {
        $($(pub(super) static $name: Setting =
            Setting { name: stringify!($name), default: $default, unit: $unit, meaning: $meaning };)*)*

        /// All settings.
        pub static SECTIONS: &[Section] =
            &[$(Section { heading: $heading, settings: &[$(&$name),*] }),*];
    };
}

settings! {
    "Addresses" {
        // Loopback: exposing it is a decision, usually of the proxy that terminates TLS.
        BIND_ADDR = "127.0.0.1:8080", "ip:port", "Where clients connect. Port 0 takes a free one.";
        // Loopback, too: what operators see is not for the public, and a scraper on this machine reaches it.
        ADMIN_BIND_ADDR = "127.0.0.1:9090", "ip:port", "Where operators read /metrics, /healthz and /readyz. Not for the public.";
        // Empty: the server's own pages are let in anyway, and to name others is a decision.
        ALLOWED_ORIGINS = "", "list", "Origins besides the server's own whose pages may connect, such as https://app.example.com.";
        // Empty: a proxy in front knows its names, and a wrong guess would turn everybody away. `dev` has no proxy.
        ALLOWED_HOSTS = "", "list", "Names in Host that are answered, such as agent.example.com; port :* for any. Empty = any; dev: loopback.";
        // Empty: whoever believes a header of anybody lets everybody choose an address.
        TRUSTED_PROXIES = "", "list", "Addresses or ranges of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8.";
        // A page that nobody asked for is a page that nobody looks after: with `serve` it is the operator's decision.
        CONSOLE = "", "true|false", "Whether the web page is served at /. Not set: by dev, not by serve.";
        // It shows everybody's conversations.
        INSPECTOR = "", "true|false", "Whether the inspector is served at / of ADMIN_BIND_ADDR. Not set: by dev, not by serve.";
        // Under the 30 s that Kubernetes and systemd-like supervisors leave by default.
        DRAIN_SECONDS = "20", "s", "Time over which clients are sent away and answers may finish when the server stops.";
    }
    "Database" {
        // Empty: a guess might write into another program's database.
        DATABASE_URL = "", "secret URL", "Postgres 15 or newer. Required by serve and migrate; dev without it starts its own.";
        // Empty: most databases are reached directly, and one address then does for both.
        LISTEN_DATABASE_URL = "", "secret URL", "Direct connection for LISTEN, where DATABASE_URL goes through a transaction pooler.";
        // A tenth of Postgres's own default of 100, so that several nodes fit.
        DATABASE_MAX_CONNECTIONS = "10", "connections", "Most connections in this node's pool; seven more stand beside it.";
        // Where one stands: two clones or projects on one machine do not share sessions or a secret.
        DATA_DIR = "./.agent-websocket", "path", "Where dev keeps its Postgres and its random token secret.";
    }
    "Who may connect" {
        // Empty: a secret that everybody can read in the source is none.
        JWT_SECRET = "", "secret", "HS256 secret of at least 32 bytes. serve needs this, a public key or JWT_ISSUERS; dev makes its own.";
        // Empty: only the operator knows whose tokens to believe.
        JWT_PUBLIC_KEY = "", "PEM", "The issuer's public key: RSA, P-256, P-384 or Ed25519. \\n may stand for line breaks.";
        // Empty, for the same reason.
        JWT_JWKS_URL = "", "URL", "Published keys of the issuer (RS, PS, ES, EdDSA). https.";
        // Empty: it is the issuer's name for itself.
        JWT_ISSUER = "", "text", "The accepted iss. Required with JWT_PUBLIC_KEY and JWT_JWKS_URL.";
        // Empty: it is the issuer's name for this service.
        JWT_AUDIENCE = "", "list", "Accepted aud values. Required with a public key; without it tokens that name one are refused.";
        // Empty: it is the issuer's name for an application.
        JWT_AUTHORIZED_PARTIES = "", "list", "Accepted azp values, of which a token must name one. Suffices where the issuer sets no aud.";
        // Empty: most have one issuer, whose settings are above.
        JWT_ISSUERS = "", "secret JSON", "Several issuers, instead of all of the above: see docs/tokens.md.";
        // Off: what stands in a URL stands in the logs of every proxy on the way.
        ALLOW_ACCESS_TOKEN_IN_URL = "false", "true|false", "Accept ?access_token=. URLs end up in logs of proxies: prefer the header or the sub-protocol.";
        // Long enough for a slow phone's first frame, short enough that strangers hold no sockets.
        AUTH_TIMEOUT_MS = "5000", "ms", "Time for the auth frame of a client that brought no token.";
        // As long as a page needs to ask its backend for the next token, several times over.
        TOKEN_EXPIRY_WARNING_SECONDS = "60", "s", "How long before a token's end the client is asked to renew it.";
    }
    "Model" {
        // Empty: it is what the operator pays with.
        OPENROUTER_API_KEY = "", "secret", "Key of the provider. Required by serve, unless OPENROUTER_BASE_URL is another server.";
        // The provider of the original design: one key for the models of many.
        OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1", "URL", "Any server with an OpenAI-compatible /chat/completions.";
        // The address tells them apart; the others are for a proxy in between.
        PROVIDER_FLAVOR = "auto", "auto|openrouter|generic", "Whether to send OpenRouter's own fields. auto looks at the host.";
        // That of the original design.
        MODEL = "openai/gpt-4-turbo", "text", "The model that answers unless a query names another.";
        // Empty: another model has another price and another voice, which is for the operator to choose.
        MODEL_FALLBACKS = "", "list", "Models that the provider tries in turn where MODEL fails.";
        // Empty: a client that chooses freely chooses what the operator pays.
        ALLOWED_MODELS = "", "list", "Models that a client may name, MODEL among them. Empty = only MODEL.";
        // That of the original design: conversation that is neither stiff nor wild.
        TEMPERATURE = "0.7", "number", "How freely the model chooses its words, 0 to 2.";
        // That of the original design: about a thousand words.
        MAX_TOKENS = "1500", "tokens", "Longest answer.";
    }
    "Conversation" {
        // That of the original design.
        AGENT_NAME = "agent_websocket", "text", "What the agent is called.";
        // That of the original design, with the agent's name in it.
        SYSTEM_PROMPT = "You are {AGENT_NAME}, an AI assistant communicating via WebSocket.", "text", "What the model is told first. {AGENT_NAME} is replaced.";
        // That of the original design: twenty-five questions with their answers.
        MAX_HISTORY = "50", "messages", "Most messages of a session that the model is sent.";
        // With answer and system prompt it fits the 32 k window of small models, however far off the estimate.
        MAX_PROMPT_TOKENS = "16000", "tokens", "Most tokens of history, estimated, that the model is sent.";
        // That of the original design: a person who was away for longer starts again.
        SESSION_TIMEOUT = "30", "min", "Idle time after which a socket is closed; may be fractional. The session stays.";
    }
    "Sockets" {
        // Under the 30 s and 60 s after which common proxies drop a silent connection.
        HEARTBEAT_MS = "25000", "ms", "Silence after which the server sends a ping; twice as long without an answer ends the socket.";
        // 32 KiB of text take at most six times as much as JSON escapes, plus the frame around it.
        MAX_MESSAGE_BYTES = "262144", "bytes", "Longest frame of a client, at least 262144.";
        // Its transport sends the whole conversation with each message, of which only the last is read.
        AI_SDK_MAX_MESSAGE_BYTES = "1048576", "bytes", "The same for clients of /v1/ai-sdk, which send their whole conversation each time.";
        // The longest frame over 9 KB/s; a dead fragment is not held much longer than a silent socket.
        MESSAGE_TIMEOUT_MS = "30000", "ms", "Time for one message of a client, from its first byte to its last.";
        // A phone changing networks comes back within this; one that does not can resume.
        WRITE_TIMEOUT_MS = "10000", "ms", "Time for one write to a client that reads slowly.";
    }
    "Runs" {
        // Three renewals fit in, so that one lost round trip to Postgres costs nothing.
        LEASE_MS = "10000", "ms", "Time after which a run of a node that died may be taken over.";
        // Half a lease: a dead node's run waits 15 s at most.
        REAPER_INTERVAL_MS = "5000", "ms", "How often to look for such runs.";
        // What a crash may cost of an answer; one insert a node and tick.
        CHUNK_FLUSH_MS = "150", "ms", "How often text being written is stored.";
        // Only matters where a NOTIFY was lost: short enough that a person hardly notices.
        POLL_INTERVAL_MS = "2000", "ms", "How often to look for what a NOTIFY should have announced.";
        // Of transactions that insert at the same time only one sends a NOTIFY: the last ones wait for this. One small query.
        NOTIFICATION_POLL_MS = "100", "ms", "How often to look for notifications that no NOTIFY announced.";
        // The first, and one after a crash, as the contract promises: a query that kills nodes must not do so for ever.
        MAX_RUN_ATTEMPTS = "2", "attempts", "How often a run is begun before it counts as failed.";
    }
    "Retention; 0 = keep for ever" {
        // Deleting what people said is the operator's decision.
        RETENTION_DAYS = "0", "days", "Messages, sessions and notifications older than this are removed; may be fractional.";
        // Long enough for a dedupe_key to do its work; what was seen is of no further use.
        NOTIFICATION_RETENTION_DAYS = "30", "days", "Notifications acknowledged or expired this long ago are removed; may be fractional.";
        // A few statements that find nothing.
        RETENTION_INTERVAL_MS = "600000", "ms", "How often to look for what is too old.";
    }
    "Limits; 0 = off" {
        // Faster than a person reads answers, slower than a script burns money.
        RATE_LIMIT_PER_MINUTE = "20", "queries", "Queries of one user a minute.";
        // A few follow-ups in quick succession are normal.
        RATE_LIMIT_BURST = "5", "queries", "Queries that one user may send at once. 0 = a whole minute's worth.";
        // An interface that sends on each key press stays under it; three times as many may come at once.
        FRAMES_PER_SECOND = "20", "frames", "Frames of one socket a second; three times as many at once.";
        // A frame of the largest size every two seconds, for ever: far above what a person or a program says, and a flood that
        // no frame limit sees (empty continuations) costs a hundredth of a core instead of one.
        INBOUND_BYTES_PER_SECOND = "131072", "bytes", "Bytes of one connection a second; a client that sends more is read more slowly.";
        // Two frames of the largest size at once.
        INBOUND_BURST_BYTES = "524288", "bytes", "Bytes that one connection may send at once. 0 = one second's worth.";
        // An office behind one address reconnects after a restart without being turned away.
        CONNECTIONS_PER_MINUTE_PER_ADDRESS = "120", "attempts", "Connection attempts from one address (IPv6: one /64) a minute.";
        // A page with an expired token that retries stays under it; guessing does not.
        AUTH_FAILURES_PER_MINUTE_PER_ADDRESS = "30", "failures", "Refused tokens from one address a minute, then 429 unread.";
        // An interface that pages, searches and acknowledges stays far under it.
        COMMANDS_PER_MINUTE = "300", "commands", "Commands and HTTP requests of one user a minute.";
        // A handful of devices with a handful of tabs each.
        MAX_CONNECTIONS_PER_USER = "20", "sockets", "Sockets that one user holds open: at once on one node, within two seconds over all.";
        // Years of use; keeps a loop of new sessions from filling the disk.
        MAX_SESSIONS_PER_USER = "1000", "sessions", "Sessions that one user keeps.";
        // Thousands of books; keeps one account from filling the disk.
        MAX_STORED_MB_PER_USER = "1000", "MB", "Text that one user keeps in messages, as of a minute ago.";
        // Off: what a user may spend is the operator's business to say.
        TOKENS_PER_DAY = "0", "tokens", "Tokens, of prompts and answers, that one user may take in a day (UTC), over all nodes.";
        // Off, for the same reason.
        COST_PER_DAY_USD = "0", "USD", "Money that one user's answers may cost in a day (UTC), over all nodes.";
        // A long answer of a dear model; set it to the most that one answer can cost you.
        COST_RESERVE_USD = "0.10", "USD", "Set aside for each answer under COST_PER_DAY_USD until its cost is known.";
        // More than anyone means to ask before reading an answer.
        MAX_QUEUE_DEPTH = "20", "queries", "Queries that wait in one session.";
        // Three windows side by side; one user cannot take the provider's whole allowance.
        MAX_RUNS_PER_USER = "3", "runs", "Answers being written at once for one user.";
        // Bounded by the provider's limits and by memory for open answers, rather than by this machine's cores.
        MAX_RUNS_PER_NODE = "256", "runs", "Answers being written at once by this node.";
        // For finding out what a limit would refuse before it does.
        LIMITS_DRY_RUN = "false", "true|false", "Only log and count what limits on users refuse; those on sessions, queues and runs stay.";
    }
    "Log" {
        // Other crates print frames, headers and SQL below info: `telemetry` does not let them.
        LOG = "info", "filter", "What to log, such as info,agent_websocket=debug. Other crates are never heard below info.";
        // For a person at a terminal; who collects logs says json.
        LOG_FORMAT = "text", "text|json", "One line of text or one JSON object an event.";
    }
    "Traces" {
        // Empty: nothing is told to anybody whom the operator has not named.
        OTEL_EXPORTER_OTLP_ENDPOINT = "", "URL", "OpenTelemetry collector that takes OTLP over HTTP, such as http://localhost:4318. Empty = no traces.";
        // Empty: the path for traces below the collector's address is what nearly all have.
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = "", "URL", "The same in full, where traces do not go to /v1/traces below it.";
        // Empty: a collector on one's own network asks for none.
        OTEL_EXPORTER_OTLP_HEADERS = "", "secret list", "Headers for the collector: name=value, values percent-encoded.";
        // The program's name, under which it is looked for.
        OTEL_SERVICE_NAME = "agent-websocket", "text", "What the service is called in traces.";
        // All: a run takes seconds and costs money, three spans are nothing beside it.
        OTEL_TRACES_SAMPLER_ARG = "1", "ratio", "Part of runs that is traced where the client's traceparent does not decide, 0 to 1.";
        // OpenTelemetry's own default: a post each few seconds, and a trace that is there when one looks.
        OTEL_BSP_SCHEDULE_DELAY = "5000", "ms", "How long spans wait for others before they are sent.";
    }
}

/// All settings as text for a terminal: what `--help` prints under the options.
pub fn settings_help() -> String {
    let mut help = String::from("Settings, by environment variable (lists are separated by commas):\n");
    for section in SECTIONS {
        let _ = write!(help, "\n{}:\n", section.heading);
        for Setting {
            name,
            default,
            unit,
            meaning,
        } in section.settings
        {
            let _ = write!(help, "  {name}={default}  [{unit}]\n      {meaning}\n");
        }
    }
    help
}

/// All settings as a commented file of variables: what `.env.example` holds.
pub fn env_example() -> String {
    let mut file = String::from(
        "# Every setting with its default. Take out the `#` before a name to change it.\n\
         # Lists are separated by commas; a blank value counts as none.\n",
    );
    for section in SECTIONS {
        let _ = write!(file, "\n# --- {} ---\n", section.heading);
        for Setting {
            name,
            default,
            unit,
            meaning,
        } in section.settings
        {
            let quote = if default.contains(' ') { "\"" } else { "" };
            let _ = write!(file, "\n# {meaning} [{unit}]\n#{name}={quote}{default}{quote}\n");
        }
    }
    file
}
