"""Who may act, where there is one Seawall only: SQLite admits one process."""


class Alone:
    """The port Leadership for records that no other Seawall shares."""

    def leads(self) -> bool:
        """Always."""
        return True

    def term(self) -> int:
        """0: there is nobody to be told apart from."""
        return 0
