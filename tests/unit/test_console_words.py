"""The console's languages: the catalogue misses nothing, and the reader gets what was asked for."""

import re

import pytest
from jinja2 import nodes

from seawall.console import render, words


def asked_for():
    """(template, text) of every text that a template asks the catalogue for."""
    for path in sorted((render.HERE / "templates").glob("*.html")):
        tree = render._ENVIRONMENT.parse(path.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in ("_", "_n"):
                for argument in call.args[: 1 if call.node.name == "_" else 2]:
                    if isinstance(argument, nodes.Const):
                        yield path.name, argument.value
    for word in render._ENVIRONMENT.globals["ui"].words.values():
        yield "macros.html", word


def test_no_text_of_a_template_is_missing_in_chinese_and_none_is_left_over():
    found = {text: name for name, text in asked_for()}
    known = words.catalogue("zh")
    missing = {text: name for text, name in found.items() if text not in known}
    assert missing == {}
    assert set(known) - set(found) == set()


def test_a_translation_keeps_every_place_and_mark():
    for text, chinese in words.catalogue("zh").items():
        assert re.search(r"[一-鿿]", chinese), text
        for pattern in (r"\{\w+\}", r"</?\w+>"):
            assert sorted(re.findall(pattern, text)) == sorted(re.findall(pattern, chinese)), text


def test_a_template_has_no_words_beside_the_catalogue():
    bare, asking = {}, {name for name, _ in asked_for()}
    for path in sorted((render.HERE / "templates").glob("*.html")):
        if path.name not in asking:
            continue
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "\0", text, flags=re.S)
        text = re.sub(r"<[^>]*>|(/\w+\?)?(&amp;)?\w+=\0|&amp;", "\0", text)
        found = [
            it for it in re.findall(r"[A-Za-z][A-Za-z ]{2,}", text) if it.strip() not in ("Seawall", "LSTM")
        ]
        if found:
            bare[path.name] = found
    assert bare == {}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.5", "en"),
        ("fr, zh-Hant;q=0.4, en;q=0.3", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("de", "en"),
        ("zh;q=bad,;;,*", "en"),
        ("en;q=0.2,zh;q=1.0.0", "en"),
    ],
)
def test_the_browser_is_asked_which_language(header, language):
    assert words.accepted(header) == language


def test_what_is_put_into_a_text_is_escaped():
    assert words.said("<strong>{a}</strong>", a="<b>") == "<strong>&lt;b&gt;</strong>"
    assert words.counted("{n} change", "{n} changes", 1) == "1 change"
    assert words.counted("{n} change", "{n} changes", 2) == "2 changes"
