"""Baselines: the commonest completion, the linear model, and the base that was only prompted."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from pytest_distill.errors import ModelError
from pytest_distill.models import Answer, Checkpoint, Timed
from pytest_distill.models.baselines import Linear, Majority, Prompted, choose_shots
from tests.fakes import ROOT
from tests.tiny import make_base

BASE = ROOT / "training" / "checkpoints" / "reference-student-base"
ROWS = [(f"{verb} the {noun} {k}", verb) for k in range(4) for verb in ("open", "close") for noun in ("door", "window", "drawer")]
SHOTS = [("> where is the parser\nRoute:", "code"), ("> how do I install it\n", "docs")]


def texts(model, prompts, max_tokens=4):
    """What a model says to the prompts, once loaded."""
    model.load("cpu")
    return [answer.text for answer in model.answer(prompts, max_tokens)]


class Scripted(Checkpoint):
    """A checkpoint without weights: it keeps the prompts, says what it is told and has no context to exceed."""

    def __init__(self, *replies):
        super().__init__("nowhere")
        self.digest, self.replies, self.prompts = "sha256:scripted", replies, []

    def load(self, device):
        class Model:
            class config:
                get_text_config = dict

        self._model = Model

    def answer(self, prompts, max_tokens):
        self.prompts += prompts
        return [Answer(reply, "cut", 9, max_tokens) for reply in self.replies]

    def time_one(self, prompt, max_tokens):
        self.prompts.append(prompt)
        return Timed(1.0, 0.5, max_tokens)


def replies(shots, *said):
    """The answers of a base that says `said` below `shots`."""
    model = Prompted(Scripted(*said), shots)
    model.load("cpu")
    return model.answer(["> asked"] * len(said), 5)


def test_majority_answers_the_most_frequent_completion():
    """Every prompt gets the commonest completion, whole, at no cost in tokens."""
    model = Majority([("a", "x"), ("b", "y"), ("c", "y")])
    model.load("cpu")
    assert model.answer(["p", "q"], 1) == [Answer("y", "answered", 0, 0)] * 2
    assert (model.name, model.revision, model.parameters) == ("majority", None, 0)


def test_majority_prefers_the_first_seen_of_equally_frequent_ones():
    """A tie goes to the completion that stands first in the rows."""
    assert texts(Majority([("a", "x"), ("b", "y"), ("c", "y"), ("d", "x")]), ["p"]) == ["x"]


def test_majority_is_identified_by_its_completion_alone():
    """Other rows with the same commonest completion are the same model; another completion is another one."""
    assert Majority([("a", "x")]).digest == Majority([("b", "x"), ("c", "y"), ("d", "x")]).digest != Majority([("a", "y")]).digest


@pytest.mark.parametrize("kind", [Majority, Linear])
def test_a_chooser_times_a_prompt_without_a_first_token(kind):
    """A model that generates no tokens gives positive seconds and no first token."""
    pytest.importorskip("sklearn")
    model = kind(ROWS)
    model.load("cpu")
    timed = model.time_one("open it", 4)
    assert timed.seconds > 0
    assert (timed.first_token, timed.tokens_out) == (None, 0)


def test_linear_learns_what_the_words_tell():
    """Prompts it has not seen get the completion of the words in them, misspelt ones too, in the order asked."""
    pytest.importorskip("sklearn")
    assert texts(Linear(ROWS), ["please open a gate", "close a gate", "closed a gate", "Open!"]) == ["open", "close", "close", "open"]


def test_linear_says_the_same_when_fitted_again():
    """Two fits on the same rows give the same coefficients, also after unloading."""
    pytest.importorskip("sklearn")
    one, other = Linear(ROWS), Linear(list(ROWS))
    assert one.parameters is None
    one.load("cpu")
    first = one._pipeline
    one.load("cpu")
    assert one._pipeline is first
    other.load("cpu")
    assert one._pipeline[-1].coef_.tolist() == other._pipeline[-1].coef_.tolist()
    assert one.parameters == one._pipeline[-1].coef_.size > 0
    one.unload()
    assert one._pipeline is None


def test_linear_tells_more_than_two_completions_apart():
    """Each completion has coefficients of its own, and no prompts are no trouble."""
    pytest.importorskip("sklearn")
    model = Linear([*ROWS, ("paint it", "paint"), ("paint the wall", "paint")])
    assert texts(model, ["paint a wall", "open a wall"]) == ["paint", "open"]
    assert model.answer([], 4) == []


def test_linear_fits_rows_that_share_no_piece():
    """Rows too few and too short to have anything in common can be fitted."""
    pytest.importorskip("sklearn")
    assert texts(Linear([("ab", "x"), ("?", "y"), ("", "y")]), ["ab", "?"]) == ["x", "y"]
    assert texts(Linear([("!", "x"), ("?", "y")]), ["!", "?"]) == ["x", "y"]


def test_linear_with_one_completion_answers_that(monkeypatch):
    """Where there is nothing to tell apart, nothing is fitted and scikit-learn is not needed."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    model = Linear([("a", "x"), ("b", "x")])
    assert texts(model, ["p", "q"]) == ["x", "x"]
    assert model.parameters == 0


