"""Recordings in and verdicts out: every accepted form, every refusal with its line, no field changed."""

import csv
import gzip
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.files import RESULTS, Verdict, destinations, read, write
from seawall.core.errors import InputError

AT = datetime(2026, 11, 24, 3, tzinfo=UTC).timestamp()


def kept(folder: Path, text: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def silent(count: int) -> Verdict:
    nothing, zero = np.full(count, np.nan), np.zeros(count)
    return Verdict(nothing, nothing, nothing, zero, np.zeros(count, dtype=np.bool_), zero)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-24T03:00:00Z", "2026-11-24 03:00:00", "2026-11-24T03:00:00.000+00:00",
        "2026-11-24T04:00+01:00", "20261124T030000Z", "1795489200", "1795489200.0", " 2026-11-24 03:00:00 ",
    ],
)  # fmt: skip
def test_every_form_of_time(tmp_path: Path, time: str) -> None:
    assert read(kept(tmp_path, f"timestamp,value\n{time},1\n")).at.tolist() == [AT]


@pytest.mark.parametrize("blank", ["", "nan", "NaN", "NA", "null", " ", "inf", "-inf"])
def test_blank_values_are_missing(tmp_path: Path, blank: str) -> None:
    found = read(kept(tmp_path, f"timestamp,value\n1,{blank}\n2,5\n"))
    assert not math.isfinite(found.values[0, 0])
    assert found.values[0, 1] == 5


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """`value` first, names in any case, labels and earlier answers carried but never shown."""
    text = '"cpu","Timestamp","Label","Value","score"\n1,10,1,2,0.5\n3,20,0,4,0.5\n'
    found = read(kept(tmp_path, text))
    assert found.columns == ("value", "cpu")
    assert found.values.tolist() == [[2, 4], [1, 3]]
    assert found.at.tolist() == [10, 20]
    write(tmp_path / "out.csv", found, silent(2))
    head, first, _ = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "timestamp,value,cpu,label,expected,lower,upper,score,anomaly,alert_score"
    assert first == "10,2,1,1,,,,0.0,0,0.0"


def test_line_ends_a_mark_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbftimestamp,value\r\n1,2\r\n\r\n3,4"
    assert read(kept(tmp_path, text)).values.tolist() == [[2, 4]]


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    packed = gzip.compress(b"timestamp,value\n1,2\n", mtime=0)
    for name in ("a.csv.gz", "b.csv"):
        assert read(kept(tmp_path, packed, name)).values.tolist() == [[2]]


