"""Makes requests.schema.json.gz: strict JSON Schemas of the requests that the Elasticsearch store sends.

The types are Elastic's own: lib/api/types.d.ts of the npm package @elastic/elasticsearch, Apache-2.0,
copyright Elasticsearch B.V.; the result is a derived work under the same licence (LICENSE of this folder
says so). Needs node and npm. Run it in an empty folder: python generate.py OUT.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TYPES = (
    "IlmPutLifecycleRequest",
    "ClusterPutComponentTemplateRequest",
    "IndicesPutIndexTemplateRequest",
    "SearchRequest",
    "OpenPointInTimeRequest",
)
PACKAGES = ("@elastic/elasticsearch@9.4.3", "ts-json-schema-generator@2", "typescript@5")
OPTIONS = {"target": "es2020", "module": "node16", "moduleResolution": "node16", "skipLibCheck": True}


def bare(value: Any) -> Any:
    """Without descriptions: they are most of it."""
    if isinstance(value, dict):
        return {
            key: bare(it)
            for key, it in value.items()
            if not (key in ("description", "$comment") and isinstance(it, str))
        }
    return [bare(it) for it in value] if isinstance(value, list) else value


def main(out: Path) -> None:
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", *PACKAGES], check=True)
    Path("tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS}))
    definitions: dict[str, Any] = {}
    for name in TYPES:
        command = ["node_modules/.bin/ts-json-schema-generator", "--tsconfig", "tsconfig.json"]
        command += ["--path", "node_modules/@elastic/elasticsearch/lib/api/types.d.ts", "--no-type-check"]
        done = subprocess.run([*command, "--type", name], check=True, capture_output=True)
        definitions |= json.loads(done.stdout)["definitions"]
    # The types allow any string, or -1 and 0; the generator sees the string only.
    definitions["Duration"] = {"anyOf": [{"type": "string"}, {"enum": [-1, 0]}]}
    text = json.dumps({"definitions": bare(definitions)}, separators=(",", ":"), sort_keys=True)
    out.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
