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
# What shows frames of videos and pages of documents.
RUN apt-get update && apt-get install --yes --no-install-recommends ffmpeg poppler-utils \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/hansard /usr/local/bin/hansard
# A volume that is empty takes its owner from here.
RUN mkdir /objects && chown nobody /objects
USER nobody
ENTRYPOINT ["hansard"]
