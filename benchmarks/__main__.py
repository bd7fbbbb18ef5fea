"""Runs the benchmarks named on the command line, or all of them; exit 1 if a limit is missed."""

import sys

from benchmarks import (
    api,
    away,
    console,
    detector_speed,
    drain,
    flat,
    follow,
    idle,
    lead_time,
    main_job,
    many_registries,
    metrics_page,
    parse,
    probe,
    promise,
    ranges,
    slo,
    slo_prometheus,
    stores,
    unsigned,
)

ALL = {
    "console": console.measure,
    "api": api.measure,
    "away": away.measure,
    "detector_speed": detector_speed.measure,
    "drain": drain.measure,
    "flat": flat.measure,
    "follow": follow.measure,
    "lead_time": lead_time.measure,
    "main_job": main_job.measure,
    "many_registries": many_registries.measure,
    "idle": idle.measure,
    "metrics_page": metrics_page.measure,
    "parse": parse.measure,
    "probe": probe.measure,
    "promise": promise.measure,
    "ranges": ranges.measure,
    "stores": stores.measure,
    "slo": slo.measure,
    "slo_prometheus": slo_prometheus.measure,
    "unsigned": unsigned.measure,
}

names = sys.argv[1:] or list(ALL)
unknown = [name for name in names if name not in ALL]
if unknown:
    sys.exit(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(ALL)}")
figures = [figure for name in names for figure in ALL[name]()]
for figure in figures:
    print(figure)
sys.exit(0 if all(figure.kept for figure in figures) else 1)
