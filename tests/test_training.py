"""Training for real, on a tiny model: what is made, what is kept, and what happens when it goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.fakes import ROOT, bench
from tests.tiny import edit_json, make_base

pytest.importorskip("torch")
pytest.importorskip("trl")

# These tests are about training; whether the machine is steady enough for a timing is not theirs to fail on.
STEADY = """
import pytest_distill.evaluate
pytest_distill.evaluate.timing.noise = lambda student, reference: ""
"""
BODY = (
    STEADY
    + """
tiny = Recipe(name="tiny", base=HERE / "base", rank=8, alpha=16, learning_rate=5e-3, epochs={epochs}, batch=8, max_length=64)
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[tiny])

def test_runs(comparison):
    assert comparison.speed_gain >= 0.000001
"""
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which one student has been trained, and what that run printed."""
    folder = tmp_path_factory.mktemp("trained")
    make_base(folder / "base")
    bench(folder, BODY.format(epochs=2), heldout=10)
    return folder, start(folder, "--distill-ladder=on")


def command(*args: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "pytest", "--distill", "-p", "no:cacheprovider", "--distill-ladder=off", *args]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | more


def start(folder, *args: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False, **more)


def result(folder) -> dict:
    return json.loads((folder / ".distill" / "results.json").read_text())


def entry_folder(folder):
    (found,) = [path for path in (folder / ".distill" / "store" / "students").iterdir() if path.is_dir()]
    return found


