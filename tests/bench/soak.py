#!/usr/bin/env python3
"""`make soak`: whether memory grows under hours of mixed load. Usage: soak.py SECONDS.

One Envoy with two workers, its policy with payload records and limits per user, and in turns: small and large bodies;
streams, some of them left by their clients; fallbacks; what is refused; what is outside the
scope. Memory is noted between two turns, when nothing is under way. DOCS=1: the table goes into docs/speed.md.
"""

import json
import os
import socket
import sys
import time
from dataclasses import dataclass

import document
import load
import report
from bench import OUT, Rig, build, commit
from envoys import CHAT_PATH, DOWN_ENDPOINT, KEY, OUTSIDE_PATH, policy
from rig import BenchError, run
from workloads import WEIR

WORKERS = 2
TURN_SECONDS = 2
#: Few enough that all their counters are there after some minutes: counters take memory too, up to a bound.
USERS = 1_000
#: Rows of the table; memory is noted more often.
ROWS = 12


@dataclass
class Turn:
    name: str
    body: object
    path: str = CHAT_PATH
    connections: int = 16
    #: Whether its answers are errors, as they must be.
    refused: bool = False


def turns(folder):
    invalid = folder / "body-invalid.json"
    invalid.write_text('{"model": "chat", "messages": [')
    return [
        Turn("1 KB", load.chat_body(folder, "1k", 1 << 10)),
        Turn("100 KB", load.chat_body(folder, "100k", 100 << 10), connections=4),
        Turn("1 MB", load.chat_body(folder, "1m", 1 << 20), connections=2),
        Turn("streams", load.chat_body(folder, "stream", 1 << 10, stream_chunks=100)),
        Turn("fallbacks", load.chat_body(folder, "down", 1 << 10, model=DOWN_ENDPOINT)),
        Turn("invalid", invalid, refused=True),
        Turn("out of scope", None, path=OUTSIDE_PATH),
    ]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600
    OUT.mkdir(parents=True, exist_ok=True)
    rig = Rig(build(), OUT / "soak")
    made = policy(rig.mocks, rig.collector_port, payloads=True)
    made["identity"] = {"sources": [{"header": {"user": "x-bench-user", "trusted_from": ["127.0.0.0/8"]}}]}
    envoy = rig.envoy(WEIR, WORKERS, made)
    before, begin = os.getloadavg(), time.monotonic()
    plan, asked, left, notes = turns(rig.folder), {}, 0, [(0.0, envoy.memory(), 0)]
    while time.monotonic() - begin < seconds:
        for turn in plan:
            told = load.wrk(envoy.url(turn.path), turn.connections, TURN_SECONDS, turn.body, users=USERS)
            wrong = told["socket_errors"] + (told["requests"] - told["not_2xx"] if turn.refused else told["not_2xx"])
            if wrong:
                raise BenchError(f"{turn.name}: {wrong} of {told['requests']} answers were not what they must be")
            asked[turn.name] = asked.get(turn.name, 0) + told["requests"]
        left += leave(envoy.port, plan[3].body.read_bytes(), 50)
        time.sleep(2.5)
        notes.append((time.monotonic() - begin, envoy.memory(), sum(asked.values())))
        if time.monotonic() - begin < seconds:
            rig.new_collector()
        print(f"{notes[-1][0]:6.0f} s  {notes[-1][1]['resident']:.1f} MB", file=sys.stderr, flush=True)
    return tell(envoy, notes, asked, left, before)


def leave(port, body, count):
    """Streams whose clients go away in the middle."""
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\nx-bench-user: leaver\r\ncontent-length: {len(body)}\r\n\r\n"
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head.encode() + body)
            connection.recv(1024)
    return count


def tell(envoy, notes, asked, left, before):
    step = max(1, (len(notes) - 1) // ROWS)
    shown = notes[:1] + notes[step:-1:step] + notes[-1:]
    parts = ("resident", "live", "free", "vms")
    rows = [[f"{at / 60:.1f}", f"{requests:,}", *(f"{memory[part]:.1f}" for part in parts)] for at, memory, requests in shown]
    table = report.Table("Memory, MB", ["minutes", "requests", "resident", "heap, live", "its free pages", "VMs, stacks"], rows)
    half = notes[len(notes) // 2]
    hours = max((notes[-1][0] - half[0]) / 3600, 1e-9)
    grown = notes[-1][1]["resident"] - half[1]["resident"]
    stats = {name: envoy.stat(f"weir.{name}") for name in ("records_dropped", "limit_counters", "limit_counters_evicted")}
    loads = ["/".join(f"{load:.1f}" for load in loads) for loads in (before, os.getloadavg())]
    told = (
        f"Weir {commit()}, {WORKERS} workers, {notes[-1][0] / 60:.0f} minutes, {os.cpu_count()} cores, load average {loads[0]} before, "
        f"{loads[1]} after. Asked: " + ", ".join(f"{count:,} {name}" for name, count in asked.items()) + f", {left} streams left by "
        f"their clients. In the second half: {grown:+.1f} MB, {grown / hours:+.1f} MB an hour. "
        + ", ".join(f"`weir.{name}` {value:,}" for name, value in stats.items()) + "."
    )
    (OUT / "soak.json").write_text(json.dumps({"notes": notes, "asked": asked, "stats": stats}, indent=1))
    print(told, table.text(), sep="\n")
    if os.environ.get("DOCS", "") not in ("", "0"):
        print(document.put("soak", f"{told}\n\n{table.markdown()}\n"))
    return 0


if __name__ == "__main__":
    run(main)
