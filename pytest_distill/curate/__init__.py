"""From the teacher's replies to a training set: what is kept, and a reason for everything that is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_distill.answers import Malformed, Text
from pytest_distill.curate.near import Leak as Leak
from pytest_distill.curate.near import near_duplicates as near_duplicates
from pytest_distill.curate.near import unsearched as unsearched
from pytest_distill.errors import TaskError, TeacherError
from pytest_distill.recording import Reply
from pytest_distill.task import Example, Task, shown_path

MOST_UNUSABLE = 0.05
UNUSABLE = ("unparsable", "malformed", "failed", "empty")  # replies that say nothing about the task; a refused or cut one does
LONGEST_SAID = 120
LONGEST_TEXT = 60


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class Curation:
    """Which of the teacher's replies a student is trained on.

    Args:
        without_reference: whether to ``keep`` or ``reject`` valid replies to rows without a reference, which nothing checks.
        train_on_reference: train on the reference, where there is one, instead of leaving a row out because the teacher was wrong,
            gave no answer or was not stable. The student may then know better than its teacher.
        agreement: the share of samples, above 0.5 and up to 1, that must give one value; it is judged and trained on. A reply that is
            no answer agrees with others of its kind. Needs a teacher that is asked twice or more: ``Endpoint(…, samples=3)``. With None
            the first sample alone is judged.
        leaked: whether training rows that equal or nearly equal a held-out row ``refuse`` the gate, or are left out (``reject``).
        near: the similarity, 0.5 to 1, from which two rows count as nearly equal: the share of runs of three words that they have in
            common (A. Broder, "On the resemblance and containment of documents", 1997), in their least similar field. The default is
            usual for cleaning corpora (K. Lee et al., "Deduplicating training data makes language models better", 2022). It finds a
            word swapped inside a text of 29 words or more, one swapped at either end of 11 or more, and two put before 10 or more; any
            change to a text of up to five words makes another text. With 1 only rows that are equal but for case, blanks and
            punctuation are found.

    Raises:
        TaskError: a value outside of these.
    """

    without_reference: Literal["keep", "reject"] = "keep"
    train_on_reference: bool = False
    agreement: float | None = None
    leaked: Literal["refuse", "reject"] = "refuse"
    near: float = 0.8

    def __post_init__(self) -> None:
        if self.without_reference not in ("keep", "reject"):
            raise TaskError(f"Curation(without_reference=…) is 'keep' or 'reject'; seen {self.without_reference!r}.")
        if not isinstance(self.train_on_reference, bool):
            raise TaskError(f"Curation(train_on_reference=…) is True or False; seen {self.train_on_reference!r}.")
        if self.agreement is not None and not (_is_number(self.agreement) and 0.5 < self.agreement <= 1):
            raise TaskError(
                f"Curation(agreement=…) is a share above 0.5, up to 1; seen {self.agreement!r}. Write 0.8, or leave it out to judge the"
                " first sample alone."
            )
        if self.leaked not in ("refuse", "reject"):
            raise TaskError(f"Curation(leaked=…) is 'refuse' or 'reject'; seen {self.leaked!r}.")
        if not (_is_number(self.near) and 0.5 <= self.near <= 1):
            raise TaskError(
                f"Curation(near=…) is a similarity from 0.5 to 1; seen {self.near!r}. Write 0.8, or 1 to find equal rows alone."
            )


DEFAULT = Curation()


@dataclass(frozen=True)
class TrainingRow:
    """One row to train on: the prompt and the completion, both plain text."""

    id: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row whose reply is not trained on.

    Attributes:
        id: the row's.
        said: what the teacher said, or why it gave no answer, cut to 120 characters; of an unstable one the values with their counts.
        expected: the reference, or None.
    """

    id: str
    said: str
    expected: str | None


@dataclass(frozen=True)
class TrainingSet:
    """What the student learns from.

    Attributes:
        rows: the kept rows, in the order of the file.
        rejected: the rows left out, by reason: ``wrong`` (against the reference), ``unparsable``, ``refused``, ``cut``, ``filtered``,
            ``empty``, ``malformed`` or ``failed`` (as the reply's outcome says), ``unstable`` (the samples do not agree),
            ``unreferenced``, ``duplicate`` (an earlier row has the same prompt), ``leaked``.
        replaced: rows that are kept with their reference as the completion, by the reason for which the reply was not.
    """

    rows: tuple[TrainingRow, ...]
    rejected: dict[str, tuple[Rejected, ...]]
    replaced: dict[str, tuple[Rejected, ...]] = field(default_factory=dict)


