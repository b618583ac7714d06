"""What must hold of every workflow of this repository and of the templates under docs/, and the linters that look over them.

Run as ``python -m tests.github.workflows`` it lints all of them; `faults` tells what no linter knows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "distill" / "action.yml"
WORKFLOWS = [*sorted(ROOT.glob(".github/workflows/*.yml")), *sorted(ROOT.glob("docs/workflows/*.yml"))]
ACTIONS = sorted(ROOT.glob(".github/actions/*/action.yml"))
SCRIPTS = [ROOT / ".ci" / "run"]
TOOLS = ("zizmor", "check-jsonschema", "shellcheck")

PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
PINNED_LINE = re.compile(r"uses:\s*[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
LOCAL = ("$/", "./")
ON_PULL_REQUESTS = "${{ github.event_name == 'pull_request' }}"
WITH_SECRETS = ("record", "drift")  # jobs that may see a teacher's key
WITH_IDENTITY = ("record", "publish")  # jobs that may ask for an identity token
FROM_A_FORK = "github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name != github.repository"
FROM_HERE = FROM_A_FORK.replace("!=", "==")
ON_A_PUSH = "github.event_name == 'push' && "
HOSTED = "ubuntu-24.04"
CACHE_MODES = {(): "none", ("restore",): "read", ("save",): "write-only"}
STUDENTS = ".distill/store/students"


def read(path: Path) -> dict[str, Any]:
    """A workflow or action, each scalar as it is written: `on` is a key and not a truth."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def keys(node: Any) -> Iterator[str]:
    """Every key anywhere in it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys(value)


def as_list(value: str | list[str] | None) -> list[str]:
    """`needs`, and triggers without settings, stand as one text or as several."""
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def triggers(workflow: dict[str, Any]) -> dict[str, Any]:
    """The events that start it, with their settings."""
    on = workflow["on"]
    return on if isinstance(on, dict) else dict.fromkeys(as_list(on), "")


def gates(workflow: dict[str, Any]) -> list[str]:
    """The jobs that run whatever becomes of the others."""
    return [name for name, job in workflow["jobs"].items() if job.get("if") == "always()"]


def after(jobs: dict[str, Any], gate: str) -> set[str]:
    """The jobs that wait for the gate, which therefore have no part in its verdict."""
    found = {gate}
    while more := {name for name, job in jobs.items() if found & set(as_list(job.get("needs")))} - found:
        found |= more
    return found - {gate}


def faults(workflow: dict[str, Any], action: dict[str, Any]) -> Iterator[str]:
    """Tell what is wrong with a workflow, a sentence each.

    Args:
        workflow: as `read` returns it.
        action: the action of this repository, to hold what workflows hand to it against.
    """
    events, jobs = triggers(workflow), workflow["jobs"]
    if dangerous := {"pull_request_target", "workflow_run"} & set(events):
        yield f"{', '.join(sorted(dangerous))} gives unmerged code what only merged code may have"
    if {"paths", "paths-ignore"} & set(keys(events)):
        yield "a paths filter leaves a required check pending for ever"
    if workflow.get("permissions") != {}:
        yield "permissions at the top are not {}"
    if (cancels := workflow.get("concurrency", {}).get("cancel-in-progress")) not in {"false", ON_PULL_REQUESTS}:
        yield f"concurrency cancels {cancels}: superseded runs are cancelled on pull_request only"
    if set(keys(workflow)) & {"continue-on-error", "restore-keys"}:
        yield "continue-on-error turns failures green, and restore-keys take what another fingerprint left"
    if "pull_request" in events:
        yield from _gate_faults(workflow)
    for name, job in jobs.items():
        for fault in (*_job_faults(name, job, action), *_cache_faults(workflow, job)):
            yield f"job {name}: {fault}"
        if "pull_request" in events and any(step.get("with", {}).get("mode") == "gpu" for step in job.get("steps", [])):
            for fault in _consent_faults(workflow, job):
                yield f"job {name}: {fault}"


def _gate_faults(workflow: dict[str, Any]) -> Iterator[str]:
    jobs = workflow["jobs"]
    if "merge_group" not in triggers(workflow):
        yield "merge_group is no trigger: a merge queue would wait for ever"
    found = gates(workflow)
    if len(found) != 1:
        yield f"one job with `if: always()` must need all others: there are {len(found)}"
        return
    (gate,) = found
    if jobs[gate].get("name") != f"{workflow['name']} required":
        yield f"job {gate} is not called '{workflow['name']} required': beside other workflows a check needs a name of its own"
    if conditional := [name for name in as_list(jobs[gate].get("needs")) if "if" in jobs[name]]:
        yield f"job {gate} would fail wherever the `if:` of {', '.join(conditional)} skips it: decide in its steps"
    if missing := set(jobs) - {gate} - after(jobs, gate) - set(as_list(jobs[gate].get("needs"))):
        yield f"job {gate} does not need {', '.join(sorted(missing))}"
    if not re.search(r"\$\{\{[^}]*\bneeds\b", json.dumps(jobs[gate]["steps"])) or any("if" in step for step in jobs[gate]["steps"]):
        yield f"job {gate} does not look at the results of what it needs, always"


def _cache_faults(workflow: dict[str, Any], job: dict[str, Any]) -> Iterator[str]:
    """Whoever trains may read, and what writes runs nothing of the project and has its say from a push."""
    used = [(re.match(r"actions/cache(?:/(\w+))?@", step.get("uses", "")), step) for step in job.get("steps", [])]
    caches = [(found[1], step["with"]) for found, step in used if found]
    wanted = CACHE_MODES.get(tuple(sorted({half or "restore and save" for half, _ in caches})))
    if wanted is None:
        yield "a cache is restored and saved in one job: take one half of it"
    elif job.get("cache-mode", workflow.get("cache-mode")) != wanted:
        yield f"cache-mode must be {wanted}"
    if any(
        given["path"] != STUDENTS or not re.fullmatch(r"distill-\$\{\{ \w+\.\w+\.outputs\.key \}\}", given["key"]) for _, given in caches
    ):
        yield "a cache holds the trained students under their own key, and nothing else"
    if wanted == "write-only":
        if any(not found and not step.get("uses", "").startswith("actions/download-artifact@") for found, step in used):
            yield "a job that writes a cache runs more than it must"
        told = re.fullmatch(r"needs\.(\w+)\.outputs\.save == 'true'", job.get("if", ""))
        if not told or not workflow["jobs"][told[1]]["outputs"]["save"].startswith(f"${{{{ {ON_A_PUSH}"):
            yield "a cache is written on another event than a push"


def _consent_faults(workflow: dict[str, Any], job: dict[str, Any]) -> Iterator[str]:
    """A pull request of this repository waits for consent before it is trained; of a fork's nothing is run, nor on a runner of ours."""
    if workflow.get("env", {}).get("FORK") != f"${{{{ {FROM_A_FORK} }}}}":
        yield "FORK does not tell a pull request from a fork"
    if job.get("environment", {}).get("name") != f"${{{{ {FROM_HERE} && 'distill-gpu' || '' }}}}":
        yield "a pull request of this repository does not wait for consent"
    if job["runs-on"] != HOSTED and not job["runs-on"].startswith(f"${{{{ {FROM_A_FORK} && '{HOSTED}' || "):
        yield "a pull request from a fork occupies the runner"
    said, *others = job["steps"]
    if said.get("if") != "env.FORK == 'true'" or set(said) != {"if", "run"}:
        yield "a pull request from a fork is not told that it is not trained"
    kept = ("env.FORK == 'false'", ON_A_PUSH, "always() && env.FORK == 'false'")
    if not all(step.get("if", "").startswith(kept) and "||" not in step["if"] for step in others):
        yield "a step is run for a pull request from a fork"


