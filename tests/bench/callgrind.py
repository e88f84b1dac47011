#!/usr/bin/env python3
"""`make instructions-envoy`: instructions of Envoy per request of 1 KB, by whose they are, for bare Envoy, the do-nothing wasm and
Weir. Times tell little on a busy machine; these counts tell more, though what Envoy does by the clock is in them.

The same Envoys as `make bench` (OTHER=PATH: a second wasm) under callgrind, one connection, 100 requests after 50; records stay
in the outbox meanwhile. What a kernel does for Envoy is not in them, so ratios are not those of CPU time.
"""

import collections
import http.client
import os
import re
import subprocess
import time
from pathlib import Path

import bench
import envoys
import load
from rig import BenchError, Process, run
from workloads import BARE, NOOP, NOOP_BOTH, OTHER, SINGLE, WEIR

OUT = bench.OUT / "callgrind"
WARM, COUNTED = 50, 100
HEADERS = {"authorization": f"Bearer {envoys.KEY}", "content-type": "application/json"}
WHOSE = ("Envoy", "its allocator", "libc", "the VM's code")


def main():
    variants = (BARE, NOOP, NOOP_BOTH, SINGLE, WEIR, *((OTHER,) if os.environ.get("OTHER") else ()))
    rig = bench.Rig(bench.build(), OUT)
    body = load.chat_body(rig.folder, "1k", 1 << 10).read_bytes()
    print(f"{'':22}" + "".join(f"{name:>15}" for name in ("all", "over bare", *WHOSE)))
    bare = None
    for variant in variants:
        document = rig.document(variant)
        document["logging"]["flush_interval_ms"] = 60_000
        found = counted(rig, rig.envoy(variant, 1, document), body)
        total = sum(found.values())
        bare = total if bare is None else bare
        print(f"{variant:22}" + "".join(f"{n:15,.0f}" for n in (total, total - bare, *(found[w] for w in WHOSE))), flush=True)


def counted(rig, plain, body):
    """Instructions per request by whose they are, of the Envoy that has the configuration of `plain`."""
    plain.end()
    out = rig.folder / f"{plain.variant}.callgrind"
    config = rig.folder / f"envoy-{plain.variant}.yaml"
    tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    command = [*tool, rig.binary, "--config-path", config, "--disable-hot-restart", "--log-level", "warning", "--concurrency", "1"]
    envoy = Process(f"valgrind of {plain.variant}", command, rig.folder / f"{plain.variant}.log", envoys.SECRETS)
    envoy.wait_until_ok(f"http://127.0.0.1:{plain.admin_port}/ready", 600)
    ask(plain.port, WARM // 2, body)
    control(envoy, "--instr=on")
    ask(plain.port, WARM // 2, body)
    control(envoy, "--zero")
    ask(plain.port, COUNTED, body)
    control(envoy, "--dump")
    found = read(Path(f"{out}.1"))
    envoy.end()
    return {whose: count / COUNTED for whose, count in found.items()}


def ask(port, times, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    for _ in range(times):
        connection.request("POST", envoys.CHAT_PATH, body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchError(f"an answer of {answer.status} instead of 200")
    connection.close()


def control(envoy, order):
    subprocess.run(["callgrind_control", order, str(envoy.pid)], stdout=subprocess.DEVNULL, timeout=300, check=True)
    time.sleep(1)


def read(dump):
    """Own costs by object. Code without one is the VM's, or Envoy's allocator, which has a section of its own."""
    names, functions, found = {}, {}, collections.Counter(dict.fromkeys(WHOSE, 0))
    whose, is_call = None, False
    for line in dump.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key in ("ob", "cob", "fn", "cfn"):
            number, name = re.match(r"\((\d+)\)(?: (.*))?", value).groups()
            known = names if key in ("ob", "cob") else functions
            name = known.setdefault(number, name)
            if key == "ob":
                place = name
            elif key == "fn":
                # Envoy is mapped low and the VM's code high, each function named by its address.
                nowhere = "its allocator" if name.startswith("0x00000000") else "the VM's code"
                whose = {"???": nowhere, "envoy": "Envoy"}.get(Path(place).name, "libc")
        elif key == "calls":
            is_call = True
        elif line[:1] in "+-*0123456789" and line.strip():
            if not is_call:
                found[whose] += int(line.split()[-1])
            is_call = False
    return found


if __name__ == "__main__":
    run(main)
