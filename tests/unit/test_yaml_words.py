"""A fault in seawall.yaml is told in words for people, at the line where it stands."""

import pytest

from seawall import config
from seawall.core.errors import InputError

TWO = "registries:\n- name: a\n  url: http://x\n- url: http://y\n  name: {name}\n  container: a\n"


def fault(tmp_path, text):
    path = tmp_path / "seawall.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        config.load(path)
    return str(told.value).removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("registries: main\n", "1: registries is 'main'; write a list: [...]"),
        ("registries: {a: 1}\n", "1: registries is a mapping; write a list: [...]"),
        ("registries:\n", "1: registries is empty; write a list: [...]"),
        ("registries:\n- main\n", "2: registries[0] is 'main'; write keys with values: {key: value}"),
        ("\nserver: []\n", "2: server is a list; write keys with values: {key: value}"),
        ("probe:\n  http2: 7\n", "2: probe.http2 is 7; write true or false"),
        ("probe:\n  http2: maybe\n", "2: probe.http2 is 'maybe'; write true or false"),
        ("server: {port: x}\n", "1: server.port is 'x'; write a whole number"),
        ("probe: {image: 5}\n", "1: probe.image is 5; write text; in quotes, where it looks like something"),
        ("slos: [1]\n", "1: slos is a list; write a path"),
        ("- 1\n", "1: the document is a list; write keys with values: {key: value}"),
        ("hello\n", "1: the document is 'hello'; write keys with values: {key: value}"),
        ("# nothing\n", "1: the file is empty; write at least one key"),
    ],
)
def test_a_value_of_another_type_is_told_in_words(tmp_path, text, words):
    assert fault(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TWO.format(name="a"), "5: registries[1].name; the name 'a' stands twice; names are unique"),
        (
            TWO.format(name="b") + "storage:\n- {path: /x, registry: a}\n- path: /y\n  registry: c\n",
            "10: storage[1].registry; no registry is named 'c'; known: ['a', 'b']",
        ),
        (
            TWO.format(name="b") + "maintenance:\n- registry: c\n  start: 2026-10-05T00:00:00Z\n"
            "  end: 2026-10-05T01:00:00Z\n  by: ada\n  reason: moved\n",
            "8: maintenance[0].registry; no registry is named 'c'; known: ['a', 'b']",
        ),
        (
            TWO.format(name="b") + "probe:\n  sites:\n  - name: s\n    urls:\n      c: http://z\n",
            "11: probe.sites[0].urls.c; no registry is named 'c'; known: ['a', 'b']",
        ),
        (
            "probe:\n  sites:\n  - name: s\n  - name: s\n",
            "4: probe.sites[1].name; the name 's' stands twice; names are unique",
        ),
    ],
)
def test_a_name_is_told_where_it_stands(tmp_path, text, words):
    assert fault(tmp_path, text) == words
