#!/usr/bin/env python3
"""`make bench-growth`: what does not stay as it is when there are more endpoints in the policy, more users, more open streams.

ONLY=endpoints|users|streams: one of the three. MOST=N: none with more than N. DOCS=1: the tables go into docs/speed.md.
Each figure of Weir stands beside bare Envoy's, from the same minute.
"""

import json
import os
import resource
import sys
import time
from statistics import median

import document
import load
import report
import streams
from bench import OUT, Rig, build, commit
from envoys import CHAT_PATH, entity, policy
from rig import BenchError, run
from workloads import BARE, WEIR

MOST = int(os.environ.get("MOST") or 10**9)
ROUNDS, SECONDS = 3, 2
CONNECTIONS = 32
#: What V8's compiler leaves is given back 4 MB a second.
SETTLE_SECONDS = 10
#: At most so long for making users known, before what they cost is measured.
FILL_SECONDS = 120


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    parts = {"endpoints": endpoints, "users": users, "streams": open_streams}
    chosen = [os.environ["ONLY"]] if os.environ.get("ONLY") else parts
    rig = Rig(build(), OUT / "growth")
    before, begin = os.getloadavg(), time.monotonic()
    tables = []
    for name in chosen:
        print(f"==> {name}", file=sys.stderr, flush=True)
        tables.append(parts[name](rig))
        print(tables[-1].text(), flush=True)
    loads = ["/".join(f"{load:.1f}" for load in loads) for loads in (before, os.getloadavg())]
    told = f"Weir {commit()}, {os.cpu_count()} cores, load average {loads[0]} before, {loads[1]} after; took {time.monotonic() - begin:.0f} s."
    (OUT / "growth.txt").write_text("\n\n".join([told, *(table.text() for table in tables)]) + "\n")
    markdown = "\n\n".join([told, *(table.markdown() for table in tables)]) + "\n"
    (OUT / "growth.md").write_text(markdown)
    print(told)
    if os.environ.get("DOCS", "") not in ("", "0"):
        print(document.put("growth", markdown))
    return 0


def beside_bare(rig, weir, body, headers=(), users=0):
    """Medians of ratios to bare Envoy and of added milliseconds, in turns."""
    bare, found = rig.of(BARE, 1), []
    for number in range(ROUNDS):
        here = {}
        for variant, envoy in ((BARE, bare), (WEIR, weir)) if number % 2 else ((WEIR, weir), (BARE, bare)):
            cpu = envoy.cpu_seconds()
            told = load.wrk(envoy.url(CHAT_PATH), CONNECTIONS, SECONDS, body, headers, users)
            if told["not_2xx"] + told["socket_errors"]:
                raise BenchError(f"{envoy.name}: {told['not_2xx']} answers were not 200, {told['socket_errors']} none")
            time.sleep(1.2 if variant == WEIR else 0)
            cpu = (envoy.cpu_seconds() - cpu) / told["requests"]
            here[variant] = (told["requests"] / told["seconds"], cpu, told["p50_us"] / 1e3, told["p99_us"] / 1e3)
        found.append([here[WEIR][0] / here[BARE][0], here[WEIR][1] / here[BARE][1], *(here[WEIR][n] - here[BARE][n] for n in (2, 3))])
    rate, cpu, p50, p99 = (median(column) for column in zip(*found))
    return [f"{rate:.2f}x", f"{cpu:.2f}x", f"{p50:+.2f}", f"{p99:+.2f}"]


BESIDE = ["throughput", "CPU/request", "p50 added ms", "p99 added ms"]


def endpoints(rig):
    """The endpoint that is asked for is the last, by a name that only a prefix of its `models` matches."""
    rows, first = [], None
    for count in [n for n in (1, 100, 10_000) if n <= MOST]:
        begin = time.monotonic()
        envoy = rig.envoy(WEIR, 1, many_endpoints(rig, count), ["primary"])
        whole = time.monotonic() - begin - envoy.ready_seconds
        ready = [envoy.ready_seconds, ready_with_noop(rig, count)]
        first = first or ready
        ready = [f"{here - at_first:+.2f}" for here, at_first in zip(ready, first)]
        time.sleep(SETTLE_SECONDS)
        memory = envoy.memory()
        body = load.chat_body(rig.folder, f"endpoint-{count}", 1 << 10, model=f"model-{count - 1}-large")
        two = rig.envoy(WEIR, 2, many_endpoints(rig, count), ["primary"])
        time.sleep(SETTLE_SECONDS)
        worker = two.memory()["resident"] - memory["resident"]
        two.end()
        size = len(json.dumps(many_endpoints(rig, count))) / 1e6
        rows.append([f"{count:,}", f"{size:.2f}", f"{whole:.2f}", *ready, f"{memory['resident']:.0f}",
                     f"{worker:.1f}", *beside_bare(rig, envoy, body)])
        envoy.end()
    columns = ["endpoints", "policy MB", "render s", "ready s, over 1", "of which Envoy's", "memory MB", "per worker MB", *BESIDE]
    return report.Table("Endpoints in the policy: each of one model, four limits, records, and a name by prefix", columns, rows)


