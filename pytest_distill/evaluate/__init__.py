"""One model over the held-out examples: what it said, how right that is, and how long it takes."""

from pytest_distill.evaluate.evaluation import Evaluation as Evaluation
from pytest_distill.evaluate.evaluation import as_expected as as_expected
from pytest_distill.evaluate.evaluation import evaluate as evaluate
from pytest_distill.evaluate.evaluation import graded as graded
from pytest_distill.evaluate.stability import Drift as Drift
from pytest_distill.evaluate.stability import Stability as Stability
from pytest_distill.evaluate.stability import check_samples as check_samples
from pytest_distill.evaluate.stability import check_stable as check_stable
from pytest_distill.evaluate.stability import drift_of as drift_of
from pytest_distill.evaluate.stability import enough_prompts as enough_prompts
from pytest_distill.evaluate.stability import stability_of as stability_of
from pytest_distill.evaluate.timing import Series as Series
from pytest_distill.evaluate.timing import Timing as Timing
from pytest_distill.evaluate.timing import noise as noise
from pytest_distill.evaluate.timing import time_beside as time_beside
from pytest_distill.evaluate.timing import time_pairs as time_pairs
from pytest_distill.evaluate.timing import timing_sample as timing_sample
