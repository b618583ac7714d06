"""Timing two models: warm-up, pairs in turn, the reference workload, the guard against noise, and what is stored."""

from __future__ import annotations

import gc
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_distill.errors import ModelError
from pytest_distill.evaluate import Series, Timing, noise, time_pairs, timing
from pytest_distill.models import Timed
from pytest_distill.models.device import disturbance, threads, workload
from pytest_distill.stats import sign_p
from tests.fakes import RuleModel

LIVE = Timing(
    Series((0.06,) * 3, (0.02, 0.02, 0.06), (5, 2, 1)), Series((0.02,) * 3), "live", "2026-11-22T10:00:00Z", "here", (0.001, 0.0011)
)
PROMPTS = [f"p{k}" for k in range(150)]


class Clock(RuleModel):
    """A model whose times follow a list, the last one for ever; notes whom it was asked what."""

    def __init__(self, name, log, seconds):
        super().__init__(name)
        self.log, self.times = log, iter(seconds)

    def time_one(self, prompt, max_tokens):
        self.log.append((self.name, prompt, max_tokens))
        self.seconds = next(self.times, self.seconds)
        return Timed(self.seconds, None, 1)


def timed(log, prompts=PROMPTS, *, teacher=(3.0,), student=(1.0,), reference=lambda: 1.0, **options) -> Timing:
    """Time two clocks; the reference workload is noted in the log as well."""

    def noted() -> float:
        log.append(("reference", "", 0))
        return reference()

    return time_pairs(Clock("big", log, teacher), Clock("small", log, student), prompts, 7, "here", workload=noted, **options)


# What is kept


def test_speed_by_token():
    """Seconds by token leave the first token and replies of one token out; tokens a second count all."""
    series = LIVE.teacher
    assert series.per_token == pytest.approx([0.01, 0.04])
    assert series.tokens_per_second == pytest.approx([5 / 0.06, 2 / 0.06, 1 / 0.06])
    assert (LIVE.student.per_token, LIVE.student.tokens_per_second) == ([], [])


@pytest.mark.parametrize(("was", "now"), [("live", "stored"), ("stored", "stored"), ("recorded", "recorded")])
def test_a_timing_survives_the_store(was, now):
    """A timing that was written comes back whole, as stored where it was live; a recording stays one."""
    back = Timing.from_json(json.loads(json.dumps(replace(LIVE, timed=was, noise="hum").to_json())))
    assert back == replace(LIVE, timed=now, noise="hum")
    assert back.ratios == pytest.approx([3.0] * 3)


def part(**changes: object) -> dict:
    return {"teacher": LIVE.to_json()["teacher"] | changes}


