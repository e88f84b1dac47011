#!/usr/bin/env python3
"""`make bench`: what Weir costs over the Envoy that it runs in. QUICK=1: the main figures in some three minutes.

Every figure is a ratio or a difference to bare Envoy in the same round: several short rounds, the order rotated, medians
over rounds. The machine may be busy with other things; it must only be equally busy for all. Every answer must be 200,
and every record must reach the collector, or there is no result.

ROUNDS=N: so many rounds; ONLY=TEXT: the workloads with TEXT in their names; OTHER=PATH: a second weir.wasm in the same
rounds; PEERS=1: the gateways of peers.py in the same run; DOCS=1: what is found goes into docs/speed.md.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import envoys
import footprint
import load
import peers
import report
import workloads
from rig import BenchError, Collector, Mock, free_port, machine_busy_seconds, run
from workloads import AFTER_SMALL, BARE, DIRECT, LOGGED, NOOP, NOOP_BOTH, OTHER, POLICY, RECORDING, SMALL, TRANSLATED, WEIR

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "target" / "bench"
#: Longer than the policy's flush_interval_ms, so that the sending of a round's records is counted in that round.
FLUSH_SECONDS = 1.3
#: A translated request has no field for the mock's orders.
STREAM_ORDERS = '{"chunks":100,"chunk_delay_ms":1}'


class Rig:
    """The mocks, the collector and the Envoys, by variant and number of workers."""

    def __init__(self, envoy_binary, folder):
        self.binary, self.folder = envoy_binary, folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.weir, self.wasm, self.noop = ROOT / "dist/weir", ROOT / "dist/weir.wasm", OUT / "noop.wasm"
        self.collector_port = free_port()
        self.collector = None
        self.envoys = {}
        answer = '{"raw":{"content_type":"text/plain","body":"outside"}}'
        self.mocks = {
            "primary": Mock(self.weir, "primary", self.folder),
            "backup": Mock(self.weir, "backup", self.folder),
            "down": Mock(self.weir, "down", self.folder, "503"),
            "outside": Mock(self.weir, "outside", self.folder, answer),
            "translated": Mock(self.weir, "translated", self.folder, STREAM_ORDERS),
        }
        self.new_collector()

    def new_collector(self):
        if self.collector:
            self.collector.end()
            shutil.rmtree(self.collector.out, ignore_errors=True)
        self.collector = Collector(self.weir, self.folder, self.collector_port)

    def document(self, variant):
        mocks = self.mocks | ({"primary": self.mocks["translated"]} if variant == TRANSLATED else {})
        return envoys.policy(mocks, self.collector_port, **POLICY.get(variant, {}))

    def envoy(self, variant, workers, document=None, clusters=(), as_noop=False):
        """Starts an Envoy of that variant, with further clusters to the mocks that have their names. Bare Envoy and the do-nothing filters are made of Weir's.
        `as_noop`: with a do-nothing filter in Weir's place, which gets the same policy and does not look at it."""
        ports = envoys.two_ports()
        name = "".join(c if c.isalnum() else "-" for c in variant) + f"-{workers}-{ports[0]}"
        if variant in (BARE, NOOP, NOOP_BOTH):
            config = envoys.bare(self.of(WEIR, 1), ports)
            if variant != BARE:
                config = envoys.with_noop(config, self.noop, ports, 2 if variant == NOOP_BOTH else 1)
        else:
            own = {name: self.mocks[name].port for name in ("outside", *clusters)}
            wasm = Path(os.environ["OTHER"]).resolve() if variant == OTHER else self.wasm
            more = ["--access-log-usage"] if variant == LOGGED else []
            document = document or self.document(variant)
            config = envoys.render(self.weir, wasm, name, document, own, self.folder, ports, *more)
            if as_noop:
                config = config.replace(str(wasm), str(self.noop))
        return envoys.Envoy(self.binary, name, config, self.folder, workers, ports)

    def of(self, variant, workers):
        if (variant, workers) not in self.envoys:
            self.envoys[variant, workers] = self.envoy(variant, workers)
        return self.envoys[variant, workers]


