"""Harbor's API answers -> samples and notes. Pure; shapes are those of api/v2.0/swagger.yaml.

A field that is missing or of another type is unknown: no sample, and never an error for its neighbours.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from collectors.harbor import Project, quota_notes, quota_samples
from seawall.core.errors import InputError
from seawall.core.signals import (
    COMPONENT_UP,
    GC_DURATION,
    GC_FAILED,
    GC_FREED,
    GC_LAST_SUCCESS,
    GC_PROGRESS,
    GC_RUNNING,
    JOBS_LATENCY,
    JOBS_PAUSED,
    JOBS_QUEUED,
    REPLICATION_EXECUTIONS,
    REPLICATION_FAILING,
    REPLICATION_LAST_SUCCESS,
    REPLICATION_RUNNING,
    ROBOT_EXPIRY,
    STORAGE_BYTES,
    STORAGE_USED_RATIO,
    STORED_BYTES,
    Batch,
    Sample,
    labels,
)
from seawall.core.times import format_duration, parse_time

SOON = 14 * 86400.0  # seconds before a robot expires in which it is named
_RUNNING = ("Running", "Pending", "Scheduled")
_OUTCOMES = {"Succeed": "success", "Failed": "failed", "Stopped": "stopped", "InProgress": "in_progress"}
_STEP = re.compile(r"\[(\d+)/(\d+)\]")
Json = Mapping[str, Any]


def health(document: Any, registry: str, now: float) -> Batch:
    """/health -> seawall_component_up. The status code says nothing, so that a body without components is an
    InputError."""
    components = list(_objects(document.get("components") if isinstance(document, dict) else None))
    if not components:
        raise InputError("/health", "no component in the answer", "name Harbor's own address as url")
    batch = Batch()
    for component in components:
        name, up = str(component.get("name", "")), component.get("status") == "healthy"
        batch.samples.append(Sample(registry, COMPONENT_UP, now, float(up), labels(component=name)))
        if not up:
            batch.notes.append(f"{name} is unhealthy: {component.get('error') or 'no reason given'}")
    return batch


def volumes(document: Any, registry: str, now: float) -> Batch:
    """/systeminfo/volumes: statfs of core's local path. 0 of 0 is unknown, not full (harbor#13509)."""
    batch = Batch()
    found = _objects(document.get("storage") if isinstance(document, dict) else None)
    for number, volume in enumerate(found):
        name = "harbor" if not number else f"harbor-{number}"
        total, free = _number(volume.get("total")), _number(volume.get("free"))
        if total is None or free is None or total <= 0 or not 0 <= free <= total:
            batch.notes.append(
                f"/systeminfo/volumes: {name} is unknown ({volume.get('free')} of {volume.get('total')} bytes"
                " free); core's storage path is not there, or the blobs are in an object store"
            )
            continue
        for state, size in (("used", total - free), ("available", free)):
            batch.samples.append(Sample(registry, STORAGE_BYTES, now, size, labels(volume=name, state=state)))
        ratio = (total - free) / total
        batch.samples.append(Sample(registry, STORAGE_USED_RATIO, now, ratio, labels(volume=name)))
    return batch


def projects(document: Any, registry: str, now: float) -> Batch:
    """/quotas?reference=project; a hard limit of -1 is none."""
    found = []
    for quota in _objects(document):
        used = _number(_object(quota.get("used")).get("storage"))
        limit = _number(_object(quota.get("hard")).get("storage"))
        if used is not None and limit is not None:
            found.append(Project(str(_object(quota.get("ref")).get("name", "?")), used, limit))
    return Batch(samples=list(quota_samples(found, registry, now)), notes=list(quota_notes(found)))


def collections(document: Any, registry: str, now: float) -> Batch:
    """/system/gc, the newest first: is one running, how did the last one end, when was the last good one and
    what did it free. A dry run is none."""
    batch = Batch()
    runs = [run for run in _objects(document) if not _parameters(run).get("dry_run")]
    running = [run for run in runs if run.get("job_status") in _RUNNING]
    ended = [run for run in runs if run.get("job_status") not in _RUNNING]
    good = [run for run in ended if run.get("job_status") == "Success"]
    if isinstance(document, list):
        batch.samples.append(Sample(registry, GC_RUNNING, now, float(bool(running))))
    if ended:
        failed = ended[0].get("job_status") != "Success"
        batch.samples.append(Sample(registry, GC_FAILED, now, float(failed)))
        if failed:
            batch.notes.append(f"the last garbage collection ended with {ended[0].get('job_status')}")
    if good:
        batch.samples += _last_good(good[0], registry, now)
    return batch


