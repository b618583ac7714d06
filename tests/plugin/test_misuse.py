"""Wrong marks, wrong rows, nothing to do: each ends in a sentence that says what, where and the way out."""

from __future__ import annotations

import sys

import pytest

from tests.fakes import GATES, HEAD, MARK, bench, rows, write_jsonl


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("pytest.mark.distill(task, teacher=teacher)", "mark distill names no students. Add students=[...] with a Recipe"),
        ("pytest.mark.distill(task, teacher=teacher, students=[])", "mark distill names no students"),
        ("pytest.mark.distill(teacher=teacher, students=[good])", "mark distill names no task; seen None"),
        ("pytest.mark.distill(task, students=[good])", "mark distill names no teacher; seen None"),
        ("pytest.mark.distill(task, teacher=teacher, student=[good])", "mark distill knows no 'student'. Did you mean 'students'?"),
        ("pytest.mark.distill(task, teacher=teacher, students=good)", "mark distill takes students as a list"),
        ("pytest.mark.distill(task, teacher=teacher, students=['good'])", "a student is a Recipe or a model; seen 'good'"),
        ("pytest.mark.distill(task, teacher=teacher, students=[good, good])", "two students are called 'good'"),
    ],
)
def test_a_wrong_mark_is_a_collection_error_with_file_and_line(pytester, run, result, mark, words):
    """Each wrong mark is refused at collection (exit status 2) with one sentence that begins with file and line."""
    path = bench(pytester.path, f"pytestmark = {mark}\n" + GATES)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "pytestmark" in text)
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines([f"*bench_parity.py:{line}: *"])
    assert words in outcome.stdout.str()
    assert "Traceback" not in outcome.stdout.str()
    assert result()["verdict"] == "error"
    assert words in result()["cause"]


def test_a_wrong_mark_is_the_same_error_under_xdist(pytester, run, result):
    """With -n 2 a wrong mark is a collection error too, never green."""
    bench(pytester.path, "pytestmark = pytest.mark.distill(task, teacher=teacher)\n" + GATES)
    outcome = run("-n", "2")
    assert outcome.ret != 0
    assert "mark distill names no students" in outcome.stdout.str()
    assert result()["verdict"] == "error"


def test_a_row_that_is_no_json_is_named_by_file_line_and_column(pytester, run):
    """A broken training row is refused at collection with file, line and column."""
    bench(pytester.path)
    with (pytester.path / "train.jsonl").open("a") as file:
        file.write('{"id": "x", "text": }\n')
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*train.jsonl:41:21: the row is not JSON: Expecting value. Write one JSON object a line."])


def test_a_task_without_heldout_rows_is_refused(pytester, run):
    """An empty held-out file is a collection error."""
    bench(pytester.path)
    (pytester.path / "heldout.jsonl").write_text("\n")
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*task 'parity': heldout.jsonl holds no rows. Add heldout examples, one JSON object a line."])


def test_heldout_rows_in_the_training_data_are_refused(pytester, run):
    """A held-out question that also stands in the training rows is a collection error with the count and the first pair."""
    bench(pytester.path)
    write_jsonl(
        pytester.path / "train.jsonl",
        [*rows(5, "train", first=1000), rows(1, "held")[0] | {"id": "train-x", "text": "HELD row=0, want=yes!"}],
    )
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*task 'parity': 1 held-out example is also in the training data; first: held-0 equals train-x. Remove*"])


def test_two_tasks_of_one_name_are_refused(pytester, run):
    """Two files that declare different tasks under one name are a collection error that names both."""
    bench(pytester.path)
    bench(pytester.path, name="bench_other.py", head=HEAD.replace("max_tokens=4", "max_tokens=5"))
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*task 'parity' is another task in bench_other.py. Give one of the two another name.*"])