@pytest.mark.parametrize(
    "damage",
    [
        part(seconds=[]), part(seconds=[0.06] * 2), part(seconds=[0.06, 0.06, 0.0]), part(seconds=[0.06, 0.06, -1.0]),
        part(seconds=[0.06, 0.06, math.nan]), part(seconds=[0.06, 0.06, math.inf]), part(seconds=["x"] * 3), part(seconds=[True] * 3),
        part(seconds=None), part(first_token=[0.01]), part(first_token=[0.07] * 3), part(first_token=[0.0] * 3), part(tokens_out=[1]),
        part(tokens_out=[1.5] * 3), part(tokens_out=[-1] * 3), part(tokens_out=[True] * 3), {"teacher": [0.06] * 3}, {"teacher": {}},
        {"teacher": None}, {"student": {"seconds": [0.1] * 2, "first_token": [], "tokens_out": []}}, {"timed": "live?"}, {"timed": []},
        {"at": 5}, {"machine": None}, {"noise": None}, {"reference": [0.0]}, {"reference": ["x"]}, {"reference": None},
    ],
)  # fmt: skip
def test_a_damaged_timing_is_refused(damage):
    """Series that do not pair or hold what is no time, and fields of another kind, are refused."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        Timing.from_json(LIVE.to_json() | damage)


# The order of things


def test_both_models_are_warmed_up_until_they_settle():
    """The same five prompts go round both models, discarded, until two successive medians agree within 10 % for both."""
    log = []
    found = timed(log, teacher=[9.0] * 5 + [5.0] * 5 + [4.9] * 5 + [4.8] * 5 + [3.0], student=[2.0] * 10 + [1.0])
    warm = log[: [name for name, _, _ in log].index("reference")]
    assert [name for name, _, _ in warm] == (["big"] * 5 + ["small"] * 5) * 4
    assert len({prompt for _, prompt, _ in warm}) == 5
    assert (found.teacher.seconds, found.student.seconds) == ((3.0,) * 100, (1.0,) * 100)


def test_a_warm_up_ends():
    """A model whose times never settle is warmed up with 40 prompts and no more."""
    log = []
    timed(log, ["p0", "p1", "p2"], teacher=[2.0**k for k in range(8) for _ in range(5)])
    assert [name for name, _, _ in log].index("reference") == 80


def test_models_are_timed_in_turn():
    """A seeded sample of 100 prompts is timed in pairs whose order varies, the reference workload before, between and after ten."""
    logs = ([], [])
    found = [timed(log) for log in logs]
    rest = logs[0][20:]
    assert [at for at, (name, _, _) in enumerate(rest) if name == "reference"] == list(range(0, 212, 21))
    asked = [call for call in rest if call[0] != "reference"]
    pairs = [asked[at : at + 2] for at in range(0, 200, 2)]
    assert (len(asked), all(one[1] == two[1] and one[0] != two[0] for one, two in pairs)) == (200, True)
    assert len({prompt for _, prompt, _ in asked}) == 100
    assert 30 <= sum(one[0] == "big" for one, _ in pairs) <= 70
    assert {limit for _, _, limit in asked} == {7}
    assert logs[0] == logs[1]
    assert (found[0].timed, found[0].machine, found[0].noise, found[0].reference) == ("live", "here", "", (1.0,) * 11)
    assert found[0].student == Series((1.0,) * 100, (), (1,) * 100)


@pytest.mark.parametrize(("prompts", "pairs", "count"), [(150, 100, 100), (40, 100, 40), (12, 100, 12), (1, 100, 1), (150, 30, 30)])
def test_each_prompt_is_timed_once(prompts, pairs, count):
    """Fewer prompts than pairs are all timed, and none twice: a repeated prompt is no further evidence, nor is one that stands in two rows."""
    log, told = [], []
    found = timed(log, PROMPTS[:prompts] * 2, pairs=pairs, progress=lambda done, of: told.append((done, of)))
    asked = [prompt for name, prompt, _ in log[10:] if name == "big"][5:]
    assert len(set(asked)) == len(asked) == len(found.ratios) == count
    assert told == [(k, count) for k in range(1, count + 1)]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_model_that_cannot_tell_the_time_is_refused(seconds):
    """Seconds that are no positive number are a ModelError that names the model."""
    with pytest.raises(ModelError, match="model 'small' timed one prompt at Timed"):
        timed([], student=(1.0,) * 10 + (seconds,))


def test_a_first_token_is_kept_where_every_prompt_has_one():
    """Times to the first token and counts come back in order; where one is unknown, none is kept."""

    class Streaming(RuleModel):
        def __init__(self, name, known):
            super().__init__(name)
            self.known = known

        def time_one(self, prompt, max_tokens):
            number = int(prompt[1:])
            return Timed(1 + number / 1e4, None if self.known == "some" and number == 7 else 0.5 + number / 1e4, number)

    found = time_pairs(Streaming("a", "all"), Streaming("b", "some"), PROMPTS[:30], 7, "", workload=lambda: 1.0)
    assert sorted(found.teacher.tokens_out) == list(range(30))
    assert [round(x - y, 9) for x, y in zip(found.teacher.seconds, found.teacher.first_token, strict=True)] == [0.5] * 30
    assert (found.student.first_token, found.student.tokens_out) == ((), found.teacher.tokens_out)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("breaks", [True, False])
def test_no_garbage_is_collected_inside_a_pair(enabled, breaks):
    """Collection is off while models are timed and afterwards as it was, also where a model fails."""
    seen = []

    class Watching(RuleModel):
        def time_one(self, prompt, max_tokens):
            seen.append(gc.isenabled())
            if breaks and len(seen) == 50:
                raise RuntimeError("out of memory")
            return Timed(1.0, None, 1)

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        if breaks:
            with pytest.raises(RuntimeError, match="out of memory"):
                time_pairs(Watching("a"), Watching("b"), PROMPTS, 7, "", workload=lambda: 1.0)
        else:
            time_pairs(Watching("a"), Watching("b"), PROMPTS, 7, "", workload=lambda: 1.0)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
    assert set(seen[20:]) == {False}


# The guard


def steady(n: int, chance: random.Random, spread: float = 0.3) -> tuple[float, ...]:
    return tuple(chance.lognormvariate(0, spread) for _ in range(n))


@pytest.mark.parametrize(
    ("series", "reference", "words"),
    [
        ((1.0,) * 30, (1.0,) * 4, ""),
        ((0.1,) * 30, (0.1,) * 4, ""),
        ((1.0,) * 30, (1.0, 1.099), ""),
        ((1.0,) * 30, (1.0, 1.2, 2.4, 1.0), "the reference workload took up to 2.4 times as long: another process keeps the device busy"),
        ((1.0, 1.01) * 15 + (1.2, 1.21) * 15, (1.0,), "one half of the student's times is 20% above the other"),
        ((1.2, 1.21) * 15 + (1.0, 1.01) * 15, (1.0,), "one half of the student's times is 20% above the other"),
        ((1.0, 1.01) * 15 + (1.09, 1.1) * 15, (1.0,), "the student's times follow one another (autocorrelation 0."),
        (tuple(1 + 0.03 * math.sin(k / 4) for k in range(60)), (1.0,), "the student's times follow one another (autocorrelation 0.9"),
        ((1.0,) * 50 + (1.3,) * 4 + (1.0,) * 46, (1.0,), "the student's times follow one another"),
        ((1.0, 2.0) * 50, (1.0,), ""),
    ],
)  # fmt: skip
def test_an_unsteady_machine_is_noticed(series, reference, words):
    """The guard names the rule that a timing breaks: the reference workload, halves, or a drift; a steady one breaks none."""
    found = noise(Series(series), reference)
    assert found.startswith(words)
    assert bool(found) is bool(words)


@pytest.mark.parametrize("n", [30, 50, 100])
def test_prompts_of_different_length_are_no_noise(n):
    """On a steady machine shuffled prompts of very different length raise an alarm in few timings; a slower half raises it in most."""
    chance = random.Random(n)
    for spread in (0.15, 1.0):
        assert sum(bool(noise(Series(steady(n, chance, spread)), (1.0,))) for _ in range(400)) <= 12
    slowed = [[x * (1 + 0.5 * (k < n / 2)) for k, x in enumerate(steady(n, chance, 0.15))] for _ in range(100)]
    assert sum(bool(noise(Series(tuple(series)), (1.0,))) for series in slowed) >= 95


def test_a_noisy_timing_is_made_again():
    """The first steady measurement of at most four comes back, and why it was made again is told."""
    log, told = [], []
    reference = iter([1.0] * 10 + [2.0] + [1.0] * 100)
    found = timed(log, reference=lambda: next(reference), student=[1.0] * 10 + [5.0] * 100 + [2.0], again=told.append)
    assert told == ["the reference workload took up to 2.0 times as long: another process keeps the device busy"]
    assert (found.noise, found.student.seconds, found.reference) == ("", (2.0,) * 100, (1.0,) * 11)
    calls = [prompt for name, prompt, _ in log if name == "small"][10:]
    assert len(calls) == 200
    assert calls[:100] != calls[100:]
    assert set(calls[:100]) == set(calls[100:])


def test_a_timing_that_stays_noisy_says_so():
    """After four noisy measurements the last comes back with the reason."""
    log, level = [], iter(range(1, 1000))
    found = timed(log, reference=lambda: float(next(level)))
    assert [name for name, _, _ in log].count("small") == 10 + 400
    assert found.reference == tuple(range(34, 45))
    assert found.noise.startswith("the reference workload took up to 1.3 times as long")


@pytest.mark.parametrize(("answers", "again"), [(["hot"], 2), ([None, "hot"], 2), ([None, None], 1), (["hot", None, "hot", "hot"], 4)])
def test_a_disturbed_device_is_asked_before_and_after(answers, again):
    """A reason that the device gives before or after the pairs is noise as well."""
    log, left = [], iter(answers)
    found = timed(log, disturbed=lambda: next(left, "hot" if again == 4 else None))
    assert [name for name, _, _ in log].count("small") == 10 + 100 * again
    assert found.noise == ("hot" if again == 4 else "")


# False passes under drift


class Machine:
    """Slows down and recovers: the logarithm of its slowness is a slow autoregression with a standard deviation of 0.3."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.level = chance, chance.gauss(0, 0.3)

    def seconds(self, base: float) -> float:
        self.level = 0.99 * self.level + chance_step * self.chance.gauss(0, 1)
        return base * math.exp(self.level + 0.05 * self.chance.gauss(0, 1))


