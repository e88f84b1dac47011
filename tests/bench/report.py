"""Rounds in; one table, the same as JSON, and a plot out. Nothing is told of one machine's absolute speed but what bare
Envoy did there, for orientation."""

import json
from statistics import median
from xml.sax.saxutils import escape

from workloads import BARE, DIRECT, NOOP, NOOP_BOTH, WEIR


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


def write(folder, found, failed, memory, machine, count):
    """Writes bench.txt, bench.json and bench.svg; returns the text."""
    summaries = [(workload, rounds, summary(workload, rounds)) for workload, rounds in found]
    lines = heading(machine, count)
    for workload, rounds, figures in summaries:
        lines += section(workload, rounds, figures)
    lines += scaling(summaries)
    lines += memory_section(memory)
    for error in failed:
        lines += ["", f"NO RESULT: {error}"]
    text = "\n".join(lines) + "\n"
    document = {
        "machine": machine,
        "rounds": count,
        "failed": failed,
        "memory_mb": {v: {"start": s, "after": a, "ready_ms": r} for v, (s, a, r) in memory.items()},
        "workloads": [{"name": w.name, "against_bare": f, "rounds": r} for w, r, f in summaries],
    }
    (folder / "bench.txt").write_text(text)
    (folder / "bench.json").write_text(json.dumps(document, indent=1))
    (folder / "bench.svg").write_text(plot(summaries))
    return text + f"\nAlso in {folder}: bench.txt, bench.json, bench.svg"


def heading(machine, count):
    loads = ["/".join(f"{load:.1f}" for load in machine[when]) for when in ("load_before", "load_after")]
    return [
        f"Weir {machine['commit']} against bare Envoy: medians over {count} rounds (least to most), "
        f"weir.wasm {machine['wasm_bytes'] / 1e6:.2f} MB",
        f"{machine['cores']} cores; load average {loads[0]} before, {loads[1]} after; took {machine['seconds']:.0f} s",
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
    lines = ["", f"{workload.name}   [bare: {', '.join(told)}]"]
    columns = ("throughput", "CPU/request", "p50 added us", "p99 added us", "first byte")
    lines.append("  {:<22}{:>22}{:>24}{:>14}{:>14}{:>14}".format("", *columns))
    for variant, figure in figures.items():
        if variant == BARE:
            continue
        cells = [spread(figure.get("throughput")), spread(figure.get("cpu"))]
        cells += [added(figure.get(name)) for name in ("added_p50_us", "added_p99_us")]
        first = figure.get("first_byte")
        cells.append(f"{first['median']:.3f}x" if first else "")
        lines.append("  {:<22}{:>22}{:>24}{:>14}{:>14}{:>14}".format(variant, *cells))
    return lines


def spread(value):
    return f"{value['median']:.2f}x ({value['min']:.2f}-{value['max']:.2f})" if value else ""


def added(value):
    return f"{value['median']:+.0f}" if value else ""


def scaling(summaries):
    """Throughput over that of one worker, for bare Envoy and for Weir."""
    by_workers = {w.workers: rounds for w, rounds, _ in summaries if "workers" in w.name}
    if 1 not in by_workers or len(by_workers) < 2:
        return []
    lines = ["", "throughput over one worker's (wrk, mock and Envoy share the cores)"]
    for variant in (BARE, WEIR):
        one = middle(by_workers[1], variant, "per_second")
        told = [f"{n} workers {middle(r, variant, 'per_second') / one:.2f}x" for n, r in by_workers.items() if n > 1]
        lines.append(f"  {variant:<22}" + ", ".join(told))
    return lines


def memory_section(memory):
    base_start, base_after, base_ready = memory[BARE]
    lines = ["", f"memory, MB over bare Envoy's ({base_start:.0f} at start, {base_after:.0f} after), one worker"]
    lines.append("  {:<22}{:>12}{:>12}{:>22}".format("", "at start", "after", "ready, ms over bare"))
    for variant, (start, after, ready) in memory.items():
        if variant != BARE:
            cells = (f"{start - base_start:+.1f}", f"{after - base_after:+.1f}", f"{ready - base_ready:+.0f}")
            lines.append("  {:<22}{:>12}{:>12}{:>22}".format(variant, *cells))
    return lines


def plot(summaries):
    """CPU per request over bare Envoy's, as bars."""
    colors = {NOOP: "#9bb0c1", NOOP_BOTH: "#7b93a7", WEIR: "#1f6f8b"}
    bars, y = [], 34
    for workload, _, figures in summaries:
        shown = [(v, f["cpu"]) for v, f in figures.items() if v != BARE and "cpu" in f]
        if not shown:
            continue
        bars.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(workload.name)}</text>')
        y += 18
        for variant, ratio in shown:
            width = ratio["median"] * 150
            bars.append(f'<text x="20" y="{y + 11}">{escape(variant)}</text>')
            bars.append(
                f'<rect x="160" y="{y}" width="{width:.0f}" height="13" fill="{colors.get(variant, "#c9a227")}"/>'
                f'<text x="{166 + width:.0f}" y="{y + 11}">{ratio["median"]:.2f}</text>'
            )
            y += 17
        y += 8
    lines = "".join(
        f'<line x1="{160 + 150 * n}" y1="24" x2="{160 + 150 * n}" y2="{y}" stroke="#ccc"/>'
        f'<text x="{154 + 150 * n}" y="20">{n}x</text>'
        for n in (1, 2, 3)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 8}" font-family="sans-serif" font-size="12">'
        f'<rect width="720" height="{y + 8}" fill="white"/>{lines}{"".join(bars)}</svg>\n'
    )
