# syntax=docker/dockerfile:1
# The services collect, enrich and sink. `grapevine local` is not for containers: it brings its own
# ClickHouse, which this image leaves out.

FROM rust:1.95-bookworm AS build
# librdkafka and its TLS are built from source and linked in: the image below has no library but C's.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake=3.* make=4.* perl=5.* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The toolchain first: it changes less often than anything else.
COPY rust-toolchain.toml ./
RUN rustup show active-toolchain
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY tests tests
COPY schemas schemas
# Registry and compiled dependencies stay in caches of the builder, so that a change of ours builds
# ours alone; the command is copied out of the cache in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package grapevine \
    && install -D target/release/grapevine /out/grapevine \
    && strip /out/grapevine \
    && install -d -o 65532 -g 65532 /out/data

# C library, certificates, a user without a name to log in with; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="grapevine" \
      org.opencontainers.image.description="Finds the sharing that analytics cannot see" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/grapevine /usr/local/bin/grapevine
# Made here so that a volume mounted on it belongs to the user.
COPY --from=build --chown=65532:65532 /out/data /var/lib/grapevine
ENV GRAPEVINE_DATA_DIR=/var/lib/grapevine \
    GRAPEVINE_OPERATIONS__LISTEN=0.0.0.0:9464
USER 65532:65532
VOLUME /var/lib/grapevine
EXPOSE 8080 9464
# SIGTERM, which docker stop sends, is a graceful stop.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/grapevine", "health", "--live"]
ENTRYPOINT ["/usr/local/bin/grapevine"]
CMD ["--help"]
