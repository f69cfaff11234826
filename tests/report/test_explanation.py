"""Whose a failure is: `swarmtask explain`, and the same verdict in every form of a report."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import BASE, Process
from tests.lab import GITHUB_JOB
from tests.report.test_gate import write_quarantined
from tests.shop import swarmtask
from tests.suite import Suite

COMMITS = [f"{number:x}" * 40 for number in range(16)]
A, B = "tests/t.py::test_a", "tests/t.py::test_b"


def write(journal: Path, number: int, tests: dict[str, str], branch: str = "main", **facts: Any) -> None:
    """Write the session of one run, which has a commit of its own; a higher number is a later run."""
    process = Process(journal, f"{number:032x}", BASE + number * 1000)
    process.write(process.session(tests, **{"python": "3.13.1", "commit": COMMITS[number], "branch": branch, **facts}))


def explained(root: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the explained failures."""
    found: list[dict[str, Any]] = json.loads(swarmtask(root, "explain", "--json", *arguments).stdout)["failures"]
    return found


def verdict(root: Path, *arguments: str) -> tuple[str, str]:
    """Return the verdict on the one explained failure, and its headline."""
    (failure,) = explained(root, *arguments)
    return failure["verdict"], failure["headline"]


def reasons(failure: dict[str, Any]) -> dict[str, str]:
    """Return the texts of the reasons by their kinds."""
    found = {reason["kind"]: reason["text"] for reason in failure["reasons"]}
    assert len(found) == len(failure["reasons"])
    return found


@pytest.fixture
def root(journal: Path) -> Path:
    """The root of a project with an empty journal."""
    return journal.parents[1]


