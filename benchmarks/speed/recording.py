"""Whether recording and replaying a teacher reach their numbers, each a ratio or a count from one run. Linux only: memory is read from /proc.

    python benchmarks/speed/recording.py [--rounds 5] [--replies 100000] [rate killed replay memory]

The teacher is the tests' own server in a process of its own. Prints a line for each number, with what was measured and whether it was reached;
the exit status says nothing. All of it takes some minutes, most of which go to the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

from openai import AsyncOpenAI, OpenAI

from pytest_distill import Endpoint, Example, Labels, Task
from pytest_distill.ask import ask
from pytest_distill.recording import Recording, Reply

ROOT = Path(__file__).parents[2]
DELAY = 0.05  # seconds that the server takes for a reply
CONCURRENCY, PROMPTS, ONE_BY_ONE = 32, 1000, 50
REPLAYED = 10_000
SETTLED = 10_000  # replies after which memory should no longer grow
MEBIBYTE = 2**20

TASK = Task(
    name="routing",
    prompt="{% if context %}{{ context }}\n{% endif %}Which source answers this question: code, docs or both?\n{{ question }}\nRoute:",
    answer=Labels("ok", "code", "docs", "both"),
    train=Path("train.jsonl"),  # never read: the rows are made here
    heldout=Path("heldout.jsonl"),
    max_tokens=10,
)


def rows(count: int) -> list[Example]:
    """Return so many rows, each with a question of its own."""
    return [
        Example(f"row-{k}", {"question": f"Where is timeout number {k} set, and what is its default?"}, None, (), k) for k in range(count)
    ]


@contextmanager
def serving(delay: float) -> Iterator[str]:
    """Run the server in a process of its own and yield its URL."""
    command = [sys.executable, "-m", "tests.api_server", "--delay", str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def stats(url: str) -> dict[str, int]:
    """Return the server's counters."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as response:  # noqa: S310  (our own server)
        found: dict[str, int] = json.load(response)
    return found


def teacher(url: str) -> Endpoint:
    """Return the teacher behind the server."""
    return Endpoint("big-1", base_url=url, api_key_env=None, price=(1, 0.5, 2), concurrency=CONCURRENCY, terms="a note")


def recorded(url: str, path: Path, examples: Sequence[Example]) -> list[Reply]:
    """Ask the server as --distill-record does: what the recording lacks, each reply on disk as it arrives."""
    model = teacher(url)

    @contextmanager
    def ready() -> Iterator[None]:
        model.load()
        yield

    try:
        return ask(model, TASK, examples, Recording(path), ready=ready)
    finally:
        model.unload()


def bare(url: str, prompts: Sequence[str]) -> list[str | None]:
    """Ask the server the usual way: the SDK's async client in a gather, with a semaphore; nothing is kept."""

    async def all_of_them() -> list[str | None]:
        places = asyncio.Semaphore(CONCURRENCY)
        async with AsyncOpenAI(api_key="none", base_url=url) as client:

            async def one(prompt: str) -> str | None:
                async with places:
                    reply = await client.chat.completions.create(
                        model="big-1", messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=TASK.max_tokens
                    )
                return reply.choices[0].message.content

            return list(await asyncio.gather(*map(one, prompts)))

    return asyncio.run(all_of_them())


def one_by_one(url: str, prompts: Sequence[str]) -> list[str | None]:
    """Ask the server as tutorials do: one prompt after another."""
    with OpenAI(api_key="none", base_url=url) as client:
        return [
            client.chat.completions.create(
                model="big-1", messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=TASK.max_tokens
            )
            .choices[0]
            .message.content
            for prompt in prompts
        ]


def a_second(count: int, work: Callable[[], object]) -> float:
    """Return how many of `count` replies `work` had in a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def say(what: str, seen: str, goal: str, *, reached: bool) -> None:
    """Print one number."""
    print(f"{what:<62}{seen:>28}   {goal:<24}{'reached' if reached else 'MISSED'}", flush=True)


def rate(folder: Path, rounds: int) -> None:
    """Compare recording with the bare SDK and with the tutorial's loop, in turns."""
    examples = rows(PROMPTS)
    prompts = [TASK.render(example) for example in examples]
    with serving(DELAY) as ours_at, serving(DELAY) as bare_at:

        def ours(k: object, count: int = PROMPTS) -> float:
            return a_second(count, lambda: recorded(ours_at, folder / f"rate-{k}.jsonl", examples[:count]))

        ours("warm", 2 * CONCURRENCY)
        bare(bare_at, prompts[: 2 * CONCURRENCY])
        ratios, found = [], {"ours": list[float](), "bare": list[float]()}
        loop = []
        for k in range(rounds):
            pair = {}
            for side in ("ours", "bare") if k % 2 else ("bare", "ours"):
                pair[side] = ours(k) if side == "ours" else a_second(PROMPTS, lambda: bare(bare_at, prompts))
                found[side].append(pair[side])
            ratios.append(pair["ours"] / pair["bare"])
            loop.append(a_second(ONE_BY_ONE, lambda: one_by_one(bare_at, prompts[:ONE_BY_ONE])))
        peak, bare_peak = stats(ours_at)["peak"], stats(bare_at)["peak"]
        assert all(len(Recording(folder / f"rate-{k}.jsonl")) == PROMPTS for k in range(rounds))
    for side, name in (("ours", "recording"), ("bare", "bare SDK, gather loop")):
        print(f"{name:<62}{median(found[side]):>20.0f} a second   {', '.join(f'{each:.0f}' for each in found[side])}")
    print(f"{'sequential loop':<62}{median(loop):>20.1f} a second   {', '.join(f'{each:.1f}' for each in loop)}")
    share = median(ratios)
    say(f"recording against the bare SDK, median of {rounds} rounds", f"{share:.0%}", "at least 90%", reached=share >= 0.9)
    times = median(found["ours"]) / median(loop)
    say("recording against the sequential loop", f"{times:.1f} times", "at least 15 times", reached=times >= 15)
    say(f"most requests in flight (bare SDK: {bare_peak})", str(peak), f"exactly {CONCURRENCY}", reached=peak == CONCURRENCY)