def _job_faults(name: str, job: dict[str, Any], action: dict[str, Any]) -> Iterator[str]:
    text = json.dumps(job)
    if "timeout-minutes" not in job:
        yield "no timeout-minutes"
    if "permissions" not in job:
        yield "no permissions of its own"
    if re.search(r"\bsecrets\b", text) and (name not in WITH_SECRETS or not job.get("environment")):
        yield "secrets outside of record and drift, or without an environment"
    if "id-token" in keys(job) and (name not in WITH_IDENTITY or not job.get("environment")):
        yield "id-token outside of record and publish, or without an environment"
    for step in job.get("steps", []):
        yield from _step_faults(step, action)


def _step_faults(step: dict[str, Any], action: dict[str, Any]) -> Iterator[str]:
    uses, given = step.get("uses", ""), step.get("with", {})
    if "${{" in step.get("run", ""):
        yield "an expression is pasted into a script"
    if uses and not uses.startswith(LOCAL) and not PINNED.fullmatch(uses):
        yield f"{uses} is not pinned by a full SHA"
    if uses.startswith("actions/checkout@") and given.get("persist-credentials") != "false":
        yield "a checkout leaves its credentials behind"
    if "/actions/distill" in uses:
        inputs = action["inputs"]
        if unknown := set(given) - set(inputs):
            yield f"the action has no input {', '.join(sorted(unknown))}"
        if lacking := {key for key, value in inputs.items() if value.get("required") == "true"} - set(given):
            yield f"the action needs {', '.join(sorted(lacking))}"


