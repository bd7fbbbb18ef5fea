"""mkdocs hook: links that leave docs/ work in the site too.

In the repository a page links to what lies beside docs/ (`../CONTRIBUTING.md`, a playbook's README). mkdocs
knows only docs/, so every file or folder that a page reaches becomes a page of the site below `repository/`:
Markdown as it is, a notebook cell by cell, other text as code, a folder as its README or the list of what is
in it. Links are rewritten to fit; one that leads nowhere stays as it is, and mkdocs, strict, refuses it.
"""

import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MIRROR = "repository/"
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|#|//")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "sh", ".toml": "toml"}
PICTURES = (".png", ".svg", ".jpg")


def each_link(markdown: str, change: Callable[[str], str]) -> str:
    """The text with every link's target changed, code blocks left alone."""
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda it: it[1] + change(it[2]) + it[3], part) for part in parts[::2]]
    return "".join(parts)


def links(markdown: str) -> list[str]:
    """Every link's target, outside code blocks."""
    return [found[2] for part in FENCE.split(markdown)[::2] for found in LINK.finditer(part)]


def origin(uri: str) -> str:
    """Where a page of the site lies in the repository: `cli.md` -> `docs/cli.md`."""
    return uri.removeprefix(MIRROR).removesuffix(".code.md") if uri.startswith(MIRROR) else f"docs/{uri}"


def target(link: str, source: str) -> str:
    """The repository path that a link of the file `source` names, without its anchor."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link.partition("#")[0]))


def place(root: Path, path: str) -> str | None:
    """The site's page for a repository path; None if nothing is there."""
    full = root / path
    if path.startswith("..") or not full.exists():
        return None
    if full.is_dir():
        return place(root, f"{path}/README.md") or f"{MIRROR}{path}/index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return MIRROR + (path if full.suffix in (".md", *PICTURES) else f"{path}.code.md")


def text_of(full: Path, name: str) -> str:
    """A file or folder outside docs/ as Markdown."""
    if full.is_dir():
        names = sorted(it.name + "/" * it.is_dir() for it in full.iterdir() if it.name[0] not in "._")
        return f"# {name}\n\n" + "".join(f"- `{it}`\n" for it in names)
    text = full.read_text(encoding="utf-8")
    if full.suffix == ".md":
        return text
    if full.suffix == ".ipynb":
        return "\n\n".join(cell_text(cell) for cell in json.loads(text)["cells"])
    return f"# {name}\n\n{fenced(LANGUAGES.get(full.suffix, 'text'), text)}"


def fenced(language: str, text: str) -> str:
    """A code block that may hold code blocks."""
    return f"````{language}\n{text.rstrip()}\n````\n"


def cell_text(cell: dict[str, Any]) -> str:
    """A notebook's cell with what it printed and drew."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    shown = [fenced("python", source)]
    for output in cell.get("outputs", ()):
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in data:
            shown.append(f"![what the cell drew](data:image/png;base64,{''.join(data['image/png']).strip()})")
        elif printed := "".join(data.get("text/plain", "")):
            shown.append(fenced("text", printed))
    return "\n".join(shown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for everything outside docs/ that a page reaches, and what those reach in turn."""
    root = Path(config.config_file_path).parent
    waiting = [(it.src_uri, it.content_string) for it in files.documentation_pages()]
    while waiting:
        uri, markdown = waiting.pop()
        for link in links(markdown):
            path = "" if SCHEME.match(link) else target(link, origin(uri))
            page = place(root, path) if path else None
            if page is None or not page.startswith(MIRROR) or files.get_file_from_path(page):
                continue
            if page.endswith(PICTURES):
                files.append(File.generated(config, page, abs_src_path=str(root / path)))
                continue
            markdown = text_of(root / origin(page).removesuffix("/index.md"), path)
            files.append(File.generated(config, page, content=markdown))
            waiting.append((page, markdown))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point each link at the site's page for what it names in the repository."""
    root, here = Path(config.config_file_path).parent, page.file.src_uri

    def change(link: str) -> str:
        if SCHEME.match(link) or (found := place(root, target(link, origin(here)))) is None:
            return link
        anchor = "#" + link.partition("#")[2] if "#" in link else ""
        return posixpath.relpath(found, posixpath.dirname(here)) + anchor

    return each_link(markdown, change)
