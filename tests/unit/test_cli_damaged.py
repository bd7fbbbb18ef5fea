"""Damaged stores are told in one line with the way back; a lock and a damage are told apart."""

import os
import subprocess
import sys

import duckdb
import pytest

from seawall.core.errors import StoreUnavailable
from seawall.stores.duckdb import DuckDatabase
from seawall.stores.sql import SqlRecords


def test_up_names_records_that_are_garbage_and_the_remedy(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "records.sqlite").write_bytes(os.urandom(9000))
    command = [sys.executable, "-m", "seawall", "up", "--state", str(state), "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "nanobind" not in done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"seawall: {state}/records.sqlite: damaged (") and "`seawall restore" in told


def test_a_page_that_is_garbage_is_told_at_its_reading(tmp_path):
    path = tmp_path / "records.sqlite"
    records = SqlRecords(f"sqlite:{path}")
    for number in range(300):
        records.audit("ada", "test", f"subject {number}", {"text": "x" * 200}, float(number))
    records.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\x55" * (len(whole) - 4096))
    with pytest.raises(StoreUnavailable, match=r"damaged \(.*seawall restore"):
        SqlRecords(f"sqlite:{path}").frozen()


@pytest.mark.parametrize("damage", ["garbage", "cut", "checksum"])
def test_a_broken_duckdb_file_is_no_lock(tmp_path, damage):
    DuckDatabase(tmp_path).close()
    file = tmp_path / "open.duckdb"
    whole = file.read_bytes()
    broken = {
        "garbage": os.urandom(9000),
        "cut": whole[:5000],
        "checksum": whole[:4096] + os.urandom(8192) + whole[12288:],
    }
    file.write_bytes(broken[damage])
    with pytest.raises(StoreUnavailable, match="it is damaged: put a backup") as told:
        DuckDatabase(tmp_path)
    assert "stop the Seawall" not in str(told.value) and "\n" not in str(told.value)


def test_a_duckdb_file_that_another_process_has_is_a_lock(tmp_path):
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "open.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        with pytest.raises(StoreUnavailable, match="stop the Seawall that owns this folder"):
            DuckDatabase(tmp_path)
        other.kill()
    duckdb.connect(str(tmp_path / "open.duckdb")).close()
