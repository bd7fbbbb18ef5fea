"""The compliance report as Markdown and as one HTML page that stands alone: the same tables in both."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from seawall.console.report import _STYLE as STYLE
from seawall.console.report import _plain as plain

Json = dict[str, Any]


class Table(NamedTuple):
    """A heading, its columns and its rows; `note` stands below it."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def markdown(report: Json) -> str:
    """For a wiki or a mail."""
    lines = [f"# {_title(report)}", "", _span(report), "", plain(_audit(report["audit"]))]
    for table in _tables(report):
        lines += ["", f"## {table.title}", ""]
        if table.rows:
            lines += [f"| {' | '.join(table.heads)} |", "|---" * len(table.heads) + "|"]
            lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in table.rows]
        else:
            lines.append("None.")
        lines += ["", table.note] if table.note else []
    return "\n".join(lines) + "\n"


def html(report: Json) -> str:
    """One file: no script, no other file."""
    page = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>{style}</style></head><body><h1>{title}</h1><p>{span}</p><p>{audit}</p>{tables}</body></html>\n"
    )
    tables = Markup("").join(_drawn(table) for table in _tables(report))
    return str(
        page.format(
            title=_title(report),
            style=STYLE,
            span=_span(report),
            audit=_audit(report["audit"]),
            tables=tables,
        )
    )


def _drawn(table: Table) -> Markup:
    title = Markup("<h2>{}</h2>").format(table.title)
    note = Markup("<p>{}</p>").format(table.note) if table.note else Markup("")
    if not table.rows:
        return title + Markup("<p>None.</p>") + note
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in table.heads)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(it) for it in row))
        for row in table.rows
    )
    whole = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows)
    return title + whole + note


def _title(report: Json) -> str:
    return f"Compliance of {report['month']}"


def _span(report: Json) -> str:
    return f"What was recorded from {report['start']} until {report['until']}."


def _audit(it: Json) -> str:
    if it["verified"]:
        return (
            f"The audit log holds: {it['entries']} entries, the newest is {it['seq']}, its hash {it['head']}."
        )
    return f"THE AUDIT LOG DOES NOT HOLD: {it['wrong']}"


def _tables(report: Json) -> Iterator[Table]:
    heads = ("id", "playbook", "registry", "risk", "asked by", "decided by", "state", "ran", "recovered")
    yield Table("Repairs", heads, [_repair(it) for it in report["actions"]])
    counts = [
        [it["registry"], *(str(it[verdict]) for verdict in ("signed", "unsigned", "unknown"))]
        for it in report["pulls"]
    ]
    yield Table("Pulls by signature", ("registry", "signed", "unsigned", "unknown"), counts)
    fields = ("signature", "repository", "reference", "digest", "user", "client", "count", "newest", "reason")
    images = [
        [it["registry"], *(str(image[name] or "") for name in fields)]
        for it in report["pulls"]
        for image in it["images"]
    ]
    yield Table("Pulls that were not signed", ("registry", *fields), images)
    gone = ("at", "registry", "repository", "reference", "user", "client", "outcome", "source")
    deleted = [[str(it[name]) for name in gone] for it in report["deletions"]]
    more = "There are more than are shown." if report["cut"] else ""
    yield Table("Deletions of images", gone, deleted, more)
    for title, name in (
        ("Accounts and tokens", "accounts"),
        ("Failed log-ins", "failed_logins"),
        ("Freezes and other interventions", "changes"),
    ):
        rows = [[str(it["seq"]), it["at"], it["actor"], it["event"], it["subject"]] for it in report[name]]
        yield Table(title, ("entry", "at", "by", "what", "of"), rows)


def _repair(it: Json) -> list[str]:
    ran = f"{it['run']['started_at']}: {it['run']['outcome'] or 'runs'}" if it["run"] else "–"
    decided = ", ".join(f"{one['by']} at {one['at']}" for one in it["approvals"]) or _refused(it)
    asked = (it["id"], it["playbook"], it["registry"], it["risk"], it["requested_by"], decided, it["state"])
    return [*asked, ran, it["recovered_at"] or "–"]


def _refused(it: Json) -> str:
    """Who said no, in the story's words."""
    return next((f"{one['actor']}: {one['text']}" for one in it["story"] if "rejected" in one["text"]), "–")
