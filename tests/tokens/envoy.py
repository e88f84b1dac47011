"""The token counters in the real Envoy's V8, in turn on the same texts: MB/s, memory, time to load, and hostile input.

Usage: envoy.py ENVOY FOLDER CORPUS. FOLDER holds weir.wasm, tiktoken.wasm and bpe-openai.wasm.
Wall time on a shared machine: of some passes the best is taken, and the first one after the compiler has warmed up.
"""

import http.client
import json
import pathlib
import socket
import subprocess
import sys
import time

WAYS = ["weir", "tiktoken", "bpe-openai"]
ROUNDS = 5
WARM_UP = "json"
MEGABYTE = 1 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listener(way: str, port: int, folder: pathlib.Path) -> dict:
    code = {"local": {"filename": str(folder / f"{way}.wasm")}}
    vm = {"vm_id": way, "runtime": "envoy.wasm.runtime.v8", "code": code}
    # The body is asked for while the headers wait, as in Weir.
    wasm = {"name": way, "root_id": way, "vm_config": vm, "allow_on_headers_stop_iteration": True}
    filters = [
        ("wasm", {"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": wasm}),
        ("router", {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}),
    ]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": way.replace("-", "_"),
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"]}]},
        "http_filters": [{"name": name, "typed_config": config} for name, config in filters],
    }
    return {
        "name": way,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "per_connection_buffer_limit_bytes": 64 * MEGABYTE,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


class Counter:
    """One way to count, behind its listener."""

    def __init__(self, way: str, port: int):
        self.way = way
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def count(self, body: bytes, whole: bool = False) -> tuple[int, float, float]:
        """Tokens, milliseconds, and the VM's memory in MB."""
        self.connection.request("POST", "/", body, {"x-whole": "1"} if whole else {})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            self.connection.close()
            raise RuntimeError(f"{self.way}: status {answer.status} {text}")
        tokens, nanoseconds, memory = map(int, text.split())
        return tokens, nanoseconds / 1e6, memory / MEGABYTE


def hostile() -> dict[str, bytes]:
    import random

    noise = random.Random(1)
    unicode = "".join(chr(c) for c in (noise.randrange(0x110000) for _ in range(300_000)) if not 0xD800 <= c < 0xE000)
    han = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(MEGABYTE // 3))
    letters = "".join(chr(noise.randrange(97, 123)) for _ in range(MEGABYTE))
    texts = {"spaces": " " * MEGABYTE, "one letter": "a" * MEGABYTE, "newlines": "\n" * MEGABYTE, "`=`": "=" * MEGABYTE}
    texts |= {"random Unicode": unicode, "random Han": han, "no spaces": letters}
    return {name: text.encode()[:MEGABYTE].decode(errors="ignore").encode() for name, text in texts.items()}


def speeds(counters: list[Counter], corpus: pathlib.Path) -> None:
    files = {path.stem: path.read_bytes() for path in sorted(corpus.glob("*.txt"))}
    for _ in range(5):
        for counter in counters:
            counter.count(files[WARM_UP])
    print("| MB/s, first pass / best of", ROUNDS, "|", " | ".join(counter.way for counter in counters), "|")
    print("|---|" + "---|" * len(counters))
    memory = {}
    for name, body in files.items():
        found = {counter.way: [] for counter in counters}
        totals = set()
        for _ in range(ROUNDS):
            for counter in counters:
                tokens, milliseconds, memory[counter.way] = counter.count(body)
                found[counter.way].append(len(body) / 1e3 / milliseconds)
                totals.add(tokens)
        note = "" if len(totals) == 1 else " (counts differ)"
        print(f"| {name}{note} |", " | ".join(f"{f[0]:.0f} / {max(f):.0f}" for f in found.values()), "|", flush=True)
    print("| MB of memory |", " | ".join(f"{megabytes:.1f}" for megabytes in memory.values()), "|")


def worst(counter: Counter) -> None:
    print("\n| hostile input, ms in Weir's counter (best of 5) | 1 MB | 16 MB |\n|---|---|---|")
    for name, text in hostile().items():
        cells = []
        for times in (1, 16):
            best = min(counter.count(text * times, whole=True)[1] for _ in range(5))
            cells.append(f"{best:.1f}")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def main() -> None:
    envoy, folder, corpus = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    ways = [way for way in WAYS if (folder / f"{way}.wasm").exists()]
    ports = {way: free_port() for way in ways}
    config = {"static_resources": {"listeners": [listener(way, ports[way], folder) for way in ways]}}
    file = folder / "envoy.json"
    file.write_text(json.dumps(config))
    log = open(folder / "envoy.log", "w")
    process = subprocess.Popen(
        [envoy, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
        stdout=log, stderr=log,
    )
    try:
        for port in ports.values():
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.2)
        counters = [Counter(way, port) for way, port in ports.items()]
        for way in ways:
            print(f"{way}.wasm: {(folder / f'{way}.wasm').stat().st_size / 1e6:.1f} MB")
        speeds(counters, corpus)
        worst(counters[0])
    finally:
        process.kill()
        process.wait()
    for line in (folder / "envoy.log").read_text().splitlines():
        if "loaded in" in line:
            print(line.split("wasm log")[-1].strip())


main()
