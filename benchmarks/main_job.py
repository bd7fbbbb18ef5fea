"""How fast the main job is: the demo's own figures, from one run with a second person's approval."""

import json
import subprocess
import sys
import time

from benchmarks.figure import Figure
from seawall.core.times import parse_time


def measure() -> list[Figure]:
    """Runs `seawall demo --yes --json`; raises if the registry was not healed."""
    began = time.monotonic()
    command = [sys.executable, "-m", "seawall", "demo", "--yes", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=400)
    whole = time.monotonic() - began
    summary = json.loads(done.stdout)
    action = summary["action"]
    approved = parse_time(action["approvals"][0]["at"])
    run = action["run"]
    return [
        Figure("kill to incident", summary["detect"], 2 * summary["probe_interval"] + 1, "s"),
        Figure(
            "approval to first task of the final check",
            parse_time(run["check_first_task_at"]) - approved,
            3,
            "s",
        ),
        Figure("approval to first changing task", parse_time(run["first_change_at"]) - approved, 6, "s"),
        Figure("kill to proven recovery", summary["recover"], 60, "s"),
        Figure("the whole demo", whole, 180, "s"),
    ]
