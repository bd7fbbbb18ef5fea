"""An anomaly in words: seen against expected, what else is unusual, what it means for the promise."""

from collections.abc import Mapping, Sequence

from seawall.core.foresight import Anomaly, Forecast
from seawall.core.slos import SloRow, SloStatus, Status
from seawall.core.times import format_duration, rfc3339

MODELS = {"lstm": "the LSTM", "seasonal": "the seasonal baseline"}

CHANNELS = {
    "value": " by a value that was not seen before",
    "surprise": " by a value outside the band",
    "surprise_5": " by five values that lie off the forecast",
    "surprise_20": " by twenty values that lie off the forecast",
    "variance": " by how much it moves",
    "level": " by its level",
    "flat": " by standing still",
    "gap": " by a gap",
    "context": " by its course, unlike that of other days",
}


def promise_of(
    rows: Sequence[SloRow], statuses: Sequence[SloStatus], forecasts: Sequence[Forecast]
) -> tuple[str, str]:
    """(within | at_risk | breached, the same in words) of a registry's rows, the worst first."""
    titles = {row.name: row.title for row in rows}
    broken = [s for s in statuses if s.status is Status.BREACHED or s.indicator_ok is False]
    if broken:
        return "breached", f"Breached: {', '.join(titles.get(s.name, s.name) for s in broken)}."
    risks = [it for it in forecasts if it.at_risk]
    if risks:
        told = "; ".join(f"{titles.get(it.slo, it.slo)}: {it.reason}" for it in risks)
        return "at_risk", f"At risk: {told}."
    likely = max(forecasts, key=lambda it: it.probability, default=None)
    if likely is None:
        return "within", "No promise is breached; nothing is forecast yet."
    chance = f"{likely.probability:.0%} within {format_duration(likely.horizon)}"
    return "within", f"No promise is breached; likeliest to be: {titles.get(likely.slo)}, {chance}."


def text_of(rows: Sequence[SloRow], it: Anomaly, promise: str) -> str:
    """The anomaly in a few sentences; `promise` is the last of them."""
    by_name = {row.name: row for row in rows}
    unit = _unit(it.signal, by_name)
    observed, expected, lower, upper = (
        _amount(value, unit) for value in (it.observed, it.expected, it.lower, it.upper)
    )
    verb, until = ("is", "") if it.until is None else ("was", f" until {rfc3339(it.until)}")
    sentences = [
        f"{title_of(it.signal, by_name)} {verb} unusual since {rfc3339(it.since)}{until}"
        f"{CHANNELS.get(it.channel, '')}: {observed} at "
        f"{rfc3339(it.at)}, where {MODELS.get(it.model, it.model)} expected {expected} ({lower} to {upper})."
    ]
    if it.parts:
        others = ", ".join(title_of(part.signal, by_name) for part in it.parts)
        sentences.append(f"Unusual with it: {others}.")
    if it.similar:
        sentences.append(f"Similar before: {', '.join(map(rfc3339, it.similar))}.")
    return " ".join([*sentences, promise])


def title_of(signal: str, rows: Mapping[str, SloRow]) -> str:
    """`slo:NAME` by its row's title, `seawall_probe_duration_seconds{site=local}` in words."""
    row = rows.get(signal.removeprefix("slo:"))
    if row is not None:
        return row.title
    name, _, rest = signal.removeprefix("seawall_").partition("{")
    words = name.removesuffix("_seconds").removesuffix("_ratio").removesuffix("_total").replace("_", " ")
    where = rest.removesuffix("}").replace("=", " ")
    return f"{words.capitalize()} ({where})" if where else words.capitalize()


def _unit(signal: str, rows: Mapping[str, SloRow]) -> str:
    row = rows.get(signal.removeprefix("slo:"))
    if row is not None:
        return row.unit
    name = signal.partition("{")[0]
    return "s" if name.endswith("_seconds") else "ratio" if name.endswith("_ratio") else ""


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.3g} s"
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    return f"{value:.4g}{f' {unit}' if unit else ''}"
