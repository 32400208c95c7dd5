# syntax=docker/dockerfile:1
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
RUN command -v strip >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends binutils; }
WORKDIR /src
COPY . .
RUN sh etc/build.sh /opt/mailstack

FROM ${BASE}
RUN useradd --system --uid 950 --home-dir /var/lib/mailstack --create-home mailstack && chmod 700 /var/lib/mailstack
COPY --from=build /opt/mailstack /opt/mailstack
ENV PATH=/opt/mailstack/bin:$PATH MAILSTACK_CONFIG=/var/lib/mailstack/mailstack.toml PYTHONDONTWRITEBYTECODE=1
USER mailstack
VOLUME /var/lib/mailstack
# 110 and 995 too, where listen.pop3 and listen.pop3s are set.
EXPOSE 25 465 587 143 993 4190 80 443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["mailstack", "health"]
# Without a configuration in the volume it runs the trial: domain home.test, two accounts, passwords shown once in the log.
# With MAILSTACK_FIRST_ACCOUNT=you@example.org it makes a real server of an empty volume.
CMD ["mailstack", "demo", "--data", "/var/lib/mailstack", "--listen", "[::]"]