class TestVerdict:
    def test_a_failure_of_a_test_that_passes_on_main_is_yours(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "failed"}, "feature")
        assert verdict(root) == ("yours", "yours: new here")
        (failure,) = explained(root)
        assert reasons(failure) == {
            "new": "on feature, new: first result on this branch",
            "main": "passed last on main",
        }

    def test_a_new_test_is_yours(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "passed", B: "failed"}, "feature")
        assert verdict(root) == ("yours", "yours: new here")
        assert reasons(explained(root)[0])["main"] == "no result on main"

    def test_what_fails_on_main_is_not_yours(self, root: Path, journal: Path) -> None:
        """The commit is that with which it began, and what main did after the run does not matter."""
        for number, outcome in enumerate(("failed", "passed", "failed", "failed"), 1):
            write(journal, number, {A: outcome})
        write(journal, 5, {A: "failed"}, "feature")
        write(journal, 6, {A: "passed"})
        feature = ("--run", f"{5:032x}")
        assert verdict(root, *feature) == ("not_yours", f"not yours: fails on main since {COMMITS[3][:10]}")
        write(journal, 7, {A: "failed"}, "feature")
        assert verdict(root) == ("yours", "yours: new here")

    def test_a_break_that_main_has_mended_is_yours(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "failed"})
        write(journal, 2, {A: "passed"})
        write(journal, 3, {A: "failed"}, "feature")
        assert verdict(root) == ("yours", "yours: new here")

    def test_on_main_itself_the_runs_before_count(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "failed"})
        assert verdict(root) == ("yours", "yours: new here")
        write(journal, 3, {A: "failed"})
        assert verdict(root) == ("not_yours", f"not yours: fails on main since {COMMITS[2][:10]}")

    def test_a_skipped_test_says_nothing(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "failed"})
        write(journal, 2, {A: "skipped"})
        write(journal, 3, {A: "failed"}, "feature")
        assert verdict(root) == ("not_yours", f"not yours: fails on main since {COMMITS[1][:10]}")

    def test_a_flaky_test(self, root: Path, journal: Path) -> None:
        """It has passed and failed on one commit."""
        write(journal, 1, {A: "passed"}, commit=COMMITS[0], dirty=False)
        write(journal, 2, {A: "failed"}, commit=COMMITS[0], dirty=False)
        write(journal, 3, {A: "passed"})
        write(journal, 4, {A: "failed"}, "feature")
        kind, headline = verdict(root)
        assert (kind, headline) == ("flaky", "flaky: 1 of its last 4 runs: passed and failed on one commit 0000000000")
        assert reasons(explained(root)[0])["flaky"].startswith(f"{headline.replace('flaky:', 'flaky in')}; score 0.0")

    def test_a_flaky_test_that_fails_again_and_again_is_broken(self, root: Path, journal: Path) -> None:
        self.test_a_flaky_test(root, journal)
        write(journal, 5, {A: "failed"}, "feature")
        assert verdict(root)[0] == "flaky"
        write(journal, 6, {A: "failed"}, "feature")
        assert verdict(root) == ("yours", "yours: new here")

    def test_without_main_it_is_unknown(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"}, "one")
        write(journal, 2, {A: "failed"}, "two")
        assert verdict(root) == ("unknown", "unknown: no earlier run of main is known")
        assert list(reasons(explained(root)[0])) == ["new"]
        assert "whose" not in swarmtask(root, "report", "--markdown").stdout

    def test_another_variant_of_main_is_asked_where_it_does_not_run_this_one(self, root: Path, journal: Path) -> None:
        """A developer's machine has another variant than the jobs of CI. All of these must fail."""
        for variant, outcome in (("ci 3.12", "failed"), ("ci 3.13", "passed")):
            Process(journal, f"{1:032x}", BASE).write(
                Process(journal, f"{1:032x}", BASE).session(
                    {A: outcome}, branch="main", variant=variant, commit="a" * 40
                )
            )
        write(journal, 2, {A: "failed"}, "feature", variant="laptop")
        assert verdict(root) == ("yours", "yours: new here")
        assert reasons(explained(root)[0])["main"] == "passed last on main under other variants"


class TestDefaultBranch:
    def test_a_session_says_which_branch_it_is(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "failed"}, "develop", default_branch="develop")
        write(journal, 2, {A: "passed"}, "main")
        write(journal, 3, {A: "failed"}, "feature")
        assert verdict(root) == ("not_yours", f"not yours: fails on develop since {COMMITS[1][:10]}")

    def test_what_the_run_itself_says_goes_before_others(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"}, "main", default_branch="main")
        write(journal, 2, {A: "failed"}, "trunk")
        write(journal, 3, {A: "failed"}, "feature", default_branch="trunk")
        assert verdict(root) == ("not_yours", f"not yours: fails on trunk since {COMMITS[2][:10]}")

    def test_master_is_one_by_its_name(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "failed"}, "master")
        write(journal, 2, {A: "failed"}, "feature")
        assert verdict(root) == ("not_yours", f"not yours: fails on master since {COMMITS[1][:10]}")