def check_leak(task: Task, curation: Curation = DEFAULT, leaks: Sequence[Leak] | None = None) -> str | None:
    """Refuse a task whose held-out rows are also in its training data, or nearly so, unless `curation` leaves such training rows out.

    Args:
        task: the task.
        curation: says what is nearly equal, and whether that refuses the task.
        leaks: what `near_duplicates` found for this task and this `curation.near`; None has it found here.

    Returns:
        a note where near-duplicates could not be searched, else None.

    Raises:
        TaskError: with the counts and the first pairs.
    """
    if leaks is None:
        leaks = near_duplicates(task, curation.near)
    if leaks and curation.leaked == "refuse":
        raise TaskError(f"task {task.name!r}: {_leaked(task, curation, leaks)}")
    return unsearched(curation.near)


def curate(
    task: Task,
    examples: Sequence[Example],
    replies: Sequence[Reply],
    curation: Curation = DEFAULT,
    leaks: Sequence[Leak] | None = None,
) -> TrainingSet:
    """Keep the replies that are right, or that at least satisfy the contract where a row has no reference.

    Args:
        task: the contract, and the prompt.
        examples: training rows.
        replies: for each example its samples one after another.
        curation: which of them to keep.
        leaks: what `near_duplicates` found for this task and this `curation.near`; None has it found here where it is needed.

    Raises:
        TeacherError: the replies do not pair with the examples; more than 5 % of them are no usable answer; agreement is asked of a
            single sample; or nothing is left to train on.
    """
    count = _samples(task, examples, replies, curation)
    values = [heard(task, reply) for reply in replies]
    _check_usable(task, replies, values)
    leaked: dict[str, str] = {}
    if curation.leaked == "reject":
        leaked = {leak.train: leak.heldout for leak in (near_duplicates(task, curation.near) if leaks is None else leaks)}
    rows: list[TrainingRow] = []
    rejected: dict[str, list[Rejected]] = {}
    replaced: dict[str, list[Rejected]] = {}
    seen: set[str] = set()
    for example, start in zip(examples, range(0, len(replies), count), strict=True):
        samples = values[start : start + count]
        failing, completion = _judged(task, example, samples, curation)
        reason = failing
        if failing and curation.train_on_reference and example.expected is not None:
            reference = task.answer.completion(example.expected)
            reason, completion = ("", reference) if reference is not None else (failing, "")
        prompt = task.render(example)
        if example.id in leaked:
            reason = "leaked"
        elif not reason and prompt in seen:
            reason = "duplicate"
        if not reason:
            seen.add(prompt)
            rows.append(TrainingRow(example.id, prompt, completion))
        if reason or failing:
            agreed = curation.agreement is None or len(set(samples)) == 1
            said = (
                _said(replies[start])
                if agreed
                else ", ".join(f"{said.text or said.reason} ({n})" for said, n in Counter(samples).most_common())
            )
            if reason == "leaked":
                said = f"(it is like {leaked[example.id]})"
            reference = None if example.expected is None else task.answer.shown(example.expected)
            entry = Rejected(example.id, _cut(said, LONGEST_SAID), reference)
            (rejected if reason else replaced).setdefault(reason or failing, []).append(entry)
    if not rows:
        counts = ", ".join(f"{len(entries)} {reason}" for reason, entries in rejected.items())
        raise TeacherError(
            f"task {task.name!r}: none of {len(replies)} teacher replies is fit to train on ({counts}). Look at the teacher first."
        )
    return TrainingSet(tuple(rows), _frozen(rejected), _frozen(replaced))


