"""Measures: numbers with their evidence. Compared with a limit, each returns a Judgement."""

from pytest_distill.measures.base import Measure as Measure
from pytest_distill.measures.cost import Bill as Bill
from pytest_distill.measures.cost import BreakEven as BreakEven
from pytest_distill.measures.cost import CostGain as CostGain
from pytest_distill.measures.cost import Price as Price
from pytest_distill.measures.cost import Serving as Serving
from pytest_distill.measures.cost import per_request as per_request
from pytest_distill.measures.judged import JudgedDrop as JudgedDrop
from pytest_distill.measures.quality import AccuracyDrop as AccuracyDrop
from pytest_distill.measures.quality import ClassDrops as ClassDrops
from pytest_distill.measures.quality import Forgotten as Forgotten
from pytest_distill.measures.quality import IntroducedRate as IntroducedRate
from pytest_distill.measures.quality import MacroF1Drop as MacroF1Drop
from pytest_distill.measures.quality import QualityRetained as QualityRetained
from pytest_distill.measures.quality import RecallDrop as RecallDrop
from pytest_distill.measures.quality import ScoreDrop as ScoreDrop
from pytest_distill.measures.quality import ValidRate as ValidRate
from pytest_distill.measures.speed import Latency as Latency
from pytest_distill.measures.speed import LatencyPercentile as LatencyPercentile
from pytest_distill.measures.speed import SpeedGain as SpeedGain