def test_without_distill_a_named_benchmark_file_is_skipped_with_a_reason(pytester, run):
    """Naming a benchmark file on the command line without --distill skips its gates and says why; nothing is written."""
    path = bench(pytester.path)
    outcome = run(str(path), "-rs", distill=False)
    outcome.assert_outcomes(skipped=2)
    outcome.stdout.fnmatch_lines(["*needs --distill: run pytest --distill*"])
    assert not (pytester.path / ".distill").exists()


def test_plain_pytest_does_not_collect_benchmarks(pytester, run):
    """Without --distill a benchmark file is not collected, and the plugin leaves heavy libraries out."""
    bench(pytester.path)
    pytester.makepyfile(
        test_light="""
        import sys
        def test_light():
            heavy = {"torch", "transformers", "openai", "jinja2", "numpy", "trl", "peft", "datasets"}
            assert not heavy & sys.modules.keys()
        """
    )
    outcome = run(distill=False)
    outcome.assert_outcomes(passed=1)


def test_with_distill_other_tests_are_not_even_imported(pytester, run):
    """--distill runs benchmark files alone."""
    bench(pytester.path)
    pytester.makepyfile(test_other="raise RuntimeError('imported')")
    run().assert_outcomes(passed=2)


@pytest.mark.parametrize("args", [(), ("-k", "nothing_is_called_so"), ("-n", "2")])
def test_nothing_collected_is_an_error(pytester, run, result, args):
    """A run that collects no gate is never green and says so."""
    if args[:1] == ("-k",):
        bench(pytester.path)
    outcome = run(*args)
    assert outcome.ret != 0
    assert result()["verdict"] == "error"
    assert "no gate ran" in result()["cause"]


def test_all_skipped_is_an_error(pytester, run, result):
    """Gates that were all skipped show nothing: exit status 1."""
    bench(
        pytester.path,
        "pytestmark = [pytest.mark.skip(reason='later'), pytest.mark.distill(task, teacher=teacher, students=[good])]\n" + GATES,
    )
    assert run().ret == 1
    assert result()["cause"] == "no gate ran: all 2 were skipped (later)"


@pytest.mark.parametrize(
    "mode", [(), ("--distill-plan",), ("--distill-record-only",), ("--distill-drift=1",)], ids=["run", "plan", "record only", "drift"]
)
@pytest.mark.parametrize("which", ["all gates", "one gate"])
def test_rows_of_a_file_that_is_skipped_are_not_read(pytester, run, which, mode):
    """A broken row is found where a gate would run, or its file be recorded; a file that is skipped as a whole costs no reading."""
    skip = "pytest.mark.skipif('True', reason='later')"
    marked = MARK.replace("pytestmark = ", f"pytestmark = [{skip}, ").rstrip() + "]\n" if which == "all gates" else f"{MARK}\n@{skip}"
    bench(pytester.path, marked + GATES)
    with (pytester.path / "train.jsonl").open("a") as file:
        file.write("{\n")
    outcome = run(*mode)
    read = which == "one gate" or mode in [("--distill-record-only",), ("--distill-drift=1",)]
    assert ("the row is not JSON" in outcome.stdout.str()) is read


def test_python_without_asserts_is_refused(pytester):
    """Under python -O asserts do nothing, so --distill does not start."""
    bench(pytester.path)
    pytester.makeini("[pytest]\n")  # pytest warns of -O by itself; here it is our refusal that is looked at
    outcome = pytester.run(sys.executable, "-O", "-m", "pytest", "--distill", "-p", "no:cacheprovider")
    assert outcome.ret == 4
    outcome.stderr.fnmatch_lines(["*--distill under python -O*"])


def test_an_ini_value_that_is_not_allowed_is_a_usage_error(pytester, run):
    """A wrong ini value ends with exit status 4 and the allowed values."""
    bench(pytester.path)
    pytester.makeini("[pytest]\ndistill_evidence = loose\n")
    outcome = run()
    assert outcome.ret == 4
    outcome.stderr.fnmatch_lines(["*distill_evidence = 'loose'*allowed are strict, point.*"])


