"""What a run decides: exit status, verdict, messages, in every mode."""

from __future__ import annotations

import pytest

from tests.fakes import GATES, HEAD, MARK, bench


def test_a_good_student_passes_in_every_mode(pytester, run, result, mode):
    """A student that is shown to be good enough passes with exit status 0, whatever the mode."""
    bench(pytester.path)
    outcome = run(*mode)
    assert outcome.ret == 0
    outcome.assert_outcomes(passed=2)
    outcome.stdout.fnmatch_lines(
        ["*parity: student good against teacher big: viable*", "verdict: PASS: all 2 gates passed: accuracy drop 0.5% *"]
    )
    found = result()
    assert (found["verdict"], found["complete"], found["collected"], found["reported"]) == ("pass", True, 2, 2)
    (entry,) = found["comparisons"]
    assert entry["counts"] == {"both_right": 199, "introduced": 1, "corrected": 0, "inherited": 0}
    assert [j["outcome"] for j in entry["judgements"]] == ["shown", "shown"]
    assert (pytester.path / ".distill" / "report.html").exists()


def test_a_bad_student_fails_in_every_mode(pytester, run, result, mode):
    """A student that is shown to be worse fails with exit status 1 and is called not ready."""
    bench(pytester.path, MARK.replace("good", "bad") + GATES)
    outcome = run(*mode)
    assert outcome.ret == 1
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(["E*AssertionError: accuracy drop is shown not to be at most 5%: refuted"])
    assert result()["comparisons"][0]["band"] == "not ready"
    assert result()["verdict"] == "fail"


def test_too_few_examples_are_inconclusive_in_every_mode(pytester, run, result, mode):
    """With 46 held-out rows a small drop cannot be shown: the gate fails as INCONCLUSIVE and says how many rows would do."""
    bench(pytester.path, heldout=46)
    outcome = run("-v", *mode)
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        [
            "*INCONCLUSIVE*",
            "E*AssertionError: accuracy drop is not shown to be at most 5%: inconclusive",
            "E*teacher 100.0%, student 97.8% on 46 held-out examples: 1 lost, 0 gained, drop 2.2% (95% bound *%)",
            "E*no fewer than 93 examples could show it; about * more examples would decide, if the true drop is 2% (64 if it is 0%)",
        ]
    )
    assert result()["verdict"] == "inconclusive"
    assert result()["gates"][0]["outcome"] == "inconclusive"


def test_results_are_the_same_with_two_workers(pytester, run, result):
    """-n 2 gives the same result as -n 0, apart from times and dates."""
    bench(pytester.path)
    bench(pytester.path, MARK.replace("good", "good, bad") + GATES, name="bench_two.py", head=HEAD.replace('"parity"', '"other"'))
    found = []
    for mode in (("-n", "0"), ("-n", "2")):
        assert run(*mode, "--distill-store", f"store{mode[1]}").ret == 1
        shown = result()
        for entry in shown["comparisons"]:
            del entry["timing"]["at"], entry["measures"]["speed_gain"]["at"]
            for model in entry["models"].values():
                del model["origin"]
        for key in ("started", "seconds", "command", "environment"):
            del shown[key]
        found.append(shown)
    assert found[0] == found[1]


def test_the_second_run_judges_from_the_store(pytester, run, result):
    """A run with nothing changed asks and times nothing again, and comes to the same judgements."""
    bench(pytester.path)
    assert run().ret == 0
    first = result()
    assert run().ret == 0
    second = result()
    assert second["comparisons"][0]["measures"]["speed_gain"]["timed"] == "stored"
    assert first["comparisons"][0]["measures"]["speed_gain"]["timed"] == "live"
    words = [[j["words"] for j in shown["comparisons"][0]["judgements"]] for shown in (first, second)]
    assert words[0] == words[1]


def test_point_evidence_is_labelled_and_decides_by_the_estimate(pytester, run, result):
    """--distill-evidence point passes a small sample and says that it is no statistical claim."""
    bench(pytester.path, heldout=46)
    outcome = run("--distill-evidence", "point")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(["evidence: point. Plain estimates, not a statistical claim."])
    assert {j["outcome"] for j in result()["comparisons"][0]["judgements"]} == {"point"}
    assert "not a statistical claim" in (pytester.path / ".distill" / "report.html").read_text()


def test_plain_estimates_alone_are_an_error(pytester, run, result):
    """A run whose gates read only .value claims nothing and is no pass."""
    bench(pytester.path, MARK + "def test_it(comparison):\n    assert comparison.accuracy_drop.value < 0.5\n")
    assert run().ret == 1
    assert result()["verdict"] == "error"
    assert "no gate claims anything" in result()["cause"]
    assert result()["comparisons"][0]["judgements"][0]["outcome"] == "no claim"


def test_a_gate_that_judges_nothing_is_an_error(pytester, run, result):
    """A gate without any judgement fails as an error that says what to write."""
    bench(pytester.path, MARK + "def test_it(comparison):\n    assert comparison.counts\n")
    outcome = run()
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["*the gate judged nothing*"])
    assert result()["gates"][0]["outcome"] == "error"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("assert comparison.accuracy_drop == 0.05", "accuracy_drop == cannot be judged"),
        ("assert comparison.accuracy_drop >= 0.05", "Write assert comparison.accuracy_drop <= 0.05"),
        ("assert comparison.speed_gain <= 2", "Write assert comparison.speed_gain >= 2"),
        ("assert comparison.accuracy_drop", "bool(accuracy_drop) cannot be judged"),
        ("assert comparison.accuracy_drop <= float('nan')", "lies from 0 to 0.99"),
        ("assert comparison.accuracy_drop <= '5%'", "must be a number"),
        ("assert comparison.accuracy_drop <= 5", "lies from 0 to 0.99; seen 5"),
    ],
)
def test_misuse_of_a_measure_is_refused_with_the_right_form(pytester, run, result, line, words):
    """A comparison that means nothing is an error that names the right form, never a pass."""
    bench(pytester.path, MARK + f"def test_it(comparison):\n    {line}\n")
    outcome = run()
    assert outcome.ret == 1
    assert words in outcome.stdout.str()
    assert result()["verdict"] == "error"


