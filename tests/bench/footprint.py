"""What a start costs, and what large bodies leave behind. The figures that do not come from a load of small requests."""

import time
from statistics import median

import load
from envoys import CHAT_PATH
from rig import BenchError
from workloads import BARE, NOOP, WEIR

#: Under `max_request_bytes`, with room for what is not the prompt.
LARGE_BYTES = (16 << 20) - 1024


def starts(rig, times):
    """Starts of Envoy in turns: medians of milliseconds and of CPU until its listener is ready."""
    found = {variant: [] for variant in (BARE, NOOP, WEIR)}
    for _ in range(times):
        for variant, all_of_it in found.items():
            envoy = rig.envoy(variant, 1)
            all_of_it.append((envoy.ready_seconds * 1e3, envoy.ready_cpu_seconds * 1e3))
            envoy.end()
    return {
        variant: {"ready_ms": median(ms for ms, _ in told), "cpu_ms": median(cpu for _, cpu in told)}
        for variant, told in found.items()
    }


def large_bodies(rig):
    """Bodies of 16 MB, four at a time for some seconds, to bare Envoy and to Weir: memory right after, and 10 s later."""
    body = load.chat_body(rig.folder, "16m", LARGE_BYTES)
    for variant in (BARE, WEIR):
        envoy = rig.of(variant, 1)
        found = load.wrk(envoy.url(CHAT_PATH), 4, 5, body)
        if found["not_2xx"] + found["socket_errors"]:
            raise BenchError(f"16 MB bodies, {variant}: answers were not 200")
    rig.note_memory("after 16 MB bodies")
    time.sleep(10)
    rig.note_memory("10 s later")
