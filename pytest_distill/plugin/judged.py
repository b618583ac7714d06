"""What a run does with a judge: asks it about the replies that differ, reads what people said of them, writes the sheet for those that wait."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_distill.answers import Malformed
from pytest_distill.answers.plain import canonical
from pytest_distill.ask import keys_of
from pytest_distill.evaluate import Evaluation
from pytest_distill.judge import BETTER, Judge, Judged, Pair, differing
from pytest_distill.models import Endpoint, Model
from pytest_distill.recording import Recording, Reply
from pytest_distill.report.label import labels_of, write_sheet
from pytest_distill.task import shown_path

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_distill.plugin.flow import Pairing
    from pytest_distill.task import Task

FIELD = "better"


def sheet_path(task: Task) -> Path:
    """Where people's labels of pairs stand: ``heldout.audit.jsonl`` beside ``heldout.jsonl``."""
    return task.heldout.with_suffix(".audit.jsonl")


def pairs_of(pairing: Pairing, teacher: Evaluation, student: Evaluation) -> list[Pair]:
    """Return the pairs that the judge is asked about: a key may be equal for texts that people tell apart, a value is not."""
    said = [
        [(None if isinstance(value, Malformed) else canonical(value), text) for value, text in zip(side.values, side.texts, strict=True)]
        for side in (teacher, student)
    ]
    return differing(pairing.task, pairing.task.heldout_examples, *said)


def recording_of(pairing: Pairing, judge: Judge) -> Recording:
    """Where the judge's replies are found: beside the benchmark those of an Endpoint, in the store those of any other model."""
    return pairing.committed(judge) if isinstance(judge.model, Endpoint) else pairing.recording_of(judge.model)


def keys_for(pairing: Pairing, judge: Judge, pairs: list[Pair]) -> set[str]:
    """Return the keys of all replies of the judge that a run needs."""
    task = judge.task(pairing.task)
    return {key for of_one in keys_of(judge.model, task, [task.render(each) for each in judge.questions(pairs)]) for key in of_one}


def ask_judge(pairing: Pairing, judge: Judge, pairs: list[Pair]) -> list[Reply]:
    """Return the judge's replies to its questions about the pairs: replayed where recorded, otherwise asked."""
    task, recording = judge.task(pairing.task), recording_of(pairing, judge)
    replies = pairing.ask(judge.model, judge.questions(pairs), "judge compares replies", recording=recording, task=task)
    judge.model.unload()
    return [reply for reply in replies if not reply.sample]


def judged(pairing: Pairing, student: Model, teacher_said: Evaluation, student_said: Evaluation) -> Judged | None:
    """Return what the judge makes of the replies, with what people said of it; None where the mark names no judge.

    With ``--distill-label`` the sheet is written anew.

    Raises:
        DistillError: the judge cannot be asked, a reply of it is missing, or the sheet is none.
    """
    judge = pairing.declaration.judge
    if judge is None:
        return None
    pairs = pairs_of(pairing, teacher_said, student_said)
    if not all(map(recording_of(pairing, judge).holds, keys_for(pairing, judge, pairs))):
        pairing.unload(student)  # teacher and student have done their part, and a judge may be large
    opinions = judge.opinions(pairs, ask_judge(pairing, judge, pairs))
    labels = labels_of(sheet_path(pairing.task), FIELD, BETTER)
    people = [pair.said(labels[pair.id]) if pair.id in labels else None for pair in pairs]
    found = Judged(
        judge,
        len(pairing.task.heldout_examples),
        tuple(replace(opinion, people=said) for opinion, said in zip(opinions, people, strict=True)),
    )
    examples = {name.rpartition(":")[0] for name in labels}
    found = replace(found, stale=sum(opinion.example in examples for opinion in found.waiting))
    if pairing.run.settings.label:
        pairing.facts["notes"].append(_sheet(pairing, judge, found, pairs))
    return found


def _sheet(pairing: Pairing, judge: Judge, found: Judged, pairs: list[Pair]) -> str:
    """Write the sheet of the pairs that people are to look at; return where it lies."""
    task, form = pairing.task, pairing.run.settings.out / f"audit-{pairing.task.name}.html"
    of_example = {pair.example: pair for pair in pairs}
    wanted = [of_example[opinion.example] for opinion in found.waiting]
    count = write_sheet(
        sheet_path(task),
        form,
        task.name,
        FIELD,
        BETTER,
        [(pair.id, pair.shown()) for pair in wanted],
        keep_waiting=pairing.run.writes_label_sheet_again(f"{task.name} audit"),
        about="Each row below is a prompt with two replies, in random order. Say which is the better one by the rubric, or that they tie: "
        + judge.rubric,
    )
    if not count:
        return "no pair of replies waits for a label"
    return f"{len(wanted)} pairs of replies wait for a label ({count} in all) in {shown_path(sheet_path(task))}; a form for it is {shown_path(form)}"
