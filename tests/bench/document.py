"""Puts a command's tables into docs/speed.md, between the marks that are its own."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/speed.md"


def put(name, markdown):
    """Replaces what stands between the marks of `name`. Returns what was done, in one line."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = PAGE.read_text()
    before, _, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not closed:
        return f"{PAGE} has no marks {begin} and {end}: not written"
    PAGE.write_text(f"{before}{begin}\n\n{markdown}\n{end}{after}")
    return f"and in {PAGE}"
