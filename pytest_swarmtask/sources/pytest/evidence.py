"""The evidence of a failure for the event that ends a test: traceback, output, earlier attempts, properties, markers.

Everything is redacted and bounded here. This module is loaded at the start of a session, because a test may leave the
import system broken, but nothing in it runs for a test that passes at once and has no properties.
"""

from __future__ import annotations

from pytest_swarmtask.core.event import EVIDENCE_TEXTS
from pytest_swarmtask.core.fastjson import compact
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.sources.pytest.excerpts import middle_cut, tail, written_size
from pytest_swarmtask.sources.pytest.failure import FailureReader
from pytest_swarmtask.sources.pytest.outcome import FAILURES, location, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    import pytest

    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.sources.pytest.outcome import Attempt, TestRun

    Step = Callable[[dict[str, Any], TestRun, str], None]
    Text = tuple[dict[str, Any], str, list[str]]

_MOST_ATTEMPTS = 10
"""The newest earlier attempts that are described."""
_LONGEST_ERROR = 500
"""Characters of the error of an earlier attempt: ten of them share the event with its other facts."""
_MOST_PROPERTIES = 50
_LONGEST_PROPERTY = 500
_PROPERTIES_SIZE = 4096
"""Bytes of all properties together: they are a part of the 16 KiB that an event has beside its long texts."""
_MOST_MARKERS = 50
_OUTPUTS = ("stdout", "stderr", "log")
_SCALARS = (str, bool, int, float, type(None))


