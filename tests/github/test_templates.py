"""What users copy: the templates under docs/workflows/, and the page that tells how. What holds of every workflow is in `workflows`."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.github import workflows

ROOT = workflows.ROOT
TEMPLATES = sorted(ROOT.glob("docs/workflows/*.yml"))
PAGE = ROOT / "docs" / "github.md"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
ACTION_STEP = "$/.github/actions/distill"
each_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def action():
    return workflows.read(workflows.ACTION)


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def template(name):
    return workflows.read(ROOT / "docs" / "workflows" / f"{name}.yml")


def steps(workflow, uses=""):
    """The steps of all jobs that use what begins like this, each with its job's name."""
    return [(name, step) for name, job in workflow["jobs"].items() for step in job["steps"] if step.get("uses", "").startswith(uses)]


def table(page, head):
    """The code spans in the first column of a table, and each row as its cells."""
    rows = page.split(f"| {head} | is |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return {name: row.split(" | ") for row in rows for name in re.findall(r"`([\w-]+)`", row.split(" | ")[0])}


def test_there_is_one_for_each_way_and_the_page_names_them_all(page):
    """Four templates, each of which the page links."""
    assert [path.stem for path in TEMPLATES] == ["drift", "gpu", "hosted-teacher", "locked"]
    assert {f"workflows/{path.name}" for path in TEMPLATES} <= set(re.findall(r"\]\((workflows/[\w.-]+)\)", page))


@each_template
def test_it_opens_with_what_it_is_for_and_what_to_change(path):
    """A comment says what must be there before it runs and what must be changed; of an environment, that GitHub creates it unguarded."""
    opening, rest = path.read_text(encoding="utf-8").split("\nname: ", 1)
    lines = opening.splitlines()
    assert [line for line in lines if not line.startswith("# ")] == []
    assert "Before it runs: copy the folder .github/actions/distill" in " ".join(line.removeprefix("# ") for line in lines)
    assert "Change: " in opening
    assert ("GitHub would create it without" in opening) is ("environment:" in rest)


@each_template
def test_the_action_is_the_copy_in_the_users_own_repository(path):
    """No owner is named whose repository might be anybody's one day; and each run has a mode that the action knows."""
    used = [step for _, step in steps(workflows.read(path)) if "actions/distill" in step.get("uses", "")]
    assert {step["uses"] for step in used} == {ACTION_STEP}
    script = "".join(workflows.blocks(workflows.ACTION))
    assert all(re.search(rf"^ *{step['with']['mode']}\)", script, re.MULTILINE) for step in used)


@each_template
def test_the_version_is_the_present_one(path):
    """A template installs the version that it was written for, wherever it names one."""
    named = re.findall(r"(?:pytest-distill(?:\[\w+\])?==| version: \")([\d.]+)", path.read_text(encoding="utf-8"))
    assert set(named) == {VERSION}


@each_template
def test_jobs_that_compare_with_the_base_have_its_history(path):
    """Where the lock of the base commit is read, the checkout brings all commits; elsewhere it does not."""
    workflow = workflows.read(path)
    compare = {name for name, step in steps(workflow, "$/") if step["with"]["mode"] in ("locked", "gpu")}
    deep = {name for name, step in steps(workflow, "actions/checkout@") if step["with"].get("fetch-depth") == "0"}
    assert deep == compare


@pytest.mark.parametrize("name", ["locked", "gpu"])
def test_the_check_to_require_is_called_as_the_page_says(name, page):
    """The one job that looks at all others has the name that the page says to require."""
    workflow = template(name)
    (gate,) = workflows.gates(workflow)
    assert f"one status check `{workflow['jobs'][gate]['name']}`" in page


def test_the_model_hub_is_shut_off_from_a_run_that_judges():
    """What is judged is what is there, and not what a hub has by now."""
    (step,) = [step for _, step in steps(template("gpu"), "$/") if step["with"]["mode"] == "gpu"]
    assert step["env"]["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(("name", "events"), [("hosted-teacher", {"workflow_dispatch"}), ("drift", {"schedule", "workflow_dispatch"})])
def test_keys_reach_the_asking_step_alone_on_main(name, events):
    """A workflow with secrets starts on no pull request, names main and an environment, and gives its keys to the action's step only."""
    workflow = template(name)
    (job,) = workflow["jobs"].values()
    assert set(workflows.triggers(workflow)) == events
    assert job["if"] == "github.ref == 'refs/heads/main'"
    assert job["environment"]["name"] == f"distill-{'record' if name == 'hosted-teacher' else name}"
    holding = [step.get("uses") for step in job["steps"] if "secrets." in str(step)]
    assert holding == [ACTION_STEP]
    assert "secrets." not in str({key: value for key, value in job.items() if key != "steps"})


def test_recording_has_a_budget_and_keeps_what_was_paid_for():
    """The budget is asked for by name, and the recordings are uploaded also where the run failed."""
    workflow = template("hosted-teacher")
    (step,) = [step for _, step in steps(workflow, "$/")]
    assert step["with"]["budget-usd"] == "${{ inputs.budget-usd }}"
    assert workflows.triggers(workflow)["workflow_dispatch"]["inputs"]["budget-usd"]["required"] == "true"
    (upload,) = [step for _, step in steps(workflow, "actions/upload-artifact@")]
    assert upload["if"] == "always()"
    assert upload["with"]["path"] == "benchmarks/recordings"


def test_the_page_lists_every_input_with_its_default(page, action):
    """The table has the action's inputs, no other, and says of each what is taken where it is not given."""
    inputs, rows = action["inputs"], table(page, "input")
    assert set(rows) == set(inputs)
    stated = {name: re.findall(r"^`(.+)`", row[-1].strip(" |")) for name, row in rows.items()}
    assert {name: given[0] for name, given in stated.items() if given} == {
        name: value["default"] for name, value in inputs.items() if value.get("default")
    }
    assert [name for name, row in rows.items() if "must be given" in row[-1]] == [
        name for name, value in inputs.items() if value.get("required") == "true"
    ]


def test_the_page_lists_every_output(page, action):
    """The table has the action's outputs and no other."""
    assert set(table(page, "output")) == set(action["outputs"])


def test_options_of_the_page_exist(page, pytestconfig):
    """Every --distill-something of the page is an option of pytest."""
    named = set(re.findall(r"--distill[a-z-]*", page))
    assert named
    assert [name for name in named if not hasattr(pytestconfig.option, name.removeprefix("--").replace("-", "_"))] == []


def test_what_the_page_names_is_in_the_templates(page):
    """Environments, variables, artifacts and triggers that the page speaks of are called so in a template."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    names = set()
    for kind in (
        r"distill-[a-z-]+",
        r"DISTILL_[A-Z_]+",
        r"merge_group|push",
        r"HF_HUB_OFFLINE=1",
        r"cache-mode: \w+",
        r"fetch-depth: 0",
        r"\$/[\w./]+",
    ):
        found = set(re.findall(f"`({kind})`", page))
        assert found, f"the page names nothing like {kind}"
        names |= found
    assert [name for name in names if name.replace("HF_HUB_OFFLINE=1", 'HF_HUB_OFFLINE: "1"') not in text] == []


def test_the_code_owners_of_the_page_are_lines_that_github_reads(page):
    """Each line is a pattern from the root and one owner; all that decides a gate is among them, as in this repository's own file."""
    lines = page.split("CODEOWNERS`", 1)[1].split("```")[1].strip().splitlines()
    assert [line for line in lines if not re.fullmatch(r"/[\w./-]+ +@[\w-]+/[\w-]+", line)] == []
    owned = {line.split()[0] for line in lines}
    assert {"/.github/", "/distill.lock.json", "/benchmarks/", "/tasks/", "/conftest.py", "/.distill/", "/pytest.ini"} <= owned
    assert owned <= {line.split()[0] for line in (ROOT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()}