def start(url: str, path: Path, count: int) -> subprocess.Popen[str]:
    """Record in a process of its own, which prints its greatest memory in MiB at the end."""
    return subprocess.Popen([sys.executable, __file__, "--record", url, str(path), str(count)], stdout=subprocess.PIPE, text=True)


def killed(folder: Path) -> None:
    """End a recording with SIGKILL at half of its prompts, and count what the next one asks again."""
    path = folder / "killed.jsonl"
    with serving(DELAY) as url:
        first = start(url, path, PROMPTS)
        while stats(url)["asked"] < PROMPTS // 2:
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        kept = len(Recording(path))
        start(url, path, PROMPTS).communicate()
        repeated, lines = stats(url)["repeated"], len(path.read_bytes().splitlines())
    assert lines == len(Recording(path)) == PROMPTS
    say(
        f"asked again after SIGKILL with {kept} of {PROMPTS:,} on disk",
        str(repeated),
        f"at most {CONCURRENCY}",
        reached=0 < kept < PROMPTS and repeated <= CONCURRENCY,
    )


def replay(folder: Path, rounds: int) -> None:
    """Open, verify and serve a recording, with the prompts rendered from rows."""
    path, examples = folder / "replayed.jsonl", rows(REPLAYED)
    with serving(0) as url:
        recorded(url, path, examples)
    took, busy = [], []
    for _ in range(rounds):
        started, before = time.perf_counter(), time.process_time()
        found = ask(teacher(url), TASK, examples, Recording(path), may_ask=False, ready=nullcontext)  # the server is gone by now
        took.append(time.perf_counter() - started)
        busy.append(time.process_time() - before)
        assert [reply.id for reply in found] == [example.id for example in examples]
    what = f"replay of {REPLAYED:,} replies ({path.stat().st_size / 1e6:.1f} MB), median of {rounds}"
    say(what, f"{median(took):.2f} s ({median(busy):.2f} s of CPU)", "under 1 s", reached=median(took) < 1)


def memory(folder: Path, count: int) -> None:
    """Watch the memory of a process that records, from its first ten thousand replies to its last."""
    path, samples, started = folder / "memory.jsonl", list[float](), time.perf_counter()
    with serving(0) as url, start(url, path, count) as process:
        while process.poll() is None and (asked := stats(url)["asked"]) < count:
            if asked >= min(SETTLED, count // 10):
                samples.append(resident(process.pid))
            time.sleep(0.2)
        took = time.perf_counter() - started
        most = process.communicate()[0].strip()
    assert len(Recording(path)) == count
    low, high = min(samples) / samples[0] - 1, max(samples) / samples[0] - 1
    print(f"{f'{count:,} replies recorded in {took:.0f} s':<62}{count / took:>20.0f} a second   {path.stat().st_size / 1e6:.0f} MB")
    say(
        f"memory from {samples[0]:.0f} MiB after {min(SETTLED, count // 10):,} on ({most} with all handed over)",
        f"{low:+.1%} to {high:+.1%}",
        "within 10%",
        reached=max(-low, high) <= 0.1,
    )


def resident(pid: int) -> float:
    """Return the memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="which numbers; all where none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replies", type=int, default=100_000, help="how many are recorded while memory is watched")
    parser.add_argument("--record", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        url, path, count = options.record
        recorded(url, Path(path), rows(int(count)))
        peak = next(line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        print(f"{int(peak.split()[1]) / 1024:.0f}")
        return
    parts: dict[str, Callable[[Path], None]] = {
        "rate": lambda folder: rate(folder, options.rounds),
        "killed": killed,
        "replay": lambda folder: replay(folder, options.rounds),
        "memory": lambda folder: memory(folder, options.replies),
    }
    with tempfile.TemporaryDirectory() as name:
        for part in options.parts or parts:
            parts[part](Path(name))


if __name__ == "__main__":
    main()
