"""The counters as filters in a real Envoy, each in a VM of its own behind its own listener, all on one worker."""

import http.client
import json
import pathlib
import socket
import subprocess
import time

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


class Envoy:
    """An Envoy for as long as a `with` lasts."""

    def __init__(self, binary: str, folder: pathlib.Path, ways: list[str]):
        self.ports = {way: free_port() for way in ways}
        self.log = folder / "envoy.log"
        config = {"static_resources": {"listeners": [listener(way, self.ports[way], folder) for way in ways]}}
        file = folder / "envoy.json"
        file.write_text(json.dumps(config))
        self.command = [binary, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]

    def __enter__(self) -> dict[str, "Counter"]:
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        for port in self.ports.values():
            self.wait_for(port)
        return {way: Counter(way, port, self.worker()) for way, port in self.ports.items()}

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, port: int) -> None:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"Envoy ended: see {self.log}") from None
                time.sleep(0.1)
        raise SystemExit(f"Envoy does not listen after a minute: see {self.log}")

    def worker(self) -> pathlib.Path:
        """Where the kernel says how many nanoseconds the worker has had of a processor. It begins after the listeners do."""
        for _ in range(600):
            for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
                if (task / "comm").read_text().startswith("wrk:"):
                    return task / "schedstat"
            time.sleep(0.1)
        raise SystemExit(f"Envoy has no worker after a minute: see {self.log}")

    def load_times(self) -> dict[str, list[float]]:
        """Milliseconds of each VM's start, by way: the code's own log lines."""
        found: dict[str, list[float]] = {way: [] for way in self.ports}
        for line in self.log.read_text().splitlines():
            if "loaded in" in line:
                way = next(way for way in sorted(self.ports, key=len, reverse=True) if f" {way}" in line)
                found[way].append(int(line.split("loaded in ")[1].split()[0]) / 1e6)
        return found


class Counter:
    """One way to count, behind its listener."""

    def __init__(self, way: str, port: int, worker: pathlib.Path):
        self.way = way
        self.worker = worker
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.memory = 0
        self.around = 0.0

    def used(self) -> float:
        return int(self.worker.read_text().split()[0]) / 1e6

    def ask(self, body: bytes, how: str | None) -> tuple[int, float, float]:
        """Tokens; milliseconds by the clock, in the filter; milliseconds of the processor, all that the worker did."""
        before = self.used()
        self.connection.request("POST", "/", body, {"x-how": how} if how else {})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{self.way}: status {answer.status} {text}")
        tokens, nanoseconds, self.memory = map(int, text.split())
        # The worker may not have gone to sleep yet, and only then its time is up to date.
        time.sleep(0.002)
        return tokens, nanoseconds / 1e6, self.used() - before

    def measure_around(self, body: bytes) -> None:
        """What the worker does for such a body beside counting it."""
        self.around = min(self.ask(body, "skip")[2] for _ in range(3))

    def count(self, body: bytes, how: str | None = None) -> tuple[int, float]:
        """Tokens and milliseconds: by the clock or of the processor less what is not the counter's, whichever is less, since
        each can only be too much: the one where others ran in between, the other by what it has around."""
        tokens, clock, processor = self.ask(body, how)
        return tokens, min(clock, max(processor - self.around, 0.001)) if self.around else clock
