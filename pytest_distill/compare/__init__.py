"""Two evaluations on the same examples: a Comparison of measures, error kinds, classes and slices; and the ladder of cheaper ways."""

from pytest_distill.compare.classes import confusion as confusion
from pytest_distill.compare.clusters import clusters as clusters
from pytest_distill.compare.comparison import Comparison as Comparison
from pytest_distill.compare.comparison import latency as latency
from pytest_distill.compare.ladder import ladder as ladder
from pytest_distill.compare.ladder import ladder_note as ladder_note