def unpinned_lines(path: Path) -> list[str]:
    """Lines that name another repository's action without a SHA or the version that it is."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    used = (line for line in lines if re.match(r"(- )?uses:", line) and not any(f"uses: {local}" in line for local in LOCAL))
    return [line for line in used if not PINNED_LINE.search(line)]


def blocks(path: Path) -> Iterator[str]:
    """The scripts of its `run:` steps."""
    document = read(path)
    jobs = document["jobs"].values() if "jobs" in document else [document["runs"]]
    for job in jobs:
        yield from (step["run"] for step in job.get("steps", []) if "run" in step)


def missing_tools() -> list[str]:
    """The linters that are not installed beside this interpreter or on the path."""
    return [tool for tool in TOOLS if _found(tool) is None]


def _found(tool: str) -> str | None:
    return shutil.which(tool, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))


def _run(tool: str, *arguments: str | Path) -> bool:
    done = subprocess.run(
        [_found(tool) or tool, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if done.returncode:
        print(tool, *arguments, done.stdout, done.stderr, sep="\n")
    return done.returncode == 0


def audited(*paths: Path) -> bool:
    """Whether zizmor finds nothing, in its most suspicious mood and without looking anything up. An invalid file is a finding."""
    return _run("zizmor", "--offline", "--no-config", "--no-ignores", "--persona", "auditor", "--strict-collection", *paths)


def valid(schema: str, *paths: Path) -> bool:
    """Whether these files are what the schema of their kind asks for."""
    return _run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)


def shell_clean(*paths: Path) -> bool:
    """Whether shellcheck finds nothing in the `run:` steps of these workflows and actions, nor in `SCRIPTS`."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = []
        for path in paths:
            for number, block in enumerate(blocks(path), 1):
                scripts.append(Path(folder, f"{path.parent.name}-{path.stem}-{number}.sh"))
                scripts[-1].write_text(block, encoding="utf-8", newline="\n")
        return _run("shellcheck", "--shell=bash", *scripts, *SCRIPTS)


def main() -> int:
    """Lint everything; return 1 where anything is found."""
    clean = [
        audited(ROOT / ".github", *WORKFLOWS),
        valid("github-workflows", *WORKFLOWS),
        valid("github-actions", *ACTIONS),
        valid("dependabot", ROOT / ".github" / "dependabot.yml"),
        shell_clean(*WORKFLOWS, *ACTIONS),
    ]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