class Bench(Rig):
    def __init__(self, envoy_binary, quick):
        self.quick = quick
        self.rounds = int(os.environ.get("ROUNDS") or (6 if quick else 5))
        super().__init__(envoy_binary, OUT / "run")
        self.memory = {}

    def start(self, variants):
        for variant in variants:
            if variant != DIRECT and variant not in peers.PEERS:
                self.of(variant, 1)
        self.note_memory("at start")

    def note_memory(self, when, workers=1):
        time.sleep(FLUSH_SECONDS)
        for (variant, count), envoy in self.envoys.items():
            if count == workers and isinstance(envoy, envoys.Envoy):
                self.memory.setdefault((variant, workers), {})[when] = envoy.memory()

    def run(self, workload):
        """All rounds of a workload: one dictionary for each, of each variant's figures."""
        for variant in workload.variants:
            if variant != DIRECT:
                self.of(variant, workload.workers)
        recorded = self.recorded(workload)
        before = {envoy: envoy.stat("weir.records_dropped") for envoy in recorded}
        self.asked = 0
        if workload.rate is None:
            for variant in workload.variants:
                self.closed_loop(workload, variant, 1, settle=False)
        rounds = []
        for number in range(workload.rounds or self.rounds):
            shift = number % len(workload.variants)
            order = workload.variants[shift:] + workload.variants[:shift]
            if workload.rate:
                rounds.append(self.paced(workload, order))
            else:
                rounds.append({variant: self.closed_loop(workload, variant, workload.seconds) for variant in order})
        self.check_records(recorded, before)
        if workload.name == SMALL:
            self.note_memory(AFTER_SMALL)
        if workload.workers > 1:
            self.note_memory("after", workload.workers)
        for variant, workers in [key for key in self.envoys if key[1] > 1]:
            self.envoys.pop((variant, workers)).end()
        return rounds

    def closed_loop(self, workload, variant, seconds, settle=True):
        """One variant under wrk."""
        direct = variant == DIRECT
        envoy = self.mocks["primary"] if direct else self.of(variant, workload.workers)
        path, body, headers = workload.path, workload.body, workload.headers
        if variant in peers.PEERS:
            path, body, headers = envoy.asks(path, body, headers)
        url = f"http://127.0.0.1:{envoy.port}{path}"
        providers = [self.mocks[name] for name in ("primary", "down", "outside", "translated")]
        busy, cpu, mock_cpu = machine_busy_seconds(), envoy.cpu_seconds(), [mock.cpu_seconds() for mock in providers]
        found = load.wrk(url, workload.connections, seconds, body, headers)
        if not settle and not found["requests"] + found["not_2xx"]:
            return None
        mock_cpu = max(mock.cpu_seconds() - began for mock, began in zip(providers, mock_cpu))
        busy = machine_busy_seconds() - busy
        records = variant in RECORDING and workload.recorded
        if records and settle:
            time.sleep(FLUSH_SECONDS)
        self.must_be_well(found["not_2xx"] + found["socket_errors"], found["requests"], variant, workload, envoy)
        self.asked += found["requests"] if records else 0
        return {
            "per_second": found["requests"] / found["seconds"],
            "cpu_us": (envoy.cpu_seconds() - cpu) / found["requests"] * 1e6,
            "p50_us": found["p50_us"],
            "p99_us": found["p99_us"],
            "mock_busy": mock_cpu / found["seconds"],
            "machine_busy": busy / found["seconds"] / os.cpu_count(),
        }

    def paced(self, workload, order):
        """All variants at once, each at the workload's rate."""
        here = {variant: self.of(variant, workload.workers) for variant in order}
        cpu = {variant: envoy.cpu_seconds() for variant, envoy in here.items()}
        urls = {variant: envoy.url(workload.path) for variant, envoy in here.items()}
        found = load.pace(OUT / "pace", urls.values(), workload.rate, workload.seconds, workload.body)
        time.sleep(FLUSH_SECONDS)
        figures = {}
        for variant, envoy in here.items():
            told = found[urls[variant]]
            whole, first = told["whole_us"], told["first_byte_us"]
            self.must_be_well(told["failed"], len(whole), variant, workload, envoy)
            self.asked += len(whole) if variant in RECORDING else 0
            figures[variant] = {
                "cpu_us": (envoy.cpu_seconds() - cpu[variant]) / len(whole) * 1e6,
                "p50_us": report.percentile(whole, 50),
                "p99_us": report.percentile(whole, 99),
                "first_byte_p50_us": report.percentile(first, 50),
                "first_byte_p99_us": report.percentile(first, 99),
            }
        return figures

    def must_be_well(self, failed, answered, variant, workload, envoy):
        if failed or not answered:
            tail = "\n".join(envoy.log.read_text(errors="replace").splitlines()[-10:])
            raise BenchError(f"{workload.name}, {variant}: {failed} of {answered} answers were not 200\n{tail}")

    def recorded(self, workload):
        here = [variant for variant in workload.variants if variant in RECORDING and workload.recorded]
        return [self.of(variant, workload.workers) for variant in here]

    def check_records(self, recorded, before):
        """Every request that the load tools counted has a row on disk; then the rows go."""
        until = time.monotonic() + 20
        while any(envoy.stat("weir.records_queued") for envoy in recorded):
            if time.monotonic() > until:
                raise BenchError("records are still queued 20 s after the last request")
            time.sleep(0.2)
        for envoy in recorded:
            if dropped := envoy.stat("weir.records_dropped") - before[envoy]:
                raise BenchError(f"{envoy.name} dropped {dropped} records")
        rows = self.collector.usage_rows()
        if rows < self.asked:
            raise BenchError(f"{self.asked} requests to record, but {rows} rows have arrived")
        self.new_collector()


