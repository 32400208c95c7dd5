"""Configurations of proxies. TLS of mail passes through them: else this server can't know that a login is private."""

from collections.abc import Callable

from mailstack.cli.proxies.passages import Passage, Plan

IDLE = "1h"  # IMAP clients wait in silence for half an hour (RFC 9051 5.4)


def haproxy(one: Plan) -> list[str]:
    """HAProxy 2.x."""
    lines = ["# haproxy.cfg"]
    for passage in one.mail:
        lines += [
            f"listen mailstack-{passage.service}",
            "    mode tcp",
            f"    bind :::{passage.outside} v4v6",
            f"    timeout client {IDLE}",
            f"    timeout server {IDLE}",
            "    timeout connect 10s",
            f"    server mailstack {passage.inside} send-proxy-v2",
        ]
    if one.web is not None:
        names = " ".join(one.names)
        lines += [
            "# In the frontends that have :80 and :443 (mode http):",
            f"#   use_backend mailstack-web if {{ req.hdr(host),field(1,:) -i {names} }}",
            "backend mailstack-web",
            "    mode http",
            "    timeout connect 10s",
            "    timeout server 1m",
            "    http-request set-header X-Forwarded-For %[src]",
            "    http-request set-header X-Forwarded-Proto https if { ssl_fc }",
            "    http-request set-header X-Forwarded-Proto http unless { ssl_fc }",
            f"    server mailstack {one.web.inside}",
        ]
    return lines


def nginx(one: Plan) -> list[str]:
    """nginx with its stream module; it speaks version 1 of PROXY."""
    lines = ["# nginx.conf, beside http { } (Debian: libnginx-mod-stream)", "stream {"]
    for passage in one.mail:
        lines += [
            "    server {",
            f"        listen {passage.outside};",
            f"        listen [::]:{passage.outside};",
            f"        proxy_pass {passage.inside};",
            "        proxy_protocol on;",
            f"        proxy_timeout {IDLE};",
            "    }",
        ]
    lines.append("}")
    if one.web is not None:
        lines += [
            "# inside http { }",
            "server {",
            *(f"    listen {address}{one.web_ports['http']};" for address in ("", "[::]:")),
            *(f"    listen {address}{one.web_ports['https']} ssl;" for address in ("", "[::]:")),
            "    ssl_certificate     /etc/ssl/certs/mailstack.pem;     # yours, for these names",
            "    ssl_certificate_key /etc/ssl/private/mailstack.key;",
            f"    server_name {' '.join(one.names)};",
            "    client_max_body_size 100m;",
            "    location / {",
            f"        proxy_pass http://{one.web.inside};",
            "        proxy_set_header Host $http_host;",
            "        proxy_set_header X-Forwarded-For $remote_addr;",
            "        proxy_set_header X-Forwarded-Proto $scheme;",
            "    }",
            "}",
        ]
    return lines


def caddy(one: Plan) -> list[str]:
    """Caddy as it comes passes on the web alone; the layer4 module is another build of it."""
    lines = ["# Caddyfile. Caddy as it comes has no mail ports: let them lead straight to this server."]
    if one.web is not None:
        lines += [
            f"{', '.join(one.names)} {{",
            f"    reverse_proxy {one.web.inside}",
            "}",
            "# Without TLS, too: mail programs ask so, and authorities when this server gets its own certificates.",
            f"{', '.join(f'http://{name}' for name in one.names)} {{",
            f"    reverse_proxy {one.web.inside}",
            "}",
        ]
    return lines


def traefik(one: Plan) -> list[str]:
    """Entry points are Traefik's static configuration, the rest the dynamic one (doc.traefik.io, reference, TCP and HTTP).

    Since 3.5.3 a transport says PROXY; before, and with a warning since then, each service did (traefik/traefik#11956, #12055).
    An entry point with a router of HTTPS waits for the client to speak first, which no mail client does.
    """
    lines = ["# traefik.yaml", "entryPoints:"]
    for passage in one.mail:
        lines += [f"  mailstack-{passage.service}:", f'    address: ":{passage.outside}"']
    lines += [
        "# Your routers for http that name no entryPoints are on these, too, and keep mail programs waiting: name them, or"
    ]
    lines += ["# let your entry points for the web have asDefault: true."]
    lines += ["# a file of the file provider", "tcp:"]
    lines += ["  serversTransports:               # Traefik 3.5.3 and later; before, write in each service's loadBalancer"]
    lines += ["    mailstack:                     # proxyProtocol: {version: 2} in place of serversTransport"]
    lines += ["      proxyProtocol: {version: 2}", "  routers:"]
    for passage in one.mail:
        lines += [
            f"    mailstack-{passage.service}:",
            f"      entryPoints: [mailstack-{passage.service}]",
            "      rule: HostSNI(`*`)",
            f"      service: mailstack-{passage.service}",
        ]
    lines.append("  services:")
    for passage in one.mail:
        lines += [
            f"    mailstack-{passage.service}:",
            "      loadBalancer:",
            "        serversTransport: mailstack",
            f'        servers: [{{address: "{passage.inside}"}}]',
        ]
    return lines + (_traefik_web(one.web, one.names) if one.web is not None else [])


def _traefik_web(web: Passage, names: tuple[str, ...]) -> list[str]:
    rule = " || ".join(f"Host(`{name}`)" for name in names)
    return [
        "http:",
        "  routers:",
        "    mailstack:",
        "      entryPoints: [web]           # yours for port 80",
        f"      rule: {rule}",
        "      service: mailstack",
        "    mailstack-tls:",
        "      entryPoints: [websecure]     # and for 443, with its certResolver",
        f"      rule: {rule}",
        "      service: mailstack",
        "      tls: {}",
        "  services:",
        "    mailstack:",
        "      loadBalancer:",
        f'        servers: [{{url: "http://{web.inside}"}}]',
    ]


SNIPPETS: dict[str, Callable[[Plan], list[str]]] = {"haproxy": haproxy, "nginx": nginx, "traefik": traefik, "caddy": caddy}
WEB_ONLY = ("caddy",)
