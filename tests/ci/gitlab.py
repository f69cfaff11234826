"""A small stand-in for GitLab and its runner.
The jobs of a pipeline run in the order of their stages, each in a checkout of its own. Scripts get the shell and the
variables of GitLab's runner. It knows only the keywords that our pipeline uses.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.ci.runner import Machine, bash

Json = dict[str, Any]
_GLOBAL = {"include", "stages"}
_KNOWN = {
    *("after_script", "artifacts", "before_script", "cache", "dependencies", "environment", "extends", "image"),
    *("parallel", "rules", "script", "stage", "timeout", "variables"),
}


class Job(NamedTuple):
    """A job of a pipeline.

    Attributes:
        result: success, failed or skipped.
        environment: the deployment environment that the job names, or "".
        output: what its scripts have printed.
        workspace: its checkout.
        artifacts: the folder of the files that it keeps.
    """

    result: str
    environment: str
    output: str
    workspace: Path
    artifacts: Path


class GitLab:
    """Runs pipelines of a project.

    Attributes:
        caches: the files that jobs of all pipelines have saved, by key.
    """

    def __init__(self, project: Path, home: Path, machine: Machine) -> None:
        self.caches: dict[str, Path] = {}
        self.project = project
        self._home = home
        self._machine = machine
        self._numbers = itertools.count(1)

    def definition(self) -> Json:
        """Return the pipeline with all that it includes; the file that includes has the last word."""
        return _included(self.project, self.project / ".gitlab-ci.yml")

    def run(self, source: str, ref: str, secrets: Mapping[str, str], definition: Json | None = None) -> dict[str, Job]:
        """Run a pipeline, and return its jobs by name.

        Args:
            source: why it runs: push, schedule, or merge_request_event.
            ref: a branch, or a tag such as v1.0.
            secrets: variables of the project.
            definition: the pipeline, if it is not that of the project.
        """
        definition = definition or self.definition()
        pipeline = next(self._numbers)
        common = {**self._variables(source, ref, pipeline), **secrets}
        plans = {name: _extended(definition, name) for name in definition.keys() - _GLOBAL if name[0] != "."}
        done: dict[str, Job] = {}
        for stage in (".pre", *definition["stages"], ".post"):
            kept = {name: job.artifacts for name, job in done.items() if job.artifacts.exists()}
            has_failed = any(job.result == "failed" for job in done.values())
            for base in sorted(name for name, plan in plans.items() if plan["stage"] == stage):
                plan = plans[base]
                assert plan.keys() <= _KNOWN
                rule = next((rule for rule in plan["rules"] if _holds(rule["if"], common)), None)
                for name, more in _copies(base, plan) if rule else ():
                    folder = self._home / str(pipeline) / re.sub(r"\W", "_", name)
                    job_id = f"{pipeline}{len(done):03}"
                    variables = {**common, **plan.get("variables", {}), **more}
                    variables |= {"CI_JOB_NAME": name, "CI_JOB_ID": job_id, "CI_JOB_STAGE": stage}
                    given = [path for job, path in kept.items() if _is_given(job, plan.get("dependencies"))]
                    if has_failed and rule and rule.get("when") != "always":
                        done[name] = Job("skipped", "", "", folder / "tiny", folder / "artifacts")
                    else:
                        done[name] = self._run_job(plan, variables, folder, given)
        return done

    def _variables(self, source: str, ref: str, pipeline: int) -> dict[str, str]:
        found = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_SERVER_URL": "https://gitlab.com",
            "CI_PIPELINE_ID": str(7000 + pipeline),
            "CI_PIPELINE_URL": f"https://gitlab.com/acme/tiny/-/pipelines/{7000 + pipeline}",
            "CI_PIPELINE_SOURCE": source,
            "CI_PROJECT_PATH": "acme/tiny",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": "0123456789abcdef0123456789abcdef01234567",
            "CI_COMMIT_REF_NAME": ref,
            "CI_COMMIT_REF_SLUG": re.sub(r"[^a-z0-9]", "-", ref.lower()),
            **self._machine.environ,
        }
        if source == "merge_request_event":
            return {**found, "CI_MERGE_REQUEST_IID": "5"}
        return {**found, ("CI_COMMIT_TAG" if re.match(r"v\d", ref) else "CI_COMMIT_BRANCH"): ref}

    def _run_job(self, plan: Json, variables: dict[str, str], folder: Path, given: list[Path]) -> Job:
        workspace, artifacts = folder / "tiny", folder / "artifacts"
        shutil.copytree(self.project, workspace)
        assert re.fullmatch(r"python:3\.\d+", _filled(plan["image"], variables))
        programs = self._machine.python(folder)
        variables = {**variables, "CI_PROJECT_DIR": str(workspace), "PATH": f"{programs}:{variables['PATH']}"}
        cache = plan.get("cache", {})
        keys = [_filled(key, variables) for key in (cache.get("key"), *cache.get("fallback_keys", [])) if key]
        found = next((self.caches[key] for key in keys if key in self.caches), None)
        for files in (*([found] if found else []), *given):
            shutil.copytree(files, workspace, dirs_exist_ok=True)
        code, output = _shell([*plan.get("before_script", []), *plan["script"]], workspace, variables)
        output += _shell(plan.get("after_script", []), workspace, variables)[1]
        wanted = plan["artifacts"]
        if code == 0 or wanted.get("when") == "always":
            _keep(workspace, artifacts, [*wanted["paths"], *wanted.get("reports", {}).values()])
        if keys and (code == 0 or cache.get("when") == "always"):
            self.caches[keys[0]] = folder / "cache"
            _keep(workspace, folder / "cache", cache["paths"])
        return Job("failed" if code else "success", plan.get("environment", ""), output, workspace, artifacts)


def _included(root: Path, file: Path) -> Json:
    found: Json = yaml.safe_load(file.read_text())
    result: Json = {}
    for one in found.pop("include", []):
        result = _merged(result, _included(root, root / one["local"].lstrip("/")))
    return _merged(result, found)


def _merged(below: Json, above: Json) -> Json:
    """Return both; objects are merged, and of anything else the one above counts."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            both[name] = _merged(below[name], above[name])
    return both


