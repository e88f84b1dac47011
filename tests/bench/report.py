"""Rounds in; tables as text, as Markdown for docs/speed.md and as JSON, and a plot out. Nothing is told of one machine's
absolute speed but what bare Envoy did there, for orientation."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import document
import targets
from plot import plot
from workloads import AFTER_SMALL, BARE, DIRECT, NOOP, WEIR, WORKERS


@dataclass(frozen=True)
class Run:
    found: list
    failed: list
    memory: dict
    starts: dict
    machine: dict
    #: Peers that could not be run, and why.
    refused: dict


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def against_bare(rounds, variant, figure, how):
    """Median, least and most of a ratio or difference to bare Envoy in the same round; None without such a figure."""
    pairs = [(r[variant].get(figure), r[BARE].get(figure)) for r in rounds if variant in r]
    pairs = [pair for pair in pairs if None not in pair]
    if not pairs:
        return None
    found = [a / b if how == "ratio" else a - b for a, b in pairs]
    return {"median": median(found), "min": min(found), "max": max(found)}


def summary(workload, rounds):
    """The figures of one workload, by variant."""
    figures = {}
    for variant in workload.variants:
        if variant == DIRECT:
            figures[variant] = {"throughput": against_bare(rounds, variant, "per_second", "ratio")}
            continue
        found = {
            "throughput": against_bare(rounds, variant, "per_second", "ratio"),
            "cpu": against_bare(rounds, variant, "cpu_us", "ratio"),
            "added_p50_us": against_bare(rounds, variant, "p50_us", "difference"),
            "added_p99_us": against_bare(rounds, variant, "p99_us", "difference"),
            "first_byte": against_bare(rounds, variant, "first_byte_p50_us", "ratio"),
            "added_first_byte_us": against_bare(rounds, variant, "first_byte_p50_us", "difference"),
        }
        figures[variant] = {name: value for name, value in found.items() if value}
    return figures


def middle(rounds, variant, figure):
    found = [r[variant][figure] for r in rounds if figure in r.get(variant, {})]
    return median(found) if found else None


def write(folder, run):
    """Writes bench.txt, bench.md, bench.json and bench.svg; returns the text."""
    summaries = [(workload, rounds, summary(workload, rounds)) for workload, rounds in run.found]
    tables = [*heading(run.machine), Table("Targets", ["", "must", "goal", "measured", ""], targets.lines(run, summaries))]
    tables += [section(workload, rounds, figures) for workload, rounds, figures in summaries]
    tables += [scaling(summaries), start_section(run.starts), *memory_sections(run.memory)]
    if run.refused:
        tables.append(Table("Peers that were not run", ["", "why"], [list(pair) for pair in run.refused.items()]))
    tables += [f"NO RESULT: {error}" for error in run.failed]
    tables = [table for table in tables if table]
    text = "\n\n".join(table if isinstance(table, str) else table.text() for table in tables) + "\n"
    markdown = "\n\n".join(table if isinstance(table, str) else table.markdown() for table in tables) + "\n"
    whole = {
        "machine": run.machine,
        "failed": run.failed,
        "starts": run.starts,
        "memory_mb": [{"variant": v, "workers": n, **found} for (v, n), found in run.memory.items()],
        "workloads": [{"name": w.name, "against_bare": f, "rounds": r} for w, r, f in summaries],
    }
    picture = plot(summaries)
    (folder / "bench.txt").write_text(text)
    (folder / "bench.md").write_text(markdown)
    (folder / "bench.json").write_text(json.dumps(whole, indent=1))
    (folder / "bench.svg").write_text(picture)
    told = f"\nAlso in {folder}: bench.txt, bench.md, bench.json, bench.svg"
    if os.environ.get("DOCS", "") not in ("", "0"):
        picture_line = "\n![CPU per request over bare Envoy's](images/speed.svg)\n"
        told += "\n" + document.put("bench", markdown + picture_line)
        (document.ROOT / "docs/images/speed.svg").write_text(picture)
    return text + told


@dataclass(frozen=True)
class Table:
    title: str
    columns: list
    rows: list

    def text(self):
        lines = [self.columns, *self.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        first, rest = widths[0], widths[1:]

        def line(cells):
            return f"  {cells[0]:<{first}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(cells[1:], rest))

        return "\n".join([self.title, *map(line, lines)]).rstrip()

    def markdown(self):
        def line(cells):
            return "| " + " | ".join(cells) + " |"

        rule = "|---|" + "---:|" * (len(self.columns) - 1)
        return "\n".join([f"**{self.title}**", "", line(self.columns), rule, *map(line, self.rows)])


def heading(machine):
    loads = ["/".join(f"{load:.1f}" for load in machine[when]) for when in ("load_before", "load_after")]
    return [
        f"Weir {machine['commit']} against bare Envoy: medians over {machine['rounds']} rounds (least to most). "
        f"{machine['cores']} cores ({machine['processor']}); load average {loads[0]} before, {loads[1]} after; "
        f"took {machine['seconds']:.0f} s.",
    ]


def section(workload, rounds, figures):
    told = []
    for figure, form in (("per_second", "{:.0f}/s"), ("cpu_us", "{:.0f} us CPU"), ("p50_us", "p50 {:.0f} us")):
        value = middle(rounds, BARE, figure)
        if value is not None:
            told.append(form.format(value))
    busy = middle(rounds, BARE, "mock_busy")
    if busy is not None:
        told.append(f"mock {busy:.0%} of a core")
        told.append(f"machine {middle(rounds, BARE, 'machine_busy'):.0%} busy")
    rows = []
    for variant, figure in figures.items():
        if variant == BARE:
            continue
        cells = [variant, spread(figure.get("throughput")), spread(figure.get("cpu"))]
        cells += [added(figure.get(name)) for name in ("added_p50_us", "added_p99_us")]
        first = figure.get("first_byte")
        rows.append([*cells, f"{first['median']:.3f}x" if first else ""])
    columns = ["", "throughput", "CPU/request", "p50 added us", "p99 added us", "first byte"]
    used = [at for at in range(len(columns)) if at == 0 or any(row[at] for row in rows)]
    return Table(
        f"{workload.name} (bare: {', '.join(told)})", [columns[at] for at in used], [[row[at] for at in used] for row in rows]
    )


def spread(value):
    return f"{value['median']:.2f}x ({value['min']:.2f}-{value['max']:.2f})" if value else ""


def added(value):
    return f"{value['median']:+.0f}" if value else ""


def scaling(summaries):
    """Throughput over that of one worker, for bare Envoy and for Weir."""
    by_workers = {w.workers: rounds for w, rounds, _ in summaries if w.name == WORKERS.format(w.workers)}
    if 1 not in by_workers or len(by_workers) < 2:
        return None
    rows = []
    for variant in (BARE, WEIR):
        one = middle(by_workers[1], variant, "per_second")
        rows.append([variant, *(f"{middle(r, variant, 'per_second') / one:.2f}x" for n, r in by_workers.items() if n > 1)])
    title = "Throughput over one worker's (wrk, mock and Envoy share the cores)"
    return Table(title, ["", *(f"{n} workers" for n in by_workers if n > 1)], rows)


def start_section(starts):
    rows = [[variant, f"{told['ready_ms']:.0f}", f"{told['cpu_ms']:.0f}"] for variant, told in starts.items()]
    return Table("Start, until the listener is ready", ["", "ms", "CPU ms"], rows) if rows else None


OVER_BARE = ("at start", AFTER_SMALL, "after")


def memory_sections(memory):
    parts = ["resident", "live", "caches", "free", "machine_code", "vms", "files"]
    titles = ["resident", "heap, live", "its caches", "its free pages", "machine code", "VMs, stacks", "files' pages"]
    rows, extra = [], []
    for (variant, workers), found in memory.items():
        for when, told in found.items():
            if variant in (BARE, NOOP, WEIR) or workers > 1:
                name = f"{variant}, {workers} worker{'s' * (workers > 1)}, {when}"
                rows.append([name, *(f"{told[part]:.1f}" for part in parts)])
        base = memory.get((BARE, workers), {})
        if variant != BARE and workers == 1 and "after" in found and "after" in base:
            times = [when for when in OVER_BARE if when in found and when in base]
            over = {when: f"{found[when]['resident'] - base[when]['resident']:+.1f}" for when in times}
            extra.append([variant, *(over.get(when, "") for when in OVER_BARE)])
    return [
        Table("Memory, MB, and what it is made of", ["", *titles], rows),
        Table("Memory over bare Envoy's, MB, one worker", ["", *OVER_BARE], extra) if extra else None,
    ]