def _samples(task: Task, examples: Sequence[Example], replies: Sequence[Reply], curation: Curation) -> int:
    """Return how many samples each example has, all of them checked to be where they belong."""
    count = max(1, len(replies) // max(1, len(examples)))
    belong = [(example.id, sample) for example in examples for sample in range(count)]
    found = [(reply.id, reply.sample) for reply in replies]
    if found != belong:
        at = next((at for at, pair in enumerate(zip(found, belong, strict=False)) if pair[0] != pair[1]), min(len(found), len(belong)))
        seen, right = ((f"sample {of[at][1]} of {of[at][0]!r}" if at < len(of) else "nothing") for of in (found, belong))
        raise TeacherError(
            f"task {task.name!r}: {len(replies)} teacher replies do not pair with {len(examples)} training rows; reply {at + 1} is {seen}"
            f" where {right} belongs. Give for each row its samples one after another, in the order of the rows."
        )
    if curation.agreement is not None and count < 2:
        raise TeacherError(
            f"task {task.name!r}: Curation(agreement={curation.agreement}) needs two or more replies to each prompt, and the teacher gave"
            " one. Ask it more often, as by Endpoint(…, samples=3), or leave agreement out."
        )
    return count


@dataclass(frozen=True)
class Heard:
    """What a reply says. Two are equal where they say the same, however it is written.

    Attributes:
        reason: why it is no value of the contract, or nothing.
        key: of the value, see `Answer.key`.
        text: the value as it is plainly written.
        value: the value.
    """

    reason: str
    key: str = ""
    text: str = field(default="", compare=False)
    value: Any = field(default=None, compare=False)


def is_read(task: Task, reply: Reply) -> bool:
    """Whether a reply is held against the contract: an answer is, and in free text a refusal, which is a text whatever field it came in."""
    return reply.outcome == "answered" or (reply.outcome == "refused" and isinstance(task.answer, Text))


def heard(task: Task, reply: Reply) -> Heard:
    """Return what a reply says."""
    if not is_read(task, reply):
        return Heard(reply.outcome)
    value = task.answer.parse(reply.text)
    if isinstance(value, Malformed):
        return Heard("unparsable")
    return Heard("", task.answer.key(value), task.answer.written(value), value)


def _judged(task: Task, example: Example, samples: Sequence[Heard], curation: Curation) -> tuple[str, str]:
    """Return why an example's reply is not to be trained on, or nothing, and the completion that counts."""
    said = samples[0]
    if curation.agreement is not None:
        said, votes = Counter(samples).most_common(1)[0]
        if votes / len(samples) < curation.agreement:
            return "unstable", ""
    reason = said.reason
    if not reason and example.expected is None and curation.without_reference == "reject":
        reason = "unreferenced"
    if not reason and example.expected is not None and not task.answer.grade(said.value, example.expected).right:
        reason = "wrong"
    return reason, said.text


def _check_usable(task: Task, replies: Sequence[Reply], values: Sequence[Heard]) -> None:
    """Refuse a teacher that gives no usable answer to more than 5 % of what it is asked."""
    found = [(reply, said.reason) for reply, said in zip(replies, values, strict=True) if said.reason in UNUSABLE]
    if len(found) <= MOST_UNUSABLE * len(replies):
        return
    reply, reason = found[0]
    counts = Counter(reason for _, reason in found)
    if counts.keys() == {"unparsable"}:
        what = task.answer.misfit
        way_out = f"Tighten the prompt or {'add the label' if task.answer.classes else 'loosen the answer contract'}."
        first = f"{reply.id} said {_cut(reply.text, LONGEST_TEXT)!r}"
    else:
        what = f"no usable answer ({', '.join(f'{n} {why}' for why, n in counts.most_common())})"
        way_out = "Ask again for those that failed: pytest --distill --distill-record." if "failed" in counts else "Tighten the prompt."
        first = f"{reply.id}, {reason}: {_cut(_said(reply), LONGEST_TEXT)!r}"
    raise TeacherError(
        f"task {task.name!r}: {len(found)} of {len(replies)} teacher replies ({len(found) / len(replies):.1%}) are {what}; first: {first}."
        f" {way_out}"
    )


def _leaked(task: Task, curation: Curation, leaks: Sequence[Leak]) -> str:
    """Return how many held-out examples leak, the first of them, and what to do."""
    equal = [leak for leak in leaks if leak.similarity == 1]
    equal_ids = {leak.heldout for leak in equal}
    near = [leak for leak in leaks if leak.heldout not in equal_ids]
    found = []
    assert task.train is not None  # its rows are those that leak
    way_out = f"Remove them from {shown_path(task.train)} or leave them out with Curation(leaked='reject')"
    if equal:
        found.append(f"{_held(len(equal_ids))} also in the training data; first: {equal[0].heldout} equals {equal[0].train}.")
    if near:
        leak, count = near[0], len({leak.heldout for leak in near})
        held, trained = (
            _cut(" / ".join(next(example for example in examples if example.id == name).texts.values()), LONGEST_TEXT)
            for examples, name in ((task.heldout_examples, leak.heldout), (task.train_examples, leak.train))
        )
        found.append(
            f"{_held(count, ' more' if equal else '')} nearly equal to training rows; first: {leak.heldout} nearly equals"
            f" {leak.train} (similarity {leak.similarity:g}): {held!r} / {trained!r}."
        )
        way_out += f"; if they ask something else, raise Curation(near={curation.near:g})"
    return f"{' '.join(found)} {way_out}."


def _held(count: int, more: str = "") -> str:
    return f"{count}{more} held-out {'example is' if count == 1 else 'examples are'}"


def _said(reply: Reply) -> str:
    return reply.text.strip() or reply.detail


def _cut(text: str, longest: int) -> str:
    text = text.strip()
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _frozen(entries: dict[str, list[Rejected]]) -> dict[str, tuple[Rejected, ...]]:
    return {reason: tuple(found) for reason, found in sorted(entries.items())}