def test_a_student_is_trained_and_its_progress_is_shown(trained):
    """A run trains the recipe in a child process, shows steps, loss and time left, and keeps adapter, trace and manifest."""
    folder, run = trained
    assert run.returncode == 0, run.stdout + run.stderr
    assert "parity: training tiny: " in run.stdout
    assert " s left" in run.stdout
    (entry,) = result(folder)["comparisons"]
    assert entry["train_examples"] == 40
    assert not entry["from_store"]
    assert (folder / entry["adapter"]["path"] / "adapter_model.safetensors").exists()
    trace = [json.loads(line) for line in (entry_folder(folder) / "trace.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in trace if "loss" in event]
    assert losses[-1] < losses[0]
    assert trace[-1]["done"]


def test_the_ladder_asks_the_students_own_base(trained):
    """Beside the student stand majority, a linear model, and its base with the bare prompt and with examples in the prompt."""
    (entry,) = result(trained[0])["comparisons"]
    assert [row["rung"] for row in entry["ladder"]] == ["majority", "linear", "base", "base, 4 examples", "student", "teacher"]
    assert [row["why"] for row in entry["ladder"]][:3] == [None] * 3
    assert all((row["accuracy"] is None) == bool(row["why"]) for row in entry["ladder"])


def test_only_the_completion_is_trained(trained):
    """The labels of a training row mask the prompt and hold the completion and the end token."""
    from transformers import AutoTokenizer

    from pytest_distill.student.train import tokenised

    tokenizer = AutoTokenizer.from_pretrained(trained[0] / "base")
    (row,), dropped = tokenised([{"id": "train-1", "prompt": "train row=1", "completion": "yes"}], tokenizer, 64)
    kept = [token for token in row["labels"] if token != -100]
    assert tokenizer.decode(kept) == " yes<|end|>"
    assert tokenizer.decode(row["input_ids"]) == "train row=1 yes<|end|>"
    assert dropped == []
    assert tokenised([{"id": "train-1", "prompt": "train row=1", "completion": "yes"}], tokenizer, 5) == ([], ["train-1"])


def test_embeddings_that_are_the_outputs_too_are_trained_as_one(tmp_path):
    """A table of embeddings that is also the output's is one table still when it was trained whole and merged."""
    import torch

    from pytest_distill import Checkpoint, Recipe
    from pytest_distill.curate import TrainingRow
    from pytest_distill.student.job import run_job, write_job

    make_base(tmp_path / "base")
    recipe = Recipe(
        name="t", base=tmp_path / "base", targets=["q_proj"], train_whole=["embed_tokens"], learning_rate=1e-2, epochs=3, batch=2
    )
    write_job(tmp_path / "job", recipe, [TrainingRow(f"train-{k}", f"train row={k}", "yes") for k in range(8)], "cpu")
    run_job(tmp_path / "job", lambda _: None)
    before, after = Checkpoint(tmp_path / "base"), Checkpoint(tmp_path / "base", adapter=tmp_path / "job" / "adapter")
    tables = []
    for model in (before, after):
        model.load("cpu")
        tables.append([model._model.get_input_embeddings().weight, model._model.get_output_embeddings().weight])
    assert torch.equal(*tables[0])
    assert torch.equal(*tables[1])
    assert not torch.equal(tables[0][0], tables[1][0])


def test_only_tokens_with_a_label_are_scored(tmp_path, monkeypatch):
    """The trainer scores the tokens that have a label and no others, and the loss is the same."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer import utils

    from pytest_distill.student.train import _score_labelled_tokens_alone

    monkeypatch.setattr(utils, "_use_triton", utils._use_triton)  # the trainer's process ends with what it changed, this one does not
    model = AutoModelForCausalLM.from_pretrained(make_base(tmp_path / "base"))
    utils.add_fused_lm_head(model)
    ids = torch.arange(16).reshape(2, 8)
    labels = ids.masked_fill(torch.arange(8) < 6, -100)
    scored, score = [], utils._ChunkedLogProbFunction.apply
    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", lambda hidden, *rest: [scored.append(len(hidden)), score(hidden, *rest)][1])
    before = model(input_ids=ids, labels=labels, fused_lm_head=True).loss
    _score_labelled_tokens_alone()
    after = model(input_ids=ids, labels=labels, fused_lm_head=True).loss
    assert scored == [14, 4]
    assert after.item() == pytest.approx(before.item(), rel=1e-5)


def test_an_unchanged_student_comes_from_the_store_without_torch(trained):
    """A second run trains nothing, imports no torch, and comes to the same judgements."""
    folder, _ = trained
    before = result(folder)
    (folder / "conftest.py").write_text(
        "import sys\ndef pytest_sessionfinish():\n    assert not {'torch', 'transformers', 'trl', 'peft', 'sklearn'} & sys.modules.keys()\n"
    )
    run = start(folder, "--distill-ladder=on")
    (folder / "conftest.py").unlink()
    assert run.returncode == 0, run.stdout + run.stderr
    (old,), (new,) = before["comparisons"], result(folder)["comparisons"]
    assert new["from_store"]
    assert new["judgements"] == [judgement | {"words": new["judgements"][at]["words"]} for at, judgement in enumerate(old["judgements"])]
    assert (new["errors"], new["counts"], new["fingerprint"]) == (old["errors"], old["counts"], old["fingerprint"])


def test_two_workers_train_one_student_once(tmp_path):
    """Two benchmark files with one recipe under -n 2 train it once; progress reaches the terminal."""
    make_base(tmp_path / "base")
    bench(tmp_path, BODY.format(epochs=1), heldout=10)
    bench(tmp_path, BODY.format(epochs=1), heldout=10, name="bench_again.py")
    run = start(tmp_path, "-n", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    entries = result(tmp_path)["comparisons"]
    assert sorted(entry["from_store"] for entry in entries) == [False, True]
    assert entries[0]["fingerprint"] == entries[1]["fingerprint"]
    assert (run.stdout + run.stderr).count("parity: training tiny: 5/5") == 1


def test_an_existing_adapter_is_loaded_and_nothing_trained(trained, tmp_path):
    """students=[Checkpoint(base, adapter=…)] judges an adapter that exists."""
    folder, _ = trained
    adapter = entry_folder(folder) / "adapter"
    body = (
        STEADY
        + f"""
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[Checkpoint({str(folder / "base")!r}, adapter={str(adapter)!r}, name="ready")])

def test_runs(comparison):
    assert comparison.speed_gain >= 0.000001
"""
    )
    bench(tmp_path, body, heldout=10)
    run = start(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    (entry,) = result(tmp_path)["comparisons"]
    assert (entry["student"], entry["trained_seconds"]) == ("ready", None)
    assert [row["student"] for row in entry["errors"]] == [row["student"] for row in result(folder)["comparisons"][0]["errors"]]


def flip_a_byte(adapter) -> None:
    weights = bytearray((adapter / "adapter_model.safetensors").read_bytes())
    weights[-3] ^= 0x40
    (adapter / "adapter_model.safetensors").write_bytes(weights)


def make_infinite(adapter) -> None:
    """Non-finite weights under a manifest that vouches for them."""
    from safetensors.torch import load_file, save_file

    from pytest_distill.files import folder_digests

    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors[min(tensors)][0, 0] = float("nan")
    save_file(tensors, adapter / "adapter_model.safetensors")
    edit_json(adapter.parent / "manifest.json", adapter=folder_digests(adapter))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_byte, "adapter/adapter_model.safetensors does not match its digest"),
        (make_infinite, "holds NaN or infinite weights"),
        (lambda adapter: (adapter.parent / "manifest.json").write_text("{"), "its manifest cannot be read"),
    ],
    ids=["flipped-byte", "not-finite", "manifest"],
)
def test_a_damaged_stored_adapter_is_refused_trained_again_and_named(trained, damage, words):
    """A damaged adapter in the store is never used: it is set aside, trained again, and the result and the terminal say so."""
    folder, _ = trained
    damage(entry_folder(folder) / "adapter")
    run = start(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    (entry,) = result(folder)["comparisons"]
    assert not entry["from_store"]
    assert words in entry["notes"][0]
    assert "was refused and trained again" in run.stdout
    assert list((folder / ".distill" / "store" / "aside").iterdir())


def child_of(process) -> int | None:
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines()[1:]:
        pid, parent, args = line.split(None, 2)
        if int(parent) == process.pid and "pytest_distill.student.train" in args:
            return int(pid)
    return None


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_for_step(folder, process) -> int:
    """Wait until the child has logged a step; return its process id."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        traces = list((folder / ".distill" / "store" / "jobs").glob("*/trace.jsonl"))
        child = child_of(process)
        if child and any('"loss"' in trace.read_text() for trace in traces):
            return child
        time.sleep(0.05)
    raise AssertionError("the training never logged a step")


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_killed_training_fails_clearly_and_the_next_run_starts_clean(tmp_path):
    """A killed child is a clear error without a half adapter; a killed parent takes its child along; the next run trains anew."""
    make_base(tmp_path / "base")
    bench(tmp_path, BODY.format(epochs=2000), heldout=10)
    students = tmp_path / ".distill" / "store" / "students"
    process = subprocess.Popen(command(), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.kill(wait_for_step(tmp_path, process), signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the training process was killed by signal 9. Nothing was kept; the next run starts clean." in out
    assert result(tmp_path)["verdict"] == "error"
    assert not [path for path in students.iterdir() if path.is_dir()]

    process = subprocess.Popen(command(), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child = wait_for_step(tmp_path, process)
    process.kill()
    process.wait()
    until = time.monotonic() + 30
    while time.monotonic() < until and alive(child):
        time.sleep(0.1)
    assert not alive(child)

    bench(tmp_path, BODY.format(epochs=1), heldout=10)
    assert start(tmp_path).returncode == 0
    assert not list((tmp_path / ".distill" / "store" / "jobs").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="sets a POSIX limit on file size")
def test_a_full_disk_while_the_adapter_is_written_keeps_nothing_half(tmp_path):
    """Where the adapter cannot be written, the run is an error that says so, and the store holds no student."""
    import resource

    make_base(tmp_path / "base")
    bench(tmp_path, BODY.format(epochs=1).replace("rank=8", "rank=512"), heldout=10)
    limit = 150_000
    run = start(tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert run.returncode == 1
    assert result(tmp_path)["verdict"] == "error"
    assert "File too large" in result(tmp_path)["cause"]
    assert not [path for path in (tmp_path / ".distill" / "store" / "students").iterdir() if path.is_dir()]


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    """A training that diverges ends at that step with the advice to lower the rate; nothing is published."""
    from safetensors.torch import load_file, save_file

    weights = make_base(tmp_path / "base") / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, weights, metadata={"format": "pt"})
    bench(tmp_path, BODY.format(epochs=50), heldout=10)
    run = start(tmp_path)
    assert run.returncode == 1
    assert "lower the learning rate" in result(tmp_path)["cause"]
