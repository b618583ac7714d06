"""The result that every reader reads: building it, deciding the verdict, writing it whole, reading it back."""

from pytest_distill.results.entries import WARNED_DAYS as WARNED_DAYS
from pytest_distill.results.entries import comparison_entry as comparison_entry
from pytest_distill.results.entries import curation_facts as curation_facts
from pytest_distill.results.entries import left_out as left_out
from pytest_distill.results.entries import model_facts as model_facts
from pytest_distill.results.entries import reply_notes as reply_notes
from pytest_distill.results.file import SCHEMA as SCHEMA
from pytest_distill.results.file import read as read
from pytest_distill.results.file import write as write
from pytest_distill.results.machine import environment as environment
from pytest_distill.results.machine import gpu as gpu
from pytest_distill.results.machine import machine as machine
from pytest_distill.results.machine import tracked as tracked
from pytest_distill.results.outcome import all_words as all_words
from pytest_distill.results.outcome import confirm_refuted as confirm_refuted
from pytest_distill.results.outcome import in_place_of_gates as in_place_of_gates
from pytest_distill.results.outcome import seeds as seeds
from pytest_distill.results.outcome import summary as summary
from pytest_distill.results.outcome import verdict as verdict
