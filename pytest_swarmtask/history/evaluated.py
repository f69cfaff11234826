"""How far the alerts of a server have got in the events of each project.

Within a project, ids of events grow in the order in which events are committed, because its writers take turns. So the
id of the last evaluated event is enough, and no event is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.history.database import NEWEST

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

# The project without a name stands for the whole store: it has a number while alerts are evaluated at all.
_IS_OFF = "SELECT 1 FROM project WHERE name = '' AND evaluated IS NULL"
_BEGIN = f"UPDATE project SET evaluated = {NEWEST}"
_END = "UPDATE project SET evaluated = NULL WHERE name = ''"
# SQLite gives the ids of the newest events to new events once the former are removed.
_LOWER = f"UPDATE project SET evaluated = {NEWEST} WHERE evaluated > {NEWEST}"
_NEXT = """
SELECT event.id, line FROM event CROSS JOIN run ON run.id = event.run
WHERE event.id > ? AND event.id <= ? AND run.project = ? ORDER BY event.id LIMIT ?
"""


class NextEvents(NamedTuple):
    """The next events that alerts have to evaluate.

    Attributes:
        lines: their journal lines, in the order of their arrival.
        after: the id of the last event that was evaluated before.
        until: the id up to which there is nothing else to evaluate, once these are.
    """

    lines: list[str]
    after: int
    until: int


def begin(db: Database) -> None:
    """Begin with the events that come from now on, unless alerts are evaluated already. Called for the whole store."""
    with db.transaction():
        if db.execute(_IS_OFF).fetchone():
            db.execute(_BEGIN)


def end(db: Database) -> None:
    """Note that no alerts are evaluated, so that the next `begin` passes over the events that come meanwhile."""
    db.execute(_END)


def newest(db: Database) -> int:
    """Return the id up to which all events of the project are committed: later ones will have greater ids."""
    with db.transaction():  # so that no other process is writing some with smaller ids
        return int(db.execute(f"SELECT {NEWEST}").fetchone()[0])


def next_events(db: Database, until: int, most: int) -> NextEvents:
    """Return the next events of the project, up to an id that `newest` has returned, and at most so many."""
    (after,) = db.execute("SELECT evaluated FROM project WHERE id = ?", (db.project,)).fetchone()
    if after is None or after >= until:
        return NextEvents([], after or 0, after or 0)
    rows = db.execute(_NEXT, (after, until, db.project, most)).fetchall()
    # Retention may have removed the newest events meanwhile, and others may get their ids.
    (there,) = db.execute(f"SELECT {NEWEST}").fetchone()
    last = rows[-1][0] if len(rows) == most else max(after, min(until, there))
    return NextEvents([line for _, line in rows], after, last)


def advance(db: Database, found: NextEvents) -> bool:
    """Note that these events are evaluated. Return False, and change nothing, if another process has done so."""
    query = "UPDATE project SET evaluated = ? WHERE id = ? AND evaluated = ?"
    return db.execute(query, (found.until, db.project, found.after)).rowcount == 1


def lower(db: Database) -> None:
    """Keep step with events that were removed. Called in the transaction that removes them."""
    db.execute(_LOWER)
