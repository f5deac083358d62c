FROM node:22-bookworm-slim AS client
WORKDIR /source
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web .
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
COPY --from=client /source/dist web/dist
RUN cargo build --release --locked --bin hansard

FROM debian:bookworm-slim
COPY --from=build /source/target/release/hansard /usr/local/bin/hansard
USER nobody
ENTRYPOINT ["hansard"]
