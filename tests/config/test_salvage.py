"""What a file that is not valid forbids holds as far as it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_swarmtask.config.salvage import readable_values

OFF = "task_integration:\n  enabled: false\n"


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        (OFF, False),
        (OFF + "  drain_timeuot: 5\n", False),
        (OFF + "monitoring: [", False),
        (OFF + "\x00", True),  # nothing of a file with such a character is YAML
        ("task_integration: [\n" + OFF, True),
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
    """Recording is off if the file says so before its first error, in whatever words."""
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
    """A file that is none, and one in another encoding, forbid nothing; nothing is raised."""
    assert readable_values(str(tmp_path), None) == (True, [])
    assert readable_values(str(tmp_path / "none"), None) == (True, [])
    (tmp_path / "file").write_bytes(b"\xff\xfe" + OFF.encode("utf-16-le"))
    assert readable_values(str(tmp_path / "file"), None) == (True, [])
