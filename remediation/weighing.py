"""The risk of a repair once its preview is known."""

from seawall.core.actions import Preview, Risk

_ORDER = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)


def weighed(declared: Risk, preview: Preview, previewable: bool = True) -> Risk:
    """One tier above the declared risk where check mode could not preview everything, or the playbook says
    so itself (`previewable: false`): what nobody has seen is riskier than what was read. High stays high."""
    if previewable and not preview.not_previewable:
        return declared
    return _ORDER[min(_ORDER.index(declared) + 1, len(_ORDER) - 1)]