@pytest.mark.parametrize(
    ("text", "line", "finding"),
    [
        ("", 1, "it is empty"),
        ("2026-11-24,1\n", 1, "the header is"),
        ("timestamp\n1\n", 1, "the header is"),
        ("timestamp,label\n1,1\n", 1, "the header is"),
        ("timestamp,value,value\n1,1,1\n", 1, "'value' twice"),
        ("timestamp;value\n1;1\n", 1, "the header is"),
        ("timestamp,value\n1,1\n2\n", 3, "1 fields, the header has 2"),
        ("timestamp,value\n1,1,1\n", 2, "3 fields"),
        ("timestamp,value\nyesterday,1\n", 2, "'yesterday' is no time"),
        ("timestamp,value\n,1\n", 2, "'' is no time"),
        ("timestamp,value\nnan,1\n", 2, "'nan' is no time"),
        ("timestamp,value\n1795489200000,1\n", 2, "no time in Unix seconds; give seconds, not milliseconds"),
        ("timestamp,value\n1,12 ms\n", 2, "value is '12 ms'; give a number"),
        ('timestamp,value\n1,"1,5"\n', 2, "value is '1,5'"),
        (b"timestamp,value\n1,\xff\n", 2, "value is"),
        (b"timestamp,value\n1,2\x00\n", 2, "value is"),
        ('timestamp,value\n1,2\n"3,4\n', 3, "it is not CSV"),
        ("timestamp,value\n1," + "9" * 200_000, 2, "it is not CSV"),
        (b"\x1f\x8bnonsense", 1, "the gzip data breaks"),
        (gzip.compress(b"timestamp,value\n1,2\n", mtime=0)[:-9], 3, "the gzip data breaks"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, line: int, finding: str
) -> None:
    path = kept(tmp_path, text)
    with pytest.raises(InputError) as told:
        read(path)
    assert str(told.value).startswith(f"{path}:{line}: ")
    assert finding in str(told.value)
    assert told.value.remedy


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read: No such file"):
        read(tmp_path / "gone.csv")


MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
TIMES = st.builds(lambda m, z: m.replace(tzinfo=z), MOMENTS, ZONES)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NOTES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(TIMES, NUMBERS, NUMBERS, NOTES), max_size=20))
def test_rows_come_back_as_they_were(tmp_path: Path, rows: list[tuple[datetime, float, float, str]]) -> None:
    """Repeated, disordered and odd rows: text for text, in the same order; numbers read exactly."""
    texts = [[at.isoformat(), repr(one), repr(other), note] for at, one, other, note in rows]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["timestamp", "value", "more", "label"], *texts])
    found = read(tmp_path / "in.csv")
    assert found.at.tolist() == pytest.approx([at.timestamp() for at, *_ in rows], abs=1e-6)
    assert found.values.T.tolist() == [[one, other] for _, one, other, _ in rows]
    score = np.array([1 / (i + 3) for i in range(len(rows))])
    verdict = Verdict(score, -score, score * 3, score, score > 0.2, score)
    write(tmp_path / "out.csv", found, verdict)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        head, *written = list(csv.reader(file))
    assert head[4:] == list(RESULTS)
    assert [row[:4] for row in written] == texts
    assert [float(row[5]) for row in written] == (-score).tolist()
    assert [row[8] for row in written] == ["1" if one > 0.2 else "0" for one in score.tolist()]


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    path = kept(tmp_path, b"timestamp,value,label\n1,2,caf\xe9\n")
    write(tmp_path / "out.csv", read(path), silent(1))
    assert b"caf\xe9" in (tmp_path / "out.csv").read_bytes()


def test_a_header_alone_is_no_fault(tmp_path: Path) -> None:
    found = read(kept(tmp_path, "timestamp,value,more\n"))
    assert found.values.shape == (2, 0)
    write(tmp_path / "out.csv", found, silent(0))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1


def test_answers_lie_flat_where_their_names_differ() -> None:
    paths = [Path("a/one.csv"), Path("b/two.csv.gz")]
    assert destinations(paths, Path("out")) == [Path("out/one.csv"), Path("out/two.csv")]


def test_answers_of_one_name_keep_their_folders() -> None:
    paths = [Path("data/a/x.csv"), Path("data/b/c/x.csv"), Path("data/b/y.csv")]
    wanted = [Path("out/a/x.csv"), Path("out/b/c/x.csv"), Path("out/y.csv")]
    assert destinations(paths, Path("out")) == wanted


@pytest.mark.parametrize("other", ["a/x.csv", "a/x.csv.gz", "./a/x.csv"])
def test_two_answers_never_meet(other: str) -> None:
    with pytest.raises(InputError, match=r"is the answer to a/x\.csv already; name it once"):
        destinations([Path("a/x.csv"), Path(other)], Path("out"))


def test_no_answer_overwrites_an_input(tmp_path: Path) -> None:
    path = kept(tmp_path, "timestamp,value\n")
    with pytest.raises(InputError, match="is an input; give --out another folder"):
        destinations([path], tmp_path)


def test_a_failed_write_leaves_the_old_answer(tmp_path: Path) -> None:
    found = read(kept(tmp_path, "timestamp,value\n1,2\n2,3\n"))
    place = kept(tmp_path, "old", "out.csv")
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        write(place, found, silent(1))
    assert place.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out.csv"]
