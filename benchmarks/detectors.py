"""The scoreboard: ours and others' detectors on labelled series, each with the same one-alert-per-event rule.

`python -m benchmarks.detectors --root DATA --scorer score_detector.py --out DIR [NAME ...]` writes what each
detector says to DIR/NAME in the form of `seawall detect`, and prints what the scorer finds. It is not part of
`make bench`: it needs labelled data and takes minutes.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers import PEERS, Peer
from models import DETECTORS, events, files, tails
from models.alerting import QUIET, THRESHOLD, Alerting
from models.detection import detect
from models.files import Recording, Verdict
from models.normaliser import Floats

Detector = Callable[[Sequence[Recording]], list[Verdict]]
EVIDENCE = 1.0  # of one mean excess in the tail of a peer's score


def alerted(scores: Floats) -> Floats:
    """Alert scores [n] of a peer's scores [n], by the rule of models.tails and models.events."""
    tail, event = np.zeros((tails.ROWS, 1), dtype=np.float32), np.zeros((events.ROWS, 1))
    least = np.array([[1e-6]], dtype=np.float32)
    out = np.zeros(len(scores))
    for i, number in enumerate(scores.astype(np.float32).tolist()):
        count = np.array([i + 1.0])
        far = tails.beyond(tail, np.array([[number]], dtype=np.float32), count, least)[0]
        heights = events.told(event, np.zeros(1), EVIDENCE * far * (count > QUIET))
        out[i] = events.score(heights)[0]
    return out


def of_peer(peer: Peer, recordings: Sequence[Recording]) -> list[Verdict]:
    """What a peer says of each recording's first column; it forecasts nothing."""
    verdicts = []
    for one in recordings:
        values, nothing = one.values[0].copy(), np.full(len(one.at), np.nan)
        for i in np.flatnonzero(np.isnan(values)):
            values[i] = values[i - 1] if i else 0.0
        scores = peer(values, one.at)
        alert = alerted(scores)
        verdicts.append(Verdict(nothing, nothing, nothing, scores, alert >= THRESHOLD, alert))
    return verdicts


def of_ours(name: str, forecast: bool) -> Detector:
    """A detector of models.DETECTORS with its alerts."""
    return lambda recordings: detect(recordings, DETECTORS[name](), Alerting(forecast=forecast))


BOARD: dict[str, Detector] = {
    "seawall": of_ours("lstm", True),
    "seawall_without_lstm": of_ours("running_mean", False),
    **{name: lambda recordings, peer=peer: of_peer(peer, recordings) for name, peer in PEERS.items()},
}


def run(name: str, root: Path, out: Path) -> float:
    """Write the answers of one detector below `out`, in the folders of `root`; seconds taken."""
    recordings = [files.read(path) for path in sorted([*root.rglob("*.csv"), *root.rglob("*.csv.gz")])]
    began = time.process_time()
    verdicts = BOARD[name](recordings)
    spent = time.process_time() - began
    base = root / "data" if (root / "data").is_dir() else root
    for one, verdict in zip(recordings, verdicts, strict=True):
        files.write(out / one.path.relative_to(base).parent / one.path.name.removesuffix(".gz"), one, verdict)
    return spent


def score(scorer: Path, root: Path, out: Path) -> str:
    """The scorer's figures of answers in one line."""
    command = [sys.executable, str(scorer), "--root", str(root), "--scores", str(out), "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    event, false = found["events"], 5 * found["events"]["false_alerts_per_1000"]
    line = f"{found['vus_pr']:7.3f} {event['hits']:4d} of {event['windows']:<4d} {false:6.2f}"
    for profile in found.get("nab", {}).values():
        line += f"  {profile['optimal']:5.1f} ({profile['shipped']:5.1f})"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detectors", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of labelled series, as the scorer reads it"
    )
    parser.add_argument("--scorer", type=Path, required=True, help="score_detector.py")
    parser.add_argument("--out", type=Path, required=True, help="folder of the answers")
    parser.add_argument(
        "names", nargs="*", default=list(BOARD), metavar="NAME", help=f"of {', '.join(BOARD)}"
    )
    args = parser.parse_args()
    print(f"{'detector':<22} seconds  VUS-PR  events hit  false/5000  NAB: best (shipped)")
    for name in args.names:
        spent = run(name, args.root, args.out / name)
        print(f"{name:<22} {spent:7.0f} {score(args.scorer, args.root, args.out / name)}", flush=True)


if __name__ == "__main__":
    main()
