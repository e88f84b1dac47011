"""CPU per request over bare Envoy's, as bars."""

from xml.sax.saxutils import escape

from workloads import BARE, NOOP, NOOP_BOTH, WEIR

COLORS = {NOOP: "#9bb0c1", NOOP_BOTH: "#7b93a7", WEIR: "#1f6f8b"}
#: Peers are many times as slow: their bars end here, with the figure.
WIDEST = 3.4


def plot(summaries):
    bars, y = [], 34
    for workload, _, figures in summaries:
        shown = [(v, f["cpu"]) for v, f in figures.items() if v != BARE and "cpu" in f]
        if not shown:
            continue
        bars.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(workload.name)}</text>')
        y += 18
        for variant, ratio in shown:
            width = min(ratio["median"], WIDEST) * 150
            bars.append(f'<text x="20" y="{y + 11}">{escape(variant)}</text>')
            bars.append(
                f'<rect x="180" y="{y}" width="{width:.0f}" height="13" fill="{COLORS.get(variant, "#c9a227")}"/>'
                f'<text x="{186 + width:.0f}" y="{y + 11}">{ratio["median"]:.2f}</text>'
            )
            y += 17
        y += 8
    lines = "".join(
        f'<line x1="{180 + 150 * n}" y1="24" x2="{180 + 150 * n}" y2="{y}" stroke="#ccc"/>'
        f'<text x="{174 + 150 * n}" y="20">{n}x</text>'
        for n in (1, 2, 3)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y + 8}" font-family="sans-serif" font-size="12">'
        f'<rect width="760" height="{y + 8}" fill="white"/>{lines}{"".join(bars)}</svg>\n'
    )
