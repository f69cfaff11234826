"""Node ids are searched for secrets many at once, with the same result as one by one."""

from __future__ import annotations

import pytest

from pytest_swarmtask.redaction.redactor import Redactor
from tests.redaction.corpora import adversary, rules_own

HARMLESS = [f"tests/unit/test_module.py::TestIt::test_it[{number}]" for number in range(200)]
UNUSUAL = [
    "docker",
    "user/docker.py",
    "tests/user/test_docker.py::test_it",
    "test_it.py::test_it[curl -u me:hunter22hunter]",
    "test_it.py::test_it[a b]",
    "test_it.py::test_it[\x1b[31mred\x1b[0m]",
    "test_it.py::test_it[ünï]",
    "test_it.py::test_it[\ud800]",
    "test_it.py::test_it[" + "x" * 3000 + "]",
    "test_it.py::test_it[cut... off]",
    "test_auth.py::test_token[key]",
    "",
]


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
def test_harmless_node_ids(count: int) -> None:
    """Node ids without secrets stay as they are, the same objects, in whatever number."""
    found = Redactor({}).node_ids(HARMLESS[:count])
    assert list(found) == HARMLESS[:count]
    assert all(found[nodeid] is nodeid for nodeid in HARMLESS[:count])


@pytest.mark.parametrize("environ", [{}, {"MY_PASSWORD": "unit/test_module"}, {"API_TOKEN": "x" * 3000}])
@pytest.mark.parametrize("keys", [(), ("it",)])
def test_the_same_as_one_by_one(environ: dict[str, str], keys: tuple[str, ...]) -> None:
    """Secrets of all kinds, of the environment and of configured keys, are hidden wherever they stand among others."""
    secrets = [
        f"test_it.py::test_it[{one.given}]"
        for corpus in (rules_own, adversary)
        for one in corpus.secrets()
        if isinstance(one.given, str)
    ][::5]
    mixed = [nodeid for pair in zip(secrets, HARMLESS, strict=False) for nodeid in pair] + UNUSUAL
    redactor = Redactor(environ, keys)
    assert redactor.node_ids(mixed) == {nodeid: redactor.text(nodeid) for nodeid in mixed}