def test_linear_refuses_open_text():
    """More completions than a linear model can sensibly choose among are refused with their number."""
    Linear([(f"prompt {k}", f"reply {k}") for k in range(100)]).check()
    with pytest.raises(ModelError, match=r"at most 100 completions; the training set has 101 distinct ones"):
        Linear([(f"prompt {k}", f"reply {k}") for k in range(101)]).load("cpu")


def test_linear_takes_more_completions_where_they_recur():
    """A hundred and one completions are a choice where each stands there twice; what prompts begin with is not read."""
    pytest.importorskip("sklearn")
    rows = [(f"Which number is it?\n{word} {k}", f"reply {k}") for k in range(101) for word in ("ask", "give")]
    model = Linear(rows)
    assert texts(model, ["Which number is it?\nask 7", "Which number is it?\ngive 93"]) == ["reply 7", "reply 93"]
    assert not any("which" in word for word in model._pipeline[0].transformer_list[0][1].vocabulary_)
    with pytest.raises(ModelError, match=r"at most 100 completions; the training set has 101 distinct ones"):
        Linear(rows[:-1]).load("cpu")


def test_linear_without_scikit_learn_says_what_to_install(monkeypatch):
    """A missing scikit-learn is an error that names the extra, and still allows a digest."""
    pytest.importorskip("sklearn")
    installed = Linear(ROWS).digest

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("pytest_distill.models.baselines.version", missing)
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    model = Linear(ROWS)
    assert model.digest != installed
    with pytest.raises(ModelError, match=r"pip install 'pytest-distill\[train\]'"):
        model.load("cpu")


def test_linear_is_identified_by_rows_and_build(monkeypatch):
    """Equal rows on an equal scikit-learn are the same model; another row, order or version is another one."""
    digest = Linear(ROWS).digest
    assert Linear(list(ROWS)).digest == digest
    assert len({digest, Linear(ROWS[1:]).digest, Linear(ROWS[::-1]).digest, Majority(ROWS).digest}) == 4
    monkeypatch.setattr("pytest_distill.models.baselines.version", lambda name: f"{name} 0.0")
    assert Linear(ROWS).digest != digest


