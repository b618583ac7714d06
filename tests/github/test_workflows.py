"""The workflows of this repository and the templates under docs/: what no linter knows of them, and what the linters say."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import tomllib

import pytest

from tests.github import workflows
from tests.github.harness import needs_bash
from tests.github.workflows import ROOT, WORKFLOWS, read

OURS = {path.stem: read(path) for path in WORKFLOWS if path.parent.name == "workflows" and path.parents[1].name == ".github"}
TEMPLATES = {path.stem: read(path) for path in WORKFLOWS if path.parents[1].name == "docs"}
TRAINING = {"distill": OURS["distill"], "gpu": TEMPLATES["gpu"]}  # these two have one shape
REQUIRED = {"ci": OURS["ci"], "locked": TEMPLATES["locked"], **TRAINING}
ACTION = read(workflows.ACTION)

needs_tools = pytest.mark.skipif(bool(workflows.missing_tools()), reason=f"not installed: {', '.join(workflows.missing_tools())}")
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
each_training = pytest.mark.parametrize("flow", TRAINING.values(), ids=TRAINING)


def block(flow, job, word):
    """The one script of a job that has a word in it."""
    (found,) = (step["run"] for step in flow["jobs"][job]["steps"] if word in step.get("run", ""))
    return found


def bash(script, folder, **env):
    """Run a script as a step with `shell: bash` does."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_nothing_is_wrong_with_a_workflow(path):
    """Each workflow and template keeps every rule, names each action with its SHA and version, and hands the action what it takes."""
    assert list(workflows.faults(read(path), ACTION)) == []
    assert workflows.unpinned_lines(path) == []


def test_the_workflows_are_there():
    """The rules are held against files that exist, so that a moved folder does not pass for a clean one."""
    assert set(OURS) == {"ci", "distill", "record", "drift", "release"}
    assert set(TEMPLATES) == {"locked", "gpu", "hosted-teacher", "drift"}
    for flow in REQUIRED.values():
        assert set(workflows.triggers(flow)) == {"pull_request", "push", "merge_group"}


def step_of(flow, job, word):
    """The first step of a job that uses an action with a word in its name."""
    return next(step for step in flow["jobs"][job]["steps"] if word in step.get("uses", ""))


def drop(node, *path):
    """Remove what a path of keys leads to."""
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]


def put(value, node, *path):
    """Set what a path of keys leads to."""
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value


