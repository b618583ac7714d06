"""Models: anything that answers prompts, as teacher or as student."""

from pytest_distill.models.checkpoint import Checkpoint as Checkpoint
from pytest_distill.models.endpoint import Endpoint as Endpoint
from pytest_distill.models.model import Answer as Answer
from pytest_distill.models.model import Model as Model
from pytest_distill.models.model import Timed as Timed
