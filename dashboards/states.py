"""Numbers that are states: their words and colours, and a panel that shows them over time."""

from dashboards.sdk import ValueMap, ValueMappingResult, statetimeline
from dashboards.shared import HEIGHT, SOURCE, query

Words = dict[str, tuple[str, str]]  # number -> (word, colour)
ROWS: Words = {
    "0": ("unknown", "text"),
    "1": ("ok", "green"),
    "2": ("at risk", "orange"),
    "3": ("breached", "red"),
}
UP: Words = {"0": ("down", "red"), "1": ("up", "green")}
FAULT: Words = {"0": ("no", "green"), "1": ("yes", "red")}


def mapping(words: Words = ROWS) -> ValueMap:
    """The SDK's form of words for numbers."""
    return ValueMap(
        {
            key: ValueMappingResult(text=text, color=color, index=int(key))
            for key, (text, color) in words.items()
        }
    )


def over_time(title: str, expr: str, legend: str, span: int, words: Words = ROWS) -> statetimeline.Panel:
    """A bar for each series, coloured by its state."""
    panel = statetimeline.Panel().title(title).datasource(SOURCE).height(HEIGHT).span(span)
    return panel.mappings([mapping(words)]).with_target(query(expr, legend))
