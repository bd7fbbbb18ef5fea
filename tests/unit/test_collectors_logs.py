"""Followed logs: every whole line once, across rotation, truncation, restarts and hostile content."""

import asyncio
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.logs import MAX_LINE, FollowedLog
from seawall.core.errors import InputError, SeawallError


class Reader:
    """Follows a log as the cycle does: keeps events by id (as a store does) and the checkpoint."""

    def __init__(self, path: Path, **settings) -> None:
        self.path, self.settings = path, settings
        self.messages: dict[str, str] = {}
        self.checkpoint: str | None = None
        self.start()

    def start(self) -> None:
        """A fresh process: only the checkpoint is known."""
        self.log = FollowedLog("reg", str(self.path), **self.settings)
        self.log.restore(self.checkpoint)

    async def round(self, durable: bool = True):
        batch = await self.log.collect(now=1000.0)
        if durable:
            self.messages.update({event.id: event.fields["message"] for event in batch.events})
            self.checkpoint = batch.checkpoints[self.log.source]
            await self.log.stored()
        return batch

    def read(self) -> list[str]:
        return list(self.messages.values())


def line(message: str) -> str:
    return f'time="2024-01-01T00:00:00Z" level=info msg="{message}"\n'


def write(path: Path, *messages: str, end: str = "") -> None:
    with path.open("a") as file:
        file.write("".join(map(line, messages)) + end)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.log"


async def test_only_whole_lines_are_taken(path):
    write(path, "1", "2", end='time="2024-01-01T00:00:00Z" level=info ')
    reader = Reader(path)
    await reader.round()
    assert reader.read() == ["1", "2"]
    write(path, end='msg="3"\n')
    await reader.round()
    assert reader.read() == ["1", "2", "3"]
    assert (await reader.round()).events == []


async def test_what_was_not_stored_is_read_again_under_the_same_ids(path):
    write(path, "1", "2")
    reader = Reader(path)
    first = await reader.round(durable=False)
    assert reader.log.lines == {}
    second = await reader.round()
    assert [e.id for e in first.events] == [e.id for e in second.events]
    assert reader.log.lines == {"distribution.logfmt": 2}


