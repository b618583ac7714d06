"""No text of a result does anything on GitHub: in the log, in the outputs, or in the summary, whatever it says and wherever it stands."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_distill.github.places import source
from pytest_distill.github.text import cell, cut, fence, harmless, one_line, span, unmarked
from pytest_distill.report import visible
from tests.github.runner import MOST_SUMMARY, Effect, effects, lines, marks, outputs, written
from tests.github.test_github import (
    FILE,
    a_change,
    a_comparison,
    a_drift,
    a_gate,
    a_gateless_result,
    a_judgement,
    a_measure,
    a_missed_result,
    a_recording,
    a_result,
    an_error,
)

TEXTS = 10_000
GATES = 12  # of a result: more than are annotated
PIECES = (
    *(
        "::set-output name=verdict::pass",
        "::error file=a.py,line=1::owned",
        "::add-mask::e",
        "::stop-commands::z",
        "::debug::",
        "::group::g",
    ),
    *(
        "##[set-output name=verdict]pass",
        "##[error]owned",
        "##[add-mask]a",
        "##[endgroup]",
        "##[stop-commands]z",
        "::",
        "##[",
        "##vso[task.complete result=Succeeded;]",
        "##teamcity[buildStatus status='SUCCESS']",
        "##\ufe0f[group]",
        "\nverdict: pass\n",
        ",file=b.py::",
    ),
    *(
        f"::{'0123456789abcdef' * 2}::",
        "::save-state name=a::b",
        "::set-env name=A::b",
        "::echo::on",
        ":\u200b:error::",
        "\u0301",
        "::error::",
    ),
    *(
        "%0A",
        "%0D%0A::error::a",
        "%25",
        "%3A%3A",
        "%2C",
        "%253A",
        "ghadelimiter_0",
        "EOF",
        "verdict=pass",
        "verdict<<EOF",
        "<<",
        "a=b",
        "=",
        ",",
    ),
    *(
        "# heading",
        "=====",
        "---",
        "***",
        "**Verdict: pass**",
        "✅ PASS",
        "| a | b |",
        "|",
        "\\|",
        "\\",
        "`",
        "``",
        "```",
        "`````",
        "~~~",
        "~~~~~",
    ),
    *(
        "[a](https://example.com)",
        "![a](https://example.com/a.png)",
        "https://example.com",
        "www.example.com",
        "@octocat",
        "#1",
        "octo/repo#1",
    ),
    *(
        "- item",
        "1. item",
        "> quote",
        "    code",
        "\t",
        "$x$",
        "$`x`$",
        "[^1]",
        ":tada:",
        "- [x] done",
        "&lt;b&gt;",
        "&#124;",
        "a@example.com",
    ),
    *(
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "<img src=x onerror=alert(1)>",
        "</details>",
        "</summary>",
        "<h1>",
        "<![CDATA[",
        "]]>",
        "<?php",
    ),
    *(
        "\0",
        "\x1b[31m",
        "\x07",
        "\x08",
        "\x9b",
        "\x85",
        "\x0b",
        "\x0c",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2028",
        "\u2029",
        "\ufeff",
        "\U000e0041",
    ),
    *("\ud83d", "\udc00", "\udfff", "😀", "é", "中", "Ω" * 9, "x" * 99),
)
JOINTS = ("", "", " ", "\n", "\n\n", "\r", "\r\n", "\u2028", "\\", "`")
# The texts that the runner or a reader of Markdown must be seen to act on where nothing is done about them.
LIVE = ("::set-output name=verdict::pass", "x ##[add-mask]a", "# heading", "<b>", "[a](b)", "| a |\n|---|\n")


def hostile_texts(count: int, seed: int) -> list[str]:
    """Random combinations of all that is known to do harm; each ends in its number, so that none is empty or there twice."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice(PIECES) + chance.choice(JOINTS) for _ in range(chance.randint(1, 5))) + f"x{number}"
        for number in range(count)
    ]


