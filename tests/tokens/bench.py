"""The token counters natively and in the real Envoy's V8, in one interleaved run: speed, memory, time to load, hostile input.

Usage: bench.py ROUNDS NATIVE ENVOY FOLDER CORPUS. FOLDER holds weir.wasm, tiktoken.wasm and bpe-openai.wasm; WAYS in the
environment names others.

Each round is a new process natively and a new VM in Envoy. In both, all ways count one half of the corpus until the compiler has
nothing left to do; then the other half is timed, which none has seen: `first` at first sight, `again` when it was counted once.
The order of ways and of files rotates from round to round. Times are the processor's; of all rounds the median is told.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections import defaultdict

from envoy import MEGABYTE, Counter, Envoy

WAYS = os.environ.get("WAYS", "weir tiktoken bpe-openai").split()
# V8 compiles in the background, and what is hot is compiled best: so often, with a pause for it.
WARM_UPS = 12
PAUSE = 0.25


def rotated(items: list, by: int) -> list:
    by %= len(items)
    return items[by:] + items[:by]


class Results:
    def __init__(self) -> None:
        self.speeds = defaultdict(list)
        self.tokens = defaultdict(set)
        self.loads = defaultdict(list)
        self.memory = {}

    def add(self, where: str, file: str, size: int, tokens: int, first_ms: float, again_ms: float) -> None:
        self.speeds[where, file].append((size / 1e3 / first_ms, size / 1e3 / again_ms))
        if "estimator" not in where:
            self.tokens[file].add(tokens)


def native(binary: str, rotation: int, results: Results) -> None:
    out = subprocess.run([binary, str(rotation)], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        way, file, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if file == "load":
            results.loads[f"{way}, native"].append(numbers[0] / 1e6)
        else:
            size, tokens, first, again = numbers
            results.add(f"{way}, native", file, size, tokens, first / 1e6, again / 1e6)


def halves(corpus: pathlib.Path) -> dict[str, tuple[bytes, bytes]]:
    found = {}
    for path in sorted(corpus.glob("*.txt")):
        texts = path.read_bytes().split(b"\f")
        found[path.stem] = (b"\f".join(texts[::2]), b"\f".join(texts[1::2]))
    return found


def in_envoy(envoy: Envoy, rotation: int, files: dict[str, tuple[bytes, bytes]], results: Results) -> None:
    with envoy as counters:
        for _ in range(WARM_UPS):
            for counter in counters.values():
                for known, _ in files.values():
                    counter.ask(known, None)
            time.sleep(PAUSE)
        for file in rotated(list(files), rotation):
            known, unseen = files[file]
            for way in rotated(list(counters), rotation):
                counter = counters[way]
                counter.measure_around(known)
                # So that none pays for what the others have put in the processor's caches.
                counter.ask(known, None)
                tokens, first = counter.count(unseen)
                _, again = counter.count(unseen)
                size = len(unseen) - unseen.count(b"\f")
                results.add(f"{way}, V8", file, size, tokens, first, again)
        for way, counter in counters.items():
            results.memory[f"{way}, V8"] = counter.memory / MEGABYTE
    for way, times in envoy.load_times().items():
        results.loads[f"{way}, V8"].extend(times)


def print_speeds(results: Results) -> None:
    columns = [f"{way}, {where}" for where in ("native", "V8") for way in WAYS if (f"{way}, {where}", "code") in results.speeds]
    columns.insert(sum("native" in column for column in columns), "estimator, native")
    print("| MB/s, first / again |", " | ".join(columns), "|")
    print("|---|" + "---|" * len(columns))
    for file in sorted(results.tokens):
        cells = []
        for column in columns:
            first, again = (statistics.median(speeds) for speeds in zip(*results.speeds[column, file]))
            cells.append(f"{first:.0f} / {again:.0f}")
        note = "" if len(results.tokens[file]) == 1 else " (counts differ)"
        print(f"| {file}{note} |", " | ".join(cells), "|")
    loads = [f"{statistics.median(results.loads[column]):.1f}" for column in columns]
    print("| ms to load |", " | ".join(loads), "|")
    memory = [f"{results.memory[column]:.1f}" if column in results.memory else "" for column in columns]
    print("| MB of memory |", " | ".join(memory), "|", flush=True)


def hostile() -> dict[str, bytes]:
    import random

    noise = random.Random(1)
    unicode = "".join(chr(c) for c in (noise.randrange(0x110000) for _ in range(300_000)) if not 0xD800 <= c < 0xE000)
    han = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(MEGABYTE // 3))
    letters = "".join(chr(noise.randrange(97, 123)) for _ in range(MEGABYTE))
    texts = {"spaces": " " * MEGABYTE, "one letter": "a" * MEGABYTE, "newlines": "\n" * MEGABYTE, "`=`": "=" * MEGABYTE}
    texts |= {"random Unicode": unicode, "random Han": han, "no spaces": letters}
    return {name: text.encode()[:MEGABYTE].decode(errors="ignore").encode() for name, text in texts.items()}


def hostile_requests() -> dict[str, bytes]:
    """JSON of 16 MB that has more to be walked than text."""
    size = 16 * MEGABYTE
    names = {
        "`\\n` in a row": (b"\\n", b'{"input":"', b'"}'),
        "`\\u4e2d` in a row": (b"\\u4e2d", b'{"input":"', b'"}'),
        "a list of one-letter texts": (b'"a",', b'{"input":[', b'""]}'),
        "empty messages": (b'{"content":""},', b'{"messages":[', b"{}]}"),
        "lists in lists": (b"[", b'{"input":', b""),
        "tools without anything": (b"{},", b'{"tools":[', b"{}]}"),
    }
    return {name: start + part * (size // len(part)) + end for name, (part, start, end) in names.items()}


def median(counter: Counter, body: bytes, how: str) -> float:
    counter.measure_around(body)
    return statistics.median(counter.count(body, how)[1] for _ in range(9))


def print_worst(counter: Counter) -> None:
    print("\n| hostile text in V8, ms (median of 9) | 1 MB | 16 MB | the estimator alone, 16 MB | the rest |\n|---|---|---|---|---|")
    for name, text in hostile().items():
        for _ in range(20):
            counter.ask(text, "whole")
            counter.ask(text, "estimate")
        one, sixteen = median(counter, text, "whole"), median(counter, text * 16, "whole")
        alone = median(counter, text * 16, "estimate")
        print(f"| {name} | {one:.1f} | {sixteen:.1f} | {alone:.1f} | {sixteen - alone:.1f} |", flush=True)
    print("\n| hostile request of 16 MB in V8 | ms (median of 9) |\n|---|---|")
    for name, body in hostile_requests().items():
        for _ in range(3):
            counter.ask(body, "request")
        print(f"| {name} | {median(counter, body, 'request'):.1f} |", flush=True)


def main() -> None:
    rounds, binary, envoy, folder, corpus = sys.argv[1:]
    folder = pathlib.Path(folder)
    files = halves(pathlib.Path(corpus))
    results = Results()
    for rotation in range(int(rounds)):
        native(binary, rotation, results)
        in_envoy(Envoy(envoy, folder, WAYS), rotation, files, results)
        print(f"round {rotation + 1} of {rounds}", file=sys.stderr, flush=True)
    for way in WAYS:
        print(f"{way}.wasm: {(folder / f'{way}.wasm').stat().st_size / 1e6:.1f} MB")
    print()
    print_speeds(results)
    with Envoy(envoy, folder, WAYS[:1]) as counters:
        print_worst(counters[WAYS[0]])


main()