def test_the_digest_of_linear_imports_no_scikit_learn():
    """A fresh interpreter that identifies a linear model has loaded neither scikit-learn nor numpy nor torch."""
    code = (
        "import sys; from pytest_distill.models.baselines import Linear; assert Linear([('a', 'x'), ('b', 'y')]).digest;"
        "print([name for name in ('sklearn', 'numpy', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_the_bare_base_says_what_the_checkpoint_says():
    """Without examples the base is asked and answers exactly as the checkpoint itself does."""
    pytest.importorskip("transformers")
    base = Checkpoint(BASE)
    prompts = [prompt for prompt, _ in SHOTS]
    bare = Prompted(base)
    bare.load("cpu")
    assert bare.answer(prompts, 6) == base.answer(prompts, 6)
    assert (bare.name, bare.parameters, bare.revision) == ("base", base.parameters, None)
    assert bare.time_one(prompts[0], 2).seconds > 0
    bare.unload()
    assert base._model is None


def test_a_base_with_examples_reads_them_and_stops_at_its_own_line():
    """The real base answers with one line, having read the examples, and rungs may share it."""
    pytest.importorskip("transformers")
    base = Checkpoint(BASE)
    few = Prompted(base, SHOTS)
    few.load("cpu")
    bare, shown = Prompted(base).answer(["> asked\nRoute:"], 6)[0], few.answer(["> asked\nRoute:"], 6)[0]
    assert shown.tokens_in > bare.tokens_in
    assert "\n" not in shown.text.strip()
    assert few.answer([], 6) == []


def test_examples_stand_above_the_prompt_in_their_order():
    """Each example is its prompt, a joint blank where none is there, its completion and a blank line; the asked prompt ends the text."""
    base = Scripted(" code")
    model = Prompted(base, SHOTS)
    model.load("cpu")
    model.answer(["> asked\nRoute:"], 4)
    timed = model.time_one("> timed", 4)
    above = "> where is the parser\nRoute: code\n\n> how do I install it\ndocs\n\n"
    assert base.prompts == [above + "> asked\nRoute:", above + "> timed"]
    assert timed == Timed(1.0, 0.5, 4)
    assert model.name == "base, 2 examples"
    assert Prompted(base, SHOTS[:1]).name == "base, 1 example"


def test_a_reply_below_examples_ends_at_the_first_line_break_after_text():
    """What a base writes after its line is dropped and the reply counts as answered; without such a break it stays as it came."""
    assert replies(SHOTS, " code\n\n> next\nRoute: docs", "\n docs\n", " code", "\n", "") == [
        Answer(" code", "answered", 9, 5),
        Answer("\n docs", "answered", 9, 5),
        Answer(" code", "cut", 9, 5),
        Answer("\n", "cut", 9, 5),
        Answer("", "cut", 9, 5),
    ]


def test_a_bare_reply_is_left_as_it_came():
    """Without examples nothing is taken from a reply."""
    assert replies((), " code\n> next") == [Answer(" code\n> next", "cut", 9, 5)]


def test_completions_of_several_lines_are_not_torn():
    """Where an example's completion holds line breaks the reply ends at a blank line, and where one holds blank lines nowhere."""
    said = ' {\n"a": 1\n}\n\n> next\n\n> more'
    assert replies([("p", "{\n}")], said)[0].text == ' {\n"a": 1\n}'
    assert replies([("p", "one\n\ntwo")], said)[0].text == said


def test_examples_that_exceed_the_context_are_refused(tmp_path):
    """The error counts the tokens asked, reply included, against the context; one token less is answered."""
    pytest.importorskip("transformers")
    base = Checkpoint(make_base(tmp_path / "base"))  # one token a letter, 128 positions
    model = Prompted(base, [("q" * 60, "z" * 20)])
    model.load("cpu")
    used = model.answer(["q"], 4)[0].tokens_in
    room = 128 - used
    assert len(model.answer(["q"], room)) == 1
    for ask in (model.answer, lambda prompts, most: model.time_one(prompts[-1], most)):
        with pytest.raises(ModelError, match="base, 1 example: the prompt does not fit: 129 tokens asked, context is 128"):
            ask(["", "q"], room + 1)
    assert len(Prompted(base).answer(["q" * 126], room)) == 1


def test_the_chat_template_counts_towards_the_context(tmp_path):
    """A base that is asked in turns of a conversation has its template's tokens counted as they are asked."""
    pytest.importorskip("transformers")
    base = Checkpoint(make_base(tmp_path / "base"))
    model = Prompted(base, [("q", "z")])
    model.load("cpu")
    plain = model.answer(["q"], 4)[0].tokens_in
    base._tokenizer.chat_template = "{% for message in messages %}<turn>{{ message.content }}</turn>{% endfor %}"
    used = model.answer(["q"], 4)[0].tokens_in
    assert used > plain
    with pytest.raises(ModelError, match="129 tokens asked, context is 128"):
        model.answer(["q"], 129 - used)


def test_a_prompted_base_is_identified_by_base_and_examples():
    """The digest is stable and follows the examples, their order and the base."""
    pytest.importorskip("transformers")
    digest = Prompted(Checkpoint(BASE), SHOTS).digest
    assert Prompted(Checkpoint(BASE), list(SHOTS)).digest == digest
    others = [Prompted(Checkpoint(BASE)), Prompted(Checkpoint(BASE), SHOTS[::-1]), Prompted(Scripted(), SHOTS)]
    assert len({digest, Checkpoint(BASE).digest, *(model.digest for model in others)}) == 5


def test_shots_are_drawn_from_each_completion_in_turn():
    """Completions take turns, the commonest first, until `k` rows are drawn or none is left."""
    rows = [("a1", "rare"), *((f"b{k}", "often") for k in range(4)), *((f"c{k}", "some") for k in range(2))]
    assert [completion for _, completion in choose_shots(rows, 6)] == ["often", "some", "rare", "often", "some", "often"]
    assert sorted(choose_shots(rows, 99)) == sorted(rows)
    assert choose_shots(rows, 0) == choose_shots([], 4) == []


def test_shots_do_not_depend_on_the_order_of_the_rows():
    """The same rows in another order give the same examples, and fewer examples are the first of more."""
    chosen = choose_shots(ROWS, 5)
    assert choose_shots(ROWS[::-1], 5) == chosen
    assert choose_shots(ROWS, 3) == chosen[:3]
    assert len(set(chosen)) == 5
