"""The systemd unit: systemd's own reader takes it, and its sandbox is as tight as docs/install.md says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = SYSTEMD / "seawall.service"
INSTALL = SYSTEMD.parents[1] / "docs" / "install.md"
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


def verify(unit: Path) -> subprocess.CompletedProcess[str]:
    told = ["systemd-analyze", "verify", "--man=no", unit]
    return subprocess.run(told, capture_output=True, text=True, timeout=60)


def here(folder: Path, text: str) -> Path:
    """The unit with this machine's seawall in place of the installed one, which verify looks for."""
    program = Path(sys.executable).parent / "seawall"
    unit = folder / "seawall.service"
    unit.write_text(text.replace("/opt/seawall/.venv/bin/seawall", str(program)))
    return unit


def test_systemd_verifies_it(tmp_path):
    done = verify(here(tmp_path, UNIT.read_text()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_verify_would_tell_a_directive_that_does_not_exist(tmp_path):
    done = verify(here(tmp_path, UNIT.read_text().replace("ProtectSystem=", "ProtectSystme=")))
    assert "ProtectSystme" in done.stderr


def test_its_exposure_is_the_documented_one():
    told = ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT]
    done = subprocess.run(told, capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level for seawall.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    # Another systemd may weigh differently; it never may be worse than "OK".
    assert float(found[1]) <= 2.0
    assert f"exposure {found[1]}" in INSTALL.read_text() or "252" not in version()


def version() -> str:
    return subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True).stdout


def test_its_user_and_folders_are_made(tmp_path):
    (tmp_path / "etc").mkdir()
    for program, name in (("sysusers", "seawall.sysusers"), ("tmpfiles", "seawall.tmpfiles")):
        action = ["--create"] if program == "tmpfiles" else []
        told = [f"systemd-{program}", f"--root={tmp_path}", *action, SYSTEMD / name]
        done = subprocess.run(told, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    users = dict(line.split(":", 1) for line in (tmp_path / "etc/passwd").read_text().splitlines())
    assert users["seawall"].endswith("/var/lib/seawall:/usr/sbin/nologin")
    modes = {name: (tmp_path / name).stat() for name in ("etc/seawall", "var/lib/seawall")}
    assert {name: it.st_mode & 0o7777 for name, it in modes.items()} == {
        "etc/seawall": 0o750,
        "var/lib/seawall": 0o700,
    }
    uid, gid = users["seawall"].split(":")[1:3]
    assert (modes["var/lib/seawall"].st_uid, modes["etc/seawall"].st_gid) == (int(uid), int(gid))
