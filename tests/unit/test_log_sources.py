"""Logs by pattern and by pipe, and files that are no plain logs."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.log_globs import GlobbedLogs
from collectors.log_streams import BUFFER, PipedLog, Repeats
from collectors.logs import MAX_LINE, FollowedLog
from seawall.core.errors import SeawallError
from seawall.core.signals import LOG_BACKLOG

NOW = 1000.0


def line(message: str) -> str:
    return f'time="2024-01-01T00:00:00Z" level=info msg="{message}"\n'


def write(path: Path, *messages: str) -> None:
    with path.open("a") as file:
        file.writelines(map(line, messages))


class Kept:
    """What a store would hold: events by id, and checkpoints."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.checkpoints: dict[str, str] = {}

    async def round(self, collector, durable: bool = True):
        batch = await collector.collect(NOW)
        if durable:
            self.messages.update({event.id: event.fields["message"] for event in batch.events})
            self.checkpoints.update(batch.checkpoints)
            await collector.stored()
        return batch

    def read(self) -> list[str]:
        return sorted(self.messages.values())


@pytest.fixture
def kept():
    return Kept()


def globbed(folder: Path, kept: Kept, claims=None) -> GlobbedLogs:
    return GlobbedLogs("reg", str(folder / "*.log"), kept.checkpoints.get, claims=claims)


# patterns ----------------------------------------------------------------------------------------


async def test_every_file_is_read_and_new_ones_are_found(tmp_path, kept):
    write(tmp_path / "core.log", "c1")
    write(tmp_path / "proxy.log", "p1")
    logs = globbed(tmp_path, kept)
    await kept.round(logs)
    write(tmp_path / "registry.log", "r1")
    write(tmp_path / "core.log", "c2")
    await kept.round(logs)
    assert kept.read() == ["c1", "c2", "p1", "r1"]
    assert logs.lines == {"distribution.logfmt": 4} and logs.name == f"logs:{tmp_path}/*.log"


