"""Strict YAML: every fault is told by file, line, finding and remedy."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from seawall.core.errors import InputError
from seawall.yamlfile import dotted, read_yaml, validate


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    size: int = Field(default=1, ge=1)
    colour: int | str | None = Field(default=None, alias="color")


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = Field(default_factory=dict)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "line", "finding"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a' (first on line 1)"),
        ("x:\n  - b: 2\n    b: 3\n", 3, "duplicate key 'x[0].b' (first on line 2)"),
        ("a: !!python/name:os.system\n", 1, "tag"),
        ("a: !thing 1\n", 1, "tag"),
        ("a: &one 1\nb: *one\n", 1, "anchor or alias 'one'"),
        ("a: 1\n---\nb: 1\n", 2, "a second document"),
        ("a: 1\non: 2\n", 2, "the key 'on' is not text"),
        ("1: 2\n", 1, "the key '1' is not text"),
        ("a: [1, 2\nb: 3\n", 2, "broken YAML"),
        ("a:\n\t- b\n", 2, "broken YAML"),
        ("a: 2026-99-99\n", None, "broken YAML"),
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        ("a: " + "[" * 60 + "]" * 60, 1, "nested deeper"),
        ("a: " + "x" * (1 << 20), None, "bytes"),
    ],
)
def test_a_fault_names_its_line(tmp_path: Path, text: str | bytes, line: int | None, finding: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert caught.value.place == (f"{path}:{line}" if line else str(path))
    assert finding in caught.value.finding
    assert caught.value.remedy


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_data_and_lines(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, "a:\n  b: [1, two]\n\nc: yes\n"))
    assert document.data == {"a": {"b": [1, "two"]}, "c": True}
    assert [document.line(key) for key in (("a",), ("a", "b"), ("a", "b", 1), ("c",))] == [1, 2, 2, 4]
    assert document.line(("a", "b", 7, "deeper")) == 2  # the nearest that is there


def test_validate_gives_the_model(tmp_path: Path) -> None:
    whole = validate(Whole, read_yaml(written(tmp_path, "parts:\n  - {name: a, color: red}\n")))
    assert whole.parts == (Part(name="a", color="red"),)


@pytest.mark.parametrize(
    ("text", "line", "finding", "remedy"),
    [
        ("parts:\n  - name: a\n    sise: 2\n", 3, "unknown key 'parts[0].sise'", "did you mean 'size'?"),
        ("by_name:\n  x:\n    name: a\n    coler: 2\n", 4, "unknown key 'by_name.x.coler'", "'color'?"),
        ("prats: []\n", 1, "unknown key 'prats'", "did you mean 'parts'?"),
        ("zebra: []\n", 1, "unknown key 'zebra'", "known here: by_name, parts"),
        ("parts:\n  - size: 2\n", 2, "key 'parts[0].name' is missing", "add 'name'"),
        ("parts:\n  - name: a\n    size: 0\n", 3, "parts[0].size is 0", "greater than or equal to 1"),
        ("parts:\n  - name: a\n    color: [1]\n", 3, "parts[0].color is a list", "write a whole number"),
        ("- 1\n", 1, "the document is a list", "write keys with values"),
        ("parts:\n  - {name: a, x: 1, y: 2}\n", 2, "and 1 more in this file", "known here"),
    ],
)
def test_validate_says_where_and_what_to_do(
    tmp_path: Path, text: str, line: int, finding: str, remedy: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        validate(Whole, read_yaml(path))
    assert caught.value.place == f"{path}:{line}"
    assert finding in caught.value.finding
    assert remedy in caught.value.remedy


def test_dotted() -> None:
    assert dotted(("registries", 0, "trust", "keys", 1)) == "registries[0].trust.keys[1]"
