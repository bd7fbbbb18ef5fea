"""The pull probe: one synthetic pull of one registry from one site a round (the pull itself: pulling/)."""

import hashlib
import time
from collections import Counter

from collectors import starved
from collectors.pulling.exchange import Endpoint
from collectors.pulling.pull import MISMATCH, VERIFIED, Pull, Wanted, probe
from collectors.pulling.tokens import Tokens
from seawall.core.signals import CLOCK_SKEW, PROBE_DURATION, PROBE_SUCCESS, Batch, Event, Sample, labels
from seawall.core.times import rfc3339

LOCAL = "local"
STALLED = 0.1  # of the deadline: a pull that fails for want of time while we stood still so long says nothing


class PullProbe:
    """Collector: samples seawall_probe_success{site} and seawall_probe_duration_seconds{site,phase} (phase
    total: the whole of a pull that succeeded); a failure is an Event and a note too. Tokens are kept between
    rounds, connections are not: each round opens its own, as a client's pull does.

    `digests` counts what was verified since the start, by result (verified, mismatch).
    """

    def __init__(
        self, registry: str, endpoint: Endpoint, wanted: Wanted, site: str = LOCAL, interval: float = 10.0
    ) -> None:
        self.name = "probe" if site == LOCAL else f"probe@{site}"
        self.registry, self.site, self.interval, self.timeout = registry, site, interval, wanted.deadline + 1
        self.digests = Counter({VERIFIED: 0, MISMATCH: 0})
        self._endpoint, self._wanted, self._tokens = endpoint, wanted, Tokens()

    async def collect(self, now: float) -> Batch:
        """Pull once; a failing registry is data, not an error; where Seawall itself was starved there is
        none. InputError for a file that cannot be read."""
        lateness, began = starved.lateness(), time.monotonic()
        pull = await probe(self._endpoint, self._wanted, self._tokens, now)
        if pull.late and (stalled := lateness.worst(began)) > STALLED * self._wanted.deadline:
            return Batch(notes=[f"not judged: Seawall itself was too busy to read for {stalled:.1f} s"])
        self.digests.update(pull.digests)
        batch = Batch(samples=self._samples(pull, now))
        if pull.note:
            batch.notes.append(f"the image was not pulled: {pull.note}")
        if skewed := pull.clock():
            batch.notes.append(skewed)
        if not pull.ok:
            batch.notes.append(_told(pull))
            batch.events.append(self._event(pull, now))
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a probe has no position."""

    def _samples(self, pull: Pull, now: float) -> list[Sample]:
        here = labels(site=self.site)
        samples = [Sample(self.registry, PROBE_SUCCESS, now, float(pull.ok), here)]
        if pull.skew is not None:
            samples.append(Sample(self.registry, CLOCK_SKEW, now, round(pull.skew), here))
        phases = pull.seconds_by_phase() | ({"total": pull.seconds} if pull.ok else {})
        return samples + [
            Sample(self.registry, PROBE_DURATION, now, seconds, labels(site=self.site, phase=phase))
            for phase, seconds in phases.items()
        ]

    def _event(self, pull: Pull, now: float) -> Event:
        fields = {
            "@timestamp": rfc3339(now),
            "event.dataset": "seawall.probe",
            "event.outcome": "failure",
            "event.duration": round(pull.seconds * 1e9),
            "message": f"synthetic pull failed: {_told(pull)}",
            "error.message": pull.reason,
            "registry.name": self.registry,
            "seawall.phase": pull.phase,
            "seawall.site": self.site,
        }
        name = f"probe\0{self.registry}\0{self.site}\0{now:.6f}"
        return Event(hashlib.blake2b(name.encode(), digest_size=16).hexdigest(), now, self.registry, fields)


def _told(pull: Pull) -> str:
    """`connect: connection refused after 0.4 ms`."""
    failed = next((p for p in pull.phases if p.error == pull.reason), None)
    seconds = failed.seconds if failed else pull.seconds
    return f"{pull.phase}: {pull.reason} after {seconds * 1000:.1f} ms"