def _extended(definition: Json, name: str) -> Json:
    plan: Json = definition[name]
    return _merged(_extended(definition, plan["extends"]), plan) if "extends" in plan else plan


def _copies(name: str, plan: Json) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the variables of each job that `parallel` makes of one."""
    parallel = plan.get("parallel")
    if parallel is None:
        yield name, {}
    elif isinstance(parallel, int):
        for number in range(1, parallel + 1):
            index = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(parallel)}
            yield f"{name} {number}/{parallel}", index
    else:
        legs = [
            dict(zip(axes, leg, strict=True))
            for axes in parallel["matrix"]
            for leg in itertools.product(*axes.values())
        ]
        for number, leg in enumerate(legs, 1):
            index = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(len(legs))}
            yield f"{name}: [{', '.join(leg.values())}]", {**leg, **index}


def _is_given(job: str, dependencies: list[str] | None) -> bool:
    """Whether a job gets the artifacts of another one; without a list, of all in earlier stages."""
    return dependencies is None or re.split(r"[: ]", job)[0] in dependencies


def _shell(lines: list[str], folder: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    done = bash(["-c", "\n".join(["set -eo pipefail", *lines])], folder, variables)
    return done.returncode, done.stdout


def _keep(workspace: Path, target: Path, patterns: list[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for name in map(Path, glob.glob(str(workspace / pattern))):
            place = target / name.relative_to(workspace)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(name, place, dirs_exist_ok=True) if name.is_dir() else shutil.copy(name, place)


# --- expressions ------------------------------------------------------------------------------------------------------


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: variables.get(found[1], ""), text)


def _holds(condition: str, variables: Mapping[str, str]) -> bool:
    """Whether the condition of a rule is met."""
    return any(all(_is_true(term, variables) for term in part.split("&&")) for part in condition.split("||"))


def _is_true(term: str, variables: Mapping[str, str]) -> bool:
    left, sign, right = re.fullmatch(r"\s*\$(\w+)\s*(?:(==|=~)\s*(\S+))?\s*", term).groups()  # type: ignore[union-attr]
    value = variables.get(left)
    if sign == "==":
        return value == (variables.get(right[1:]) if right[0] == "$" else right.strip('"'))
    if sign == "=~":
        return value is not None and re.search(right.strip("/"), value) is not None
    return bool(value)
