"""What must hold and what is wanted, and what a run has found of it."""

from dataclasses import dataclass

from workloads import AFTER_SMALL, BARE, LARGE, MIDDLE, OUTSIDE, PACED, PACED_STREAMS, SMALL, STREAMS, THINKING_MS, THINKING_STREAMS, WEIR, WORKERS


@dataclass(frozen=True)
class Target:
    what: str
    form: str
    must: float
    goal: float = None
    #: More is better.
    at_least: bool = False

    def line(self, found):
        """The cells of its row: what, must, goal, found, whether it holds."""
        sign = "at least " if self.at_least else "at most "
        goal = self.form.format(self.goal) if self.goal is not None else ""
        if found is None:
            return [self.what, sign + self.form.format(self.must), goal, "not measured", ""]
        met = [found >= bound if self.at_least else found <= bound for bound in (self.must, self.goal) if bound is not None]
        verdict = "missed" if not met[0] else "goal" if len(met) > 1 and met[1] else "met"
        return [self.what, sign + self.form.format(self.must), goal, self.form.format(found), verdict]


def lines(run, summaries):
    """One row a target."""
    figures = {workload.name: found for workload, _, found in summaries}

    def ratio(workload, figure):
        found = figures.get(workload, {}).get(WEIR, {}).get(figure)
        return found["median"] if found else None

    def milliseconds(workload, figure):
        found = ratio(workload, figure)
        return found / 1e3 if found is not None else None

    rows = [
        (Target("CPU per request, 1 KB, 32 connections", "{:.2f}x", 2.0, 1.6), ratio(SMALL, "cpu")),
        (Target("CPU per request, 100 KB, 32 connections", "{:.2f}x", 2.0, 1.6), ratio(MIDDLE, "cpu")),
        (Target("CPU per stream, SSE of 100 chunks", "{:.2f}x", 1.25, 1.10), ratio(STREAMS, "cpu")),
        (Target("time to first byte, SSE, 10 streams/s, of a mock that takes no time", "{:.3f}x", 1.05), ratio(PACED_STREAMS, "first_byte")),
        (Target(f"the same, of a provider that takes {THINKING_MS} ms", "{:.3f}x", 1.05), ratio(THINKING_STREAMS, "first_byte")),
        (Target("CPU per request outside the scope", "{:.2f}x", 1.3), ratio(OUTSIDE, "cpu")),
        (Target("added p99, 1 KB, 200 requests/s", "{:.2f} ms", 1.0), milliseconds(PACED, "added_p99_us")),
        (Target("added p50, a 1 MB body, 1 connection", "{:.2f} ms", 3.0), milliseconds(LARGE, "added_p50_us")),
        (Target("memory over bare, one worker, after a load of 1 KB", "{:.1f} MB", 35.0), over_bare(run.memory)),
        (Target("memory per further worker, over bare's", "{:.1f} MB", 8.0), per_worker(run.memory)),
        (Target("weir.wasm", "{:.2f} MB", 5.0), run.machine["wasm_bytes"] / 1e6),
        (Target("listener ready, over bare", "{:.0f} ms", 300.0), ready(run.starts)),
        (Target("throughput of 2 workers over 1, to bare's of the same", "{:.2f}", 1.8 / 1.9, at_least=True), scaling(summaries)),
    ]
    return [target.line(found) for target, found in rows]


def over_bare(memory, when=AFTER_SMALL):
    here, bare = memory.get((WEIR, 1), {}), memory.get((BARE, 1), {})
    return here[when]["resident"] - bare[when]["resident"] if when in here and when in bare else None


def per_worker(memory):
    """From one worker to as many as were run, less what bare Envoy takes for the same."""
    most = max((workers for variant, workers in memory if variant == WEIR), default=1)
    if most == 1 or (BARE, most) not in memory:
        return None

    def growth(variant):
        return memory[variant, most]["after"]["resident"] - memory[variant, 1]["after"]["resident"]

    return (growth(WEIR) - growth(BARE)) / (most - 1)


def ready(starts):
    return starts[WEIR]["ready_ms"] - starts[BARE]["ready_ms"] if WEIR in starts else None


def scaling(summaries):
    """How much of bare Envoy's gain by a second worker Weir has."""
    throughput = {}
    for workload, rounds, _ in summaries:
        for workers in (1, 2):
            if workload.name == WORKERS.format(workers):
                for variant in (BARE, WEIR):
                    throughput[variant, workers] = sorted(r[variant]["per_second"] for r in rounds)[len(rounds) // 2]
    if len(throughput) < 4:
        return None
    return (throughput[WEIR, 2] / throughput[WEIR, 1]) / (throughput[BARE, 2] / throughput[BARE, 1])


