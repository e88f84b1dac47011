#!/usr/bin/env python3
"""`make bench-where`: microseconds of CPU per request of 1 KB at 32 connections, by whose code they are spent in. Sampled by perf
(Debian's linux-perf), 2,000 times a second; Envoy has no symbols, so it is told apart by file alone.

ROUNDS=N: of 5 s each; a figure is the median. It takes some 4 minutes.
"""

import collections
import os
import re
import subprocess
from statistics import median

import bench
import envoys
import load
import report
from rig import BenchError, run
from workloads import BARE, NO_LIMITS, NO_RECORDS, NOOP, NOOP_BOTH, SINGLE, WEIR

OUT = bench.OUT / "where"
#: Weir with parts of Envoy's configuration taken out: which of `without_fallback_parts` stay.
PARTS = {
    "Weir, no filters of attempts": {"filters": False, "composite": True},
    "Weir, no composite clusters": {"filters": True, "composite": False},
    "Weir, neither": {"filters": False, "composite": False},
}
VARIANTS = (BARE, NOOP, NOOP_BOTH, WEIR, *PARTS, SINGLE, NO_LIMITS, NO_RECORDS)
CONNECTIONS, SECONDS, HERTZ = 32, 5, 1999
WHOSE = ("Envoy", "the VM's code", "libc", "the kernel")


def main():
    rig = bench.Rig(bench.build(), OUT)
    body = load.chat_body(rig.folder, "1k", 1 << 10)
    for name, parts in PARTS.items():
        ports = envoys.two_ports()
        config = envoys.without_fallback_parts(rig.of(WEIR, 1), ports, **parts)
        rig.envoys[name, 1] = envoys.Envoy(rig.binary, f"parts-{ports[0]}", config, rig.folder, 1, ports)
    found = collections.defaultdict(list)
    for number in range(int(os.environ.get("ROUNDS") or 3)):
        for variant in VARIANTS[number % len(VARIANTS) :] + VARIANTS[: number % len(VARIANTS)]:
            found[variant].append(sampled(rig.of(variant, 1), body, rig.folder / "perf.data"))
    rows = []
    for variant in VARIANTS:
        parts = [median(times[whose] for times in found[variant]) for whose in WHOSE]
        rows.append([variant, *(f"{us:.1f}" for us in (median(sum(times.values()) for times in found[variant]), *parts))])
    table = report.Table("Microseconds of CPU per request, 1 KB, 32 connections", ["", "all", *WHOSE], rows)
    print(table.text())
    (OUT / "where.md").write_text(table.markdown() + "\n")
    return 0


def sampled(envoy, body, data):
    """Microseconds of a request by whose code."""
    load.wrk(envoy.url(envoys.CHAT_PATH), CONNECTIONS, 1, body)
    begin = envoy.cpu_seconds()
    command = ["perf", "record", "-q", "-F", str(HERTZ), "-e", "cpu-clock", "-o", str(data), "-p", str(envoy.pid)]
    perf = subprocess.Popen([*command, "--", "sleep", str(SECONDS)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = load.wrk(envoy.url(envoys.CHAT_PATH), CONNECTIONS, SECONDS, body)
    _, complaint = perf.communicate(timeout=60)
    if perf.returncode != 0:
        raise BenchError(f"perf failed (as root, with linux-perf installed?): {complaint}")
    microseconds = (envoy.cpu_seconds() - begin) / told["requests"] * 1e6
    script = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"], capture_output=True, text=True, errors="replace", check=True)
    samples = collections.Counter(whose(line) for line in script.stdout.splitlines() if line.strip())
    return {name: samples[name] / samples.total() * microseconds for name in WHOSE}


def whose(line):
    file = re.search(r"\(([^()]*)\)\s*$", line)
    file = file.group(1) if file else ""
    if "kernel" in file or file == "[vdso]":
        return "the kernel"
    if file.endswith("/envoy"):
        return "Envoy"
    return "libc" if ".so" in file else "the VM's code"


if __name__ == "__main__":
    run(main)
