"""Board `Seawall itself`: do its collectors work, does it keep up, who leads, what could it not read?"""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import HALF, QUARTER, REGISTRY, THIRD, frame, lines, number, placed, rate
from dashboards.states import UP, over_time
from seawall.core.signals import COLLECTOR_UP, LOG_BACKLOG
from seawall.core.slos import SloRow

UID = "seawall-itself"
TURN = "seawall_cycle_duration_seconds"
LEADS = {"0": ("follows", "text"), "1": ("leads", "green")}


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Collectors, turns and queues, logs."""
    about = "Do the collectors work, does Seawall keep up, who leads, what could it not read?"
    made = frame(UID, "Seawall itself", about, console, "now-6h")
    made = placed(made, "Collectors", *_collectors())
    made = placed(made, "Work", *_work())
    return placed(made, "What is read", *_reading())


def _collectors() -> tuple[Shown, ...]:
    legend = "{{registry}} {{collector}}"
    took = f"seawall_collector_duration_seconds{{{REGISTRY}}}"
    return (
        over_time("Last collection succeeded", f"{COLLECTOR_UP}{{{REGISTRY}}}", legend, HALF, UP),
        lines("Duration of the last collection", (took, legend), unit="s"),
    )


def _work() -> tuple[Shown, ...]:
    turns = [
        (
            f"histogram_quantile({share}, sum by (le) (rate({TURN}_bucket[$__rate_interval])))",
            f"P{100 * share:g}",
        )
        for share in (0.5, 0.9)
    ]
    number_of = ("sum(rate(seawall_cycle_duration_seconds_count[$__rate_interval]))", "turns")
    return (
        over_time("Leadership", "seawall_leader", "{{instance}}", QUARTER, LEADS),
        lines("Turns", number_of, unit="cps", span=QUARTER),
        lines("Duration of a turn", *turns, unit="s", span=QUARTER),
        lines("Queues", ("seawall_queue_depth", "{{queue}}"), span=QUARTER),
    )


def _reading() -> tuple[Shown, ...]:
    read = rate("seawall_log_lines_total", REGISTRY, "registry, source, result")
    broken = f"sum by (registry, collector) (seawall_page_lines_broken_total{{{REGISTRY}}})"
    waiting = f"{LOG_BACKLOG}{{{REGISTRY}}}"
    return (
        lines("Log lines", (read, "{{registry}} {{source}} {{result}}"), unit="cps", span=THIRD),
        lines("Logs still to be read", (waiting, "{{registry}} {{source}}"), unit="bytes", span=THIRD),
        lines("Unreadable lines of metrics pages", (broken, "{{registry}} {{collector}}"), span=THIRD),
        number("Audit entries", "seawall_audit_head_info", "{{hash}}", span=HALF,
               about="The newest entry's number and hash, kept where Seawall cannot change it."),
    )  # fmt: skip
