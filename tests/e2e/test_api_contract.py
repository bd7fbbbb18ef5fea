"""The whole specification against a running Seawall: schemathesis finds no 5xx and no undocumented answer.

Left out is the stream alone: it never ends (test_api_rules.py has it).
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_up import TOKEN, alert, deliver
from tests.registries import Registry, push
from tests.serving import Up

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
EXAMPLES = os.environ.get("SEAWALL_API_EXAMPLES", "5")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
HOOKS = ("alertmanager", "distribution", "harbor")


@pytest.fixture
def service(up, secret_file, registry: Registry) -> Up:
    """With an incident and an image, which the examples of the specification name."""
    push(registry.url, "team/app", "1.0")
    running: Up = up(
        {
            "registries": [{"name": "main", "url": registry.url}],
            "probe": {"interval": "600s"},
            "server": {"requests_per_second": 100000, "requests_at_once": 100000},
            "webhooks": {name: {"token_file": str(secret_file(name, TOKEN))} for name in HOOKS},
        }
    )
    assert deliver(running, alert()).json() == {"incidents": ["inc-1"]}
    return running


def fuzz(service: Up, folder: Path, token: str, *more: str) -> str:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/api/openapi.json"]
    command += ["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "8", "--phases", "examples,fuzzing"]
    command += ["--exclude-path", "/api/v1/stream", "--header", f"Authorization: Bearer {token}"]
    command += ["--generation-database", "none", "--no-color", "--request-timeout", "20", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def admin(service: Up) -> str:
    return service.person(f"fuzz-{secrets.token_hex(8)}", "admin")


def test_no_answer_is_undocumented_and_none_is_a_fault(service: Up, tmp_path: Path) -> None:
    token = admin(service)
    told = fuzz(service, tmp_path, token, "--exclude-path-regex", "^/api/v1/(webhooks/|tokens/)")
    with service.api(token) as api:
        assert api.get("/api/v1/slos").status_code == 200, "the token was lost under way"
    assert service.get("/incidents/inc-1")["id"] == "inc-1" and "Tested:" in told
    # It revokes whatever names it has learned, its own token too: so this comes last.
    assert "Tested: 1" in fuzz(service, tmp_path, token, "--include-path-regex", "^/api/v1/tokens/")


def test_webhooks_take_no_harm_from_what_is_sent_to_them(service: Up, tmp_path: Path) -> None:
    told = fuzz(service, tmp_path, TOKEN, "--include-path-regex", "^/api/v1/webhooks/")
    assert "Tested: 3" in told and "Authentication failed" not in told


def test_every_answer_is_described_with_an_example_or_a_schema(service: Up) -> None:
    spec = httpx.get(f"{service.url}/api/openapi.json").json()
    for path, verbs in spec["paths"].items():
        for verb, operation in verbs.items():
            assert operation["summary"] and operation["description"], f"{verb} {path}"
            for code, answer in operation["responses"].items():
                told = f"{verb} {path} {code}"
                assert answer["description"], told
                for kind, content in answer.get("content", {}).items():
                    stream = kind in ("text/event-stream", "text/plain; version=0.0.4")
                    assert stream or content.get("schema"), f"{told}: no schema"
            if path.startswith("/api/v1/"):
                assert {"422", "429"} <= set(operation["responses"]), f"{verb} {path}"
                assert operation["security"] or path.startswith("/api/v1/auth/"), f"{verb} {path}"
