"""The active role, and its permissions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_swarmtask.core.errors import AccessError, ConfigError
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.roles import CONTROLS, Access, allows, token_hash
from pytest_swarmtask.recording.settings import read_settings

WORKFLOW = f"""
access_control:
  default_role: developer
  roles:
    developer:
      allow: ["emit:TASK_*", "emit:TEST_*"]
    robot:
      allow: ["trigger:run"]
    deployer:
      allow: ["emit:*", "delivery:*"]
      token_hash: {token_hash("d-token")}
      token_env: DEPLOYER
      secret_env: [DEPLOYER_KEY, DEPLOYER_OLD_KEY]
    admin:
      allow: ["*"]
      token_hash: {token_hash("a-token")}
      token_env: ADMIN
environments:
  locked:
    access_control: {{default_role: }}
"""


def access(root: Path, text: str = WORKFLOW, **environ: str) -> Access:
    path = Path(Project(str(root)).workflow_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    settings = read_settings(Project(str(root)), environ)
    assert settings.problem is None
    return settings.access


def granted(found: Access) -> list[str]:
    return [control for control in CONTROLS if found.may(control)]


def test_without_roles_everything_is_allowed(tmp_path: Path) -> None:
    found = access(tmp_path, "")
    assert (found.restricted, found.role, found.denied) == (False, None, frozenset())
    assert granted(found) == list(CONTROLS)


def test_the_default_role_is_of_whoever_proves_no_other(tmp_path: Path) -> None:
    found = access(tmp_path)
    assert (found.role, found.secrets, found.disproved) == ("developer", (), ())
    assert "BUILD_STARTED" in found.denied
    assert granted(found) == [c for c in CONTROLS if c.startswith(("emit:TASK_", "emit:TEST_"))]


def test_a_token_proves_a_role(tmp_path: Path) -> None:
    found = access(tmp_path, DEPLOYER="d-token")
    assert (found.role, found.secrets, found.denied) == (
        "deployer",
        ("DEPLOYER_KEY", "DEPLOYER_OLD_KEY"),
        frozenset(),
    )
    assert [c for c in granted(found) if not c.startswith("emit:")] == ["delivery:replay", "delivery:purge"]


def test_the_first_of_several_proven_roles_holds(tmp_path: Path) -> None:
    assert access(tmp_path, ADMIN="a-token", DEPLOYER="d-token").role == "deployer"


@pytest.mark.parametrize("token", ["d-token ", "D-TOKEN", "a-token", token_hash("d-token"), "\udcff", "0" * 10_000])
def test_another_token_proves_nothing_and_is_named(tmp_path: Path, token: str) -> None:
    found = access(tmp_path, DEPLOYER=token)
    assert (found.role, found.disproved) == ("developer", ("DEPLOYER",))


def test_an_empty_token_is_none(tmp_path: Path) -> None:
    assert access(tmp_path, DEPLOYER="").disproved == ()


def test_without_a_default_role_nobody_may_do_anything(tmp_path: Path) -> None:
    found = access(tmp_path, WORKFLOW_ENVIRONMENT="locked")
    assert (found.role, granted(found)) == (None, [])
    assert access(tmp_path, WORKFLOW_ENVIRONMENT="locked", ADMIN="a-token").role == "admin"


def test_a_refusal_names_role_control_and_what_would_grant_it(tmp_path: Path) -> None:
    with pytest.raises(AccessError) as caught:
        access(tmp_path, ADMIN="wrong").require("delivery:purge")
    assert str(caught.value) == (
        "not permitted: the role developer may not delivery:purge; "
        "set DEPLOYER to the token of the role deployer; "
        "or set ADMIN to the token of the role admin (what it holds now is not that token); "
        "or add it to access_control.roles.developer.allow in workflow.yaml"
    )
    assert isinstance(caught.value, PermissionError)


def test_a_refusal_to_nobody_says_so(tmp_path: Path) -> None:
    found = access(tmp_path, "access_control: {roles: {developer: {allow: ['emit:TASK_*']}}}")
    assert found.refusal("task:sync") == (
        "not permitted: whoever proves no role may not task:sync; "
        "add it to a role's allow, and name it as default_role in workflow.yaml"
    )


def test_the_role_holds_also_from_the_cache(tmp_path: Path) -> None:
    first = access(tmp_path, DEPLOYER="d-token")
    assert read_settings(Project(str(tmp_path)), {"DEPLOYER": "d-token"}).access == first
    assert read_settings(Project(str(tmp_path)), {}).access.role == "developer"


def test_no_token_is_in_the_cache(tmp_path: Path) -> None:
    access(tmp_path, DEPLOYER="d-token")
    assert "d-token" not in (tmp_path / ".taskmaster" / "events" / "config.json").read_text()


def test_deliveries_depend_on_the_secrets_of_the_role(tmp_path: Path) -> None:
    access(tmp_path)
    environ = {"TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/"}
    assert "DEPLOYER_KEY" not in read_settings(Project(str(tmp_path)), environ).variables
    assert "DEPLOYER_KEY" in read_settings(Project(str(tmp_path)), {**environ, "DEPLOYER": "d-token"}).variables


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WORKFLOW.replace("default_role: developer", "default_role: deployer"), "found a role that has to be proven"),
        (WORKFLOW.replace("default_role: developer", "default_role: develope"), "did you mean developer?"),
        (WORKFLOW.replace("token_env: ADMIN", "secret_env: ADMIN"), "found half a proof"),
        (WORKFLOW.replace("trigger:run", "trigger:rum"), "did you mean trigger:run?"),
        (WORKFLOW.replace(token_hash("a-token"), "a-token"), "expected sha256: and 64 hex digits"),
    ],
)
def test_a_wrong_configuration_is_told(tmp_path: Path, text: str, said: str) -> None:
    from pytest_swarmtask.config.load import load

    path = Path(Project(str(tmp_path)).workflow_file)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Project(str(tmp_path)), {})
    assert said in str(caught.value)
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("glob", "allowed"), [("*", True), ("emit:*", True), ("emit:TASK_?TARTED", True), ("e", False)]
)
def test_globs(glob: str, allowed: bool) -> None:
    assert allows(["task:sync", glob], "emit:TASK_STARTED") is allowed
