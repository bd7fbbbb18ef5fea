"""The generated references: verbs from Typer, routes from OpenAPI, collectors from their classes.

    python -m docs.make.references            # writes docs/reference/*.md

A test compares the committed pages with what this makes.
"""

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import typer

import collectors
from seawall import config
from seawall.app import build_app, build_service
from seawall.cli import app as cli
from seawall.statefolder import StateFolder

FOLDER = Path(__file__).parents[1] / "reference"
MADE = "Made by `.venv/bin/python -m docs.make.references`; a test fails when it is old.\n"


def one_line(text: str | None) -> str:
    """The first paragraph, fit for a table's cell."""
    return " ".join((text or "").partition("\n\n")[0].split()).replace("|", "\\|")


# the command line --------------------------------------------------------------------------------


def cli_page() -> str:
    """Each verb with its arguments and options, types and defaults."""
    lines = ["# Every verb", "", f"What each means for you: [cli](../cli.md). {MADE}"]
    for name, verb in sorted(typer.main.get_command(cli).commands.items()):  # type: ignore[attr-defined]
        lines += [f"## `{name}`", "", one_line(verb.help), ""]
        lines += ["| Parameter | Type | Default |", "|---|---|---|", *map(parameter_row, verb.params), ""]
    return "\n".join(lines)


def parameter_row(parameter: Any) -> str:
    """One line of a verb's table."""
    argument = parameter.param_type_name == "argument"
    name = (parameter.name or "").upper() if argument else ", ".join(parameter.opts)
    kind = "switch" if getattr(parameter, "is_flag", False) else kind_of(parameter.type_descriptor.annotation)
    kind += ", many" * (parameter.multiple or parameter.nargs == -1)
    return f"| `{name}` | {kind} | {'required' if parameter.required else default_of(parameter.default)} |"


def kind_of(annotation: Any) -> str:
    """A type in the reader's words."""
    if issubclass(annotation, Enum):
        return ", ".join(f"`{it.value}`" for it in annotation)
    words = {str: "text", Path: "path", int: "number", float: "number"}
    return words.get(annotation, str(annotation.__name__))


def default_of(value: Any) -> str:
    """`none` for what is not given, the value in code otherwise."""
    plain = isinstance(value, (str, int, float, bool, Path)) and value not in (False, "")
    return f"`{value}`" if plain else "none"


# the API -----------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """The OpenAPI document of a Seawall with nothing configured."""
    with tempfile.TemporaryDirectory() as folder:
        stores = config.Stores(samples="memory:", events="memory:", records="memory:")
        service, opened = build_service(config.Config(stores=stores), StateFolder(Path(folder) / "state"))
        found: dict[str, Any] = build_app(service).openapi()
        opened.records.close()
    return found


def api_page(spec: Mapping[str, Any]) -> str:
    """Each route with parameters, body and answers, then the shapes that they name."""
    lines = ["# Every route", "", f"Roles, rules, examples: [api](../api.md). {MADE}"]
    for path, verbs in sorted(spec["paths"].items()):
        for verb, route in verbs.items():
            lines += [
                f"## `{verb.upper()} {path}`",
                "",
                one_line(route.get("description", route["summary"])),
                "",
            ]
            lines += route_table(route)
    lines += ["## Shapes", ""]
    for name, shape in sorted(spec["components"]["schemas"].items()):
        lines += [f"### {name}", ""]
        if shape.get("properties"):
            lines += ["| Field | Type | |", "|---|---|---|", *field_rows(shape), ""]
        else:
            lines += [type_of(shape), ""]
    return "\n".join(lines)


def route_table(route: Mapping[str, Any]) -> Iterator[str]:
    """Where a value goes, its name, its type; then what is answered."""
    yield from ("| In | Name | Type |", "|---|---|---|")
    for it in route.get("parameters", ()):
        yield f"| {it['in']} | `{it['name']}`{', required' * it['required']} | {type_of(it['schema'])} |"
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        yield f"| body | `{kind}` | {type_of(body.get('schema', {}))} |"
    told: dict[str, list[str]] = {}
    for code, answer in sorted(route["responses"].items()):
        kinds = [type_of(it.get("schema", {})) for it in answer.get("content", {}).values()]
        told.setdefault(kinds[0] if kinds else one_line(answer["description"]), []).append(f"`{code}`")
    yield from (f"| answer | {', '.join(codes)} | {what} |" for what, codes in told.items())
    yield ""


def field_rows(shape: Mapping[str, Any]) -> Iterator[str]:
    """One line a field."""
    for name, field in shape["properties"].items():
        told = one_line(field.get("description")) or ("required" if name in shape.get("required", ()) else "")
        yield f"| `{name}` | {type_of(field)} | {told} |"


def type_of(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words; a shape is a link to its table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"  # the anchor of its heading
    if choices := schema.get("anyOf", schema.get("oneOf", schema.get("allOf"))):
        return " or ".join(dict.fromkeys(map(type_of, choices)))
    if "enum" in schema:
        return ", ".join(f"`{it}`" for it in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return str(kind) + (f" ({schema['format']})" if "format" in schema else "")


# collectors --------------------------------------------------------------------------------------


def collectors_found() -> Iterator[tuple[str, type]]:
    """(module, class) of everything with the port Collector."""
    for found in sorted(pkgutil.iter_modules(collectors.__path__), key=lambda it: it.name):
        module = importlib.import_module(f"collectors.{found.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and hasattr(kind, "collect") and hasattr(kind, "stored"):
                yield found.name, kind


def collectors_page() -> str:
    """Each collector: its file, what it is for, how often it looks unless told otherwise."""
    lines = [
        "# Every collector",
        "",
        f"By kind of registry, with set-up: [collectors](../collectors.md). {MADE}",
    ]
    lines += ["| File | Class | What | Every |", "|---|---|---|---|"]
    for name, kind in collectors_found():
        interval = inspect.signature(kind).parameters.get("interval")
        known = interval is not None and interval.default is not inspect.Parameter.empty
        every = f"{interval.default:g} s" if interval and known else "as configured"
        file = f"[{name}.py](../../collectors/{name}.py)"
        lines.append(f"| {file} | `{kind.__name__}` | {one_line(inspect.getdoc(kind))} | {every} |")
    return "\n".join([*lines, ""])


def pages() -> dict[str, str]:
    """File name -> text."""
    return {"cli.md": cli_page(), "api.md": api_page(document()), "collectors.md": collectors_page()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
