"""Recipes and job folders: what a person decides, and what the trainer is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_distill.curate import TrainingRow
from pytest_distill.errors import ModelError, TrainingError
from pytest_distill.student import Recipe
from pytest_distill.student.job import read_trace, write_job

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": ""}, "recipe '': name must be 1 to 64 letters, digits, '.', '_', '-'; seen ''."),
        ({"name": "a/b"}, "name must be"),
        ({"name": "a" * 65}, "name must be"),
        ({"name": "a\n"}, "name must be"),
        ({"name": "."}, "name must be"),
        ({"name": ".."}, "name must be"),
        ({"name": 7}, "name must be"),
        ({"name": None}, "name must be"),
        ({"rank": 0}, "recipe 'r': rank must be a whole number of 1 or more; seen 0."),
        ({"rank": True}, "seen True"),
        ({"rank": 8.0}, "rank must be"),
        ({"alpha": 0}, "alpha must be above 0; seen 0."),
        ({"dropout": 1}, "dropout must be from 0 to below 1; seen 1."),
        ({"dropout": -0.1}, "dropout must be"),
        ({"learning_rate": 0}, "learning_rate must be above 0 and below 1; seen 0."),
        ({"learning_rate": "2e-4"}, "learning_rate must be above 0 and below 1; seen '2e-4'."),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"epochs": float("nan")}, "epochs must be above 0; seen nan."),
        ({"epochs": float("inf")}, "seen inf"),
        ({"batch": 0}, "batch must be"),
        ({"max_length": 7}, "max_length must be a whole number of 8 or more; seen 7."),
        ({"warmup": 1.0}, "warmup must be from 0 to below 1"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more"),
        ({"seed": -1}, "seed must be a whole number of 0 or more"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda; seen 'gpu'."),
    ],
    ids=str,
)
def test_a_value_outside_its_range_is_refused(changed, words):
    """Every number has its range and the device its names; the message names recipe, field, what is allowed and what was seen."""
    with pytest.raises(TrainingError) as caught:
        Recipe(**{"name": "r", "base": "b", **changed})
    assert words in str(caught.value)


def test_the_ends_of_the_ranges_are_allowed():
    """The smallest allowed values make a recipe."""
    Recipe(name="a" * 64, base="b", rank=1, alpha=1e-9, dropout=0, epochs=0.01, batch=1, max_length=8, warmup=0, seed=0, device="cuda")


def test_a_recipe_survives_json():
    """A recipe that was written as JSON comes back equal, and keys of a later version are ignored."""
    recipe = Recipe(name="r", base=Path("some") / "base", rank=4, epochs=1.5, train_whole=["embed_tokens"])
    values = json.loads(json.dumps(recipe.to_json()))
    assert recipe.base == str(Path("some") / "base")
    assert Recipe.from_json({**values, "quantization": "nf4"}) == recipe


def base(folder: Path, weights: bytes = b"w") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_what_decides_the_weights(tmp_path):
    """Name, device, and where the base lies decide nothing; its files, and every other field, do."""
    one, same, other = base(tmp_path / "one"), base(tmp_path / "same"), base(tmp_path / "other", b"x")
    (same / "README.md").write_text("a model card")
    decided = Recipe(name="r", base=one).decided()
    assert decided == Recipe(name="s", base=same, device="cpu").decided()
    assert decided["base_digest"] != Recipe(name="r", base=other).decided()["base_digest"]
    changes = {"rank": 4, "alpha": 1, "dropout": 0.1, "train_whole": ["embed_tokens"], "learning_rate": 0.1, "epochs": 1, "batch": 2}
    changes |= {"max_length": 99, "targets": ["q_proj"], "warmup": 0, "weight_decay": 0.1, "seed": 1, "revision": "x"}
    assert all(Recipe(name="r", base=one, **{name: value}).decided() != decided for name, value in changes.items())
    assert set(decided) == {*changes, "base_digest"}


@pytest.mark.parametrize(
    ("where", "revision", "words"),
    [
        ("owner/name", None, "needs revision='<40 hex digits>', the commit of the hub repository; seen None"),
        ("owner/name", "main", "seen 'main'"),
        ("owner/name", REVISION.upper(), "needs revision"),
        ("nowhere", None, "base 'nowhere' is neither a folder here nor a hub id like 'owner/name'."),
        ("./nowhere", REVISION, "neither a folder"),
        ("", None, "no transformers model in safetensors there|neither a folder"),
    ],
)
def test_a_base_must_be_here_or_pinned(tmp_path, monkeypatch, where, revision, words):
    """A hub id needs the commit to the digit, and a folder needs a model in safetensors."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=words):
        Recipe(name="r", base=where, revision=revision).decided()
    assert Recipe(name="r", base="owner/name", revision=REVISION).decided()["base_digest"].startswith("sha256:")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_model_is_no_base(tmp_path, missing):
    """A folder that lacks the configuration or safetensors weights is refused, pickled weights or not."""
    folder = base(tmp_path / "base")
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no transformers model in safetensors there \(config\.json and \*\.safetensors are needed\)"):
        Recipe(name="r", base=folder).decided()


# Job folders


def rows(n: int) -> list[TrainingRow]:
    return [TrainingRow(f"id-{k}", f"prompt {k}\n é", "yes") for k in range(n)]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


@pytest.mark.parametrize(("n", "held"), [(19, 0), (20, 1), (500, 25), (6000, 256)])
def test_a_job_holds_recipe_and_rows(tmp_path, n, held):
    """A job folder holds the recipe, and all rows once: 5 % of them, at most 256, for validation, the others to train on, in order."""
    folder, recipe = tmp_path / "job", Recipe(name="r", base="b")
    write_job(folder, recipe, rows(n), "cpu")
    job = json.loads((folder / "job.json").read_text())
    train, validation = read(folder / "train.jsonl"), read(folder / "validation.jsonl")
    assert (Recipe.from_json(job["recipe"]), job["device"], job["threads"] >= 1) == (recipe, "cpu", True)
    assert (len(train), len(validation)) == (n - held, held)
    known = {row.id: {"id": row.id, "prompt": row.prompt, "completion": row.completion} for row in rows(n)}
    assert {row["id"]: row for row in train + validation} == known
    assert [row["id"] for row in train] == [name for name in known if name in {row["id"] for row in train}]


def test_the_validation_split_is_drawn_by_id(tmp_path):
    """Whatever the order and the texts of the rows, the same ids are held for validation."""
    write_job(tmp_path / "a", Recipe(name="r", base="b"), rows(100), "cpu")
    shuffled = [TrainingRow(row.id, "other", "no") for row in reversed(rows(100))]
    write_job(tmp_path / "b", Recipe(name="s", base="b", rank=1), shuffled, "cpu")
    first, second = ({row["id"] for row in read(tmp_path / name / "validation.jsonl")} for name in "ab")
    assert first == second
    assert len(first) == 5
    assert first != {f"id-{k}" for k in range(5)}


def test_a_trace_is_read_while_it_is_written(tmp_path):
    """Without a trace there are no events; a line still being written is left out, and so is one that is no JSON."""
    assert read_trace(tmp_path) == []
    (tmp_path / "trace.jsonl").write_bytes(b'{"step": 1}\nnoise \xff\n{"step": 2}\n{"step": 3')
    assert read_trace(tmp_path) == [{"step": 1}, {"step": 2}]
