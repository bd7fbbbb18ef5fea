"""Anomalies as episodes: each begins with an alert and ends when its signal has calmed down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from models.explain import promise_of, text_of
from seawall.core.errors import InputError
from seawall.core.foresight import Anomaly, Forecast, Part
from seawall.core.ports import Score
from seawall.core.slos import SloRow, SloStatus

UNUSUAL = 0.5  # a score from which a sample is unusual
MEMORY = 1 / 8  # of the mean score, by sample
ALERTED, TOGETHER, CALM = 0.5, 0.25, 0.1  # mean score: at least after an alert; named by others; over
GONE = 900.0  # seconds without a sample after which a spell is over
REMEMBERED = 500
SIMILAR = 3


@dataclass(frozen=True, slots=True)
class Spell:
    """A signal is unusual: since when, its last sample, its mean score lately."""

    registry: str
    signal: str
    since: float
    last: float
    level: float

    def after(self, at: float, score: Score, alert: bool) -> "Spell":
        """With one more sample."""
        level = self.level + MEMORY * ((0.0 if score.silent else score.score) - self.level)
        return replace(self, last=at, level=max(level, ALERTED) if alert else level)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is saved."""

    episodes: tuple[Anomaly, ...]
    spells: tuple[Spell, ...]


_KEPT = TypeAdapter(Kept)


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at one registry: what was observed and said of each signal, and what is promised."""

    registry: str
    at: float
    observed: Mapping[str, float]
    scores: Mapping[str, Score]
    statuses: Sequence[SloStatus] = ()
    forecasts: Sequence[Forecast] = ()


@dataclass
class Episodes:
    """All episodes of an installation; `rows` lend their titles and units."""

    rows: Sequence[SloRow]
    open: dict[tuple[str, str], Anomaly] = field(default_factory=dict)
    past: list[Anomaly] = field(default_factory=list)
    _spells: dict[tuple[str, str], Spell] = field(default_factory=dict)

    def see(self, moment: Moment, alerts: Mapping[str, str]) -> list[Anomaly]:
        """Learn one look; `alerts` are the signals that alert now, and by which channel. Returns what began,
        changed or ended."""
        for signal, score in moment.scores.items():
            self._spell(moment, signal, score, signal in alerts)
        self._calm(moment)
        lasting = [signal for registry, signal in self.open if registry == moment.registry]
        told = []
        for signal in dict.fromkeys([*lasting, *moment.scores]):
            before = self.open.get((moment.registry, signal))
            after = self._after(before, moment, signal, alerts.get(signal))
            if after is not None and after != before:
                told.append(after)
                self._keep(after)
        return told

    def _spell(self, moment: Moment, signal: str, score: Score, alert: bool) -> None:
        """A spell begins with an unusual sample; each further one feeds or starves it."""
        key = (moment.registry, signal)
        unusual = alert or (not score.silent and score.score >= UNUSUAL)
        if key in self._spells or unusual:
            before = self._spells.get(key, Spell(moment.registry, signal, moment.at, moment.at, 0.0))
            self._spells[key] = before.after(moment.at, score, alert)

    def _calm(self, moment: Moment) -> None:
        """Forget the spells of the registry that are over."""
        for key, spell in list(self._spells.items()):
            gone = moment.at - spell.last > GONE
            if key[0] == moment.registry and (gone or spell.level < CALM):
                del self._spells[key]

    def _keep(self, episode: Anomaly) -> None:
        key = (episode.registry, episode.signal)
        if episode.until is None:
            self.open[key] = episode
        else:
            del self.open[key]
            self.past = [episode, *self.past][:REMEMBERED]

    def all(self) -> list[Anomaly]:
        """Those that last, then the past ones, the newest first."""
        lasting = sorted(self.open.values(), key=lambda it: it.since, reverse=True)
        return [*lasting, *self.past]

    def state(self) -> bytes:
        """Everything remembered, as JSON."""
        return _KEPT.dump_json(Kept(tuple(self.all()), tuple(self._spells.values())))

    def restore(self, state: bytes) -> None:
        """Continue from `state`; InputError, with nothing changed, if it is none."""
        try:
            kept = _KEPT.validate_json(state)
        except ValueError as error:
            raise InputError("anomalies", f"cannot be read: {error}", "start without them") from error
        self.open = {(it.registry, it.signal): it for it in kept.episodes if it.until is None}
        self.past = [it for it in kept.episodes if it.until is not None]
        self._spells = {(it.registry, it.signal): it for it in kept.spells}

    def _after(
        self, before: Anomaly | None, moment: Moment, signal: str, channel: str | None
    ) -> Anomaly | None:
        """The signal's episode after this look; None if it has none."""
        spell = self._spells.get((moment.registry, signal))
        if before is None:
            return None if channel is None else self._begun(moment, signal, spell, channel)
        promise, words = promise_of(self.rows, moment.statuses, moment.forecasts)
        if spell is None:
            over = replace(before, until=moment.at)
            return replace(over, text=text_of(self.rows, over, words))
        score = moment.scores.get(signal)
        worse = (
            score is not None
            and not score.silent
            and _distance(moment.observed[signal], score) > _far(before)
        )
        if not worse and promise == before.promise:
            return before
        found = self._measured(before, moment) if worse else before
        found = replace(found, parts=self._parts(moment, signal) or found.parts, promise=promise)
        return replace(found, text=text_of(self.rows, found, words))

    def _begun(self, moment: Moment, signal: str, spell: Spell | None, channel: str) -> Anomaly:
        score = moment.scores[signal]
        promise, words = promise_of(self.rows, moment.statuses, moment.forecasts)
        made = Anomaly(
            registry=moment.registry,
            signal=signal,
            model=score.model,
            since=spell.since if spell else moment.at,
            at=moment.at,
            until=None,
            observed=moment.observed[signal],
            expected=score.expected,
            lower=score.lower,
            upper=score.upper,
            score=score.score,
            channel=channel,
            parts=self._parts(moment, signal),
            promise=promise,
        )
        made = replace(made, similar=self._similar(made))
        return replace(made, text=text_of(self.rows, made, words))

    def _measured(self, before: Anomaly, moment: Moment) -> Anomaly:
        """The episode with the figures of this, its most unusual moment so far."""
        score = moment.scores[before.signal]
        return replace(
            before,
            at=moment.at,
            observed=moment.observed[before.signal],
            expected=score.expected,
            lower=score.lower,
            upper=score.upper,
            score=max(score.score, before.score),
        )

    def _parts(self, moment: Moment, signal: str) -> tuple[Part, ...]:
        """Other signals of the registry that are unusual together with this one, the loudest first."""
        found = [
            Part(name, round(spell.level, 3))
            for (registry, name), spell in self._spells.items()
            if registry == moment.registry and name != signal and spell.level >= TOGETHER
        ]
        return tuple(sorted(found, key=lambda part: (-part.score, part.signal)))

    def _similar(self, made: Anomaly) -> tuple[float, ...]:
        """Earlier episodes of the signal in the same direction, the most alike first."""
        own, up = {part.signal for part in made.parts}, made.observed > made.expected

        def unlike(other: Anomaly) -> tuple[float, float]:
            theirs = {part.signal for part in other.parts}
            shared = len(own & theirs) / len(own | theirs) if own | theirs else 1.0
            return (
                abs(_far(made) - _far(other)) / (_far(made) + _far(other) + 1e-9) + 1 - shared,
                -other.since,
            )

        same = [
            other
            for other in self.past
            if (other.registry, other.signal) == (made.registry, made.signal)
            and (other.observed > other.expected) == up
        ]
        return tuple(other.since for other in sorted(same, key=unlike)[:SIMILAR])


def _distance(observed: float, score: Score) -> float:
    """How far beyond the band, in half-widths of it."""
    side = score.upper - score.expected if observed > score.expected else score.expected - score.lower
    return abs(observed - score.expected) / max(side, 1e-12)


def _far(it: Anomaly) -> float:
    return _distance(it.observed, Score(it.expected, it.lower, it.upper, it.score, ""))
