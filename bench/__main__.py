"""`python -m bench`: every row on every server, in turn (A B A B), as ratios against the best peer of each row."""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path

from bench import rows
from bench.corpus import fill_maildir
from bench.judging import judging
from bench.peers import Server, free_port, mailstack, postfix_dovecot

PEERS_BY_GROUP = {
    "smtp": ("lmtp", "straight"),
    "relay": ("straight",),
    "signed": ("straight",),
    "dkim": ("dkimpy",),
    "judged": ("rspamd",),
    "learned": ("rspamd",),
    "imap": ("stock", "tuned"),
    "sort": ("stock", "tuned"),
    "memory": ("stock", "hibernated"),
    "tls memory": ("stock", "hibernated"),
    "big memory": ("stock", "hibernated"),
    "big tls memory": ("stock", "hibernated"),
    "huge": ("stock", "tuned"),
    "many": ("stock", "hibernated"),
    "tls many": ("stock", "hibernated"),
    "sieve": ("sieve-test",),
    "restart": (),
    "starts": (),
    "stall": (),
    "stall imap": (),
}
MEASURED = Path("docs/measured.md")
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def start(kind: str, group: str, folder: Path, messages: int, relay_port: int) -> AbstractContextManager[Server]:
    def prepare(server: Server) -> None:
        if group in ("imap", "sort", "big memory", "big tls memory", "stall imap"):
            fill_maildir(server.maildir(rows.BIG), messages)
        if group in ("stall", "restart", "huge"):
            fill_maildir(server.maildir(rows.HUGE), rows.HUGE_MESSAGES, 1500)

    if group in ("sieve", "dkim"):
        return nullcontext(Server(kind, folder, 0, 0, 0, 0))
    users = rows.all_users()
    if group in ("judged", "learned"):
        return judging(kind, folder, users, learned=group == "learned")
    if kind == "mailstack":
        return mailstack(folder, users, relay_port, prepare, signs=group == "signed")
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
    parser.add_argument("--write", action="store_true", help=f"put the table into {MEASURED}")
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
                    with start(kind, group, folder, arguments.messages, rows.RELAY_PORT[0]) as server:
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
                    # Nothing is deleted between two servers: ext4 passes over inodes that were freed within the last minutes
                    # one at a time, which would charge the next server for this one's clean-up.
    lines = report(wanted, figures)
    print(f"Python {platform.python_version()} · {os.cpu_count()} cores\n\n{HEAD}{''.join(lines.values())}", end="")
    if arguments.write:
        keep(lines)
    if arguments.json:
        arguments.json.write_text(json.dumps({"date": date.today().isoformat(), "figures": figures}, indent=1))
    return 0


HEAD = """| what | mailstack | (rounds) | best peer | ratio | mark | | measured |
|---|---|---|---|---|---|---|---|
"""


def report(wanted: list[rows.Row], figures: dict[str, dict[str, list[float]]]) -> dict[str, str]:
    """A line of the table a row that was measured: medians, with the spread of our own."""
    lines: dict[str, str] = {}
    for row in wanted:
        mine = figures[row.name].get("mailstack")
        if not mine:
            continue
        own = statistics.median(mine)
        rounds = " ".join(f"{one:.1f}" for one in mine)
        others = {kind: statistics.median(values) for kind, values in figures[row.name].items() if kind != "mailstack"}
        peer, ratio = "", None
        if others:
            best = (max if row.more_is_better else min)(others, key=lambda kind: others[kind])
            ratio = own / others[best] if row.more_is_better else others[best] / max(own, 0.1)
            peer = f"{others[best]:.1f} {row.unit} ({best})"
        mark, met = "", None
        if row.limit is not None:
            mark, met = f"<= {row.limit:g} {row.unit}", own <= row.limit
        elif row.mark is not None and ratio is not None:
            mark, met = f">= {row.mark:g} x", ratio >= row.mark
        verdict = "" if met is None else "met" if met else "**missed**"
        shown = "" if ratio is None else f"{ratio:.2f} x"
        cells = (row.name, f"{own:.1f} {row.unit}", rounds, peer, shown, mark, verdict, date.today().isoformat())
        lines[row.name] = "| " + " | ".join(cells) + " |\n"
    return lines


def keep(lines: dict[str, str]) -> None:
    """Put what was measured into the table of docs/measured.md; other rows stay as they were."""
    before, _, rest = MEASURED.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {line.split("|")[1].strip(): line + "\n" for line in table.splitlines()[2:]}
    kept |= lines
    ordered = [kept[row.name] for row in rows.ROWS if row.name in kept]
    MEASURED.write_text(before + BEGIN + HEAD + "".join(ordered) + END + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
