# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN sh etc/build.sh /opt/mailstack

FROM python:3.13-slim
RUN useradd --system --uid 950 --home-dir /var/lib/mailstack --create-home mailstack
COPY --from=build /opt/mailstack /opt/mailstack
ENV PATH=/opt/mailstack/bin:$PATH MAILSTACK_CONFIG=/var/lib/mailstack/mailstack.toml
USER mailstack
VOLUME /var/lib/mailstack
# 110 and 995 too, where listen.pop3 and listen.pop3s are set.
EXPOSE 25 465 587 143 993 4190 80 443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["mailstack", "health"]
# Without a configuration in the volume it runs the trial: domain home.test, two accounts, passwords shown once in the log.
CMD ["mailstack", "demo", "--data", "/var/lib/mailstack", "--listen", "[::]"]
