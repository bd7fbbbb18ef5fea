"""The main job, told live: watch a real registry, kill it, see it found, approved, healed and proved."""

import getpass
import json
import os
import select
import shlex
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.syntax import Syntax

from seawall import paint
from seawall.client import Client
from seawall.core.errors import SeawallError
from seawall.core.times import format_duration, parse_time, rfc3339
from seawall.demo.plant import PROBE_INTERVAL, REGISTRY, Plant
from seawall.demo.registry import RegistryStand

WARM_UP_SECONDS = 100.0
DETECT_SECONDS = 60.0
POSTED_SECONDS = 30.0
APPROVAL_SECONDS = 3600.0
HEAL_SECONDS = 240.0
LINGER_SECONDS = 600.0
LOOK_EVERY = 0.25
ENDED = ("succeeded", "failed", "rolled_back", "escalated", "in_doubt", "rejected", "expired")
BEFORE_THE_ANSWER = ("proposed", "previewed", "awaiting_approval")  # of an action's history; already told


@dataclass(frozen=True, slots=True)
class Options:
    """How it is told: `yes` approves as a second person, `auto` lets the policy approve, `scaled` keeps
    everything in the stores at scale."""

    yes: bool
    auto: bool
    process: bool
    as_json: bool
    scaled: bool = False

    def watched(self) -> bool:
        """A person at a terminal follows it and approves. A job in the background may not read from it."""
        if self.yes or self.auto or self.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


def run(options: Options) -> int:
    """0 only if the registry was really healed. Cleans up after itself, also on Ctrl-C and SIGTERM."""
    plant = Plant("process" if options.process else "auto", options.auto, options.scaled)
    try:
        with _interrupts():
            story = Story(plant, options)
            summary = story.tell()
            if summary["healed"] and options.watched():
                story.linger()
    except KeyboardInterrupt:
        print("stopped; cleaning up", file=sys.stderr)  # noqa: T201 - progress is for people
        return 130
    finally:
        plant.close()
    if options.as_json:
        print(json.dumps(summary, ensure_ascii=False))  # noqa: T201 - the one JSON object on stdout
    return 0 if summary["healed"] else 1