class TestReasons:
    def test_only_under_one_variant(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        process = Process(journal, f"{2:032x}", BASE + 2000)
        for variant, outcome in (("py312", "passed"), ("py313", "failed")):
            process.write(process.session({A: outcome}, branch="feature", variant=variant, ci_run="7"))
        (failure,) = explained(root)
        assert reasons(failure)["variant"] == "only under py313: it passed under py312"
        assert failure["rerun"] == f"pytest {A}  # under py313"

    def test_the_software_has_changed_since_it_passed(self, root: Path, journal: Path) -> None:
        """Its own branch goes before main."""
        write(journal, 1, {A: "passed"}, "feature", dependencies="uv.lock 00000001", ci_image="ubuntu24-1")
        write(journal, 2, {A: "passed"}, "main", python="3.14.0")
        new = {"python": "3.13.2", "dependencies": "uv.lock 00000002", "ci_image": "ubuntu24-2"}
        write(journal, 3, {A: "failed"}, "feature", **new)
        changes = "Python 3.13.2 instead of 3.13.1, uv.lock has changed, CI image ubuntu24-2 instead of ubuntu24-1"
        assert reasons(explained(root)[0])["software"] == f"since it last passed on feature: {changes}"

    def test_the_software_is_that_of_the_session(self, root: Path, journal: Path) -> None:
        """The jobs of a run have different interpreters, and come in any order."""
        for number, branch, jobs in ((1, "main", ("3.12.1", "3.13.1")), (2, "feature", ("3.13.1", "3.12.1"))):
            process = Process(journal, f"{number:032x}", BASE + number * 1000)
            for python in jobs:
                facts = {"python": python, "variant": python[:4], "ci_run": str(number), "branch": branch}
                outcome = "failed" if branch == "feature" and python == "3.13.1" else "passed"
                process.write(process.session({A: outcome}, **facts))
        assert "software" not in reasons(explained(root)[0])

    def test_the_error_is_another_one_on_main(self, root: Path, journal: Path) -> None:
        for number, branch, fingerprint in ((1, "main", "a" * 16), (2, "feature", "b" * 16)):
            process = Process(journal, f"{number:032x}", BASE + number * 1000)
            events = process.session({A: "failed"}, branch=branch, commit=COMMITS[number])
            events[2].metadata["fingerprint"] = fingerprint
            process.write(events)
        on_main = f"fails on main since {COMMITS[1][:10]}, with another error"
        assert reasons(explained(root)[0])["main"] == on_main

    @pytest.mark.local
    def test_the_owner_of_what_fails_on_main(self, root: Path, journal: Path) -> None:
        (root / "CODEOWNERS").write_text("tests/ @acme/shop\n")
        write(journal, 1, {A: "failed"})
        write(journal, 2, {A: "failed"}, "feature")
        assert explained(root)[0]["owners"] == ["@acme/shop"]
        assert "    t.py:1, owner: @acme/shop\n" in swarmtask(root, "explain").stdout

    def test_the_command_is_one_for_a_shell(self, root: Path, journal: Path) -> None:
        write(journal, 1, {"t.py::test_a[it's; rm -rf $HOME]": "failed"})
        assert explained(root)[0]["rerun"] == """pytest 't.py::test_a[it'"'"'s; rm -rf $HOME]'"""


class TestCommand:
    @pytest.fixture
    def two(self, root: Path, journal: Path) -> Path:
        """A project in which one failure is new, and one is main's."""
        write(journal, 1, {A: "passed", B: "failed"})
        write(journal, 2, {A: "failed", B: "failed"}, "feature")
        return root

    def test_all_failures_or_some(self, two: Path) -> None:
        assert (
            [each["test"] for each in explained(two)] == [each["test"] for each in explained(two, "--failed")] == [A, B]
        )
        assert [each["test"] for each in explained(two, "test_b")] == [B]
        assert [each["test"] for each in explained(two, B, "test_a")] == [A, B]

    def test_in_the_terminal(self, two: Path) -> None:
        done = swarmtask(two, "explain", "test_b")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "run 000000000000 on feature: 2 failures",
            "",
            f"  {B}",
            f"    not yours: fails on main since {COMMITS[1][:10]}",
            f"    {B} is wrong",
            "    t.py:1",
            "    - on feature, new: first result on this branch",
            f"    - fails on main since {COMMITS[1][:10]}",
            f"    again: pytest {B}",
        ]

    def test_quarantined_tests_come_last(self, two: Path, journal: Path) -> None:
        write_quarantined(journal, 3)
        (failure,) = explained(two)
        why = "it races (until 2026-01-31, @ada, #12)"
        assert (failure["verdict"], failure["headline"]) == ("quarantined", f"quarantined: {why}")
        assert reasons(failure) == {"quarantined": why}
        assert swarmtask(two, "explain", "test_a").stdout.splitlines()[:4] == [
            "run 000000000000 on feature: no failure, 1 quarantined",
            "",
            f"  {A}",
            f"    quarantined: {why}",
        ]

    def test_a_test_that_did_not_fail(self, two: Path) -> None:
        done = swarmtask(two, "explain", "test_c")
        assert (done.returncode, done.stdout) == (2, "")
        wrong = "nothing that failed in run 000000000000 contains 'test_c'; these failed:"
        assert done.stderr == f"swarmtask: {wrong}\n  {A}\n  {B}\n"

    def test_a_run_without_failures(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        assert swarmtask(root, "explain").stdout == "run 000000000000 on main: no failure\n"

    def test_the_same_in_each_form_of_a_report(self, two: Path) -> None:
        headline = f"not yours: fails on main since {COMMITS[1][:10]}"
        (_, failure) = json.loads(swarmtask(two, "report", "--json").stdout)["failures"]
        assert failure["explanation"]["headline"] == headline
        assert f"    {headline}\n" in swarmtask(two, "report").stdout
        assert f"| {headline} |" in swarmtask(two, "report", "--markdown").stdout
        assert f'<p class="label">{headline}</p>' in swarmtask(two, "report", "--html", "-").stdout

    def test_texts_of_events_steer_no_terminal(self, root: Path, journal: Path) -> None:
        evil = "\x1b[31mred"
        write(journal, 1, {A: "failed"}, evil, default_branch=evil, variant=evil)
        write(journal, 2, {A: "failed"}, f"{evil}2", default_branch=evil, python=evil, variant=evil)
        for command in ("explain", "report", "gate"):
            assert "\x1b" not in swarmtask(root, command).stdout
        assert "fails on \\x1b[31mred since" in swarmtask(root, "explain").stdout


@pytest.mark.local
class TestFacts:
    """What a real session records of the software that it runs on, and of the default branch."""

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"uv.lock": "a", "requirements.txt": "b==1"}, "uv.lock e8b7be43"),
            ({"requirements.txt": "b==1\n", "requirements-dev.txt": "c==2\n", "requirements-any.txt": "d"}, None),
            ({"requirements.txt": "b"}, ""),
            ({}, ""),
        ],
    )
    def test_dependencies(self, project: Suite, files: dict[str, str], expected: str | None) -> None:
        for name, text in files.items():
            (project.root / name).write_text(text)
        found = project.write(test_a="def test_a(): pass").pytest().start["metadata"].get("dependencies", "")
        if expected is None:
            assert found.rpartition(" ")[0] == "requirements-dev.txt, requirements.txt"
        else:
            assert found == expected

    def test_the_default_branch(self, project: Suite) -> None:
        """The configuration goes before CI, and CI before the remote."""

        def known(**environ: str) -> str:
            named: str = project.pytest(**environ).start["metadata"].get("default_branch", "")
            return named

        project.write(test_a="def test_a(): pass")
        assert known() == ""
        subprocess.run(["git", "init", "-q", "."], cwd=project.root, check=True)
        head = project.root / ".git" / "refs" / "remotes" / "origin" / "HEAD"
        head.parent.mkdir(parents=True)
        head.write_text("ref: refs/remotes/origin/release/next\n")
        assert known() == "release/next"
        gitlab = {"GITLAB_CI": "true", "CI_DEFAULT_BRANCH": "trunk", "CI_JOB_IMAGE": "python:3.13"}
        assert known(**gitlab) == "trunk"
        config = project.root / ".taskmaster" / "config" / "workflow.yaml"
        config.parent.mkdir(exist_ok=True)
        config.write_text("task_integration: {default_branch: develop}\n")
        assert known(**gitlab) == "develop"

    def test_the_image(self, project: Suite) -> None:
        image = {"ImageOS": "ubuntu24", "ImageVersion": "20261101.1"}
        session = project.write(test_a="def test_a(): pass").pytest(**GITHUB_JOB, **image)
        assert session.start["metadata"]["ci_image"] == "ubuntu24-20261101.1"
