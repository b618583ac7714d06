"""What is told beside a comparison and decides nothing: cheaper ways on the same examples, and the sheet of examples that need a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_distill.compare import Comparison
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Evaluation, evaluate
from pytest_distill.models import Checkpoint, Model
from pytest_distill.models.baselines import Linear, Majority, Prompted, choose_shots
from pytest_distill.report.label import write_sheet
from pytest_distill.task import shown_path

if TYPE_CHECKING:
    from pytest_distill.plugin.flow import Pairing

SHOTS = 4  # examples in the prompt of the ladder's base


def label(pairing: Pairing, compared: Comparison) -> str:
    """Write the sheet of the examples that wait for a label; return where it lies."""
    answer, form = pairing.task.answer, pairing.run.settings.out / f"label-{pairing.task.name}.html"
    count = write_sheet(
        pairing.task.labels_path,
        form,
        pairing.task.name,
        answer.reference_fields[0],
        None if answer.several else answer.classes or None,
        [(example.id, pairing.task.render(example)) for example in compared.unlabelled],
        # Rows that wait for the sake of another student of this run stay; those of earlier runs may go.
        keep_waiting=pairing.run.writes_label_sheet_again(pairing.task.name),
    )
    note = f"{len(compared.unlabelled)} examples wait for a label ({count} in all) in {shown_path(pairing.task.labels_path)}; a form for it is {shown_path(form)}"
    return note if count else "no example waits for a label"


def rungs(pairing: Pairing, student: Model) -> list[tuple[str, Evaluation | str]]:
    """Cheaper ways on the same examples, from what the student learned: each evaluated, or why it could not be."""
    if pairing.kept is not None:
        rows = [(row.prompt, row.completion) for row in pairing.kept.rows]
    else:
        task = pairing.task
        known = [(example, task.answer.completion(example.expected)) for example in task.train_examples if example.expected is not None]
        rows = [(task.render(example), completion) for example, completion in known if completion is not None]
    models: list[Model] = [Majority(rows), Linear(rows)] if rows else []
    adapted = student if isinstance(student, Checkpoint) and student.adapter else None
    if adapted is not None:
        base = Checkpoint(adapted.base, revision=adapted.revision)
        models += [Prompted(base), *([Prompted(base, choose_shots(rows, SHOTS))] if rows else [])]
    found: list[tuple[str, Evaluation | str]] = []
    for model in models:
        try:
            if isinstance(model, Linear):
                model.check()  # before another run that holds the device is waited for
            if not pairing.all_recorded(model):
                # A base may be large: teacher and student, which have done their part, make room.
                pairing.unload(student)
            found.append((model.name, _evaluated(pairing, model, f"ladder: {model.name} answers the held-out rows")))
        except Exception as error:  # a rung informs beside the verdict: whatever goes wrong with it must not decide anything
            words = str(error) if isinstance(error, DistillError) else f"{type(error).__name__}: {error}"
            found.append((model.name, words))
        model.unload()
    return found


def _evaluated(pairing: Pairing, model: Model, what: str) -> Evaluation:
    return evaluate(model.name, pairing.task, pairing.task.heldout_examples, pairing.held_out(model, what))
