"""The house keeps its own rules: one thing in one place, layers, documented names."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("seawall", "collectors", "models", "alerts", "remediation", "dashboards")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "weights" not in path.parts
)
LONGEST_FILE = 420


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_why_it_is_there_and_is_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module starts with its purpose"
    assert len(text.splitlines()) <= LONGEST_FILE, "split it: a file is about 300 lines"


def test_the_layers_hold():
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_the_core_imports_the_standard_library_only():
    allowed = sys.stdlib_module_names | {"seawall"}
    for path in (ROOT / "seawall" / "core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_no_other_distribution_ships_our_top_level_names():
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["seawall"])) == {"seawall"}


def test_every_playbook_is_one_folder_with_its_three_files():
    folders = [path for path in (ROOT / "remediation" / "playbooks").iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert {"action.yaml", "playbook.yml", "README.md"} <= {path.name for path in folder.iterdir()}


def test_every_store_file_lists_its_schemes():
    engines = {"duckdb", "elasticsearch", "memory", "prometheus", "sql"}
    for name in engines:
        assert "SCHEMES = (" in (ROOT / "seawall" / "stores" / f"{name}.py").read_text(encoding="utf-8")


def test_the_lock_pins_everything_that_the_project_wants():
    wanted = re.findall(r'^\s+"([A-Za-z0-9_.-]+)[^"]*",?$', (ROOT / "pyproject.toml").read_text(), re.M)
    lock = (ROOT / "requirements.lock").read_text().lower().replace("_", "-")
    direct = [
        name
        for name in wanted
        if (name.lower() not in PACKAGES and "-" in name) or name in ("fastapi", "torch")
    ]
    for name in direct:
        assert re.search(rf"^{re.escape(name.lower())}==", lock, re.M), f"{name} is not pinned"
    unpinned = [line for line in lock.splitlines() if line and not line.startswith("#") and "==" not in line]
    assert unpinned == []


def test_serving_does_not_import_torch_or_pandas():
    heavy = ("torch", "pandas", "ansible_runner")
    code = f"import sys, seawall.server; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