chance_step = 0.3 * math.sqrt(1 - 0.99**2)


class Drifting(RuleModel):
    """A model on a machine that it shares with another."""

    def __init__(self, machine: Machine, base: float) -> None:
        super().__init__(f"takes {base}")
        self.machine, self.base = machine, base

    def time_one(self, prompt, max_tokens):
        return Timed(self.machine.seconds(self.base), None, 1)


def false_passes(n: int, runs: int, ratios: Callable[[Machine], list[float]]) -> float:
    """How often a gain of at least 2 is shown where the true one is exactly 2."""
    chance = random.Random(n)
    return sum(sign_p(sum(ratio > 2 for ratio in ratios(Machine(chance))), n) <= 0.05 for _ in range(runs)) / runs


@pytest.mark.parametrize("n", [30, 50, 100])
def test_drift_does_not_pass_a_gain_at_the_limit(n, monkeypatch):
    """Interleaved pairs under a machine that drifts by 30 % show a gain that is just met in at most 6.5 % of timings."""
    monkeypatch.setattr(timing, "noise", lambda student, reference: "")  # it would stop most of these

    def interleaved(machine: Machine) -> list[float]:
        return time_pairs(Drifting(machine, 2.0), Drifting(machine, 1.0), PROMPTS, 7, "", pairs=n, workload=lambda: 1.0).ratios

    def one_after_the_other(machine: Machine) -> list[float]:
        teacher = [machine.seconds(2.0) for _ in range(n)]
        return [seconds / machine.seconds(1.0) for seconds in teacher]

    assert false_passes(n, 2000, interleaved) <= 0.065
    assert false_passes(n, 500, one_after_the_other) > 0.15