async def test_rotated_and_compressed_files_and_second_names_are_read_once(tmp_path, kept):
    write(tmp_path / "core.log", "1")
    logs = globbed(tmp_path, kept)
    await kept.round(logs)
    (tmp_path / "core.log").rename(tmp_path / "core-20260101.log")
    write(tmp_path / "core-20260101.log", "2")
    write(tmp_path / "core.log", "3")
    (tmp_path / "old.log.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "second.log").hardlink_to(tmp_path / "core.log")
    for _ in range(3):
        await kept.round(logs)
    assert kept.read() == ["1", "2", "3"]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_restart_goes_on_at_each_checkpoint(tmp_path, kept, durable):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.log", f"{name}1")
    await kept.round(globbed(tmp_path, kept), durable)
    for name in ("a", "b"):
        write(tmp_path / f"{name}.log", f"{name}2")
    batch = await kept.round(globbed(tmp_path, kept))
    assert kept.read() == ["a1", "a2", "b1", "b2"] and len(batch.events) == (2 if durable else 4)


async def test_a_file_that_cannot_be_read_is_a_note_and_the_others_go_on(tmp_path, kept):
    write(tmp_path / "a.log", "a1")
    write(tmp_path / "b.log", "b1")
    logs = globbed(tmp_path, kept)
    await kept.round(logs)
    (tmp_path / "b.log").unlink()
    write(tmp_path / "a.log", "a2")
    batch = await kept.round(logs)
    assert kept.read() == ["a1", "a2", "b1"] and "b.log: no such file" in batch.notes[0]
    assert not logs.more and (await kept.round(logs)).notes == []
    write(tmp_path / "b.log", "b2")
    await kept.round(logs)
    assert kept.read() == ["a1", "a2", "b1", "b2"] and logs.lines["distribution.logfmt"] == 4


async def test_no_file_at_all_says_what_to_do(tmp_path, kept):
    with pytest.raises(SeawallError, match="no file has such a name; give a pattern"):
        await globbed(tmp_path, kept).collect(NOW)


async def test_many_full_files_are_read_in_turns(tmp_path, kept):
    for number in range(4):
        write(tmp_path / f"{number}.log", *(f"{number}-{n}" for n in range(20_000)))
    logs = globbed(tmp_path, kept)
    batch = await kept.round(logs)
    assert len(batch.events) == 40_000 and logs.more
    while logs.more:
        await kept.round(logs)
    assert len(kept.messages) == 80_000


# files that are no plain logs --------------------------------------------------------------------


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
async def test_what_is_no_file_is_told_at_once(tmp_path, make):
    path = tmp_path / "x.log"
    make(path)
    with pytest.raises(SeawallError, match="it is no regular file; give the path"):
        await asyncio.wait_for(FollowedLog("reg", str(path)).collect(NOW), 5)


async def test_two_names_of_one_file_are_not_read_twice(tmp_path):
    write(tmp_path / "a.log", "1")
    (tmp_path / "b.log").hardlink_to(tmp_path / "a.log")
    claims = {}
    one, two = (FollowedLog("reg", str(tmp_path / name), claims=claims) for name in ("a.log", "b.log"))
    assert len((await one.collect(NOW)).events) == 1
    with pytest.raises(
        SeawallError, match=r"b\.log: the same file is read as log:reg:.*a\.log; name it once"
    ):
        await two.collect(NOW)
    (tmp_path / "b.log").unlink()
    write(tmp_path / "b.log", "2")
    assert len((await two.collect(NOW)).events) == 1


async def test_a_file_that_was_replaced_while_we_were_away_is_read_from_its_start(tmp_path, kept):
    path = tmp_path / "x.log"
    write(path, "1", "2")
    await kept.round(FollowedLog("reg", str(path)))
    path.unlink()
    write(path, "a", "b", "c")
    log = FollowedLog("reg", str(path))
    log.restore(kept.checkpoints[log.source])
    await kept.round(log)
    assert kept.read() == ["1", "2", "a", "b", "c"]


async def test_the_backlog_is_told_with_each_collection(tmp_path, kept):
    path = tmp_path / "x.log"
    write(path, *map(str, range(100)))
    log = FollowedLog("reg", str(path), max_round=2000)
    told = []
    while (batch := await kept.round(log)).events:
        told += [s.value for s in batch.samples if s.signal == LOG_BACKLOG]
    assert told == sorted(told, reverse=True) and told[0] > 0 and told[-1] == 0
    assert len(kept.messages) == 100


async def test_a_line_without_end_is_backlog_but_no_reason_to_ask_again_at_once(tmp_path, kept):
    path = tmp_path / "x.log"
    path.write_text("level=info msg=half")
    log = FollowedLog("reg", str(path))
    await kept.round(log)
    assert log.backlog == 19 and not log.more


# pipes -------------------------------------------------------------------------------------------


class Pipe:
    """A pipe whose reading end Seawall takes."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def open(self):
        return os.fdopen(self.reading, "rb")

    def write(self, text: str) -> None:
        os.write(self.writing, text.encode())

    def close(self) -> None:
        os.close(self.writing)


@pytest.fixture
def pipe():
    return Pipe()


async def until(kept: Kept, log: PipedLog, count: int) -> None:
    """Collect until so many messages are there."""
    for _ in range(2000):
        await kept.round(log)
        if len(kept.messages) >= count:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(kept.messages)


async def test_a_pipe_is_read_as_it_comes_and_its_end_is_told(pipe, kept):
    log = PipedLog("reg", pipe.open)
    pipe.write(line("1") + line("2")[:10])
    await until(kept, log, 1)
    pipe.write(line("2")[10:] + line("3"))
    await until(kept, log, 3)
    pipe.write(line("4"))
    pipe.close()
    await until(kept, log, 4)
    with pytest.raises(SeawallError, match="the stream has ended; start its writer"):
        while True:
            await kept.round(log)
    assert kept.read() == ["1", "2", "3", "4"] and log.lines == {"distribution.logfmt": 4}


async def test_what_was_not_stored_comes_again_under_the_same_id(pipe, kept):
    log = PipedLog("reg", pipe.open)
    pipe.write(line("1"))
    while not (batch := await kept.round(log, durable=False)).events:
        await asyncio.sleep(0.005)
    assert [e.id for e in (await kept.round(log)).events] == [e.id for e in batch.events]
    assert (await kept.round(log)).events == []
    pipe.close()


async def test_a_history_that_is_piped_again_is_kept_once_and_equal_lines_stay_two(kept):
    for _ in range(2):
        pipe = Pipe()
        pipe.write(line("same") * 2 + line("other"))
        pipe.close()
        await until(kept, PipedLog("reg", pipe.open), 3)
    assert kept.read() == ["other", "same", "same"]


async def test_a_full_buffer_makes_the_writer_wait_and_loses_nothing(pipe, kept):
    log, count = PipedLog("reg", pipe.open), 3 * BUFFER // 1000
    filler = "x" * 950

    def fill() -> None:
        with os.fdopen(pipe.writing, "w") as out:
            out.writelines(line(f"{n}-{filler}") for n in range(count))

    writer = threading.Thread(target=fill)
    writer.start()
    await kept.round(log)
    while len(kept.messages) < count:
        batch = await kept.round(log)
        assert log.backlog <= BUFFER + MAX_LINE
        if not batch.events:
            await asyncio.sleep(0.005)
    writer.join()
    assert len(kept.messages) == count


async def test_an_over_long_line_of_a_pipe_is_cut_and_its_neighbours_kept(pipe, kept):
    def fill() -> None:
        with os.fdopen(pipe.writing, "w") as out:
            out.write(line("before") + line("x" * 3 * MAX_LINE) + line("after"))

    threading.Thread(target=fill).start()
    log = PipedLog("reg", pipe.open)
    await until(kept, log, 2)
    assert kept.read() == ["after", "before"] and log.lines["cut"] == 1


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_every_line_has_a_number_of_its_own_among_its_equals(lines):
    repeats = Repeats()
    numbered = [(text, repeats.number(text)) for text in lines]
    assert len(set(numbered)) == len(lines)
    assert all(number < lines.count(text) for text, number in numbered)


def test_the_numbers_of_old_lines_are_forgotten():
    repeats = Repeats(limit=2)
    assert [repeats.number(text) for text in "aabca"] == [0, 1, 0, 0, 0]
