"""The port of the runner's parsers behaves as the runner does, in the cases that the runner's own tests and sources settle."""

from __future__ import annotations

import pytest

from tests.github.runner import MOST_SUMMARY, Effect, effects, lines, marks, outputs, summary_taken, written


@pytest.mark.parametrize(
    ("line", "effect"),
    [
        ("::error k1=v1,::msg", Effect("error", "msg", {"k1": "v1"})),
        ("::debug::", Effect("debug")),
        ("::error k1=;=%2C=%0D=%0A=]=%3A,::;-%0D-%0A-]-:-,", Effect("error", ";-\r-\n-]-:-,", {"k1": ";=,=\r=\n=]=:"})),
        ("::error k1=;=%252C=%250D=%253A,::%250D-%250A", Effect("error", "%0D-%0A", {"k1": ";=%2C=%0D=%3A"})),
        ("::error k1=,k2=,::", Effect("error")),
        ("::error k1==v1::", Effect("error", "", {"k1": "v1"})),
        ("::error a=1,  b=2 ::x", Effect("error", "x", {"a": "1", "  b": "2"})),
        ("   ::error file=a::msg", Effect("error", "msg", {"file": "a"})),
        ("\t\u3000\u2028\x85::error::msg", Effect("error", "msg")),
        ("::ErRoR FILE=a::msg", Effect("error", "msg", {"file": "a"})),
        ("::error:\u200b:msg", Effect("error", ":msg")),  # a separator under a culture that passes over the zero-width space
        ("::set-output name=verdict::pass", Effect("set-output", "pass", {"name": "verdict"})),
        ("::save-state name=a::b", Effect("save-state", "b", {"name": "a"})),
        ("::add-mask::e", Effect("add-mask", "e")),
        ("::add-matcher::m.json", Effect("add-matcher", "m.json")),
        ("::remove-matcher owner=a::", Effect("remove-matcher", "", {"owner": "a"})),
        ("::group::a::b", Effect("group", "a::b")),
        ("::endgroup::", Effect("endgroup")),
        ("::echo::Off   ", Effect("echo", "Off   ")),
        ("::notice::n", Effect("notice", "n")),
        ("::warning::w", Effect("warning", "w")),
        ("##[error k1=v1;]msg", Effect("error", "msg", {"k1": "v1"})),
        ("##[endgroup]", Effect("endgroup")),
        ("##[error k1=%3B=%0D=%0A=%5D;]%3B-%0D-%0A-%5D", Effect("error", ";-\r-\n-]", {"k1": ";=\r=\n=]"})),
        ("##[error k1=%253B;]%250A%255D", Effect("error", "%0A%5D", {"k1": "%3B"})),
        (">>>   ##[error k1=v1;]msg", Effect("error", "msg", {"k1": "v1"})),
        ("::unknown::a ##[add-mask]b", Effect("add-mask", "b")),
        ("::set-env name=a::b", Effect("failed", "set-env")),
        ("##[add-path]/bin", Effect("failed", "add-path")),
        ("::set-output::pass", Effect("failed", "set-output")),
        ("::save-state name=::a", Effect("failed", "save-state")),
        ("::echo::invalid", Effect("failed", "echo")),
        ("::echo::", Effect("failed", "echo")),
    ],
)
def test_a_command_has_its_effect(line, effect):
    """Both syntaxes, blanks before, properties, escapes, names in any case, and commands that fail the step."""
    assert effects(f"before\n{line}\nafter\n") == [effect]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "::",
        "::error",
        "::error:msg",
        "a ::error::msg",
        "   >>>   ::error k1=v1,::msg",
        "\x1f::error::a",  # Python calls the unit separator white space, the runner does not
        "\u200b::error::a",
        ":: error::a",
        "::unknown::a",
        "::internal-set-repo-path repoFullName=a::b",
        "##[error",
        "## [error]a",
        "##[]a",
        "##[unknown]a ##[error]b",  # only the first bracket of a line is looked at
    ],
)
def test_a_plain_line_has_no_effect(line):
    """What is not quite a command, or none that the runner knows, is only shown."""
    assert effects(f"{line}\n") == []


def test_a_line_ends_where_the_runner_ends_it():
    """LF, CR and CR LF end a line; the line separators of Unicode, form feeds and NUL do not."""
    assert lines("a\nb\rc\r\n\r\nd\u2028e\x0bf\x0cg\x85h\0i") == ["a", "b", "c", "", "d\u2028e\x0bf\x0cg\x85h\0i"]
    assert effects("progress\r::error::a\u2029::error::b") == [Effect("error", "a\u2029::error::b")]