# The device


def test_the_reference_workload_takes_time_and_no_torch():
    """On a CPU the workload gives positive seconds on all threads, without importing torch."""
    code = "import sys\nfrom pytest_distill.models.device import workload\nassert 0 < workload('cpu')() < 60\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_reference_workload_uses_all_threads(monkeypatch):
    """As many threads hash at the same time as a model may use."""
    import hashlib
    import threading

    together = threading.Barrier(threads(), timeout=30)
    monkeypatch.setattr(hashlib, "sha256", lambda content: together.wait())
    assert workload("cpu")() > 0


class FakeTorch(SimpleNamespace):
    """As much of torch as a GPU is asked for; notes the calls."""

    def __init__(self):
        self.calls = []
        self.cuda = SimpleNamespace(
            synchronize=lambda: self.calls.append("synchronise"), get_device_properties=lambda device: SimpleNamespace(uuid="12-ab")
        )

    def ones(self, *shape, device):
        return device

    def mm(self, one, other):
        self.calls.append(one)


def test_the_reference_workload_of_a_gpu_is_synchronised(monkeypatch):
    """Products are made on the GPU, and every repeat waits for them before the clock is read."""
    torch = FakeTorch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert workload("cuda")() > 0
    starts, *repeats = "".join("s" if call == "synchronise" else "m" for call in torch.calls).split("s")[:-1]
    assert starts == ""
    assert len(set(repeats)) == 1
    assert set(repeats[0]) == {"m"}
    assert set(torch.calls) == {"synchronise", "cuda"}


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """An nvidia-smi that answers as told: processes, and the reasons under the newer and the older name."""
    monkeypatch.setitem(sys.modules, "torch", FakeTorch())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(pids: str, newer: str | None, older: str | None = None) -> None:
        cases = [("--query-compute-apps=pid", pids), ("clocks_event_reasons.active", newer), ("clocks_throttle_reasons.active", older)]
        lines = [f"  *{name}*) echo '{answer}'; exit 0;;" for name, answer in cases if answer is not None]
        script = ["#!/bin/sh", '[ "$1" = --id=GPU-12-ab ] || exit 6', 'case "$*" in', *lines, "esac", "echo Field is not valid", "exit 2"]
        (tmp_path / "nvidia-smi").write_text("\n".join(script))
        (tmp_path / "nvidia-smi").chmod(0o755)

    return write