def test_a_recipe_for_a_gpu_says_so_where_there_is_none(pytester, run, result):
    """A recipe that needs CUDA on a machine without it fails as an error that names the way out."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is visible")
    mark = "pytestmark = pytest.mark.distill(task, teacher=teacher, students=[Recipe(name='r', base=HERE / 'nowhere', device='cuda')])\n"
    bench(pytester.path, mark + GATES)
    (pytester.path / "nowhere").mkdir()
    (pytester.path / "nowhere" / "config.json").write_text("{}")
    (pytester.path / "nowhere" / "model.safetensors").write_bytes(b"")
    outcome = run()
    assert outcome.ret == 1
    assert "asks for device='cuda' and no CUDA GPU is visible" in outcome.stdout.str()
    assert result()["verdict"] == "error"


def test_a_benchmark_file_may_bring_its_own_student(pytester, run, result):
    """Overriding the fixture `student` keeps the parameter and judges the model that it returns."""
    body = "@pytest.fixture(scope='module')\ndef student():\n    return bad\n"
    bench(pytester.path, MARK + body + GATES)
    assert run().ret == 1
    assert result()["comparisons"][0]["student"] == "bad"


def test_a_test_without_the_mark_is_told_to_add_it(pytester, run):
    """A gate in a file without the mark fails with the sentence to add."""
    bench(pytester.path, GATES)
    outcome = run()
    assert outcome.ret == 1
    assert "its file has no pytestmark = pytest.mark.distill" in outcome.stdout.str()


def test_an_unwritable_result_is_an_error(pytester, run):
    """Where results.json cannot be written, the run is not green and says why."""
    bench(pytester.path)
    (pytester.path / "out").write_text("a file where a folder should be")
    outcome = run("--distill-out", "out")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["verdict: ERROR: the result could not be written to out*"])


@pytest.mark.parametrize("option", ["plan", "record", "live", "label"])
def test_a_drift_check_runs_by_itself(pytester, run, option):
    """What would be passed over beside --distill-drift is refused."""
    bench(pytester.path)
    outcome = run("--distill-drift", "5", f"--distill-{option}")
    assert outcome.ret == 4
    outcome.stderr.fnmatch_lines([f"*--distill-drift does not go with --distill-{option}: it judges no gates*"])


def test_a_task_is_imported_from_where_pytest_runs(pytester, run):
    """A benchmark file in a folder of its own imports its task from the root folder, without further configuration."""
    bench(pytester.path, "from chores.parity import MORE\n" + MARK + GATES)
    for folder in ("chores", "benchmarks"):
        (pytester.path / folder).mkdir()
    (pytester.path / "chores" / "parity.py").write_text("MORE = 1\n")
    for name in ("bench_parity.py", "train.jsonl", "heldout.jsonl"):
        (pytester.path / name).rename(pytester.path / "benchmarks" / name)
    assert run("benchmarks").ret == 0


def test_two_endpoints_of_one_name_are_refused(pytester, run):
    """Teacher and student may not share a recording: their names must differ."""
    bench(
        pytester.path,
        "from pytest_distill import Endpoint\nteacher = Endpoint('a/m')\ngood = Endpoint('b/m')\n" + MARK + GATES,
    )
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*teacher and a student are both called 'm', which names their recordings. Give one of them name=*"])


@pytest.mark.parametrize("option", ["plan", "record", "live", "retrain", "label", "drift=5"])
def test_a_companion_without_distill_is_refused(pytester, run, option):
    """An option that asks for something to be done does not pass silently where --distill is forgotten."""
    bench(pytester.path)
    outcome = run(f"--distill-{option}", distill=False)
    assert outcome.ret == 4
    name = option.partition("=")[0]
    outcome.stderr.fnmatch_lines([f"*--distill-{name} does nothing without --distill. Write pytest --distill --distill-{name}*"])