def ready_with_noop(rig, count):
    """What Envoy itself takes for a configuration of that size: the filter does not read it."""
    floor = rig.envoy(WEIR, 1, many_endpoints(rig, count), ["primary"], as_noop=True)
    floor.end()
    return floor.ready_seconds


def many_endpoints(rig, count):
    """Endpoints whose models are in one cluster: what Envoy pays for 20,000 clusters is not Weir's."""
    made = policy(rig.mocks, rig.collector_port)
    pattern = made["endpoints"][0]
    pattern["config"]["served_entities"] = [dict(entity(name, rig.mocks[name]), cluster=name) for name in ("primary",)]
    del pattern["config"]["traffic_config"], pattern["ai_gateway"]["fallback_config"]
    made["endpoints"] = [{**pattern, "name": f"chat-{n}", "models": [f"model-{n}-*"]} for n in range(count)]
    return made


def users(rig):
    """Every user has two limits of his own. The header names one of so many at random."""
    document_of = policy(rig.mocks, rig.collector_port)
    document_of["identity"] = {"sources": [{"header": {"user": "x-bench-user", "trusted_from": ["127.0.0.0/8"]}}]}
    body = load.chat_body(rig.folder, "users", 1 << 10)
    rows, envoy = [], rig.envoy(WEIR, 1, document_of)
    for count in [n for n in (1, 1_000, 100_000, 1_000_000) if n <= MOST]:
        begin = time.monotonic()
        while envoy.stat("weir.limit_counters") < 1.9 * count and time.monotonic() - begin < FILL_SECONDS:
            load.wrk(envoy.url(CHAT_PATH), CONNECTIONS, 5, body, users=count)
        counters = envoy.stat("weir.limit_counters")
        rows.append([f"{count:,}", f"{counters:,}", f"{envoy.memory()['resident']:.0f}", *beside_bare(rig, envoy, body, users=count)])
    envoy.end()
    return report.Table("Users who have asked", ["users", "counters held", "memory MB", *BESIDE], rows)


#: Of Envoy's own.
SPARE_FILES = 500


def open_streams(rig):
    """Ten chunks each, one a second; meanwhile 50 plain requests a second. As many of 10,000 as there may be files: two for each."""
    rows, plain = [], load.chat_body(rig.folder, "plain", 1 << 10)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 1 << 20 if most == resource.RLIM_INFINITY else most
    for count in [n for n in (1, 100, 1_000, min(10_000, (files - SPARE_FILES) // 2)) if n <= MOST]:
        seconds = 10 + count // 500
        body = load.chat_body(rig.folder, "held", 1 << 10, stream_chunks=seconds, chunk_delay_ms=1000).read_bytes()
        found = {}
        for variant in (BARE, WEIR):
            envoy = rig.envoy(variant, 1) if variant != BARE else rig.of(BARE, 1)
            # What the compiler left goes back to the system first.
            time.sleep(SETTLE_SECONDS if variant == WEIR else 0)
            before, cpu = envoy.resident_mb(), envoy.cpu_seconds()

            def meanwhile(envoy=envoy):
                told = load.pace(OUT / "pace", [envoy.url(CHAT_PATH)], 50, 4, plain)[envoy.url(CHAT_PATH)]
                if told["failed"]:
                    raise BenchError(f"{told['failed']} of the plain requests failed")
                return envoy.resident_mb(), *(report.percentile(told["whole_us"], n) / 1e3 for n in (50, 99))

            (memory, p50, p99), were_open, opening = streams.many(envoy.port, body, count, meanwhile)
            if were_open < count:
                raise BenchError(f"only {were_open} of {count} streams were still open at the end of the measurement")
            cpu = (envoy.cpu_seconds() - cpu) / count * 1e3
            found[variant] = (memory - before, p50, p99, opening, cpu)
            if variant == WEIR:
                envoy.end()
        bare, weir = found[BARE], found[WEIR]
        rows.append([f"{count:,}", *(f"{bare[n]:.1f} / {weir[n]:.1f}" for n in (0, 1, 2, 3)), f"{weir[4] / bare[4]:.2f}x"])
    columns = ["open streams", "memory more MB", "p50 ms", "p99 ms", "opened in s", "CPU/stream"]
    return report.Table("Open streams, bare Envoy / Weir; latencies of plain requests meanwhile", columns, rows)


if __name__ == "__main__":
    run(main)