class EvidenceReader:
    """Turns the reports of a test into evidence.

    Args:
        settings: `traceback` and `output` say which texts are wanted, `bytes` how many bytes; 0 for no evidence at all.
        redactor: hides secrets.
        root: the project's folder; files below it are named relative to it.
        folder: the working directory of the session.
        markers_of: returns the names of the markers of a failed test.
        remember_problem: is told what went wrong here. The event is recorded without the evidence then.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a session knows
        self,
        settings: Mapping[str, Any],
        redactor: Redactor,
        root: str,
        folder: str,
        markers_of: Callable[[TestRun], Sequence[str]],
        remember_problem: Callable[[BaseException], None],
    ) -> None:
        self._size: int = settings["bytes"]
        self._wants_traceback: bool = settings["traceback"]
        self._wants_output: bool = settings["output"]
        self._redactor = redactor
        self._root = root
        self._failures = FailureReader(redactor, root, folder)
        self._markers_of = markers_of
        self._remember_problem = remember_problem
        self._found: set[str] = set()

    def add(self, metadata: dict[str, Any], run: TestRun, outcome: str, found: Sequence[str]) -> None:
        """Add to the metadata of the event that ends a test what there is. Never raises.

        Args:
            metadata: what is known so far, redacted.
            run: the test.
            outcome: its outcome.
            found: the secrets that were found in the metadata.
        """
        self._found = set(found)
        for step in (self._describe_failure, self._describe_attempts, self._add_texts, self._add_properties):
            self._take(step, metadata, run, outcome)
        self._hide_found(metadata)

    def _take(self, step: Step, metadata: dict[str, Any], run: TestRun, outcome: str) -> None:
        try:
            step(metadata, run, outcome)
        except Exception as error:  # noqa: BLE001 - the code of plug-ins, whose reports may be anything
            self._remember_problem(error)

    # -- facts -------------------------------------------------------------------------------------------------

    def _describe_failure(self, metadata: dict[str, Any], run: TestRun, outcome: str) -> None:
        if run.report is not None and outcome not in ("skipped", "xpassed"):
            metadata |= self._failures.describe(run.report, run.nodeid)
        if outcome in FAILURES:
            markers = self._markers_of(run)
            if markers:
                metadata["markers"] = [self._redactor.short(name) for name in markers[:_MOST_MARKERS]]

    def _describe_attempts(self, metadata: dict[str, Any], run: TestRun, _: str) -> None:
        if run.attempts:
            attempts = run.attempts[-_MOST_ATTEMPTS:]
            metadata["attempts"] = [self._described(attempt, run.nodeid) for attempt in attempts]

    def _described(self, attempt: Attempt, nodeid: str) -> dict[str, Any]:
        report = attempt.report
        facts: dict[str, Any] = {"outcome": attempt.outcome, "phase": attempt.phase}
        error, place = message(report), location(report)
        if error is not None:
            facts["error"] = self._redacted(error, _LONGEST_ERROR)
        facts |= self._failures.describe(report, nodeid)
        if place is not None:
            facts["location"] = self._redactor.text(relative(place, self._root))
        facts["duration"] = round(attempt.duration, 6)
        return facts

    def _add_properties(self, metadata: dict[str, Any], run: TestRun, _: str) -> None:
        properties = self.properties(getattr(run.last_report, "user_properties", ()))
        if properties:
            metadata["properties"] = properties

    def properties(self, given: Sequence[Any]) -> list[list[Any]]:
        """Return properties as pairs of name and value, redacted: values that are no scalars of JSON as text."""
        if not given or not self._size:
            return []
        pairs: list[list[Any]] = []
        left = _PROPERTIES_SIZE
        for name, value in given[:_MOST_PROPERTIES]:
            pair = self._property(str(name), value)
            left -= len(compact(pair).encode())
            if left < 0:
                break
            pairs.append(pair)
        return pairs

    def _property(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, _SCALARS):
            value = self._redactor.plain(value, _LONGEST_PROPERTY)
        if isinstance(value, str) and len(value) > _LONGEST_PROPERTY:
            value = self._redacted(value, _LONGEST_PROPERTY)
        # As metadata, so that a value is hidden if its name is that of a secret.
        return list(next(iter(self._redactor.metadata({name: value}).items())))

    # -- texts -------------------------------------------------------------------------------------------------

    def _add_texts(self, metadata: dict[str, Any], run: TestRun, outcome: str) -> None:
        wanted = [text for text in self._texts_of_test(metadata, run, outcome) if any(text[2])]
        sizes = [_wanted_size(pieces, self._size) for _, _, pieces in wanted]
        for (facts, key, pieces), size in zip(wanted, _shares(sizes, self._size), strict=True):
            cut = tail(pieces, size, self._searched) if key in _OUTPUTS else self._middle(pieces[0], size)
            if cut:
                facts[key] = cut

    def _middle(self, text: str, size: int) -> str:
        return middle_cut(text, size, self._searched)

    def _texts_of_test(self, metadata: dict[str, Any], run: TestRun, outcome: str) -> Iterator[Text]:
        """Yield the texts of a test and of its earlier attempts, the traceback first."""
        attempts = run.attempts[-_MOST_ATTEMPTS:]
        before = [attempt.report for attempt in attempts]
        if outcome in FAILURES and run.report is not None:
            yield from self._texts_of(metadata, run.report, before[-1:])
            if self._wants_traceback and run.teardown_report is not None:
                yield metadata, "teardown_traceback", [_representation(run.teardown_report)]
        for number, facts in enumerate(metadata.get("attempts", ())):
            yield from self._texts_of(facts, before[number], before[max(0, number - 1) : number])

    def _texts_of(self, facts: dict[str, Any], report: Any, before: Sequence[Any]) -> Iterator[Text]:
        """Yield the texts of a report, each with the mapping and the key that it belongs to.

        Args:
            facts: the mapping.
            report: the report.
            before: the report of the attempt before, if there was one: pytest repeats its output in this one.
        """
        if self._wants_traceback:
            yield facts, "traceback", [_representation(report)]
        if self._wants_output:
            sections = _sections(report)
            known = [pair for one in before for pair in _sections(one)]
            if sections[: len(known)] == known:
                del sections[: len(known)]
            for key in _OUTPUTS:
                yield facts, key, [text for title, text in reversed(sections) if title.startswith(f"Captured {key}")]

    # -- secrets -----------------------------------------------------------------------------------------------

    def _searched(self, text: str) -> str:
        return self._redacted(text, len(text))

    def _redacted(self, text: str, limit: int) -> str:
        cleaned, found = self._redactor.searched(text, limit)
        self._found.update(found)
        return cleaned

    def _hide_found(self, metadata: dict[str, Any]) -> None:
        """Hide what one text has shown to be a secret, such as a local variable by its name, in all the others."""
        if self._found:
            keys = ("error", "teardown_error", "attempts", "properties", *EVIDENCE_TEXTS)
            texts = {key: metadata[key] for key in keys if key in metadata}
            metadata |= self._redactor.without_found(texts, self._found)


def _representation(report: Any) -> str:
    longrepr = getattr(report, "longrepr", None)
    return "" if longrepr is None else str(longrepr)


def _sections(report: Any) -> list[tuple[str, str]]:
    return list(getattr(report, "sections", ()))


def _wanted_size(pieces: Sequence[str], most: int) -> int:
    """Return the bytes that the texts would take in an event, or `most` if they are more."""
    size = 0
    for piece in pieces:
        size += len(piece) if len(piece) > most else written_size(piece)
        if size >= most:
            return most
    return size


def _shares(wanted: Sequence[int], total: int) -> list[int]:
    """Return how many bytes each text gets. The first, which is the most important, may take half if all are long.

    The others get equal shares, and what a short one leaves over goes to the longer ones.
    """
    if not wanted:
        return []
    first, *others = wanted
    first = min(first, max(total // 2, total - sum(others)))
    shares = [first, *others]
    left = total - first
    by_size = sorted(range(1, len(shares)), key=shares.__getitem__)
    for done, index in enumerate(by_size):
        shares[index] = min(shares[index], left // (len(by_size) - done))
        left -= shares[index]
    return shares


class MarkerNames:
    """Finds the markers of a test by its item or, where another process has that, by the names in its report.

    A report of an xdist worker has one list of names: the markers of the test, but also its own name, those of its
    class, file and folders, and the attributes of its function. A name counts as a marker if it is registered in the
    ini file or by a plug-in and is no part of the node id.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: Any = None
        self._items: dict[str, pytest.Item] | None = None
        self._registered: frozenset[str] = frozenset()

    def collect(self, session: pytest.Session) -> None:
        """Remember the session, whose items are looked up when the first test has failed."""
        self._session = session
        self._items = None  # a module that could not be collected may have asked before

    def of(self, run: TestRun) -> Sequence[str]:
        """Return the names, sorted."""
        if self._items is None:
            self._items = {item.nodeid: item for item in getattr(self._session, "items", ())}
            self._registered = frozenset(map(_marker_name, self._config.getini("markers")))
        item = self._items.get(run.nodeid)
        if item is not None:
            return sorted({mark.name for mark in item.iter_markers()})
        keywords = getattr(run.report, "keywords", ())
        return sorted(self._registered.intersection(keywords).difference(_parts_of(run.nodeid)))


def _marker_name(line: str) -> str:
    """Return the name in a line such as ``slow(reason): takes more than a minute``."""
    return line.partition(":")[0].partition("(")[0].strip()


def _parts_of(nodeid: str) -> list[str]:
    path, *names = nodeid.partition("[")[0].split("::")
    return [*path.split("/"), *names]
