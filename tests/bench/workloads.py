"""What is asked of every Envoy, and of which ones."""

import os
from dataclasses import dataclass

from envoys import CHAT_PATH, DOWN_ENDPOINT, DOWN_HEADER, OUTSIDE_PATH
from load import chat_body

#: Variants by name, as the table shows them.
BARE, NOOP, NOOP_BOTH, WEIR = "bare Envoy", "do-nothing wasm", "do-nothing, 2 roles", "Weir"
NO_LIMITS, NO_RECORDS, SINGLE = "Weir, no limits", "Weir, no records", "Weir, one entity"
LOGGED, PAYLOADS, RESERVE = "Weir, usage in the log", "Weir, payload records", "Weir, tokens counted"
TRANSLATED = "Weir, translation"
DIRECT = "mock alone"
#: Weir from another file, where OTHER names one: a change and what was before it, in the same rounds.
OTHER = "Weir, other wasm"
WEIRS = (WEIR, OTHER) if os.environ.get("OTHER") else (WEIR,)
MAIN = (BARE, NOOP, *WEIRS)
FEATURES = (NO_LIMITS, NO_RECORDS, SINGLE, LOGGED, RESERVE, TRANSLATED)
EVERY = (BARE, NOOP, NOOP_BOTH, *WEIRS, *FEATURES, PAYLOADS)
RECORDING = (*WEIRS, NO_LIMITS, SINGLE, LOGGED, RESERVE, TRANSLATED, PAYLOADS)

#: How the policy of a variant differs from the default one.
POLICY = {
    NO_LIMITS: {"limits": False},
    NO_RECORDS: {"records": False},
    SINGLE: {"fallback": False},
    PAYLOADS: {"payloads": True},
    RESERVE: {"reserve": True},
    TRANSLATED: {"provider": "anthropic"},
}


@dataclass(frozen=True)
class Workload:
    name: str
    body: object = None
    connections: int = 32
    path: str = CHAT_PATH
    headers: tuple = ()
    variants: tuple = MAIN
    seconds: float = 2
    #: Requests a second to each variant, all variants at once; None: as many as go, one variant after the other.
    rate: float = None
    workers: int = 1
    recorded: bool = True
    #: How many rounds, where not as many as of all others.
    rounds: int = None


#: Those that the targets are about.
SMALL, MIDDLE, LARGE = "1 KB, 32 connections", "100 KB, 32 connections", "1 MB, 1 connection"
PACED, STREAMS, PACED_STREAMS = "1 KB, 200 requests/s", "SSE of 100 chunks, 32 connections", "SSE of 100 chunks, 10 streams/s"
#: When memory is noted: linear memory keeps what larger bodies took.
AFTER_SMALL = "after 1 KB"
#: A provider that is as quick as any is, where the mock of all others answers at once.
THINKING_STREAMS = "SSE of 100 chunks, the first after 50 ms, 10 streams/s"
THINKING_MS = 50
OUTSIDE, WORKERS = "out of scope, 32 connections", "1 KB, 64 connections, {} workers"


def quick(folder):
    body = {size: chat_body(folder, f"{size}k", size << 10) for size in (1, 100)}
    stream = chat_body(folder, "stream", 1 << 10, stream_chunks=100)
    return [
        Workload(SMALL, body[1], variants=(*EVERY, DIRECT), seconds=1),
        Workload(MIDDLE, body[100], variants=(*MAIN, DIRECT), seconds=1),
        Workload(STREAMS, stream),
        Workload(OUTSIDE, path=OUTSIDE_PATH, variants=(BARE, *WEIRS), recorded=False, seconds=1),
    ]


def full(folder):
    body = {size: chat_body(folder, f"{size}k", size << 10) for size in (1, 100, 1024)}
    stream = chat_body(folder, "stream", 1 << 10, stream_chunks=100)
    thinking = chat_body(folder, "thinking", 1 << 10, stream_chunks=100, delay_ms=THINKING_MS)
    down = chat_body(folder, "down", 1 << 10, model=DOWN_ENDPOINT)
    one = {"connections": 1}
    return [
        Workload(SMALL, body[1], variants=(*EVERY, DIRECT)),
        Workload("1 KB, 1 connection", body[1], **one),
        # Payloads of 100 KB as fast as they go are more than any collector takes.
        Workload(MIDDLE, body[100], variants=(BARE, NOOP, *WEIRS, *FEATURES, DIRECT)),
        Workload("100 KB, 1 connection", body[100], **one),
        Workload("1 MB, 32 connections", body[1024], variants=(*MAIN, DIRECT), seconds=3),
        Workload(LARGE, body[1024], **one),
        Workload(PACED, body[1], rate=200, seconds=8),
        Workload("100 KB, 200 requests/s", body[100], rate=200, seconds=5),
        Workload(STREAMS, stream, variants=(*MAIN, NO_RECORDS, RESERVE, TRANSLATED), seconds=3),
        Workload(PACED_STREAMS, stream, rate=10, seconds=6),
        Workload(THINKING_STREAMS, thinking, rate=10, seconds=6),
        Workload("fallback on every request", down, headers=(f"{DOWN_HEADER}: 1",)),
        Workload(OUTSIDE, path=OUTSIDE_PATH, variants=(BARE, *WEIRS), recorded=False),
        *(
            Workload(WORKERS.format(n), body[1], connections=64, variants=(BARE, *WEIRS), workers=n)
            for n in (1, 2, 4)
        ),
    ]