def filled(text: Callable[[], str]) -> dict[str, Any]:
    """A result of all kinds at once, each text field of which is taken from `text`."""

    def path() -> str:
        return f"benchmarks/{text().replace('..', '')}"

    outcomes = [outcome for outcome in ("error", "failed", "inconclusive") for _ in range(GATES // 3)]
    files = [path() for _ in outcomes]
    gates = [a_gate(f"{file}::{text()}", outcome, text()) for file, outcome in zip(files, outcomes, strict=True)]
    judgements = [
        a_judgement(gate["id"], 7, text(), "refuted", operator=text(), words=text(), method=text())
        for gate in gates
        if gate["outcome"] != "error"
    ]
    errors = [an_error(0, **{name: text() for name in ("id", "input", "expected", "teacher", "student")}) for _ in range(3)]
    errors += [an_error(0, kind="unlabelled", **{name: text() for name in ("id", "input", "expected", "teacher", "student")})]
    comparison = a_comparison(
        **{name: text() for name in ("id", "file", "task", "teacher", "student")},
        accepted={"at": text(), "commit": text(), "machine": text()},
        measures={"accuracy_drop": a_measure(0.1, 0.2), "speed_gain": a_measure(None, None, f"why {text()}")},
        judgements=judgements,
        errors=errors,
    )
    names = {name: text() for name in ("name", "what", "was", "now")}
    asked = {name: text() for name in ("task", "role", "model", "words")}
    return a_result(
        verdict="error",
        cause=text(),
        gates=gates,
        comparisons=[comparison, *(a_comparison(file=file, judgements=[], errors=[]) for file in files)],
        changes=[a_change(**names, file=path()), a_change(**names, file=path(), fails=False)],
        drift=[a_drift("error", **asked, file=path()), a_drift("reported", **asked, file=path())],
        recorded=[a_recording("error", **asked, file=path())],
        locked=True,
    )


def plainly(text: str) -> str:
    """A text as it stands in an annotation."""
    return unmarked(visible(text)).replace("\n", "\n| ")


def tokens(markdown: str) -> Iterator[Token]:
    """All tokens of a Markdown text with tables, those inside of others as well."""
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        yield token
        yield from token.children or ()


CODE = {"code_inline", "fence"}


def structure(markdown: str) -> list[tuple[str, str, str]]:
    """What a reader makes of a Markdown text, all but what stands in code."""
    return [(token.type, token.tag, "" if token.type in CODE or token.children else token.content) for token in tokens(markdown)]


def in_code(markdown: str) -> set[str]:
    """What stands in the code of a Markdown text."""
    return {token.content.rstrip("\n") if token.type == "fence" else token.content for token in tokens(markdown) if token.type in CODE}


def as_landed(path: str | None, at: int | None) -> dict[str, str]:
    """The place of an annotation as the runner reads it: it drops blanks after the last property."""
    if path is None:
        return {}
    return {"file": visible(path).rstrip(" ")} if at is None else {"file": visible(path), "line": str(at)}


def test_ten_thousand_hostile_texts_have_no_effect(step):
    """In every text field: exactly the ten annotations that are meant, the outputs that are meant, and the summary's structure as ever."""
    texts = iter(hostile_texts(2 * TEXTS, 20261122))
    taken: list[str] = []

    def take() -> str:
        taken.append(next(texts))
        return taken[-1]

    plain = iter(f"x{number}" for number in range(TEXTS))
    expected_structure = structure(step(filled(lambda: next(plain)), status="1").summary)
    while len(taken) < TEXTS:
        result = json.loads(json.dumps(filled(take)))  # both halves of a character may have come together
        done = step(result, status="1")
        change, *_ = result["changes"]
        wrong = [("A change of the gate is not allowed", f"changed: {change['what']}", change["file"], 12)]
        titles = {"error": "A gate ended in an error", "failed": "A gate failed", "inconclusive": "A gate is inconclusive"}
        missed = [(gate["outcome"], entry["file"]) for gate, entry in zip(result["gates"], result["comparisons"][1:], strict=True)]
        wrong += [(titles[outcome], f"{outcome}: ", file, 12 if outcome == "error" else 7) for outcome, file in missed]
        assert [effect.kind for effect in done.effects] == ["error"] * 10
        for effect, (title, message, file, at) in zip(done.effects, wrong, strict=False):
            assert effect.properties == {"title": title, **as_landed(source(result, file), at)}
            assert effect.data.startswith(plainly(message))
            assert effect.data == visible(effect.data), "nothing is unseen"
        ours = re.compile(
            r"(##\[error\](changed|error|failed|inconclusive): |\| |\d+ more: see the summary of this step\.$|verdict: error$)"
        )
        assert [row for row in written(done.log) if not ours.match(row)] == [], "no line of the log looks like another one of ours"
        assert marks(written(done.log)) == ["error"] * 10
        assert written(done.log).count("verdict: error") == 1
        assert done.outputs == {**done.outputs, "verdict": "error", "complete": "true", "gates": str(GATES), "failed": str(GATES // 3)}
        assert len(done.outputs) == 13
        assert structure(done.summary) == expected_structure
        assert "more stand only here" in done.summary
        assert one_line(result["cause"], 1500) in in_code(done.summary)


def test_without_protection_the_same_texts_have_effects():
    """The test above can fail: printed as they are, the texts are commands, outputs and Markdown."""
    texts = hostile_texts(500, 20261122)
    kinds = {effect.kind for text in texts for effect in effects(text)}
    as_messages = ["::error::" + text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A") for text in texts]
    shown = [row for message in as_messages for row in written(message)]
    assert {"endgroup", "set-output"} <= set(marks(shown))
    assert "verdict: pass" in shown
    assert {"set-output", "error", "add-mask", "stop-commands", "group", "endgroup", "debug"} <= kinds
    assert any(outputs_of(f"report-path={text}\n") != {"report-path": text} for text in texts)
    assert len({str(structure(f"the cause is {text}")) for text in texts}) > 100
    for text in LIVE:
        assert effects(text) or structure(f"\n{text}\n") != structure("\nx\n")


def outputs_of(text: str) -> dict[str, str] | None:
    """The outputs of a file that the runner may refuse."""
    try:
        return outputs(text)
    except ValueError:
        return None


@pytest.mark.parametrize("write", [span, cell, fence], ids=["span", "cell", "fence"])
def test_a_text_is_all_of_the_code_and_nothing_else(write):
    """A text arrives whole inside its code span, table cell or fence, with nothing of it outside."""
    for text in hostile_texts(2000, 7):
        markdown = {
            span: f"before {span(text)} after",
            cell: f"| a |\n| --- |\n| {cell(text)} |\n",
            fence: f"before\n\n{fence(text)}\n\nafter",
        }[write]
        shown = {span: one_line(text), cell: one_line(text).replace("|", "\\u007c"), fence: cut(text, 1500)}[write]
        assert in_code(markdown) == {shown}
        assert "".join(content for _, _, content in structure(markdown)) in {"before  after", "a", "beforeafter"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(empty)"),
        (" \n", "`  \\n `"),
        ("   ", "(empty)"),
        (" a ", "`  a  `"),
        ("`", "`` ` ``"),
        ("a``b`", "``` a``b` ```"),
        ("a\tb\r\nc", "`a\\tb\\u000d\\nc`"),
        ("x" * 301, f"`{'x' * 300}… (1 more characters)`"),
    ],
)
def test_a_code_span(text, shown):
    """A code span is one line, longer than any run of backticks in it, and cut with a count."""
    assert span(text) == shown


@pytest.mark.parametrize("field", ["cause", "message", "student", "input", "what", "words"])
def test_a_text_of_20_megabytes_is_cut(step, field):
    """A huge text is cut with its count everywhere, and the step does all else that it should."""
    huge = "`|<\n\0" * 4_000_000
    result = a_missed_result("failed", changes=[a_change()])
    comparison = result["comparisons"][0]
    if field == "cause":
        result["cause"] = huge
    elif field == "message":
        result["gates"][0]["message"] = huge
    elif field == "what":
        result["changes"][0]["what"] = huge
    elif field == "words":
        comparison["judgements"][0]["words"] = huge
    else:
        comparison["errors"][0][field] = huge
    done = step(result)
    assert (done.code, len(done.effects), done.outputs["verdict"]) == (1, 2, "fail")
    assert len(done.summary.encode()) < 50_000
    assert (" more characters)" in done.summary) == (field != "words")


def test_a_summary_of_everything_is_small_enough(step):
    """However much there is to say, the summary stays under its limit, closes what it opens, and says how much it leaves out."""
    long = "\U000e0041" * 3000
    gates = [a_gate(f"{FILE}::test_x[{at}]{long}", "failed", long) for at in range(300)]
    judgements = [a_judgement(gate["id"], 3, long, "refuted", operator=long) for gate in gates]
    errors = [an_error(at, **dict.fromkeys(("id", "input", "expected", "teacher", "student"), long)) for at in range(11)]
    names = dict.fromkeys(("task", "teacher", "student"), long)
    accepted = dict.fromkeys(("at", "commit", "machine"), long)
    comparisons = [a_comparison(**names, accepted=accepted, judgements=judgements[:20], errors=errors) for _ in range(20)]
    changes = [a_change(**dict.fromkeys(("name", "what", "was", "now"), long)) for _ in range(300)]
    asked = {"model": long, "words": long}
    result = a_result(verdict="error", cause=long, gates=gates, comparisons=comparisons, changes=changes)
    done = step(result | {"drift": [a_drift(**asked)] * 300, "recorded": [a_recording(**asked)] * 300})
    assert 500_000 < len(done.summary.encode()) < MOST_SUMMARY
    assert len(re.findall(r"^\d+ more did not fit here: see the report\.$", done.summary, re.MULTILINE)) == 7
    assert done.summary.count("<details>") == done.summary.count("</details>") > 0
    assert "The result: `project/.distill/results.json`" in done.summary


def test_what_is_printed_for_people_is_no_command(step, monkeypatch):
    """Without GITHUB_OUTPUT a runner that reads the log all the same finds no command in it."""
    monkeypatch.delenv("GITHUB_OUTPUT")
    texts = iter(hostile_texts(2000, 3))
    for _ in range(5):
        done = step(filled(lambda: next(texts)), status="1")
        assert done.effects == []
        assert not re.search(r"##[^\s#]", done.log)
        ours = [row for row in lines(done.log) if re.match(r"\W*verdict", row, re.IGNORECASE) and not row.startswith("| ")]
        assert [row.partition(",")[0] for row in ours] == ["**Verdict: error**", "verdict=error"]
    assert effects("\n".join(map(harmless, hostile_texts(2000, 3)))) == []


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("::error::a", "| ::error::a"),
        ("  ::error::a", "|   ::error::a"),
        ("a ##[error]b", "a ## [error]b"),
        ("##vso[a]##teamcity[b]", "## vso[a]## teamcity[b]"),
        ("###[a]", "### [a]"),
        ("##\u200b[a]", "## \\u200b[a]"),
        ("#### heading ##", "#### heading ##"),
        ("a\nb", "a b"),
    ],
)
def test_a_printed_line_gives_no_order(printed, shown):
    """Commands at the start of a line, and marks anywhere in it, are broken; all else stays as it is."""
    assert harmless(printed) == shown


def test_a_hostile_mode_result_is_only_listed(step):
    """Drift and recordings are annotated with words of ours in the title, whatever a model is called."""
    texts = iter(hostile_texts(100, 5))
    names = {name: next(texts) for name in ("task", "role", "model", "words")}
    for mode, entry in (("drift", a_drift("error", **names)), ("record", a_recording("error", **names))):
        done = step(a_gateless_result(mode, [entry], verdict="error", cause=names["words"]), mode)
        title = "A model could not be asked"
        assert done.effects == [
            Effect("error", plainly(f"error: {names['words']}"), {"title": title, "file": f"project/{FILE}", "line": "9"})
        ]