async def test_a_restart_goes_on_at_the_checkpoint(path):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    write(path, "2")
    reader.start()
    assert [e.fields["message"] for e in (await reader.round()).events] == ["2"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_rotation_by_rename_finishes_the_old_file_first(path, restarted):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    write(path, "2")
    path.rename(path.with_name("registry.log.1"))
    write(path.with_name("registry.log.1"), end=line("3").rstrip("\n"))
    write(path, "4")
    if restarted:
        reader.start()
    await reader.round()
    assert reader.read() == ["1", "2", "3", "4"]


async def test_the_old_file_is_followed_while_its_writer_has_not_moved_on(path):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    path.rename(path.with_name("registry.log.1"))
    path.touch()
    write(path.with_name("registry.log.1"), "2")
    await reader.round()
    write(path.with_name("registry.log.1"), "3")
    write(path, "4")
    await reader.round()
    assert reader.read() == ["1", "2", "3", "4"]


async def test_several_rotations_between_two_rounds_lose_nothing(path):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    for number in range(2, 5):
        write(path, str(number))
        path.rename(path.with_name(f"registry.log-2024010{number}"))
    write(path, "5")
    reader.start()
    await reader.round()
    assert reader.read() == ["1", "2", "3", "4", "5"]


async def test_several_rotations_are_read_although_the_newest_file_is_still_empty(path):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    for number in range(2, 4):
        path.rename(path.with_name(f"registry.log-2024010{number}"))
        write(path, str(number))
    path.rename(path.with_name("registry.log-20240104"))
    path.touch()
    reader.start()
    await reader.round()
    assert reader.read() == ["1", "2", "3"] and reader.log.backlog == 0


@pytest.mark.parametrize("restarted", [False, True])
async def test_copytruncate_reads_the_rest_from_the_copy(path, restarted):
    reader = Reader(path)
    write(path, "1", "2")
    await reader.round()
    write(path, "3")
    shutil.copy(path, path.with_name("registry.log.1"))
    os.truncate(path, 0)
    if restarted:
        reader.start()
    await reader.round()
    write(path, "4")
    await reader.round()
    write(path, "5", "6", "7", "8")
    await reader.round()
    assert reader.read() == ["1", "2", "3", "4", "5", "6", "7", "8"]


async def test_a_truncated_log_that_grew_past_the_old_position_is_read_from_its_start(path):
    reader = Reader(path)
    write(path, "1", "2")
    await reader.round()
    os.truncate(path, 0)
    write(path, "a", "b", "c", "d")
    await reader.round()
    assert reader.read() == ["1", "2", "a", "b", "c", "d"]


async def test_equal_lines_at_equal_offsets_of_two_generations_are_two_events(path):
    reader = Reader(path)
    write(path, "same")
    await reader.round()
    path.rename(path.with_name("registry.log.1"))
    write(path, "same")
    await reader.round()
    assert reader.read() == ["same", "same"]


async def test_a_compressed_rotation_and_other_files_beside_are_not_read(path):
    reader = Reader(path)
    write(path, "1")
    await reader.round()
    path.with_name("registry.log.2.gz").write_bytes(gzip.compress(line("old").encode()))
    write(path.with_name("registry.log.err"), "other")
    path.unlink()
    write(path, "2")
    await reader.round()
    assert reader.read() == ["1", "2"]


async def test_a_backlog_is_read_in_rounds(path):
    messages = [str(number) for number in range(200)]
    write(path, *messages)
    reader = Reader(path, max_round=1000)
    batch = await reader.round()
    assert 0 < len(batch.events) < 200
    assert reader.log.backlog > 0 and f"{reader.log.backlog} bytes" in batch.asides[0]
    for _ in range(100):
        if not reader.log.backlog:
            break
        await reader.round()
    assert reader.read() == messages and reader.log.backlog == 0


async def test_the_backlog_counts_every_file_that_was_begun_since(path):
    reader = Reader(path, max_round=60)
    write(path, "1")
    await reader.round()
    sizes = 0
    for number in range(2, 4):
        write(path, str(number), str(number))
        sizes += 2 * len(line("2"))
        path.rename(path.with_name(f"registry.log-2024010{number}"))
    write(path, "4")
    await reader.round()
    assert reader.log.backlog == sizes + len(line("4")) - len(line("2"))


async def test_a_missing_file_says_what_to_do_and_is_found_later(path):
    reader = Reader(path)
    with pytest.raises(SeawallError, match=r"registry\.log: no such file or directory; give the path"):
        await reader.round()
    write(path, "1")
    await reader.round()
    path.unlink()
    with pytest.raises(SeawallError, match="no such file"):
        await reader.round()
    assert reader.read() == ["1"]


async def test_invalid_utf8_is_replaced_and_its_neighbours_kept(path):
    path.write_bytes(line("a").encode() + line("b").encode().replace(b"b", b"\xff\xfe") + line("c").encode())
    reader = Reader(path)
    await reader.round()
    assert reader.read() == ["a", "\ufffd\ufffd", "c"]


@pytest.mark.parametrize("size", [MAX_LINE + 10, 3 * MAX_LINE])
async def test_an_over_long_line_is_cut_and_counted_and_its_neighbours_kept(path, size):
    write(path, "before", "x" * size, "after")
    reader = Reader(path, max_round=2 * MAX_LINE)
    for _ in range(4):
        await reader.round()
    assert reader.read() == ["before", "after"]
    assert reader.log.lines["cut"] == 1 and reader.log.backlog == 0


async def test_lines_not_understood_are_counted_and_the_last_kept_masked(path):
    path.write_text("what is this?token=hunter2\n\n" + line("ok"))
    reader = Reader(path)
    await reader.round()
    assert reader.log.lines == {"not_understood": 1, "distribution.logfmt": 1}
    assert list(reader.log.odd_lines) == ["what is this?token=***"]


async def test_a_line_without_time_is_dated_now(path):
    path.write_text("level=info msg=hello\n")
    event = (await Reader(path).round()).events[0]
    assert (event.at, event.fields["@timestamp"]) == (1000.0, "1970-01-01T00:16:40.000Z")
    assert event.fields["registry.name"] == event.registry == "reg"


async def test_parts_of_a_split_container_line_are_joined_per_stream(path):
    head = "2024-10-15T04:44:10.1Z"
    path.write_text(f"{head} stdout P level=info m\n{head} stderr F level=info msg=between\n")
    reader = Reader(path)
    await reader.round()
    with path.open("a") as file:
        file.write(f"{head} stdout F sg=joined\n")
    await reader.round()
    assert sorted(reader.read()) == ["between", "joined"]


async def test_a_part_whose_end_never_comes_holds_nothing_up_and_is_counted_once(path):
    head = "2024-10-15T04:44:10.1Z"
    path.write_text(f"{head} stdout P level=info msg=part\n{head} stderr F level=info msg=after\n")
    reader = Reader(path)
    for _ in range(3):
        await reader.round()
    assert sorted(reader.read()) == ["after", "part"] and reader.log.backlog == 0
    assert reader.log.lines == {"distribution.logfmt": 2}


@pytest.mark.parametrize("bad", ["x", "[]", '{"offset": -1}', '{"offset": "a"}', '{"other": 1}'])
def test_a_broken_checkpoint_is_refused(path, bad):
    with pytest.raises(InputError, match="delete it to read the file anew"):
        FollowedLog("reg", str(path)).restore(bad)


async def test_the_checkpoint_is_plain_json(path):
    write(path, "1")
    reader = Reader(path)
    await reader.round()
    position = json.loads(reader.checkpoint)
    stat = path.stat()
    assert (position["device"], position["inode"], position["offset"]) == (
        stat.st_dev, stat.st_ino, stat.st_size,
    )  # fmt: skip


STEPS = st.lists(
    st.sampled_from(["write", "write", "half", "rename", "copytruncate", "round", "lost round", "restart"]),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_history_of_a_log_is_read_exactly_once(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("log") / "registry.log"
    asyncio.run(_history(path, steps))


class Writer:
    """The registry and its log rotation."""

    def __init__(self, path: Path) -> None:
        self.path, self.written, self.rotations = path, [], 0
        path.touch()

    def write(self) -> None:
        write(self.path, self._next())

    def halves(self) -> list[str]:
        whole = line(self._next())
        return [whole[:20], whole[20:]]

    def rename(self) -> None:
        self.path.rename(self._rotated())
        self.path.touch()

    def copytruncate(self) -> None:
        shutil.copy(self.path, self._rotated())
        os.truncate(self.path, 0)

    def _next(self) -> str:
        self.written.append(f"m{len(self.written)}")
        return self.written[-1]

    def _rotated(self) -> Path:
        self.rotations += 1
        return self.path.with_name(f"registry.log.{self.rotations}")


async def _history(path: Path, steps: list[str]) -> None:
    writer, reader = Writer(path), Reader(path, max_round=200)
    await reader.round()
    for step in steps:
        match step:
            case "half":
                first, second = writer.halves()
                write(path, end=first)
                await reader.round()
                write(path, end=second)
            case "copytruncate":
                # A copy is known by what was read of it; one of which nothing was read is missed.
                writer.write()
                await _read_up(reader)
                writer.write()
                writer.copytruncate()
            case "restart":
                reader.start()
            case "round" | "lost round":
                await reader.round(durable=step == "round")
            case _:
                getattr(writer, step)()
    writer.write()
    await _read_up(reader)
    assert sorted(reader.read()) == sorted(writer.written)


async def _read_up(reader: Reader) -> None:
    while (await reader.round()).events or reader.log.backlog:
        pass
