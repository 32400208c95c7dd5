"""`python -m bench`: every row on every server, in turn (A B A B), as ratios against the best peer of each row."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

from bench import rows
from bench.corpus import fill_maildir
from bench.peers import Server, free_port, mailstack, postfix_dovecot

PEERS_BY_GROUP = {
    "smtp": ("lmtp", "straight"),
    "relay": ("straight",),
    "imap": ("stock", "tuned"),
    "memory": ("stock", "hibernated"),
}


def start(kind: str, folder: Path, messages: int, relay_port: int) -> AbstractContextManager[Server]:
    def prepare(server: Server) -> None:
        fill_maildir(server.maildir(rows.BIG), messages)

    users = rows.all_users()
    if kind == "mailstack":
        return mailstack(folder, users, relay_port, prepare)
    return postfix_dovecot(
        folder,
        users,
        tuned=kind != "stock",
        hibernate=kind == "hibernated",
        lmtp=kind == "lmtp",
        relay_port=relay_port,
        prepare=prepare,
        postfix=kind in ("lmtp", "straight"),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure mailstack beside Postfix and Dovecot.")
    parser.add_argument("--only", default="", help="rows whose name or group contains this text")
    parser.add_argument("--rounds", type=int, default=2, help="how often each server is measured (A B A B)")
    parser.add_argument("--messages", type=int, default=10_000, help="messages in the big mailbox")
    parser.add_argument("--alone", action="store_true", help="mailstack only, for profiling")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows.RELAY_PORT[0] = free_port()
    wanted = [row for row in rows.ROWS if arguments.only in row.name or arguments.only == row.group]
    figures: dict[str, dict[str, list[float]]] = {row.name: {} for row in wanted}
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-", dir=os.environ.get("BENCH_DIR")) as top:
        os.chmod(top, 0o755)
        for group in dict.fromkeys(row.group for row in wanted):
            kinds = ("mailstack",) if arguments.alone else ("mailstack", *PEERS_BY_GROUP[group])
            for round_number in range(arguments.rounds):
                for kind in kinds:
                    folder = Path(top) / f"{group}-{kind}-{round_number}"
                    with start(kind, folder, arguments.messages, rows.RELAY_PORT[0]) as server:
                        for row in (row for row in wanted if row.group == group):
                            try:
                                figure = row.measure(server)
                            except (OSError, EOFError, RuntimeError, TimeoutError) as problem:
                                print(
                                    f"  {row.name} on {kind}: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True
                                )
                                continue
                            figures[row.name].setdefault(kind, []).append(figure)
                            print(f"  {row.name} · {kind}: {figure:.1f} {row.unit}", file=sys.stderr, flush=True)
                    subprocess.run(["rm", "-rf", str(folder)], check=True)
    report(wanted, figures)
    if arguments.json:
        arguments.json.write_text(json.dumps({"date": date.today().isoformat(), "figures": figures}, indent=1))
    return 0


def report(wanted: list[rows.Row], figures: dict[str, dict[str, list[float]]]) -> None:
    print(f"{date.today().isoformat()} · Python {platform.python_version()} · {os.cpu_count()} cores")
    print("| what | mailstack | best peer | ratio | mark | |\n|---|---|---|---|---|---|")
    for row in wanted:
        mine = figures[row.name].get("mailstack")
        others = {kind: statistics.median(values) for kind, values in figures[row.name].items() if kind != "mailstack"}
        if not mine:
            print(f"| {row.name} | not measured | | | | |")
            continue
        own = statistics.median(mine)
        if not others:
            print(f"| {row.name} | {own:.1f} {row.unit} | | | | |")
            continue
        choose = max if row.more_is_better else min
        best = choose(others, key=lambda kind: others[kind])
        ratio = own / others[best] if row.more_is_better else others[best] / max(own, 1e-9)
        verdict = "" if row.mark is None else ("met" if ratio >= row.mark else "missed")
        mark = "" if row.mark is None else f"{row.mark:g} x"
        peer = f"{others[best]:.1f} {row.unit} ({best})"
        print(f"| {row.name} | {own:.1f} {row.unit} | {peer} | {ratio:.2f} x | {mark} | {verdict} |")


if __name__ == "__main__":
    sys.exit(main())
