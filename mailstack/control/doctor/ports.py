"""The listeners: do they answer, or, where no server runs, could they be opened?"""

import asyncio

from mailstack.control.doctor.finding import Finding, Patient
from mailstack.net.listen import ListenProblem, listen
from mailstack.net.reaching import greets, hosts

EFFECTS = {
    "smtp": "no mail from other hosts comes",
    "submission": "users can't send by it",
    "submissions": "users can't send by it",
    "http": "no certificate by http-01, and no settings for mail programs",
    "https": "no console, and no settings for mail programs",
    "managesieve": "no rules can be put here",
}


async def ports(patient: Patient) -> list[Finding]:
    looks = []
    for name, text in patient.config.listeners():
        if patient.running:
            proxied = name in patient.config.proxy.listeners
            looks += [asyncio.to_thread(_reached, name, *place, proxied=proxied) for place in hosts(text)]
        else:
            looks.append(asyncio.to_thread(_free, name, text))
    return list(await asyncio.gather(*looks))


def _reached(name: str, host: str, port: int, *, proxied: bool) -> Finding:
    problem, shown = greets(name, host, port, proxied=proxied), f"{host} port {port}"
    if problem is None:
        return Finding(f"port {name}", "ok", f"{shown} answers")
    fix = "see the log of the server; restart it: systemctl restart mailstack"
    return Finding(f"port {name}", "bad", f"{shown}: {problem}", EFFECTS.get(name, "mail programs can't use it"), fix)


def _free(name: str, text: str) -> Finding:
    try:
        listen(text).close()
    except ListenProblem as problem:
        fix = f"stop what uses it (ss -ltnp), or change listen.{name}"
        return Finding(f"port {name}", "bad", str(problem), "it can't start", fix)
    return Finding(f"port {name}", "ok", f"{text} is free")
