"""Pulls whole images as containerd does, at a fixed rate, in a process of its own.

    python -m seawall.demo.traffic --url U --images FILE --seconds S --pulls-per-second R --report FILE

A pull starts at its moment whether or not those before it are done (open loop), so that a slow registry
is not spared; past --in-flight pulls at once the next ones are skipped and counted. It ends by itself:
after --seconds, on SIGTERM or SIGINT, and when its parent is gone.
"""

import argparse
import os
import random
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from seawall.demo.images import PLATFORMS, Image, load
from seawall.demo.pulls import Connections, Puller, Report

DRAIN_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Generator:
    """The schedule: pull number k starts at start + k / rate, whatever became of those before it."""

    def __init__(self, settings: argparse.Namespace, images: Sequence[Image]) -> None:
        self._set, self._images, self._parent = settings, images, os.getppid()
        # A registry's pulls are mostly of small images; a 50 MiB one comes every 40 s or so.
        self._weights = [image.size**-1.5 for image in images]
        self._random = random.Random(settings.seed)  # noqa: S311
        self.report = Report(started=time.time())
        self._connections = Connections(settings.url)
        self._pool = ThreadPoolExecutor(settings.in_flight, "pull")
        self._downloads = ThreadPoolExecutor(settings.in_flight, "download")
        self._puller = Puller(self._connections, self._downloads, self.report)
        self._pulls: set[Future[None]] = set()

    def run(self) -> None:
        """Until --seconds are over, a signal comes or the parent is gone; then the last report."""
        # Blocked before any thread starts, the signals come to sigtimedwait alone.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.report.ended = self._schedule()
            if self.report.ended == "seconds":
                wait(self._pulls, timeout=DRAIN_SECONDS)
        finally:
            self._stop()
        self._write()

    def _schedule(self) -> str:
        start, rate = time.perf_counter(), self._set.pulls_per_second
        number, reports = 0, 0
        while (elapsed := time.perf_counter() - start) < self._set.seconds:
            while number / rate <= elapsed:
                self._begin()
                number += 1
            if reports <= elapsed:
                self._write()
                reports += 1
                if os.getppid() != self._parent:
                    return "parent gone"
            moment = min(number / rate, reports, self._set.seconds)
            if told := signal.sigtimedwait(SIGNALS, max(moment - (time.perf_counter() - start), 0)):
                return signal.Signals(told.si_signo).name
        return "seconds"

    def _begin(self) -> None:
        image = self._random.choices(self._images, self._weights)[0]
        self._forget_done()
        if len(self._pulls) >= self._set.in_flight:
            self.report.skipped_pulls += 1
            return
        self._pulls.add(self._pool.submit(self._puller.pull, image, self._random.choice(PLATFORMS)))

    def _forget_done(self) -> None:
        for pull in [pull for pull in self._pulls if pull.done()]:
            self._pulls.remove(pull)
            pull.result()

    def _stop(self) -> None:
        self._connections.break_off()
        for pool in (self._pool, self._downloads):
            pool.shutdown(cancel_futures=True)

    def _write(self) -> None:
        self.report.in_flight = sum(not pull.done() for pull in self._pulls)
        self._puller.write(self._set.report)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m seawall.demo.traffic", description=__doc__)
    made.add_argument("--url", required=True)
    made.add_argument("--images", type=Path, required=True, help="JSON list, as images.save writes it")
    made.add_argument("--report", type=Path, required=True, help="JSON, replaced every second")
    made.add_argument("--seconds", type=float, default=180.0)
    made.add_argument("--pulls-per-second", type=float, default=13.0)
    made.add_argument("--in-flight", type=int, default=32, help="at most so many pulls at once")
    made.add_argument("--seed", type=int, default=1)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the generator of these command-line arguments."""
    settings = parser().parse_args(arguments)
    Generator(settings, load(settings.images)).run()


if __name__ == "__main__":
    main()
