"""The sockets of all doors."""

import contextlib

from mailstack.app.surroundings import StartProblem
from mailstack.config import SERVICES, Config
from mailstack.net.listen import ListeningSocket, ListenProblem, from_systemd, listen
from mailstack.net.proxied import Proxies


def open_sockets(config: Config, undo: contextlib.AsyncExitStack) -> dict[str, list[ListeningSocket]]:
    """What systemd gave, and the configured listeners of every other service."""
    found = from_systemd()
    for one in (one for sockets in found.values() for one in sockets):
        undo.callback(one.close)
    given = set(found)
    unknown = sorted(given.difference(SERVICES))
    if unknown:
        raise StartProblem(
            f"systemd gave a socket named {unknown[0]!r}; FileDescriptorName= must be one of {', '.join(SERVICES)}"
        )
    for name, text in config.listeners():
        if name not in given:
            try:
                found.setdefault(name, []).append(one := listen(text))
            except ListenProblem as problem:
                raise StartProblem(f"listen.{name}: {problem}") from problem
            undo.callback(one.close)
    _let_proxies_speak(config, found)
    return {name: found.get(name, []) for name in SERVICES}


def _let_proxies_speak(config: Config, sockets: dict[str, list[ListeningSocket]]) -> None:
    proxies = Proxies.of(config.proxy.trusted)
    for name in config.proxy.listeners:
        for one in sockets.get(name, ()):
            one.proxies = proxies
