# The service in an image of its own: built from source, run by an unprivileged user.
#   docker build -t agent-websocket --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" .

FROM rust:1-bookworm AS build
WORKDIR /src
# Queries are checked against sqlx-data/, so the build needs no database.
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY migrations migrations
COPY spec spec
COPY sqlx-data sqlx-data
COPY src src
COPY tests tests
COPY console/dist console/dist
# What --version names, since the history is not copied.
ARG COMMIT=unknown
ENV AGENT_WEBSOCKET_COMMIT=$COMMIT
# The caches are the builder's own, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin agent-websocket \
 && cp target/release/agent-websocket /usr/local/bin/agent-websocket

FROM debian:bookworm-slim
# The authorities that TLS trusts: the provider's, the token issuer's, the database's.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin agent
COPY --from=build /usr/local/bin/agent-websocket /usr/local/bin/agent-websocket
USER 10001
# Inside a container loopback would be reachable by nobody; what is published is decided outside.
ENV BIND_ADDR=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
# The process lives. Not /readyz: a restart would not mend a database that is away. bash's own TCP saves a curl.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3; read -r status <&3; [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["agent-websocket"]
CMD ["serve"]
