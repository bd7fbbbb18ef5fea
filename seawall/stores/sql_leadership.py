"""Which of several Seawalls on one PostgreSQL acts: who holds an advisory lock, on a connection of its own.

The lock is the server's: it is free again once that connection ends, however the Seawall ended. Each new
leader counts the term up in the same breath; `fence`, inside the transaction that begins a run, refuses a
term that is not the newest, so that a former leader that has not noticed yet begins nothing. A leader that
hangs, its connection alive, is unseen, and then the server is asked to end its session. Port: Leadership.
"""

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from seawall.core.errors import Conflict
from seawall.stores.schema import leadership
from seawall.stores.sql_engine import LEADER

BEAT = 1.0  # seconds between two looks; a leader that was killed is followed within two
STALE = 6.0  # seconds unseen, by the server's clock, after which a leader is deposed
NAME = "seawall"
log = logging.getLogger(__name__)
_NOW = sa.func.extract("epoch", sa.func.clock_timestamp())
_DEPOSE = sa.text(
    "SELECT pg_terminate_backend(held.pid) FROM pg_locks held, leadership it"
    " WHERE held.locktype = 'advisory' AND held.granted AND held.objid = :lock AND held.classid = 0"
    " AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND it.name = :name AND it.seen < extract(epoch FROM clock_timestamp()) - :stale"
)


def fence(db: sa.Connection, term: int) -> None:
    """Conflict if records have a leader and `term` is not its term."""
    now = sa.select(leadership.c.term).where(leadership.c.name == NAME).with_for_update(read=True)
    newest = db.execute(now).scalar()  # nobody counts on before this transaction has ended
    if newest is not None and newest != term:
        raise Conflict(f"Seawall of term {term} does not lead any more: the term is {newest}")


class Election:
    """Stands for election from `start` until `stop`."""

    def __init__(self, engine: sa.Engine, holder: str, beat: float = BEAT) -> None:
        self.holder = holder
        self._engine, self._beat = engine, beat
        self._gained: Callable[[], None] = lambda: None
        self._lock, self._end = threading.Lock(), threading.Event()
        self._db: sa.Connection | None = None
        self._term = 0
        self._leading = False
        self._thread: threading.Thread | None = None

    @property
    def leading(self) -> bool:
        """As of the last look, at most a beat ago; asks nobody."""
        return self._leading

    def leads(self) -> bool:
        """Asked of the server now: the lock is held and the term is the newest."""
        with self._lock:
            return self._leading and self._holds()

    def term(self) -> int:
        """The fencing token of this one's last leadership; 0 before the first."""
        return self._term

    def start(self, gained: Callable[[], None]) -> None:
        """One look at once, so that a lone Seawall leads when this returns; then every beat. `gained` is
        called, in the thread that looked, each time this one becomes the leader."""
        self._gained = gained
        self._look()
        self._thread = threading.Thread(target=self._follow, name="election", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give the lead away."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        with self._lock:
            self._drop()

    def _follow(self) -> None:
        while not self._end.wait(self._beat):
            self._look()

    def _look(self) -> None:
        with self._lock:
            won = not (self._leading and self._holds()) and self._try()
        if won:
            log.warning("%s leads now (term %d)", self.holder, self._term)
            self._gained()

    def _holds(self) -> bool:
        """Our session lives (its lock with it) and nobody has counted on; that is a beat, too."""
        assert self._db is not None  # noqa: S101 - who leads has a connection
        try:
            mine = sa.and_(leadership.c.name == NAME, leadership.c.term == self._term)
            held = self._db.execute(leadership.update().where(mine).values(seen=_NOW)).rowcount == 1
        except sa.exc.SQLAlchemyError as error:
            log.warning("%s does not lead any more: %s", self.holder, error)
            self._drop()
            return False
        if not held:
            log.warning("%s does not lead any more: its term %d is over", self.holder, self._term)
            self._drop()
        return self._leading

    def _try(self) -> bool:
        try:
            if self._db is None:
                self._db = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if not self._db.exec_driver_sql(f"SELECT pg_try_advisory_lock({LEADER})").scalar():
                deposed = self._db.execute(_DEPOSE, {"lock": LEADER, "name": NAME, "stale": STALE}).rowcount
                if deposed:
                    log.warning("%s ended the session of a leader unseen for %.0f s", self.holder, STALE)
                return False
            self._term = self._count_on(self._db)
        except sa.exc.SQLAlchemyError as error:
            log.warning("the leader cannot be elected: %s", error)
            self._drop()
            return False
        self._leading = True
        return True

    def _count_on(self, db: sa.Connection) -> int:
        """On the connection that holds the lock, one statement, so that term and lock have one fate."""
        from sqlalchemy.dialects.postgresql import insert

        first = insert(leadership).values(name=NAME, term=1, holder=self.holder, seen=_NOW)
        following = {"term": leadership.c.term + 1, "holder": self.holder, "seen": _NOW}
        done = first.on_conflict_do_update(index_elements=["name"], set_=following)
        return int(db.execute(done.returning(leadership.c.term)).scalar_one())

    def _drop(self) -> None:
        """End the session, and with it the lock."""
        self._leading = False
        if self._db is not None:
            self._db.invalidate()
            self._db.close()
            self._db = None