@pytest.mark.parametrize(
    "line",
    [
        "assert not comparison.accuracy_drop <= 0.05",
        "assert any([comparison.accuracy_drop <= 0.05])",
        "assert all([comparison.accuracy_drop <= 0.05])",
        "if comparison.accuracy_drop <= 0.05: pass",
        "assert 0.05 >= comparison.accuracy_drop",
    ],
)
@pytest.mark.parametrize("asserts", ["rewrite", "plain"])
def test_every_way_to_hold_a_limit_fails_closed(pytester, run, line, asserts):
    """not, any, all, if and swapped sides fail for a bad student, with rewritten and with plain asserts."""
    bench(pytester.path, MARK.replace("good", "bad") + f"def test_it(comparison):\n    {line}\n")
    outcome = run(f"--assert={asserts}")
    outcome.assert_outcomes(failed=1)


def test_a_judgement_carries_the_line_of_its_assert(pytester, run, result):
    """The result names the line on which a limit stands, so that an annotation can point at it."""
    path = bench(pytester.path)
    run()
    lines = path.read_text().splitlines()
    for judgement in result()["comparisons"][0]["judgements"]:
        assert judgement["measure"] in lines[judgement["line"] - 1]


def test_a_lone_surrogate_in_a_reply_never_turns_a_failure_green(pytester, run, result, mode):
    """Half an emoji in a student's reply is shown as an escape; the failing gate stays failing in every mode."""
    head = HEAD.replace('"maybe"', '"\\ud83d"')
    bench(
        pytester.path,
        MARK.replace("good", "bad")
        + "def test_it(comparison):\n    assert comparison.student.texts == [], comparison.accuracy_drop <= 0.05\n",
        head=head,
    )
    outcome = run(*mode)
    assert outcome.ret == 1
    assert result()["verdict"] in ("fail", "error")
    assert "\\ud83d" in (pytester.path / ".distill" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "body",
    [
        "comparison.accuracy_drop <= 0.05",
        "with pytest.raises(AssertionError):\n        assert comparison.accuracy_drop <= 0.05",
        "assert (comparison.accuracy_drop <= 0.05) is not None",
        "assert (comparison.accuracy_drop <= 0.05).shown is False",
    ],
)
def test_a_limit_that_is_not_shown_is_never_passed_over(pytester, run, result, body):
    """A gate that holds a limit fails unless it is shown, also where the assert is forgotten or its error caught."""
    bench(pytester.path, MARK.replace("good", "bad") + f"def test_it(comparison):\n    {body}\n" + GATES.split("\n\n")[1])
    outcome = run()
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        ["*the gate let a limit pass that is not shown (line *): accuracy drop is shown not to be at most 5%: refuted*"]
    )
    assert result()["verdict"] == "fail"


@pytest.mark.parametrize(
    "way", ["@pytest.mark.xfail\ndef test_it(comparison):\n    assert J", "def test_it(comparison):\n    if not (J).shown: pytest.skip()"]
)
def test_a_refuted_gate_that_is_skipped_or_expected_to_fail_is_no_pass(pytester, run, result, way):
    """xfail, or a skip after the judgement, does not make a refuted limit green."""
    body = MARK.replace("good", "bad") + way.replace("J", "comparison.accuracy_drop <= 0.05") + "\n" + GATES.split("\n\n")[1]
    bench(pytester.path, body)
    assert run().ret == 1
    assert result()["verdict"] == "fail"
    assert result()["cause"].startswith("a limit that is not shown was passed over")


def test_a_second_mark_in_a_file_is_refused(pytester, run):
    """Two marks in one file are a collection error: the second would judge the first one's student."""
    bench(pytester.path, MARK + GATES + "\ntest_speed = pytest.mark.distill(task, teacher=teacher, students=[bad])(test_speed)\n")
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*test_speed has another mark distill than the gates before it. One mark a file*"])


def test_a_changed_task_is_timed_again(pytester, run, result):
    """Stored timings hold for the prompt and the reply length that were timed, and for no other."""
    bench(pytester.path)
    run()
    bench(pytester.path, head=HEAD.replace("max_tokens=4", "max_tokens=5"))
    run()
    assert result()["comparisons"][0]["measures"]["speed_gain"]["timed"] == "live"


def test_damaged_files_of_the_store_are_made_anew(pytester, run, result):
    """A timing that is no number and a list of attempts that is none are replaced, not believed and not fatal."""
    bench(pytester.path)
    run()
    (timing,) = (pytester.path / ".distill" / "store" / "timings").glob("*.json")
    timing.write_text(timing.read_text().replace("0.06", "NaN", 1))
    (attempts,) = (pytester.path / ".distill" / "store" / "attempts").glob("*.json")
    attempts.write_text("{}")
    assert run().ret == 0
    assert result()["comparisons"][0]["measures"]["speed_gain"]["timed"] == "live"


def test_deselected_gates_are_counted_in_the_cause(pytester, run, result):
    """A verdict over some of the gates says how many were left out."""
    bench(pytester.path)
    assert run("-k", "accuracy").ret == 0
    assert result()["cause"].endswith("(1 deselected)")
