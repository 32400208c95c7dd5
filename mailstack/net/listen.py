"""Listening sockets: from settings, or from systemd."""

import errno
import os
import socket

from mailstack.net.proxied import Proxies


class ListenProblem(Exception):
    """A listener that can't be opened: its name, its address, and the reason."""


class ListeningSocket(socket.socket):
    """With who may speak PROXY to it; None: nobody does, and a connection is whose it seems to be."""

    proxies: Proxies | None = None


def parse(text: str) -> tuple[str, int]:
    """ "address:port" as the host without brackets, and the port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def listen(text: str, backlog: int = 1024) -> ListeningSocket:
    """A listening socket. "[::]" serves both families where the system has IPv6, else IPv4."""
    host, port = parse(text)
    both = host == "::"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        one = _open(family, host, port, backlog, both)
    except OSError as problem:
        if not both or problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # no IPv6 here
            raise ListenProblem(f"{text}: {problem.strerror}") from problem
        try:
            one = _open(socket.AF_INET, "0.0.0.0", port, backlog, False)
        except OSError as second:
            raise ListenProblem(f"{text}: {second.strerror}") from second
    return one


def _open(family: socket.AddressFamily, host: str, port: int, backlog: int, both: bool) -> ListeningSocket:
    one = ListeningSocket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        one.bind((host, port))
        one.listen(backlog)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def from_systemd(environment: dict[str, str] | None = None) -> dict[str, list[ListeningSocket]]:
    """Sockets that systemd opened for this process, by FileDescriptorName (smtp, imaps, ...)."""
    environment = dict(os.environ) if environment is None else environment
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[ListeningSocket]] = {}
    for number in range(int(environment.get("LISTEN_FDS", "0"))):
        one = ListeningSocket(fileno=3 + number)
        one.set_inheritable(False)
        one.setblocking(False)
        found.setdefault(names[number] if number < len(names) else "", []).append(one)
    return found
