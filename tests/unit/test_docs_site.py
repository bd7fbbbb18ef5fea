"""The site of the pages: it builds, its links lead somewhere, what it tells is new, what it teaches works."""

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from PIL import Image

from docs.make import references, shots
from remediation import catalogue_check
from seawall.demo.plant import Plant
from seawall.demo.story import Story
from tests.unit.test_docs import DOCS, HEADING, ROOT, blocks, commands, page, without_code

BIN = Path(sys.executable).parent
HOW_TO = DOCS / "how-to"


def call(*words: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of this environment, with what it said."""
    # Seawall's own modules are importable from any folder.
    path = os.pathsep.join([str(cwd), str(ROOT)])
    env = os.environ | {"PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"} | environment
    return subprocess.run(
        [str(it) for it in words], cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False
    )


# the site --------------------------------------------------------------------------------------


class Links(HTMLParser):
    """What a page names: its ids, the links of readers, and what a browser fetches by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := given.get(key))}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(given["href"])
        elif tag in ("script", "img", "iframe") and given.get("src"):
            self.fetched.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """path -> what the built page names."""
    folder = tmp_path_factory.mktemp("site")
    done = call(BIN / "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    found = {}
    for path in folder.rglob("*.html"):
        found[path] = Links()
        found[path].feed(path.read_text(encoding="utf-8"))
    yield folder, found
    shutil.rmtree(folder)


def test_every_internal_link_of_the_built_site_leads_somewhere(site):
    folder, pages = site
    checked = 0
    for path, names in pages.items():
        if path.name == "404.html":  # its links are those of a server's root
            continue
        for link in names.links + names.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(folder)}: {link}"
            anchor = unquote(parts.fragment)
            if anchor and not anchor.startswith("__"):  # those of the theme's own code blocks
                assert anchor in pages[target].ids, f"{path.relative_to(folder)}: {link}"
            checked += 1
    assert checked > 1000


def test_the_site_asks_nobody_else_for_anything(site):
    _, pages = site
    for path, names in pages.items():
        foreign = [it for it in names.fetched if urlsplit(it).netloc]
        assert not foreign, f"{path}: {foreign}"


def test_playbooks_code_and_folders_beside_docs_are_in_the_site(site):
    folder, _ = site
    for readme in (ROOT / "remediation" / "playbooks").glob("*/README.md"):
        name = readme.parent.name
        assert (folder / f"repository/remediation/playbooks/{name}/index.html").is_file(), name
    assert "Changelog" in (folder / "repository/CHANGELOG.html").read_text()
    cells = (folder / "repository/notebooks/how_the_lstm_decides.ipynb.code.html").read_text()
    assert "import" in cells and '"cell_type"' not in cells


