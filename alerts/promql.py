"""Pieces of PromQL for the rules: durations, thresholds by registry or label, shares of events."""

from collections.abc import Callable, Sequence

from seawall.core.slos import SloRow, Target

LEAST_EVENTS = 20  # as alerts/ratio.py asks


def duration(seconds: float) -> str:
    """Seconds -> Prometheus' notation in one unit: 5400 -> `90m`."""
    whole = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def pattern(names: str) -> str:
    """A target's `registry` as a regular expression: `eu-*.x` -> `eu-.*[.]x`."""
    return names.replace(".", "[.]").replace("*", ".*")


def by_registry(row: SloRow, make: Callable[[str, float], str]) -> str:
    """`make(matchers, threshold)` for each target and for the rest, joined by `or`; the first match holds.
    Matchers begin with a comma, or are ""."""
    found, before = [], ""
    for target in row.targets:
        found.append(make(f'{before}, registry=~"{pattern(target.registry)}"', target.value))
        before += f', registry!~"{pattern(target.registry)}"'
        if target.registry == "*":
            return " or ".join(found)
    return " or ".join([*found, make(before, row.objective.value)])


def by_series(row: SloRow, make: Callable[[str], str], beyond: str) -> str:
    """Series (`make` of braces with matchers, or of "") that are `beyond` (`>`) their own threshold."""
    found = []
    for place, target in enumerate(row.targets):
        found.append(f"({_less(make, target, row.targets[:place])}) {beyond} {target.value:g}")
    rest = " unless ".join([make(""), *(make(_braces(it)) for it in row.targets)])
    return " or ".join(f"({it})" for it in [*found, f"({rest}) {beyond} {row.objective.value:g}"])


def _less(make: Callable[[str], str], target: Target, earlier: Sequence[Target]) -> str:
    return " unless ".join([make(_braces(target)), *(make(_braces(it)) for it in earlier)])


def _braces(target: Target) -> str:
    pairs = [f'registry=~"{pattern(target.registry)}"', *(f'{k}="{quoted(v)}"' for k, v in target.labels)]
    return "{" + ", ".join(pairs) + "}"


def quoted(text: str) -> str:
    """Text for between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def matching(labels: Sequence[tuple[str, str]], more: str = "") -> str:
    """Labels with regular expressions -> matchers in braces, or ""; `more`: matchers, each after a comma."""
    pairs = "".join(f', {name}=~"{quoted(value)}"' for name, value in labels) + more
    return f"{{{pairs[2:]}}}" if pairs else ""


def events(row: SloRow, span: str, more: str = "") -> tuple[str, str]:
    """(bad, all) events of a ratio row over a range, by registry; no bad series is no bad event."""
    total = f"sum by (registry) (increase({row.signal}{matching(row.among, more)}[{span}]))"
    chosen = matching((*row.among, *(pair for pair in row.bad if pair not in row.among)), more)
    return f"(sum by (registry) (increase({row.signal}{chosen}[{span}])) or 0 * {total})", total


def share(row: SloRow, span: str, least: int = 0, more: str = "") -> str:
    """The share of bad events; none where there were no events, or fewer than `least`."""
    bad, total = events(row, span, more)
    return f"{bad} / ({total} {f'>= {least}' if least else '> 0'})"
