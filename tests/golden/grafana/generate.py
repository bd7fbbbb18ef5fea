"""Makes dashboard.schema.json.gz: strict JSON Schemas of a dashboard and of the panels that ours have.

The types are Grafana's own: the npm package @grafana/schema, Apache-2.0 (LICENSE of this folder says so),
copyright Grafana Labs; the result is a derived work under the same licence. A dashboard's type leaves the
options and custom fields of its panels open: those are schemas of their own, by the panel's type. Queries
have none, since the package has no types of Prometheus' and Elasticsearch's. Needs node and npm. Run it in
an empty folder: python generate.py OUT.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("@grafana/schema@13.2.3", "ts-json-schema-generator@2.10.0", "typescript@5")
OPTIONS = {"target": "es2020", "module": "node16", "moduleResolution": "node16", "skipLibCheck": True}
TYPES = "node_modules/@grafana/schema/dist/types/raw"
PANELS = {
    "heatmap": ("Options", "FieldConfig"),
    "stat": ("Options",),
    "state-timeline": ("Options", "FieldConfig"),
    "table": ("Options", "FieldConfig"),
    "timeseries": ("Options", "FieldConfig"),
}


def bare(value: Any) -> Any:
    """Without descriptions: they are most of it."""
    if isinstance(value, dict):
        return {
            key: bare(it)
            for key, it in value.items()
            if not (key in ("description", "$comment") and isinstance(it, str))
        }
    return [bare(it) for it in value] if isinstance(value, list) else value


def schema(path: str, name: str) -> Any:
    """The JSON Schema of a type of a file of the package."""
    command = ["node_modules/.bin/ts-json-schema-generator", "--tsconfig", "tsconfig.json", "--no-type-check"]
    command += ["--path", f"{TYPES}/{path}/x/types.gen.d.ts", "--type", name]
    return bare(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def main(out: Path) -> None:
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", *PACKAGES], check=True)
    Path("tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS}))
    found = {"Dashboard": schema("dashboard", "Dashboard")}
    for kind, names in PANELS.items():
        for name in names:
            path = f"composable/{kind.replace('-', '')}/panelcfg"
            found[f"{kind} {name}"] = schema(path, name)
    text = json.dumps(found, separators=(",", ":"), sort_keys=True)
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