@pytest.mark.parametrize("resume", ["::Random64::", "##[random64]", "  ::RANDOM64 a=b::c"])
def test_stopped_commands_do_nothing_until_the_token_comes(resume):
    """Between the stop and its token, in either syntax and any case, nothing has an effect; the token then is no command any more."""
    log = f"::stop-commands::random64\n::error::a\n##[add-mask]b\n::stop-commands::c\n::c::\n{resume}\n::error::d\n::random64::\n"
    assert effects(log) == [Effect("stop-commands", "random64"), Effect("resume", "random64"), Effect("error", "d")]


@pytest.mark.parametrize("token", ["", "stop-commands", "set-env", "ERROR", "pause-logging", "Pause-Logging"])
def test_a_token_that_would_end_by_chance_is_refused(token):
    """An empty token, another command, or pause-logging fails the step, and commands go on."""
    assert effects(f"::stop-commands::{token}\n::error::a\n") == [Effect("failed", "stop-commands"), Effect("error", "a")]


def test_annotations_are_cut_and_counted():
    """A message is cut at 4,096 UTF-16 units; of each kind the first ten are shown."""
    assert len(effects("::error::" + "a" * 5000)[0].data) == 4096
    assert effects("::error::" + "😀" * 3000)[0].data == "😀" * 2048
    found = effects("::error::a\n::notice::b\n" * 12)
    assert [effect.kind for effect in found if effect.shown] == ["error", "notice"] * 10
    assert len(found) == 24


def test_a_message_is_written_into_the_log():
    """The message of an annotation becomes lines of the log, in which no command is run and every mark is shown."""
    log = "::error file=a::one%0A::set-output name=a::b%0D%0A##[endgroup]\nplain ##[group]x\n"
    assert effects(log) == [
        Effect("error", "one\n::set-output name=a::b\r\n##[endgroup]", {"file": "a"}),
        Effect("group", "x"),
    ]
    assert written(log) == ["##[error]one", "::set-output name=a::b", "##[endgroup]", "##[group]x"]
    assert marks(written(log)) == ["error", "endgroup", "group"]


def test_what_is_kept_of_a_log():
    """Plain lines, commands that are stopped, and failures are there to be read; values and masks are not."""
    log = "a\n::add-mask::b\n::set-env name=c::d\n::stop-commands::e\n::error::f\n::e::\n"
    assert written(log) == ["a", "##[error]Unable to process command '::set-env name=c::d' successfully.", *log.splitlines()[3:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\ufeffA=MY VALUE", {"A": "MY VALUE"}),
        ("\nA=my value\n\nB=my second value\n\n", {"A": "my value", "B": "my second value"}),
        ("A=\nB==abc\nC=def=ghi\nD=jkl=\n", {"A": "", "B": "=abc", "C": "def=ghi", "D": "jkl="}),
        ("A<<EOF\nline one\nline two\nEOF", {"A": "line one\nline two"}),
        ("A<<EOF\nEOF\n", {"A": ""}),
        ("A<<=EOF\nhello\none\n=EOF\nB<<<EOF\nhello\ntwo\n<EOF\n", {"A": "hello\none", "B": "hello\ntwo"}),
        ("A<<EOF\nhello\n\nthree\n\nEOF\nB<<EOF\n EOF\nEOF\n", {"A": "hello\n\nthree\n", "B": " EOF"}),
        ("A<<EOF\nx\r\nB=c\nEOF\n", {"A": "x\r\nB=c"}),
        ("A=b<<c\nA=later\n", {"A": "later"}),
    ],
)
def test_a_file_of_values_is_read(text, expected):
    """Both forms of record; the last of a name stands."""
    assert outputs(text) == expected


@pytest.mark.parametrize("text", ["plain", "A<<\nb\n", "<<EOF\na\nEOF\n", "=a", "A<<EOF\nb\nEOF ", "A<<EOF\nb\n", "A<<EOF b EOF"])
def test_a_file_that_the_runner_refuses(text):
    """A line that is no record, an empty name or delimiter, and a delimiter that never comes fail the step."""
    with pytest.raises(ValueError, match=r"name|delimiter"):
        outputs(text)


def test_a_summary_is_taken_up_to_its_limit():
    """Up to 1 MiB is shown; one byte more, or nothing, is not."""
    assert summary_taken(b"a" * MOST_SUMMARY)
    assert not summary_taken(b"a" * (MOST_SUMMARY + 1))
    assert not summary_taken(b"")
