FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin hansard

FROM debian:bookworm-slim
COPY --from=build /source/target/release/hansard /usr/local/bin/hansard
USER nobody
ENTRYPOINT ["hansard"]
