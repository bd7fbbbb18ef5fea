"""Board `Remediation`: what waits for a person and for how long, how runs end, how soon all is well again."""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import QUARTER, THIRD, frame, heat, lines, number, placed
from seawall.core.slos import SloRow

UID = "seawall-remediation"
WAIT, RECOVERY = "seawall_approval_wait_seconds", "seawall_recovery_seconds"
RANGE = "[$__range]"


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Now, approvals, runs, recovery. A repair belongs to no registry on /metrics: look into the console."""
    about = "What waits for a person and for how long, how do runs end, and how soon is all well again?"
    made = frame(UID, "Remediation", about, console, "now-7d")
    made = placed(made, "Now", *_now())
    made = placed(made, "Approvals", *_waits())
    return placed(made, "Runs and recovery", *_runs())


def _now() -> tuple[Shown, ...]:
    open_ones = "sum by (state, severity) (seawall_incidents)"
    waiting = 'seawall_actions{state="awaiting_approval"}'
    alarm: list[tuple[float | None, str]] = [(None, "green"), (1, "orange")]
    return (
        number("Waiting for an approval", waiting, "waiting", span=QUARTER, steps=alarm),
        lines("Actions under way", ("seawall_actions", "{{state}}"), span=THIRD, stacked=True),
        lines("Incidents", (open_ones, "{{state}} {{severity}}"), span=10, stacked=True),
    )


def _of(metric: str, share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (increase({metric}_bucket{RANGE})))"


def _mean(metric: str) -> str:
    return f"sum(increase({metric}_sum{RANGE})) / sum(increase({metric}_count{RANGE}))"


def _waits() -> tuple[Shown, ...]:
    return (
        number("Half are approved within", _of(WAIT, 0.5), "P50", "s"),
        number("Nine of ten within", _of(WAIT, 0.9), "P90", "s"),
        heat("From the preview to the approval", WAIT, ""),
    )


def _runs() -> tuple[Shown, ...]:
    outcomes = ("sum by (outcome) (seawall_runs_total)", "{{outcome}}")
    books = ("sum by (playbook) (seawall_runs_total)", "{{playbook}}")
    since = "Since the start of Seawall."
    return (
        lines("Runs by outcome", outcomes, span=THIRD, about=since),
        lines("Runs by playbook", books, span=THIRD, about=since),
        number("Mean time to recover", _mean(RECOVERY), "mean", "s", span=THIRD,
               about="From the opening of an incident to the proof that a run healed it."),
        heat("Time to recover", RECOVERY, "", span=24),
    )  # fmt: skip