def test_the_navigation_follows_the_flow_and_names_every_playbook_and_runbook(site):
    folder, _ = site
    home = (folder / "index.html").read_text()
    tabs = re.findall(r'md-tabs__link">\s*([^<]+?)\s*<', home)
    assert [it for it in tabs if it in ("Collect", "Judge", "Repair", "See", "Operate")] == [
        "Collect",
        "Judge",
        "Repair",
        "See",
        "Operate",
    ]
    nav = (ROOT / "mkdocs.yml").read_text()
    for path in [*DOCS.glob("runbooks/*.md"), *DOCS.glob("*.md"), *DOCS.glob("how-to/*.md")]:
        assert str(path.relative_to(DOCS)) in nav, f"mkdocs.yml's nav lacks {path.name}"
    for folder_ in (ROOT / "remediation" / "playbooks").glob("*/README.md"):
        assert str(folder_.relative_to(ROOT)) in nav


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    for name in ("docs/make/__init__.py", "docs/make/repository.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nhooks: [docs/make/repository.py]\n")
    (tmp_path / "beside.md").write_text("# Beside\n\n## Here\n")
    index = tmp_path / "docs" / "index.md"
    index.write_text("[good](../beside.md#here)\n\n```\n[code](../nowhere.md)\n```\n")
    build = [BIN / "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    assert call(*build, cwd=tmp_path).returncode == 0
    assert 'href="repository/beside/#here"' in (tmp_path / "site" / "index.html").read_text()
    index.write_text("[bad](../nowhere.md)\n")
    done = call(*build, cwd=tmp_path)
    assert done.returncode == 1 and "nowhere.md" in done.stderr


# generated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cli.md", "api.md", "collectors.md"])
def test_the_generated_references_are_new(name):
    made = references.pages()[name]
    told = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert told == made, f"docs/reference/{name} is old: run .venv/bin/python -m docs.make.references"


def test_the_reference_has_every_route_and_parameter():
    spec, text = references.document(), (DOCS / "reference" / "api.md").read_text()
    for path, verbs in spec["paths"].items():
        for verb, route in verbs.items():
            section = text.split(f"\n## `{verb.upper()} {path}`\n")[1].split("\n## ")[0]
            for parameter in route.get("parameters", ()):
                assert f"`{parameter['name']}`" in section, f"{verb} {path}: {parameter['name']}"


# pictures --------------------------------------------------------------------------------------


def test_pictures_are_few_small_and_shown():
    shots = sorted((DOCS / "images").glob("*.png"))
    script = (DOCS / "make" / "shots.py").read_text()
    shown = "".join(path.read_text() for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
    assert 3 <= len(shots) <= 6
    for shot in shots:
        assert shot.stat().st_size < 250_000, shot.name
        with Image.open(shot) as picture:
            picture.verify()
        assert f'"{shot.stem}"' in script, f"make shots does not make {shot.name}"
        assert f"images/{shot.name}" in shown, f"no page shows {shot.name}"


def test_the_pictured_story_fits_the_story_that_it_watches():
    told = [
        name for name in vars(shots.Pictured) if name in vars(Story) and inspect.isfunction(vars(Story)[name])
    ]
    assert {"_warm_up", "_decided", "_healed", "_watch"} <= set(told)
    for name in set(told) - {"__init__"}:
        ours, theirs = (list(inspect.signature(vars(it)[name]).parameters) for it in (shots.Pictured, Story))
        assert ours == theirs, name
    inspect.signature(Plant).bind("container", auto=False)


def test_drawings_need_nothing_and_are_legible_light_and_dark():
    for path in (DOCS / "images").glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg") and root.get("viewBox"), path.name
        assert not re.search(r"(href|url\()=?[\"']?https?:", path.read_text()), path.name
    flow = (DOCS / "images" / "flow.svg").read_text()
    assert "prefers-color-scheme: dark" in flow and "<title" in flow and "<desc" in flow


# Chinese ---------------------------------------------------------------------------------------

PAIRS = [(ROOT / "README.md", ROOT / "README.zh.md"), (DOCS / "quickstart.md", DOCS / "zh" / "quickstart.md")]
BOTH = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=lambda it: it.name)


@BOTH
def test_the_chinese_page_has_the_same_commands_and_files(english, chinese):
    assert [words for _, words in commands(english)] == [words for _, words in commands(chinese)]
    told, translated = ([yaml.safe_load(text) for _, text in blocks(it, "yaml")] for it in (english, chinese))
    assert told == translated


@BOTH
def test_the_chinese_page_has_the_same_parts_and_links(english, chinese):
    def parts(path: Path) -> tuple[object, ...]:
        text = without_code(path.read_text(encoding="utf-8"))
        headings = [it[1] for it in HEADING.finditer(text)]
        rows = len(re.findall(r"^\|", text, re.M))
        points = len(re.findall(r"^(?:- |\d\. )", text, re.M))
        return headings, rows, points

    def links(path: Path) -> list[str]:
        found = re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8")))
        local = [it for it in found if "://" not in it]
        named = {os.path.relpath((path.parent / it).resolve(), ROOT).partition("#")[0] for it in local}
        pair = {os.path.relpath(it, ROOT) for it in (*PAIRS[0], *PAIRS[1])}
        return sorted(named - pair)

    assert parts(english) == parts(chinese)
    assert set(links(english)) == set(links(chinese))


@BOTH
def test_the_chinese_page_is_chinese(english, chinese):
    text = without_code(chinese.read_text(encoding="utf-8"))
    assert len(re.findall(r"[一-鿿]", text)) > 500
    assert not re.search(r"[一-鿿] ?[,;!?](?=\s|[一-鿿])", text), "Chinese text has full-width punctuation"


# how to ----------------------------------------------------------------------------------------


def named(name: str) -> dict[str, str]:
    """file name -> text of the examples of a page; the first line of each names its file."""
    found = {}
    for language in ("yaml", "python"):
        for _, text in blocks(HOW_TO / name, language):
            first, _, _ = text.partition("\n")
            found[first.removeprefix("# ")] = text
    return found


def example(name: str, program: str) -> list[str]:
    """The words of the page's one command of `program`, without the path before it."""
    (words,) = [words for _, words in commands(HOW_TO / name) if words[0].endswith(program)]
    return words[1:]


@pytest.fixture
def playbook(tmp_path):
    """The folder that the page makes, and a configuration that names it."""
    files = named("playbook.md")
    folder = tmp_path / "playbooks" / yaml.safe_load(files["action.yaml"])["name"]
    folder.mkdir(parents=True)
    for name in ("action.yaml", "playbook.yml"):
        (folder / name).write_text(files[name])
    (folder / "README.md").write_text("# clear-temporary\n")
    (tmp_path / "seawall.yaml").write_text(files["seawall.yaml"])
    return folder


def test_the_playbook_of_the_page_passes_the_check(playbook):
    words = example("playbook.md", "seawall")
    done = call(sys.executable, "-m", "seawall", *words, "--json", cwd=playbook.parents[1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = [it for it in json.loads(done.stdout)["checks"] if it["playbook"] == "clear-temporary"]
    assert {it["name"] for it in found} == {"schema", "inputs", "syntax", "lint"}
    assert all(it["ok"] in (True, None) for it in found)


def test_a_fault_in_the_playbook_of_the_page_is_found(playbook):
    path = playbook / "playbook.yml"
    path.write_text(path.read_text().replace("{{ older_than }}", "{{ oldest }}"))
    wrong = [it for it in catalogue_check.check([playbook.parent]) if it.ok is False]
    assert {(it.playbook, it.name) for it in wrong} == {("clear-temporary", "inputs")}
    told = " ".join(it.found for it in wrong)
    assert "oldest" in told and "older_than" in told  # made by nobody, and used by nobody


def test_the_playbook_of_the_page_previews_changes_and_then_changes_nothing(playbook, tmp_path):
    old, young = tmp_path / "left" / "old", tmp_path / "left" / "young"
    old.parent.mkdir()
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (1e9, 1e9))
    inputs = {"folder": str(old.parent), "older_than": "7d"}
    (tmp_path / "hosts").write_text(
        "[registry_servers]\nlocalhost ansible_connection=local "
        'ansible_python_interpreter="{{ ansible_playbook_python }}"\n'
    )
    run = [BIN / "ansible-playbook", "-i", tmp_path / "hosts", "-e", json.dumps(inputs)]
    preview = call(*run, "--check", "--diff", playbook / "playbook.yml")
    assert "changed=1" in preview.stdout and old.exists(), preview.stdout
    assert "changed=1" in call(*run, playbook / "playbook.yml").stdout
    assert young.exists() and not old.exists()
    again = call(*run, playbook / "playbook.yml").stdout
    assert "changed=0" in again and "failed=0" in again


def test_the_row_of_the_page_is_checked_and_becomes_rules(tmp_path):
    for name, text in named("row.md").items():
        (tmp_path / name).write_text(text)
    for words in [words[1:] for _, words in commands(HOW_TO / "row.md") if words[0].endswith("seawall")]:
        done = call(sys.executable, "-m", "seawall", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    rules = "".join(path.read_text() for path in (tmp_path / "rules").rglob("*.yml"))
    assert "alert: StorageInodesUsed" in rules and "alert: SeawallStorageCapacity" in rules
    assert "alert: SeawallPullLatency" not in rules


def test_the_collector_of_the_page_passes_its_test(tmp_path):
    for name, text in named("collector.md").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    # The new file lies where the page says, beside the shipped ones.
    (tmp_path / "conftest.py").write_text(
        f"import collectors\ncollectors.__path__.append({str(tmp_path / 'collectors')!r})\n"
    )
    (words,) = [words for _, words in commands(HOW_TO / "collector.md") if words[0].endswith("python")]
    done = call(sys.executable, *words[1:], "-o", "asyncio_mode=auto", "-q", cwd=tmp_path)
    assert done.returncode == 0 and "6 passed" in done.stdout, done.stdout[-3000:]


def test_the_detector_of_the_page_obeys_the_laws(tmp_path):
    ((name, text),) = named("detector.md").items()
    (tmp_path / name).write_text(text)
    (line,) = [line for _, text in blocks(HOW_TO / "detector.md", "sh") for line in text.splitlines()]
    words = shlex.split(line)[2:]
    done = call(sys.executable, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r": ok$", done.stdout, re.M)) > 10 and "BROKEN" not in done.stdout


# words -----------------------------------------------------------------------------------------


def test_the_comparison_says_of_others_only_what_has_a_source():
    text = page("comparison.md")
    table = text.split("## Which one to take")[1].split("##")[0]
    for line in [it for it in table.splitlines() if it.startswith("| ") and "Seawall" not in it][2:]:
        assert re.search(r"\(https://|\(below\)|own count", line), line
    figures = (DOCS / "benchmarks.md").read_text()
    for row in re.findall(r"^\| Seawall[^|]*\|(.*)\|$", text, re.M):
        for figure in re.findall(r"\d+\.\d", row):
            assert figure in figures, f"comparison.md: {figure} is not in benchmarks.md"