def main():
    quick, with_peers = (os.environ.get(name, "") not in ("", "0") for name in ("QUICK", "PEERS"))
    only = os.environ.get("ONLY", "")
    OUT.mkdir(parents=True, exist_ok=True)
    bench = Bench(build(), quick)
    load_before, begin = os.getloadavg(), time.monotonic()
    chosen = [w for w in (workloads.quick if quick else workloads.full)(bench.folder) if only in w.name]
    starts = footprint.starts(bench, 2 if quick else 5)
    bench.start(dict.fromkeys(variant for workload in chosen for variant in workload.variants if workload.workers == 1))
    failed, refused = [], {}
    if with_peers:
        started, refused = peers.start(bench)
        chosen += peers.workloads(bench.folder, started)
    found = []
    for workload in chosen:
        print(f"==> {workload.name}", file=sys.stderr, flush=True)
        try:
            found.append((workload, bench.run(workload)))
        except BenchError as error:
            failed.append(str(error))
            bench.new_collector()
    bench.note_memory("after")
    if not quick and not only:
        footprint.large_bodies(bench)
    machine = {
        "cores": os.cpu_count(),
        "load_before": load_before,
        "load_after": os.getloadavg(),
        "seconds": time.monotonic() - begin,
        "wasm_bytes": bench.wasm.stat().st_size,
        "commit": commit(),
        "rounds": bench.rounds,
        "processor": processor(),
    }
    print(report.write(OUT, report.Run(found, failed, bench.memory, starts, machine, refused)))
    return 1 if failed else 0


def build(version="1.40.0"):
    """Builds all that runs. Returns Envoy's path."""
    built = subprocess.run([ROOT / "tests/bench/build.sh", version], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise BenchError("a part could not be built; see above")
    return built.stdout.splitlines()[-1]


def commit():
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def processor():
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else "unknown"


if __name__ == "__main__":
    run(main, lambda: shutil.rmtree(OUT / "run" / "records", ignore_errors=True))