@contextmanager
def _interrupts() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    # SIGINT too: a shell that starts the demo in the background hands it on as ignored.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Story:
    """One telling; all of it on stderr."""

    def __init__(self, plant: Plant, options: Options) -> None:
        self._plant, self._options = plant, options
        self._out = paint.console(stderr=True)
        self._began = time.time()
        self._timeline: list[dict[str, str]] = []
        self._alerts: list[str] = []

    def tell(self) -> dict[str, Any]:
        """The summary of DESIGN section 9."""
        stand = self._open()
        client = self._plant.client()
        self._warm_up(client)
        before, failed_before = stand.started_at(), self._plant.traffic().get("failed_pulls", 0)
        self._say("killing the registry with SIGKILL", "demo")
        killed = time.time()
        stand.kill()
        incident = self._detected(client)
        detect = parse_time(incident["opened_at"]) - killed
        self._say(f"{incident['id']} opened {detect:.1f} s after the kill: {incident['title']}", "seawall")
        self._out.print(paint.Text(incident["explanation"], "italic"))
        self._posted()
        action = self._previewed(client, incident["id"])
        action = self._healed(client, self._decided(client, action)["id"])
        return self._summary(client, stand, killed, before, failed_before, detect, action)

    def linger(self) -> None:
        """Keep everything up until Enter, Ctrl-C or the end of 10 minutes, so that one can look around."""
        span = format_duration(LINGER_SECONDS)
        self._say(f"stays up at {self._plant.url}/ for {span}; Enter or Ctrl-C ends it")
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # an Enter of before is not meant
        with suppress(KeyboardInterrupt):
            if select.select([sys.stdin], [], [], LINGER_SECONDS)[0]:
                sys.stdin.readline()
        self._say("cleaning up")

    # steps ---------------------------------------------------------------------------------

    def _say(self, text: str, actor: str = "demo") -> None:
        now = time.time()
        self._timeline.append({"at": rfc3339(now), "actor": actor, "text": text})
        self._out.print(f"{self._stamp(now)}  {paint.escape(text)}")

    def _stamp(self, at: float) -> str:
        return f"[dim]{at - self._began:6.1f} s[/]"

    def _open(self) -> RegistryStand:
        bar = Progress(
            TextColumn("        pushing images"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            console=self._out,
        )
        task = bar.add_task("push")

        def progress(done: int, total: int) -> None:
            # The last block is told once more by each worker that ends; the bar is shown once.
            if not bar.finished:
                bar.start()
                bar.update(task, completed=done, total=total)
            if bar.finished:
                bar.stop()

        try:
            return self._plant.open(self._say, progress)
        finally:
            bar.stop()

    def _warm_up(self, client: Client) -> None:
        self._say("clients pull; waiting until P99 is known and the promises are judged")

        enough = 1000 if self._plant.servers is None else 100

        def known() -> list[dict[str, Any]] | None:
            rows = {row["name"]: row for row in client.get("/slos")["items"]}
            latency, up = rows.get("pull_latency"), rows.get("availability")
            ready = (
                latency
                and up
                and latency["samples"] >= enough
                and up["indicator_ok"]
                and up["value"] is not None
            )
            return list(rows.values()) if ready else None

        rows = self._watch(known, WARM_UP_SECONDS, lambda: _worst_first(client.get("/slos")["items"]))
        if rows is None:
            raise SeawallError("the promises could not be judged in time; see seawall.log with --json off")
        self._say("all promises are judged: " + ", ".join(f"{row['name']} {row['status']}" for row in rows))

    def _watch(
        self, ask: Callable[[], Any], seconds: float, picture: Callable[[], Any] | None = None
    ) -> Any | None:
        """Ask until there is an answer, showing the matrix live where there is a terminal."""
        if picture is None:
            return _until(ask, seconds)
        shown = 0.0

        def asked() -> Any | None:
            nonlocal shown
            answer = ask()
            due = self._out.is_terminal and time.monotonic() - shown > 1
            if answer is not None or due:
                live.update(picture(), refresh=True)
                shown = time.monotonic()
            return answer

        with Live(console=self._out, auto_refresh=False, transient=False) as live:
            return _until(asked, seconds)

    def _detected(self, client: Client) -> dict[str, Any]:
        def opened() -> dict[str, Any] | None:
            items = client.get("/incidents")["items"]
            return next((it for it in items if it["slo"] == "availability"), None)

        found: dict[str, Any] | None = self._watch(opened, DETECT_SECONDS)
        if found is None:
            raise SeawallError(f"no incident {DETECT_SECONDS:.0f} s after the kill")
        return found

    def _posted(self) -> None:
        """Alertmanager holds the alert, where there is one."""
        servers = self._plant.servers
        if servers is None:
            return
        if self._watch(lambda: servers.alerts() or None, POSTED_SECONDS) is None:
            raise SeawallError(
                f"{servers.alertmanager} holds no alert {POSTED_SECONDS:.0f} s after the incident"
            )
        self._alerts = servers.alerts()
        self._say(f"Alertmanager holds {', '.join(self._alerts)}", "seawall")

    def _previewed(self, client: Client, incident: str) -> dict[str, Any]:
        def previewed() -> dict[str, Any] | None:
            items = [it for it in client.get("/actions")["items"] if it["incident"] == incident]
            return items[0] if items and (items[0]["preview"] or items[0]["state"] in ENDED) else None

        action: dict[str, Any] | None = self._watch(previewed, DETECT_SECONDS)
        if action is None or action["preview"] is None:
            raise SeawallError(f"no repair could be previewed for {incident}: {action and action['state']}")
        self._say(
            f"{action['id']} proposes {action['playbook']}, risk {action['risk']}; it would change:",
            "seawall",
        )
        self._out.print(Syntax(action["preview"]["diff"], "diff", background_color="default", word_wrap=True))
        return action

    def _decided(self, client: Client, action: dict[str, Any]) -> dict[str, Any]:
        id, digest = action["id"], action["preview"]["digest"]
        if self._options.auto:
            self._say("the policy approves restart-registry by itself", "policy")
            return action
        if self._options.yes:
            self._say(f"a second person approves {id} (preview {digest[:12]})", "second-person")
            approved: dict[str, Any] = self._plant.second_person().post(
                f"/actions/{id}/approve", {"digest": digest, "reason": "seen the diff"}
            )
            return approved
        self._ask_the_person(id)

        def decided() -> dict[str, Any] | None:
            now: dict[str, Any] = client.get(f"/actions/{id}")
            return now if now["state"] not in ("previewed", "awaiting_approval", "proposed") else None

        found: dict[str, Any] | None = self._watch(decided, APPROVAL_SECONDS)
        if found is None:
            raise SeawallError(f"nobody approved {id} in time")
        return found

    def _ask_the_person(self, id: str) -> None:
        """How to approve, in lines that no terminal breaks where they are copied."""
        state = self._plant.state
        self._say("waiting for your approval; the same page tells how to do it by hand")
        for line in (
            f"{self._plant.url}/actions/{id}",
            f"as admin, with the token in {state / 'admin-token'}",
            f"or here, as {getpass.getuser()}:",
            f"{_program()} approve {id} --state {shlex.quote(str(state))}",
        ):
            self._out.print(f"          {line}", markup=False, soft_wrap=True)

    def _healed(self, client: Client, id: str) -> dict[str, Any]:
        seen: list[str] = []

        def ended() -> dict[str, Any] | None:
            for line in client.get(f"/actions/{id}/history")["items"]:
                key = line["at"] + line["text"]
                if key not in seen:
                    seen.append(key)
                    self._tell_history(line)
            now: dict[str, Any] = client.get(f"/actions/{id}")
            return now if now["state"] in ENDED else None

        action: dict[str, Any] | None = self._watch(ended, HEAL_SECONDS)
        if action is None:
            raise SeawallError(f"{id} did not end within {format_duration(HEAL_SECONDS)}")
        return action

    def _tell_history(self, line: dict[str, Any]) -> None:
        """One line, cut where the terminal ends; the console has all of it."""
        if not line["text"].startswith(BEFORE_THE_ANSWER):
            text = paint.escape(f"{line['actor']}: {line['text']}")
            told = f"{self._stamp(parse_time(line['at']))}  {text}"
            self._out.print(told, no_wrap=self._out.is_terminal, overflow="ellipsis")

    # the end -------------------------------------------------------------------------------

    def _summary(
        self,
        client: Client,
        stand: RegistryStand,
        killed: float,
        before: float,
        failed_before: int,
        detect: float,
        action: dict[str, Any],
    ) -> dict[str, Any]:
        incident = client.get(f"/incidents/{action['incident']}")
        after = stand.started_at() if stand.running() else None
        restarted = after is not None and after > killed
        healed = action["state"] == "succeeded" and incident["state"] == "resolved" and restarted
        recovered = (action["verification"] or {}).get("recovered_at")
        recover = parse_time(recovered) - killed if recovered else None
        asked = _asked_at(client, action["id"])
        approve = parse_time(action["approvals"][0]["at"]) - asked if action["approvals"] and asked else None
        failed = self._plant.traffic().get("failed_pulls", 0) - failed_before
        bad = self._bad_minutes(client)
        story = client.get(f"/incidents/{incident['id']}/timeline")["items"]
        story += client.get(f"/actions/{action['id']}/history")["items"]
        summary = {
            "healed": healed,
            "probe_interval": PROBE_INTERVAL,
            "detect": round(detect, 3),
            "approve": approve if approve is None else round(approve, 3),
            "recover": recover if recover is None else round(recover, 3),
            "failed_pulls": failed,
            "bad_minutes": bad,
            "incident": incident,
            "action": action,
            "started": {"before": rfc3339(before), "after": after and rfc3339(after)},
            "timeline": sorted([*self._timeline, *story], key=lambda line: line["at"]),
        }
        if self._plant.servers is not None:
            summary["stores"] = self._plant.servers.figures(incident["id"]) | {"alerts": self._alerts}
        self._tell_summary(summary, restarted)
        return summary

    def _bad_minutes(self, client: Client) -> int | None:
        """Judged as of the end of the minute that runs, so that the outage's last minute counts too."""
        edge = (time.time() // 60 + 1) * 60
        rows = client.get("/slos", registry=REGISTRY, at=rfc3339(edge))["items"]
        value = next(row["value"] for row in rows if row["name"] == "availability")
        return None if value is None else round(value / 60)

    def _tell_summary(self, summary: dict[str, Any], restarted: bool) -> None:
        self._out.print(paint.matrix(self._plant.client().get("/slos")["items"]))
        made = paint.table("what", "figure")
        rows = (
            ("detected after the kill", _seconds(summary["detect"])),
            ("question to approval", _seconds(summary["approve"])),
            ("kill to proven recovery", _seconds(summary["recover"])),
            ("pulls that failed meanwhile", str(summary["failed_pulls"])),
            ("bad minutes this month", str(summary["bad_minutes"])),
            ("the registry restarted", "yes" if restarted else "NO"),
        )
        for row in rows:
            made.add_row(*row)
        for kind, found in summary.get("stores", {}).items():
            told = found if isinstance(found, dict) else {"Alertmanager": ", ".join(found)}
            made.add_row(kind, ", ".join(f"{name} {value}" for name, value in told.items()))
        self._out.print(made)
        verdict = "[bold green]healed and proved[/]" if summary["healed"] else "[bold red]NOT healed[/]"
        self._out.print(f"{verdict}: {summary['incident']['id']} is {summary['incident']['state']}")


def _until(ask: Callable[[], Any], seconds: float) -> Any | None:
    """Ask again and again until there is an answer; None if there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (answer := ask()) is not None:
            return answer
        time.sleep(LOOK_EVERY)
    return None


def _worst_first(rows: list[dict[str, Any]]) -> paint.Matrix:
    """A live picture loses its end where the terminal is low; what is bad now is not lost."""
    return paint.matrix(sorted(rows, key=lambda row: row["indicator_ok"] is not False))


def _program() -> str:
    """What starts this program, as it can be pasted into the shell that started it."""
    path = Path(sys.argv[0]).absolute()
    if path.name == "__main__.py":
        return f"{_near(Path(sys.executable))} -m seawall"
    return _near(path)


def _near(path: Path) -> str:
    """Relative to the current folder where that is shorter."""
    here = Path.cwd()
    if path.is_relative_to(here):
        near = str(path.relative_to(here))
        return shlex.quote(near if "/" in near else f"./{near}")
    return shlex.quote(str(path))


def _asked_at(client: Client, id: str) -> float | None:
    """When a person (or the policy) was asked: the action's preview was there."""
    lines = client.get(f"/actions/{id}/history")["items"]
    at = next((line["at"] for line in lines if line["text"].startswith("previewed")), None)
    return parse_time(at) if at else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
