"""What a file that is not valid forbids holds as far as it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_swarmtask.config.salvage import readable_values
from pytest_swarmtask.config.yamlfile import MAX_BYTES

OFF = "task_integration:\n  enabled: false\n"


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        (OFF, False),
        (OFF + "  drain_timeuot: 5\n", False),
        (OFF + "monitoring: [", False),
        (OFF + "\x00", False),
        (OFF + "\x1b[2J", False),
        ("task_integration: [\n" + OFF, False),
        ("monitoring: {alerts: [\ntask_integration: {enabled: false}\n", False),
        ("monitoring: [\ntask_integration: {enabled: true}\n", True),
        ("task_integration:\n\tenabled: false\n", False),
        ("task_integration:\n  source: a\n\tenabled: false # for now\n", False),
        ("task_integration:\n  source: [\n  enabled: 'no'\n", False),
        ("task_integration:\n  source: {\n    enabled: false\n", True),  # a key of something else
        ("task_integration:\n  source: |\n    enabled: false\n  a: [", True),  # part of a text
        ("monitoring:\n\tenabled: false\n", True),
        ("environments:\n  ci:\n    task_integration:\n\t    enabled: false\n", False),
        ("environments:\n  prod:\n    task_integration:\n\t    enabled: false\n", True),
        (OFF + "  enabled: true\n", False),
        ("task_integration: {enabled: true, enabled: false}", False),
        (OFF + "task_integration: {enabled: true}\n", False),
        ("task_integration: {enabled: true}\n" + OFF, False),
        ("environments: {dev: {task_integration: &off {enabled: false}}, ci: {task_integration: *off}}\nfoo: 1", False),
        ("x: &f false\ntask_integration: {enabled: *f}", False),
        ("x: &f {enabled: false}\ntask_integration: {<<: *f, source: a}", False),
        ("x: &f {enabled: false}\ntask_integration: {<<: [{source: a}, *f]}", False),
        ("x: &f {enabled: false}\ntask_integration: {<<: *f, enabled: true}", True),
        ("x: &f {task_integration: {enabled: false}}\n<<: *f", False),
        ("x: &f {<<: *f}\ntask_integration: *f", True),  # it contains itself
        ("task_integration: {enabled: *nothing}", True),
        ("---\na: 1\n---\n" + OFF, False),
        ("# a comment\n" * 30_000 + OFF, False),
        ("a: [" + "x, " * 100_000 + "]\n" + OFF, False),
        ("task_integration: {enabled: no}", False),
        ("task_integration: {enabled: 'off'}", False),
        ("task_integration: {enabled: fasle}", False),
        ("task_integration: {enabled: yes}", True),
        ("task_integration: {enabled: }", True),
        ("task_integration: {webhooks: [{name: a, enabled: false}], enabled: true}", True),
        ("task_integration: {? [a, b] : c, enabled: false}", False),
        ("task_integration: {source: &a x, session_task_id: *a, enabled: false}", False),
        ("monitoring: {enabled: false}", True),
        ("- task_integration: {enabled: false}", True),
        ("environments: {prod: {task_integration: {enabled: false}}}", True),
        ("environments: {ci: {task_integration: {enabled: false}}}", False),
        (OFF + "environments: {ci: {task_integration: {enabled: true}}}", True),
        ("a: " + "[" * 100_000, True),
    ],
)
def test_enabled(tmp_path: Path, text: str, enabled: bool) -> None:
    """Recording is off if the file says so where it can be read, in whatever words."""
    path = tmp_path / "workflow.yaml"
    path.write_bytes(text.encode())
    assert readable_values(str(path), "ci").enabled is enabled


def test_keys_that_are_secret(tmp_path: Path) -> None:
    """The keys that the file calls secret are secret, those of the environment, too."""
    path = tmp_path / "workflow.yaml"
    path.write_text(
        "task_integration: {redact: {keys: [pet, name], allow: [other]}}\n"
        "environments: {ci: {task_integration: {redact: {keys: [colour]}}}, prod: {}}\n"
        "typo: ["
    )
    assert readable_values(str(path), "ci").redact_keys == ["pet", "name", "colour"]
    assert readable_values(str(path), None).redact_keys == ["pet", "name"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A file that is none forbids nothing; nothing is raised."""
    assert readable_values(str(tmp_path), None) == (True, [])
    assert readable_values(str(tmp_path / "none"), None) == (True, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1"])
def test_another_encoding(tmp_path: Path, encoding: str) -> None:
    """Also what is not in UTF-8 is honoured."""
    path = tmp_path / "file"
    path.write_bytes((OFF + "  source: n\xe4\n").encode(encoding))
    assert not readable_values(str(path), None).enabled


def test_no_value_is_cut_in_half(tmp_path: Path) -> None:
    """A word that is cut where reading ends does not count: `tru` would switch recording off."""
    path = tmp_path / "file"
    for length in range(MAX_BYTES - 37, MAX_BYTES - 31):
        path.write_text("a: " + "x" * length + "\ntask_integration: {enabled: true}\n" + "b: x\n" * 20)
        assert readable_values(str(path), None).enabled


def test_merges_that_would_take_for_ever(tmp_path: Path) -> None:
    """Each mapping is looked at once, however often it is merged."""
    lines = ["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 60))]
    path = tmp_path / "file"
    path.write_text("\n".join([*lines, "task_integration: *m59"]))
    assert readable_values(str(path), None).enabled