BROKEN = {
    "a job that required does not need": (lambda flow: flow["jobs"]["required"]["needs"].remove("gpu"), "job required does not need gpu"),
    "a new job": (lambda flow: put(flow["jobs"]["locked"], flow, "jobs", "more"), "job required does not need more"),
    "no required job": (lambda flow: drop(flow, "jobs", "required", "if"), "one job with `if: always()` must need all others: there are 0"),
    "a required job that looks at nothing": (
        lambda flow: drop(flow, "jobs", "required", "steps", 0, "env"),
        "job required does not look at the results",
    ),
    "a required job whose look is skipped": (
        lambda flow: put("false", flow, "jobs", "required", "steps", 0, "if"),
        "does not look at the results",
    ),
    "no merge queue": (lambda flow: drop(flow, "on", "merge_group"), "merge_group is no trigger"),
    "a paths filter": (lambda flow: put({"paths": ["src/**"]}, flow, "on", "pull_request"), "paths filter"),
    "an ignored path": (lambda flow: put({"paths-ignore": ["docs/**"]}, flow, "on", "push"), "paths filter"),
    "pull_request_target": (lambda flow: put("", flow, "on", "pull_request_target"), "pull_request_target gives unmerged code"),
    "permissions for all": (lambda flow: put({"contents": "read"}, flow, "permissions"), "permissions at the top are not {}"),
    "permissions unsaid": (lambda flow: drop(flow, "permissions"), "permissions at the top are not {}"),
    "permissions of a job unsaid": (lambda flow: drop(flow, "jobs", "gpu", "permissions"), "job gpu: no permissions of its own"),
    "runs on main cancelled": (lambda flow: put("true", flow, "concurrency", "cancel-in-progress"), "concurrency cancels true"),
    "no concurrency": (lambda flow: drop(flow, "concurrency"), "concurrency cancels None"),
    "a failure made green": (lambda flow: put("true", flow, "jobs", "gpu", "continue-on-error"), "continue-on-error turns failures green"),
    "a cache of other inputs": (
        lambda flow: put("distill-", step_of(flow, "gpu", "cache/restore"), "with", "restore-keys"),
        "restore-keys",
    ),
    "a cache that pull requests write": (
        lambda flow: put(f"actions/cache@{'0' * 40}", step_of(flow, "gpu", "cache/restore"), "uses"),
        "take one half of it",
    ),
    "a cache of another folder": (
        lambda flow: put(".distill", step_of(flow, "gpu", "cache/restore"), "with", "path"),
        "job gpu: a cache holds the trained students",
    ),
    "a cache under a branch's name": (
        lambda flow: put("distill-${{ github.ref }}", step_of(flow, "keep", "cache/save"), "with", "key"),
        "job keep: a cache holds the trained students",
    ),
    "a job that trains and may write the cache": (
        lambda flow: put("write", flow, "jobs", "gpu", "cache-mode"),
        "job gpu: cache-mode must be read",
    ),
    "a job without use for the cache": (
        lambda flow: put("read", flow, "jobs", "locked", "cache-mode"),
        "job locked: cache-mode must be none",
    ),
    "a cache written beside the project's code": (
        lambda flow: flow["jobs"]["keep"]["steps"].append({"run": "make"}),
        "job keep: a job that writes a cache runs more than it must",
    ),
    "a cache written from a pull request": (
        lambda flow: put("${{ always() }}", flow, "jobs", "gpu", "outputs", "save"),
        "job keep: a cache is written on another event than a push",
    ),
    "a cache written unasked": (lambda flow: drop(flow, "jobs", "keep", "if"), "job keep: a cache is written on another event"),
    "no consent": (lambda flow: drop(flow, "jobs", "gpu", "environment"), "job gpu: a pull request of this repository does not wait"),
    "a fork that counts as none": (lambda flow: put("false", flow, "env", "FORK"), "job gpu: FORK does not tell"),
    "a fork on a runner of ours": (lambda flow: put("gpu", flow, "jobs", "gpu", "runs-on"), "job gpu: a pull request from a fork occupies"),
    "a fork that is not told": (lambda flow: drop(flow, "jobs", "gpu", "steps", 0), "job gpu: a pull request from a fork is not told"),
    "a step for all": (
        lambda flow: drop(step_of(flow, "gpu", "actions/distill"), "if"),
        "job gpu: a step is run for a pull request from a fork",
    ),
    "a step for a fork as well": (
        lambda flow: put("env.FORK == 'false' || true", step_of(flow, "gpu", "actions/distill"), "if"),
        "job gpu: a step is run for a pull request from a fork",
    ),
    "a skipped job": (
        lambda flow: put("github.event_name != 'pull_request'", flow, "jobs", "gpu", "if"),
        "job required would fail wherever the `if:` of gpu skips it",
    ),
    "a check of any name": (
        lambda flow: put("required", flow, "jobs", "required", "name"),
        "job required is not called 'distill required'",
    ),
    "no time limit": (lambda flow: drop(flow, "jobs", "locked", "timeout-minutes"), "job locked: no timeout-minutes"),
    "a secret": (lambda flow: put("${{ secrets.KEY }}", flow, "jobs", "gpu", "env"), "job gpu: secrets outside of record and drift"),
    "all secrets": (lambda flow: put("inherit", flow, "jobs", "gpu", "secrets"), "job gpu: secrets outside of record and drift"),
    "an identity": (lambda flow: put("write", flow, "jobs", "gpu", "permissions", "id-token"), "job gpu: id-token outside"),
    "a tag for a pin": (
        lambda flow: put("actions/checkout@v7", step_of(flow, "gpu", "checkout"), "uses"),
        "actions/checkout@v7 is not pinned",
    ),
    "a short pin": (lambda flow: put("actions/checkout@3d3c42e", step_of(flow, "gpu", "checkout"), "uses"), "is not pinned by a full SHA"),
    "credentials that stay": (
        lambda flow: drop(step_of(flow, "gpu", "checkout"), "with", "persist-credentials"),
        "leaves its credentials behind",
    ),
    "an expression in a script": (
        lambda flow: put("echo ${{ github.head_ref }}", flow, "jobs", "gpu", "steps", 0, "run"),
        "pasted into a script",
    ),
    "an input that is none": (
        lambda flow: put("1", step_of(flow, "gpu", "actions/distill"), "with", "budget"),
        "the action has no input budget",
    ),
    "an input left out": (lambda flow: drop(step_of(flow, "gpu", "actions/distill"), "with", "mode"), "the action needs mode"),
}