def _last_good(run: Json, registry: str, now: float) -> Iterator[Sample]:
    began, ended = _time(run.get("creation_time")), _time(run.get("update_time"))
    if ended is not None:
        yield Sample(registry, GC_LAST_SUCCESS, now, ended)
    if began is not None and ended is not None and ended >= began:
        yield Sample(registry, GC_DURATION, now, ended - began)
    freed = _number(_parameters(run).get("freed_space"))
    if freed is not None:
        yield Sample(registry, GC_FREED, now, freed)


def running_collection(document: Any) -> int | None:
    """The id of the garbage collection that runs now."""
    for run in _objects(document):
        if run.get("job_status") == "Running" and isinstance(run.get("id"), int):
            return int(run["id"])
    return None


def progress(log: str, registry: str, now: float) -> Iterator[Sample]:
    """The last `[n/total]` of a running collection's log. Each of its phases counts from 1 anew."""
    steps = _STEP.findall(log)
    if steps and int(steps[-1][1]) > 0:
        done, whole = map(int, steps[-1])
        yield Sample(registry, GC_PROGRESS, now, min(1.0, done / whole))


def executions(document: Any, registry: str, now: float) -> Batch:
    """/replication/executions, the newest first: how many stand how, which policies fail, how long the oldest
    one runs, and when one was last good."""
    found = list(_objects(document))
    batch = Batch()
    if not isinstance(document, list):
        return batch
    counts = Counter(_OUTCOMES.get(str(one.get("status")), "other") for one in found)
    for status in (*_OUTCOMES.values(), *(("other",) if counts["other"] else ())):
        pairs = labels(status=status)
        batch.samples.append(Sample(registry, REPLICATION_EXECUTIONS, now, float(counts[status]), pairs))
    newest: dict[Any, str] = {}
    for one in found:
        if one.get("status") != "InProgress":
            newest.setdefault(str(one.get("policy_id")), str(one.get("status")))
    failing = sorted(policy for policy, status in newest.items() if status == "Failed")
    batch.samples.append(Sample(registry, REPLICATION_FAILING, now, float(len(failing))))
    batch.notes += [f"replication policy {policy} failed the last time" for policy in failing[:3]]
    running = [_time(one.get("start_time")) for one in found if one.get("status") == "InProgress"]
    if began := [at for at in running if at is not None]:
        batch.samples.append(Sample(registry, REPLICATION_RUNNING, now, max(0.0, now - min(began))))
    good = [_time(one.get("end_time")) for one in found if one.get("status") == "Succeed"]
    if ended := [at for at in good if at is not None]:
        batch.samples.append(Sample(registry, REPLICATION_LAST_SUCCESS, now, max(ended)))
    return batch


def queues(document: Any, registry: str, now: float) -> Batch:
    """/jobservice/queues: how much waits, how old the oldest is, and whether the queue is paused."""
    batch = Batch()
    for queue in _objects(document):
        name = str(queue.get("job_type", ""))
        values = {
            JOBS_QUEUED: _number(queue.get("count")),
            JOBS_LATENCY: _number(queue.get("latency")),
            JOBS_PAUSED: float(queue["paused"]) if isinstance(queue.get("paused"), bool) else None,
        }
        batch.samples += [
            Sample(registry, signal, now, value, labels(type=name))
            for signal, value in values.items()
            if name and value is not None
        ]
        if values[JOBS_PAUSED]:
            batch.notes.append(f"the job queue {name} is paused")
    return batch


def statistics(document: Any, registry: str, now: float) -> Batch:
    """/statistics: the bytes of all blobs, as Harbor accounts them (administrators only)."""
    size = _number(_object(document).get("total_storage_consumption"))
    return Batch(samples=[] if size is None else [Sample(registry, STORED_BYTES, now, size)])


def robots(document: Any, registry: str, now: float) -> Batch:
    """/robots: when the next enabled robot account of the system expires; -1 is never."""
    ends = sorted(
        (at, str(robot.get("name", "?")))
        for robot in _objects(document)
        if not robot.get("disable") and (at := _number(robot.get("expires_at"))) is not None and at > 0
    )
    batch = Batch(samples=[Sample(registry, ROBOT_EXPIRY, now, ends[0][0])] if ends else [])
    for at, name in [end for end in ends if end[0] - now < SOON][:3]:
        when = f"expires in {format_duration(at - now)}" if at > now else "has expired"
        batch.notes.append(f"robot account {name} {when}")
    return batch


def _objects(value: Any) -> Iterable[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _parameters(run: Json) -> Json:
    """A run's job_parameters: JSON in a string, or an object."""
    told = run.get("job_parameters")
    try:
        return _object(json.loads(told) if isinstance(told, str) else told)
    except (ValueError, RecursionError):
        return {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < sys.float_info.max else None


def _time(value: Any) -> float | None:
    """RFC 3339; Harbor's `0001-01-01T00:00:00Z` is none."""
    try:
        at = parse_time(value) if isinstance(value, str) else 0.0
    except (ValueError, OverflowError):
        return None
    return at if at > 0 else None
