"""From a registry's own names to Seawall's signals: one table of rules a kind, and one collector for all.

Raw counters are kept as the page has them: they fall when the registry restarts, and who reads them counts a
fall as a restart (`seawall.core.counters`). Labels that a rule does not name are summed over. A sum that is
not finite, or of which one line is broken, is unknown: no sample.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collectors.pages import Page, Series, Target, fetch, read_page
from seawall.core.signals import Batch, Labels, Sample, labels

Translation = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Series `source` becomes `signal`.

    `keep`: our label -> the page's label; `translate`: our label -> (the page's value -> ours; one that is
    not named stays); `where`: the page's label -> the values that count; `fixed`: labels of ours that are
    always the same; `factor` turns the page's unit into ours.
    """

    source: str
    signal: str
    keep: Mapping[str, str] = field(default_factory=dict)
    translate: Mapping[str, Translation] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    factor: float = 1.0

    def takes(self, series: Series) -> bool:
        """Does this line of the page count?"""
        return all(series.labels.get(name, "") in values for name, values in self.where.items())

    def labels_of(self, series: Series) -> Labels:
        """Our labels for one line of the page."""
        pairs = dict(self.fixed)
        for ours, theirs in self.keep.items():
            value = series.labels.get(theirs, "")
            pairs[ours] = self.translate.get(ours, {}).get(value, value)
        return labels(**pairs)


def apply_rules(rules: Sequence[Rule], page: Page, registry: str, now: float) -> list[Sample]:
    """The samples that `rules` make of a page, each label set once."""
    totals: dict[tuple[str, Labels], float] = {}
    for rule in rules:
        for series in page.of(rule.source):
            if rule.takes(series):
                key = rule.signal, rule.labels_of(series)
                totals[key] = totals.get(key, 0.0) + series.value * rule.factor
    return [
        Sample(registry, signal, now, value, pairs)
        for (signal, pairs), value in sorted(totals.items())
        if math.isfinite(value)
    ]


class MetricsPage:
    """Collector of one page by a table of rules. `broken` counts the lines that could not be read.

    `wanted` names series beside those of the rules; what they say is added by `_add`.
    """

    wanted: tuple[str, ...] = ()

    def __init__(
        self,
        registry: str,
        target: Target,
        rules: Sequence[Rule],
        name: str = "metrics",
        interval: float = 15.0,
    ) -> None:
        self.name, self.registry, self.interval = name, registry, interval
        self.timeout = target.timeout
        self.broken = 0
        self._target, self._rules = target, tuple(rules)
        self._names = frozenset(rule.source for rule in rules) | set(self.wanted)

    async def collect(self, now: float) -> Batch:
        """One scrape. SeawallError if the page cannot be had, InputError if nothing of it can be read."""
        page = read_page(await fetch(self._target), self._names, self._target)
        self.broken += page.broken
        batch = Batch(samples=apply_rules(self._rules, page, self.registry, now))
        batch.notes += map(str, page.findings)
        await self._add(page, now, batch)
        if page.findings and not batch.samples:
            raise page.findings[0]
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a scrape has no position."""

    async def _add(self, page: Page, now: float, batch: Batch) -> None:
        """What the rules cannot say."""