@pytest.mark.parametrize(
    ("newer", "older", "words"),
    [
        ("0x0000000000000000", None, None),
        ("0x0000000000000001", None, None),
        ("0x0000000000000004", None, None),
        ("0x0000000000000117", None, None),
        ("0x0000000000000008", None, "hardware slowdown"),
        ("0x0000000000000020", None, "thermal slowdown by the driver"),
        ("0x0000000000000048", None, "hardware slowdown, thermal slowdown by the hardware"),
        ("0x0000000000000085", None, "power brake"),
        (None, "0x0000000000000040", "thermal slowdown by the hardware"),
        (None, "0x0000000000000004", None),
        (None, None, None),
        ("[N/A]", None, None),
        ("", "0x0000000000000008", "hardware slowdown"),
    ],
)
def test_a_gpu_that_is_slowed_down_is_noticed(gpu, newer, older, words):
    """Thermal and hardware slowdowns are named, under the field's newer or older name; idling and the power limit are none."""
    gpu("", newer, older)
    assert disturbance("cuda") == (words and f"the GPU runs below its speed: {words}")


def test_a_foreign_process_on_the_gpu_is_noticed(gpu):
    """A visible process of another group is foreign; we, our children, unknown numbers and what is no number are not."""
    command = [sys.executable, "-c", "input()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    foreign = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        gpu(f"{os.getpid()}\n{child.pid}\n{2**22 + 1}\n[N/A]\n[Insufficient Permissions]", "0x0000000000000000")
        assert disturbance("cuda") is None
        gpu(f"{os.getpid()}\n{foreign.pid}", "0x0000000000000000")
        assert disturbance("cuda") == f"another process (pid {foreign.pid}) uses the GPU"
        assert disturbance("cpu") is None
    finally:
        for process in (child, foreign):
            process.communicate(b"\n")


def test_without_nvidia_smi_nothing_is_known(monkeypatch, tmp_path):
    """Where there is no nvidia-smi, or it hangs or breaks, no disturbance is claimed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert disturbance("cuda") is None
    monkeypatch.setitem(sys.modules, "torch", FakeTorch())
    (tmp_path / "nvidia-smi").write_text("no program")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert disturbance("cuda") is None
