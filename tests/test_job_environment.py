"""What training sees of the environment: no credential but the one that a gated base needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_distill import Recipe
from pytest_distill.curate import TrainingRow
from pytest_distill.student import job
from tests.fakes import ROOT

CREDENTIALS = re.findall(
    r"\w+",
    """
    OPENAI_API_KEY OPENAI_BASE_URL OPENAI_ORG_ID AZURE_OPENAI_API_KEY AZURE_CLIENT_ID AZURE_FEDERATED_TOKEN_FILE ANTHROPIC_API_KEY
    ANTHROPIC_AUTH_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE
    AWS_CONTAINER_CREDENTIALS_FULL_URI GOOGLE_APPLICATION_CREDENTIALS GEMINI_APIKEY TEACHER_KEY teacher_key PGPASSWORD MYSQL_PWD DB_PASS
    NPM_CONFIG__AUTH WEBHOOK_SECRET SENTRY_DSN GITHUB_PAT GH_TOKEN GITHUB_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN
    ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_RUNTIME_TOKEN ACTIONS_RESULTS_URL GITHUB_OUTPUT GITHUB_ENV GITHUB_PATH GITHUB_STATE
    GITHUB_STEP_SUMMARY HF_OIDC_ID_TOKEN WANDB_API_KEY MLFLOW_TRACKING_TOKEN MLFLOW_TRACKING_PASSWORD
    """,
)
NEEDED = re.findall(
    r"\w+",
    """
    HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_TOKEN_PATH HF_HUB_DISABLE_IMPLICIT_TOKEN HF_HOME HF_HUB_OFFLINE HF_ENDPOINT HTTPS_PROXY
    SSL_CERT_FILE TOKENIZERS_PARALLELISM CUDA_VISIBLE_DEVICES NCCL_IB_PKEY LD_LIBRARY_PATH GITHUB_WORKSPACE GITHUB_ACTIONS AWS_REGION
    PWD OLDPWD
    """,
)
# In the child, before anything of it runs: writes down what it sees, and ends.
DUMP = """
import json, os, sys

if "pytest_distill.student.train" in sys.orig_argv:
    with open(os.path.join(sys.orig_argv[-1], "seen.json"), "w") as file:
        json.dump(dict(os.environ), file)
    os._exit(0)
"""


def seen_by_a_child(folder: Path, monkeypatch: pytest.MonkeyPatch, *withheld: str) -> dict[str, str]:
    """Run a job whose training tells its environment; return what it saw."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(DUMP, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    monkeypatch.setattr(job, "TRAINS_WITH", ())
    work = folder / "job"
    job.write_job(work, Recipe(name="tiny", base=ROOT), [TrainingRow("train-0", "a", "b")], "cpu")
    assert job.run_job(work, lambda at: None, *([withheld] if withheld else [])) == []
    return dict(json.loads((work / "seen.json").read_text(encoding="utf-8")))


def test_training_sees_no_credentials_and_all_else(tmp_path, monkeypatch):
    """The training process has what it needs, its own settings and nothing secret, whatever this process has."""
    for name in (*CREDENTIALS, *NEEDED):
        monkeypatch.setenv(name, "given")
    seen = seen_by_a_child(tmp_path, monkeypatch)
    assert not seen.keys() & {*CREDENTIALS}
    assert {name: seen.get(name) for name in NEEDED} == dict.fromkeys(NEEDED, "given") | {"TOKENIZERS_PARALLELISM": "false"}
    assert seen["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert seen["PATH"]


def test_what_a_run_names_is_withheld_too(tmp_path, monkeypatch):
    """A name that looks like nothing secret is left out where it is named, and so is one that training could use."""
    for name in ("BIG_MODEL", "HF_TOKEN", "OTHER"):
        monkeypatch.setenv(name, "given")
    seen = seen_by_a_child(tmp_path, monkeypatch, "BIG_MODEL", "HF_TOKEN", "NOT_SET")
    assert seen.keys() & {"BIG_MODEL", "HF_TOKEN", "OTHER"} == {"OTHER"}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_is_known_by_its_name(name):
    """Each of these is left out, in this process nothing changes."""
    given = {name: "secret", "PATH": "/bin"}
    assert job.without_credentials(given) == {"PATH": "/bin"}
    assert given[name] == "secret"


@pytest.mark.parametrize("name", NEEDED)
def test_what_training_needs_is_kept(name):
    """Settings and paths stay, also where their names resemble those of credentials."""
    assert job.without_credentials({name: "value"}) == {name: "value"}