@each_training
@pytest.mark.parametrize(("spoil", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_workflow_is_told(spoil, words, flow):
    """Each rule is noticed where a copy of a workflow that trains breaks it, by that rule and no other."""
    flow = copy.deepcopy(flow)
    spoil(flow)
    (fault,) = workflows.faults(flow, ACTION)
    assert words in fault


def test_an_identity_token_is_for_two_jobs_each_in_an_environment():
    """Of all jobs recording and publishing alone may prove who they are, and not without the environment that people guard."""
    having = {name for flow in OURS.values() for name, job in flow["jobs"].items() if "id-token" in workflows.keys(job)}
    assert having == {"record", "publish"}
    for flow, job in (("record", "record"), ("release", "publish")):
        unguarded = copy.deepcopy(OURS[flow])
        drop(unguarded, "jobs", job, "environment")
        assert f"job {job}: id-token outside of record and publish, or without an environment" in list(workflows.faults(unguarded, ACTION))


@each_training
def test_only_what_waits_for_the_verdict_is_left_out_of_it(flow):
    """A job may be missing from the needs of the required job where it waits for that job, at first or at second hand, and nowhere else."""
    jobs = flow["jobs"]
    assert workflows.after(jobs, "required") == {"keep"}
    assert workflows.after({**jobs, "last": {"needs": "keep"}, "beside": {"needs": "gpu"}}, "required") == {"keep", "last"}


@each_training
def test_what_is_saved_is_what_could_not_be_restored(flow):
    """The key that is saved under is the plan's, as for the restore, and the artifact that is saved is the one that the training left."""
    gpu, keep = flow["jobs"]["gpu"], flow["jobs"]["keep"]
    assert step_of(flow, "gpu", "cache/restore")["with"]["key"] == f"distill-{gpu['outputs']['key']}"
    left = [
        step["with"]["name"] for step in gpu["steps"] if step.get("with", {}).get("path") == workflows.STUDENTS and "upload" in step["uses"]
    ]
    assert left == [step_of(flow, "keep", "download-artifact")["with"]["name"]]
    assert keep["needs"] == ["gpu", "required"]


@needs_bash
@needs_jq
@pytest.mark.parametrize("flow", REQUIRED.values(), ids=REQUIRED)
@pytest.mark.parametrize(
    ("results", "passes"),
    [
        (["success", "success", "success"], True),
        (["success", "skipped", "success"], False),
        (["success", "success", "failure"], False),
        (["cancelled", "success", "success"], False),
        ([], False),
    ],
)
def test_required_passes_only_where_all_succeeded(flow, results, passes, tmp_path):
    """A job that was skipped or cancelled, or no job at all, is no success."""
    needs = {f"job{number}": {"result": result, "outputs": {"save": "success"}} for number, result in enumerate(results)}
    assert (bash(block(flow, "required", "jq"), tmp_path, NEEDS=json.dumps(needs)).returncode == 0) is passes


@needs_bash
@needs_jq
def test_required_fails_where_it_hears_nothing(tmp_path):
    """An empty text in place of the results is no success."""
    assert bash(block(OURS["ci"], "required", "jq"), tmp_path, NEEDS="").returncode != 0


FINGERPRINT = "0123456789abcdef" * 4


@needs_bash
@each_training
@pytest.mark.parametrize(
    ("said", "status", "key"),
    [
        (f"student tiny\nstore key: {FINGERPRINT}\n", 0, FINGERPRINT),
        (f"store key: {'f' * 64}\nstore key: {FINGERPRINT}\n", 0, FINGERPRINT),
        (f"store key: {FINGERPRINT}\nstore key: none\n", 0, "none"),
        (f"he said: store key: {FINGERPRINT}\n", 0, "none"),
        (f"store key: {FINGERPRINT[:-1]}\n", 0, "none"),
        ("::set-output name=key::evil\nkey=evil\n", 1, "none"),
        ("", 1, "none"),
    ],
)
def test_the_key_is_the_last_that_the_plan_names(said, status, key, flow, tmp_path):
    """The plan's text stays out of the log, and only its last well-formed line becomes an output."""
    (tmp_path / "said").write_text(said, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncat "$(dirname "$0")/said"\nexit {status}\n', encoding="utf-8")
    python.chmod(0o755)
    output = tmp_path / "output"
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(output)}
    done = bash(block(flow, "gpu", "--distill-plan"), tmp_path, **env)
    assert done.returncode == 0
    assert output.read_text(encoding="utf-8") == f"key={key}\n"
    assert "key" not in done.stdout
    assert "::" not in done.stdout


@needs_bash
def test_a_release_needs_a_tag_that_is_the_version_on_main(tmp_path):
    """Another version's tag, and a commit that main lacks, are refused with the reason."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "git").write_text('#!/bin/sh\ntest "$3" = merged\n', encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    (tmp_path / "python").symlink_to(shutil.which("python3"))
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = block(OURS["release"], "build", "tomllib")
    assert bash(script, tmp_path, GITHUB_REF_NAME=f"v{version}", GITHUB_SHA="merged", **env).returncode == 0
    other = bash(script, tmp_path, GITHUB_REF_NAME="v99.0", GITHUB_SHA="merged", **env)
    aside = bash(script, tmp_path, GITHUB_REF_NAME=f"v{version}", GITHUB_SHA="aside", **env)
    assert other.returncode == aside.returncode == 1
    assert f"pyproject.toml has version {version}" in other.stdout
    assert "is not on main" in aside.stdout


@needs_bash
@pytest.mark.parametrize(("event", "status"), [("schedule", 0), ("workflow_dispatch", 1)])
def test_a_drift_check_of_nothing_says_so(event, status, tmp_path):
    """Where no Endpoint is named, the schedule says that nothing was checked, and a check by hand is not green."""
    done = bash(block(OURS["drift"], "drift", "::notice"), tmp_path, GITHUB_EVENT_NAME=event)
    assert done.returncode == status
    assert "nothing checked" in done.stdout


@needs_tools
def test_zizmor_finds_nothing():
    """Workflows, actions, templates and Dependabot's settings: no finding, in the auditor's persona, whatever a file asks to be ignored."""
    assert workflows.audited(ROOT / ".github", *WORKFLOWS)


@needs_tools
def test_every_file_is_what_its_schema_asks_for():
    """Workflows, templates, actions and Dependabot's settings are valid."""
    assert workflows.valid("github-workflows", *WORKFLOWS)
    assert workflows.valid("github-actions", *workflows.ACTIONS)
    assert workflows.valid("dependabot", ROOT / ".github" / "dependabot.yml")


@needs_tools
def test_shellcheck_finds_nothing():
    """The scripts in `run:` steps, and those of this repository, are clean."""
    assert workflows.shell_clean(*WORKFLOWS, *workflows.ACTIONS)


@needs_tools
def test_the_linters_do_look(tmp_path, capsys):
    """A workflow with an unquoted word, a pasted expression and an unknown key is found by each of the three."""
    path = tmp_path / "bad.yml"
    path.write_text(
        "name: bad\non: push\njobs:\n  bad:\n    runs-on: ubuntu-24.04\n    time: 5\n    steps:\n"
        "      - run: |\n          cd $HOME/${{ github.head_ref }}\n",
        encoding="utf-8",
    )
    assert not workflows.audited(path)
    assert not workflows.valid("github-workflows", path)
    assert not workflows.shell_clean(path)
    told = capsys.readouterr().out
    assert "template-injection" in told
    assert "'time' was unexpected" in told
    assert "SC2086" in told or "SC1083" in told or "SC2296" in told
