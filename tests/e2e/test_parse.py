"""`seawall parse` in a process of its own: streams, exit codes, pipes that break, disks that are full."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
SEAWALL = [sys.executable, "-m", "seawall", "parse"]
GOOD = b'10.0.0.1 - - [15/Oct/2024:04:44:10 +0000] "GET /v2/ HTTP/1.1" 401 87 "" "docker/24.0"\n'


def parse(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [*SEAWALL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "registry.log"
    path.write_bytes(GOOD + b"level=info msg=hi\n\nwhat\nis\n" + GOOD + b"this")
    return path


def test_documents_are_printed_and_the_rest_is_told(log):
    done = parse(log)
    assert [json.loads(line)["log.line"] for line in done.stdout.splitlines()] == [1, 2, 6]
    assert done.stderr.decode().splitlines() == [
        "distribution.access: 2",
        "distribution.logfmt: 1",
        "blank: 1",
        "not understood: 3 of 7, lines 4-5, 7",
    ]
    assert done.returncode == 1


def test_all_understood_is_fine(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(GOOD * 5)
    done = parse(path)
    assert (done.returncode, done.stderr) == (0, b"distribution.access: 5\n")
    path.write_bytes(b"")
    assert (parse(path).returncode, parse(path).stdout) == (0, b"")


def test_standard_input_and_gzip_give_the_same(log, tmp_path):
    packed = tmp_path / "registry.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    plain = parse(log)
    for done in (parse("-", input=log.read_bytes()), parse(packed), parse("-", input=packed.read_bytes())):
        assert (done.stdout, done.stderr, done.returncode) == (plain.stdout, plain.stderr, 1)


def test_a_head_without_a_year_takes_it_from_the_file_s_own_time(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"Dec 31 10:00:00 host registry: level=info msg=hi\n")
    os.utime(path, (1577880000, 1577880000))  # 2020-01-01T12:00:00Z
    assert json.loads(parse(path).stdout)["@timestamp"] == "2019-12-31T10:00:00Z"


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_file_that_cannot_be_read_is_misuse(tmp_path, name):
    done = parse(tmp_path / name)
    assert (done.returncode, done.stdout) == (2, b"")
    assert str(tmp_path / name) in done.stderr.decode() and done.stderr.count(b"\n") == 1


def test_half_a_gzip_file_gives_what_is_there_and_says_so(tmp_path):
    path = tmp_path / "x.log.gz"
    path.write_bytes(gzip.compress(GOOD * 10_000, compresslevel=0)[:-1000])
    done = parse(path)
    assert done.returncode == 1 and done.stdout.count(b"\n") > 9_900
    assert b"give the whole gzip file" in done.stderr and b"Traceback" not in done.stderr


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(GOOD * 50_000)
    with subprocess.Popen([*SEAWALL, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["log.line"] == 1
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_full_disk_is_told(log):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*SEAWALL, str(log)], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert (
        done.stderr.decode()
        == "seawall: standard output: no space left on device; make room, or send it elsewhere\n"
    )
