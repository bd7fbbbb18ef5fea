"""Records the incidents that the notebooks take apart: `python -m notebooks.record FOLDER`.

A real registry under pulls is killed three times while Seawall watches it. One repair is rejected and the
registry started by hand, one is left undecided until it was started by hand, one is approved by a second
person after a wait. What Seawall kept is written as `seawall import` reads it, with its records; users,
tokens and sessions are left out, and the folder of this repository is replaced. Takes about seven minutes.
"""

import gzip
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from notebooks.exporting import write_events, write_samples
from seawall.client import Client
from seawall.config import load
from seawall.demo.plant import Plant
from seawall.demo.registry import RegistryStand
from seawall.judging import History

CALM, THINK, PULLS = 80.0, 25.0, "0.7"
SECRETS = ("tokens", "token_details", "sessions", "users")
ROOT, ELSEWHERE = str(Path(__file__).parent.parent), "/opt/seawall"  # where it is said to be installed


class Slow(Plant):
    """The demo's plant, with fewer pulls, so that the recording stays small."""

    def _start(self, command: list[str], log: Path, **options: Any) -> Any:
        if "seawall.demo.traffic" in command:
            command = [*command, "--pulls-per-second", PULLS]
        return super()._start(command, log, **options)

    def _yaml(self, name: str, data: dict[str, Any]) -> None:
        """Each failure opens an incident of its own."""
        super()._yaml(name, {**data, "incidents": {"reopen": "0s"}} if name == "seawall.yaml" else data)


def until(ask: Callable[[], Any], seconds: float) -> Any:
    """Its first answer that is true; SystemExit when none came in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.5)
    raise SystemExit(f"nothing came within {seconds:.0f} s")


def asked(client: Client) -> dict[str, Any]:
    """The action that waits for a person."""
    return until(
        lambda: next(
            (it for it in client.get("/actions")["items"] if it["state"] == "awaiting_approval"), None
        ),
        90,
    )


def closed(client: Client) -> bool:
    """Every incident is resolved."""
    return until(lambda: all(it["state"] == "resolved" for it in client.get("/incidents")["items"]), 240)


def story(client: Client, stand: RegistryStand, plant: Plant) -> None:
    """The three failures, one after the other."""
    second = plant.second_person()
    time.sleep(CALM)
    stand.kill()
    action = asked(client)
    second.post(
        f"/actions/{action['id']}/reject", {"reason": "the disk is being changed; started by hand afterwards"}
    )
    time.sleep(THINK)
    stand.start()
    closed(client)
    print("rejected", action["id"], flush=True)
    time.sleep(CALM / 2)
    stand.kill()
    print("left alone", asked(client)["id"], flush=True)
    time.sleep(2 * THINK)
    stand.start()
    closed(client)
    time.sleep(CALM / 2)
    stand.kill()
    action = asked(client)
    time.sleep(THINK)
    second.post(
        f"/actions/{action['id']}/approve", {"digest": action["preview"]["digest"], "reason": "seen the diff"}
    )
    closed(client)
    print("healed by", action["id"], flush=True)
    time.sleep(20)


def keep(plant: Plant, out: Path) -> None:
    """What Seawall kept, once it has ended."""
    out.mkdir(parents=True, exist_ok=True)
    history = History(load(plant.folder / "seawall.yaml"), plant.state)
    try:
        write_samples(history, out / "samples.csv.gz")
        write_events(history, out / "events.csv.gz")
    finally:
        history.close()
    copy = out / "records.sqlite"
    with sqlite3.connect(plant.state / "records.sqlite") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    target.close()
    trimmed = sqlite3.connect(copy, isolation_level=None)
    for table in SECRETS:
        trimmed.execute(f"DELETE FROM {table}")
    trimmed.execute("UPDATE actions SET body = replace(body, ?, ?)", (ROOT, ELSEWHERE))
    trimmed.execute("PRAGMA journal_mode=DELETE")
    trimmed.execute("VACUUM")
    trimmed.close()
    with copy.open("rb") as read, gzip.GzipFile(out / "records.sqlite.gz", "wb", mtime=0) as written:
        shutil.copyfileobj(read, written)
    copy.unlink()


def main(out: Path) -> None:
    """Record, keep, clean up."""
    plant = Slow("process", auto=False)
    try:
        stand = plant.open(lambda *said: print(*said, flush=True), lambda done, total: None)
        story(plant.client(), stand, plant)
        seawall = plant._processes[0]
        seawall.terminate()
        seawall.wait(30)
        keep(plant, out)
    finally:
        plant.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
