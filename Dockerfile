# SPDX-License-Identifier: Apache-2.0
#
# Targets:
#   echo (the last one)  the echo server on port 7777; stops within its grace on SIGTERM
#   stress               the stress tool; give it tcp://HOST:PORT
#   test                 runs ./tools/test
# tools/docker builds and runs them all.

FROM debian:bookworm-slim AS base
COPY tools/lib.sh tools/install-deps /deps/
RUN /deps/install-deps build && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 weft && install -d -o weft -g weft /weft
WORKDIR /weft

FROM base AS build
COPY . .
RUN cmake --preset release && cmake --build --preset release \
    && cmake --install build/release --prefix /opt/weft --component tools --strip

FROM base AS test
RUN /deps/install-deps test && rm -rf /var/lib/apt/lists/*
COPY --chown=weft:weft . .
USER weft
ENTRYPOINT ["./tools/test"]

# What both programs run in: no compiler, no shell scripts, a user without rights.
FROM debian:bookworm-slim AS runtime
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends libcjson1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --no-create-home --uid 10001 --shell /usr/sbin/nologin weft
COPY --from=build /opt/weft/bin/ /usr/local/bin/
USER weft

FROM runtime AS stress
HEALTHCHECK NONE
ENTRYPOINT ["weft-stress"]

FROM runtime AS echo
EXPOSE 7777
# Healthy: a line sent comes back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7777 && echo ping >&3 && read -r -t 3 line <&3 && [ \"$line\" = ping ]"]
ENTRYPOINT ["weft-echo"]
CMD ["0.0.0.0:7777"]
