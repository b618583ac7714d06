"""Recording through the Batch API: whatever happens and wherever a process ends, nothing is submitted twice and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_distill.ask.batch import BatchCollection, collection
from pytest_distill.ask.batch.notes import Notes
from pytest_distill.ask.collect import Asking, Keeper, StopError, Wanted
from pytest_distill.ask.pace import Budget, BudgetError
from pytest_distill.errors import RecordingError
from pytest_distill.models import Endpoint
from pytest_distill.recording import Recording, Reply, reply_key
from tests.api_server import HANG, HTML, RESET, ApiServer, BatchPlan, Fault, cut, first, limited, other_model, status
from tests.fakes import ROOT

POLL = 0.02
BROKEN = [status(500)] * 3  # as many as there are attempts


def asked_over(url: str, **more) -> Endpoint:
    values = {"api_key_env": None, "batch": True, "attempts": 3, "timeout": 20, "patience": 20} | more
    return Endpoint("m", base_url=url, **values)


def wanted_of(endpoint: Endpoint, count: int) -> list[Wanted]:
    prompts = [f"row={k} want={('yes', 'no')[k % 2]}" for k in range(count)]
    return [Wanted(reply_key(endpoint.digest, prompt, 4), f"id-{k}", prompt, 0, alone=k < 2) for k, prompt in enumerate(prompts)]


def collect(
    folder: Path,
    endpoint: Endpoint,
    wanted: Sequence[Wanted],
    *,
    budget: Budget | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Ask for what the recording in `folder` does not hold."""
    recording, budget = Recording(folder / "task.m.jsonl"), budget or Budget()
    missing = [each for each in wanted if not recording.holds(each.key)]

    async def work() -> None:
        keeper = Keeper(Asking(endpoint, 4, None, budget), recording, "")
        await BatchCollection(keeper, progress, poll_seconds=POLL, say=say).run(missing)

    endpoint.load()
    try:
        with recording.writing(), budget.open():
            endpoint.connection.run(work())
    finally:
        endpoint.unload()


def lines(folder: Path) -> list[Reply]:
    """What the recording holds, having seen that no key stands in it twice."""
    path = folder / "task.m.jsonl"
    replies = list(Recording(path).every())
    assert len(replies) == path.read_bytes().count(b"\n")
    return replies


def notes(folder: Path) -> Path:
    return folder / "task.m.jsonl.batches.json"


def batches(server: ApiServer) -> list[dict]:
    with urllib.request.urlopen(f"{server.url}/batches") as response:
        return json.load(response)["data"]


def submitted(server: ApiServer) -> int:
    return sum(request["method"] == "POST" and request["path"] == "/v1/batches" for request in server.requests)


def on(path: str, *faults: Fault | None) -> Callable[[int, str], Fault | None]:
    """These faults, in turn, for the requests to one path."""
    return lambda number, route: faults[number] if route == path and number < len(faults) else None


@pytest.mark.parametrize("plain", [False, True])
def test_a_batch_is_submitted_followed_and_recorded(tmp_path, plain):
    """All replies come from one batch, without times, with their costs; nothing stays noted."""
    said, told = [], []
    with ApiServer() as server:
        endpoint = asked_over(server.url, plain=plain, price=(1.0, 0.5, 2.0))
        budget = Budget()
        collect(tmp_path, endpoint, wanted_of(endpoint, 10), budget=budget, say=said.append, progress=told.append)
        assert submitted(server) == 1
        assert set(server.prompts.values()) == {1}
    replies = {reply.id: reply for reply in lines(tmp_path)}
    assert {name: reply.text for name, reply in replies.items()} == {f"id-{k}": ("yes", "no")[k % 2] for k in range(10)}
    assert {(reply.outcome, reply.seconds, reply.alone, reply.answered_by) for reply in replies.values()} == {
        ("answered", None, False, "m")
    }
    assert budget.spent == pytest.approx(sum(reply.cost for reply in replies.values())) == pytest.approx(10 * 4e-6)
    assert told[-1] == 10
    assert not notes(tmp_path).exists()
    assert said[0] == "batch batch_0: 10 requests submitted"
    assert "batch batch_0: completed, 10 of 10 done, 0 failed" in said


def test_lines_of_the_error_file_are_recorded_as_what_they_are(tmp_path):
    """A filtered prompt is an answer of its kind; other errors, and what is no completion, are failed replies with the server's words."""
    faults = {0: status(400, code="content_filter"), 1: status(400, message="too long"), 2: status(500), 3: HTML}
    said = []
    with ApiServer(faults=lambda number, *_: faults.get(number)) as server:
        endpoint = asked_over(server.url)
        collect(tmp_path, endpoint, wanted_of(endpoint, 6), say=said.append)
        found = {reply.id: (reply.outcome, reply.detail) for reply in lines(tmp_path)}
        assert [found[f"id-{k}"][0] for k in range(6)] == ["filtered", "failed", "failed", "failed", "answered", "answered"]
        assert found["id-1"][1] == "HTTP 400: too long"
        assert "HTTP 200 with JSON that is no completion" in found["id-3"][1]
        assert any("3 replies recorded, 3 failed (the first: " in text for text in said)
        collect(tmp_path, endpoint, wanted_of(endpoint, 6))
        assert sorted(server.prompts.values()) == [1, 1, 1, 2, 2, 2]  # those that failed are asked again, and only those
    assert {reply.outcome for reply in Recording(tmp_path / "task.m.jsonl").every()} == {"filtered", "answered"}


@pytest.mark.parametrize("end", ["expired", "cancelled", "lost"])
def test_replies_that_do_not_come_are_counted_and_asked_by_the_next_go(tmp_path, end):
    """A batch that expired, was cancelled or lost lines gives what it has; the error says how many are missing and why."""
    plan = {"expired": BatchPlan(ends="expired"), "cancelled": BatchPlan(polls=99), "lost": BatchPlan(lost=5)}[end]

    def cancel(text: str) -> None:
        if end == "cancelled" and "in_progress" in text:
            urllib.request.urlopen(urllib.request.Request(f"{server.url}/batches/batch_0/cancel", method="POST")).close()

    with ApiServer(batches=[plan, BatchPlan()]) as server:
        endpoint = asked_over(server.url)
        reason = "no line in the output of a batch that is completed" if end == "lost" else f"batch_{end}"
        with pytest.raises(StopError, match=rf"^5 of 10 replies did not come back \({reason}: 5\)$"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10), say=cancel)
        assert len(lines(tmp_path)) == 5
        assert not notes(tmp_path).exists()
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert server.prompts.total() == (15 if end == "lost" else 10)
    assert len(lines(tmp_path)) == 10


def test_a_batch_that_fails_says_why_and_does_not_stand_in_the_way(tmp_path):
    """A batch that the server does not begin is an error with its words; the next go submits the same requests anew."""
    with ApiServer(batches=[BatchPlan(ends="failed"), BatchPlan()]) as server:
        endpoint = asked_over(server.url, price=(1.0, 0.5, 2.0))
        budget = Budget(1.0)
        with pytest.raises(StopError, match=r"^batch batch_0 failed before it began: token limit exceeded$"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10), budget=budget)
        assert budget.spent == 0
        assert not notes(tmp_path).exists()
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
    assert len(lines(tmp_path)) == 10


def test_a_failed_batch_leaves_the_others_to_their_end(tmp_path, monkeypatch):
    """Where one of two batches fails, the replies of the other are recorded before the error."""
    monkeypatch.setattr(collection, "MOST_REQUESTS", 5)
    with ApiServer(batches=[BatchPlan(ends="failed", polls=3), BatchPlan(polls=6)]) as server:
        endpoint = asked_over(server.url)
        with pytest.raises(StopError, match="token limit exceeded"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
    assert [reply.id for reply in sorted(lines(tmp_path), key=lambda reply: reply.id)] == [f"id-{k}" for k in range(5, 10)]


def test_what_passes_the_limits_of_a_batch_goes_in_parts(tmp_path, monkeypatch):
    """No file has more requests or bytes than the limits, and each request goes in one of them."""
    monkeypatch.setattr(collection, "MOST_REQUESTS", 4)
    monkeypatch.setattr(collection, "MOST_BYTES", 660)
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        sizes = [request["body"].count(b'"custom_id"') for request in server.requests if request["path"] == "/v1/files"]
        assert len(batches(server)) == len(sizes) == 4
        assert sizes == [3, 3, 3, 1]
        monkeypatch.setattr(collection, "MOST_BYTES", 10_000)
        collect(tmp_path, endpoint, wanted_of(endpoint, 19))
        sizes = [request["body"].count(b'"custom_id"') for request in server.requests if request["path"] == "/v1/files"]
        assert sizes[4:] == [4, 4, 1]
        assert set(server.prompts.values()) == {1}
    assert len(lines(tmp_path)) == 19


def test_unknown_and_double_lines_are_passed_over_and_counted(tmp_path):
    """Lines that are damaged, of an unknown id or there already change nothing; their number is told."""

    def line(key: object, text: str) -> bytes:
        body = {"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        return json.dumps({"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}).encode() + b"\n"

    with ApiServer(other_faults=lambda *_: None) as server:
        endpoint = asked_over(server.url)
        one, two = wanted_of(endpoint, 2)
        odd = [
            b'{"custom_id": \n',
            b"[]\n",
            b'{"custom_id": "x", "response": {"status_code": "?", "body": 1}}\n',
            line("f" * 32, "who?"),
            line([], ""),
        ]
        content = b"\n".join([line(one.key, "yes"), line(one.key, "other"), *odd, line(two.key, "no")])
        server.other_faults = on("GET /v1/files/file-1/content", Fault(content=content))
        said = []
        collect(tmp_path, endpoint, [one, two], say=said.append)
    assert [reply.text for reply in lines(tmp_path)] == ["yes", "no"]
    assert "batch batch_0: 2 replies recorded, 6 lines passed over: damaged, doubled, or of an unknown id" in said


def test_replies_are_durable_before_they_are_told_or_their_batch_forgotten(tmp_path, monkeypatch):
    """Replies are synced in groups: never is one reported, or its batch no longer noted, before that."""
    written, synced, seen = [], [], []

    def spy(owner: type, name: str, act: Callable[[], None]) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda self, *rest: (act(), real(self, *rest))[1])

    spy(Recording, "write", lambda: written.append(1))
    spy(Recording, "sync", lambda: synced.append(len(written)))
    spy(Notes, "remove", lambda: seen.append(("forgotten", synced[-1])))
    monkeypatch.setattr(collection, "GROUP", 4)
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        collect(tmp_path, endpoint, wanted_of(endpoint, 10), progress=lambda done: seen.append((done, synced[-1])))
    assert seen == [(4, 4), (8, 8), (10, 10), ("forgotten", 10)]


# What is refused


def test_a_batch_that_could_pass_the_budget_is_not_created(tmp_path):
    """Where all of a batch might cost more than the budget, nothing is uploaded or created, and the error gives the sums."""
    with ApiServer() as server:
        endpoint = asked_over(server.url, price=(1.0, 0.5, 2.0))
        wanted = wanted_of(endpoint, 10)
        most = sum(Asking(endpoint, 4, None, Budget()).most_cost(each.prompt) for each in wanted)
        with pytest.raises(
            BudgetError, match=rf"of 10 requests, may cost up to \${most:.4f}; of the budget of \$0\.0004, \$0\.0000 are spent"
        ):
            collect(tmp_path, endpoint, wanted, budget=Budget(0.0004))
        assert server.requests == []
        collect(tmp_path, endpoint, wanted, budget=Budget(most * 1.001))
    assert len(lines(tmp_path)) == 10


def test_a_part_waits_for_what_an_earlier_one_did_cost(tmp_path, monkeypatch):
    """Where two parts fit the budget only by what they really cost, the second is submitted once the first is recorded."""
    monkeypatch.setattr(collection, "MOST_REQUESTS", 5)
    with ApiServer() as server:
        endpoint = asked_over(server.url, price=(1.0, 0.5, 2.0))
        wanted = wanted_of(endpoint, 10)
        most = sum(Asking(endpoint, 4, None, Budget()).most_cost(each.prompt) for each in wanted[:5])
        collect(tmp_path, endpoint, wanted, budget=Budget(most * 1.5))
        routes = [f"{request['method']} {request['path']}" for request in server.requests]
    assert routes.index("GET /v1/files/file-1/content") < len(routes) - 1 - routes[::-1].index("POST /v1/batches")
    assert len(lines(tmp_path)) == 10


def test_what_a_resumed_batch_did_cost_counts_before_more_is_submitted(tmp_path):
    """A batch of an earlier go is settled first: where it used up the budget, nothing more is created, and its replies are kept."""
    with ApiServer(other_faults=on("GET /v1/batches/batch_0", *BROKEN)) as server:
        endpoint = asked_over(server.url, price=(1.0, 0.5, 2.0))
        with pytest.raises(StopError):
            collect(tmp_path, endpoint, wanted_of(endpoint, 5))
        wanted = wanted_of(endpoint, 6)
        most = Asking(endpoint, 4, None, Budget()).most_cost(wanted[5].prompt)
        with pytest.raises(BudgetError, match=r"\$0\.0000 are spent"):
            collect(tmp_path, endpoint, wanted, budget=Budget(most + 19e-6))
        assert submitted(server) == 1
        assert len(lines(tmp_path)) == 5
        collect(tmp_path, endpoint, wanted, budget=Budget(most))
    assert len(lines(tmp_path)) == 6


def test_a_refused_key_stops_at_once_and_names_its_variable(tmp_path, monkeypatch):
    """A 401 is not tried again; the error names the environment variable, never the key."""
    monkeypatch.setenv("SOME_KEY", "sk-never-shown-anywhere")
    refuses = status(401, message="bad key sk-never-shown-anywhere")
    with ApiServer(other_faults=lambda number, route: refuses) as server:
        endpoint = asked_over(server.url, api_key_env="SOME_KEY")
        with pytest.raises(StopError, match=r"upload of requests: .*SOME_KEY") as caught:
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert len(server.requests) == 1
    assert "sk-never" not in str(caught.value)
    assert not notes(tmp_path).exists()


def test_a_batch_that_is_refused_leaves_nothing_behind(tmp_path):
    """Where the server refuses to create a batch, it is not noted, and the next go starts afresh."""
    with ApiServer(other_faults=on("POST /v1/batches", status(400, message="no such endpoint"))) as server:
        endpoint = asked_over(server.url)
        with pytest.raises(StopError, match="creation of a batch: HTTP 400: no such endpoint"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert not notes(tmp_path).exists()
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
    assert len(lines(tmp_path)) == 10


def test_a_second_model_is_not_mixed_in(tmp_path):
    """Replies of a model that answers under another name than before are not recorded, and the batch stays noted."""
    with ApiServer(faults=first(None, other_model("m-2"))) as server:
        endpoint = asked_over(server.url)
        with pytest.raises(StopError, match=r"'m' answered as 'm(-2)?' now, and as 'm(-2)?' before"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 2))
    assert len({reply.answered_by for reply in lines(tmp_path)}) == 1
    assert notes(tmp_path).exists()


# Trouble on the wire


@pytest.mark.parametrize(
    "faults",
    [
        on("POST /v1/files", status(500), RESET),
        on("POST /v1/batches", RESET),  # it was created, and the reply is lost
        on("POST /v1/batches", status(500)),  # it was not
        on("POST /v1/batches", HTML),
        on("GET /v1/batches/batch_0", RESET, limited(0)),
        on("GET /v1/batches/batch_0", HTML, Fault(content={"id": "batch_0"})),
        on("GET /v1/files/file-1/content", cut(), cut(seen=False)),
        on("GET /v1/files/file-1/content", HTML, status(503)),
    ],
)
def test_passing_trouble_is_waited_out_and_nothing_submitted_twice(tmp_path, faults):
    """Errors, resets and damaged replies at any step are tried again; there is one batch, and every reply is recorded."""
    with ApiServer(other_faults=faults) as server:
        endpoint = asked_over(server.url)
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert len(batches(server)) == 1
        assert set(server.prompts.values()) == {1}
    assert len(lines(tmp_path)) == 10


def test_a_server_that_never_answers_is_given_up(tmp_path):
    """Each step has a wall limit, and a number of attempts."""
    with ApiServer(other_faults=lambda number, route: HANG if "/batches" in route else None) as server:
        endpoint = asked_over(server.url, timeout=0.05, attempts=2)
        with pytest.raises(StopError, match=r"no reply within 0\.05 s"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 2))
        assert server.count["/v1/batches"] == 2
    assert notes(tmp_path).exists()


def test_a_long_wait_asked_for_is_told_and_not_waited(tmp_path):
    """A server that asks to wait longer than the patience stops the go, which says when to go on; the batch is found again."""
    with ApiServer(other_faults=on("GET /v1/batches/batch_0", limited(3600))) as server:
        endpoint = asked_over(server.url)
        with pytest.raises(StopError, match=r"asks to wait 3600 s .* Go on after \d{4}-.* UTC.*is noted in .*batches\.json"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 2))
        collect(tmp_path, endpoint, wanted_of(endpoint, 2))
        assert len(batches(server)) == 1
    assert len(lines(tmp_path)) == 2


# Taken up again


def stopped(folder: Path, server: ApiServer, endpoint: Endpoint, count: int) -> None:
    """A go that ends while its batch runs: three looks at it bring errors."""
    server.other_faults = on("GET /v1/batches/batch_0", *BROKEN)
    with pytest.raises(StopError, match="batch batch_0: HTTP 500"):
        collect(folder, endpoint, wanted_of(endpoint, count))


def test_a_cancelled_go_says_so_and_is_resumed(tmp_path):
    """Ctrl-C while a batch runs ends the go at once; the next one collects the same batch."""
    said = []
    with ApiServer(batches=[BatchPlan(polls=3)]) as server:
        endpoint = asked_over(server.url)
        task: list[asyncio.Task] = []

        def cancel(text: str) -> None:
            said.append(text)
            if "in_progress" in text:
                task[0].cancel()

        async def work() -> None:
            task.append(asyncio.current_task())
            keeper = Keeper(Asking(endpoint, 4, None, Budget()), recording, "")
            await BatchCollection(keeper, lambda done: None, poll_seconds=POLL, say=cancel).run(wanted_of(endpoint, 10))

        recording = Recording(tmp_path / "task.m.jsonl")
        endpoint.load()
        with recording.writing(), pytest.raises(asyncio.CancelledError):
            endpoint.connection.run(work())
        endpoint.unload()
        assert said[-1] == "1 submitted batches go on at the provider; the same command collects them"
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert len(batches(server)) == 1
    assert len(lines(tmp_path)) == 10


def test_what_was_not_in_the_batch_is_submitted_beside_it(tmp_path):
    """A go that wants more than the batch which runs submits the rest, and only that."""
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        stopped(tmp_path, server, endpoint, 6)
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert submitted(server) == 2
        assert set(server.prompts.values()) == {1}
    assert len(lines(tmp_path)) == 10


def test_replies_that_are_not_wanted_now_stay_with_their_batch(tmp_path):
    """A go that wants a part of a batch takes that part; the rest is there for a later one, and is not asked again."""
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        stopped(tmp_path, server, endpoint, 10)
        said = []
        collect(tmp_path, endpoint, wanted_of(endpoint, 4), say=said.append)
        assert len(lines(tmp_path)) == 4
        assert any("4 replies recorded, 6 left for prompts that are not asked now" in text for text in said)
        collect(tmp_path, endpoint, wanted_of(endpoint, 4))
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert submitted(server) == 1
    assert len(lines(tmp_path)) == 10
    assert not notes(tmp_path).exists()


def test_a_batch_is_looked_for_on_every_page_of_the_list(tmp_path):
    """A batch whose creation was not noted is found on the list's second page, by its file where the server keeps no metadata."""
    page = Fault(content={"data": [{"id": "batch_x", "metadata": None}, "odd", {}], "has_more": True})
    with ApiServer(other_faults=on("POST /v1/batches", HTML)) as server:  # asked for, and perhaps created
        endpoint = asked_over(server.url, attempts=1)
        with pytest.raises(StopError, match="brought something else than the Batch API sends"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        made = {"id": "batch_0", "input_file_id": "file-0"}
        server.other_faults = lambda number, route: (
            {1: page, 2: Fault(content={"data": [made]})}.get(number) if route == "GET /v1/batches" else None
        )
        with pytest.raises(StopError, match=r"batch batch_0: .*HTTP 404.*only if the provider no longer has it, delete that file"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert server.count["/v1/batches"] == 3
        assert submitted(server) == 1


def test_a_batch_at_another_server_is_not_submitted_here(tmp_path):
    """Where the Endpoint's address changed, the error names both, and nothing is asked of the new one."""
    with ApiServer() as server, ApiServer() as other:
        endpoint = asked_over(server.url)
        stopped(tmp_path, server, endpoint, 10)
        with pytest.raises(StopError, match=f"submitted to {server.url} .* now asks {other.url}"):
            collect(tmp_path, asked_over(other.url), wanted_of(endpoint, 10))
        assert other.requests == []


def test_no_batch_is_created_that_cannot_be_noted_or_written(tmp_path, monkeypatch):
    """Where the notes, or the file of requests, cannot be written the error says which, and the server has no batch."""
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        wanted = wanted_of(endpoint, 10)

        def full(*_):
            raise OSError(28, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pytest_distill.ask.batch.notes.write_json", full)
            with pytest.raises(
                RecordingError, match=r"task\.m\.jsonl\.batches\.json: which batches run could not be written: No space left"
            ):
                collect(tmp_path, endpoint, wanted)
        monkeypatch.setattr(collection.tempfile, "TemporaryFile", full)
        with pytest.raises(StopError, match=r"the requests of a batch could not be written below .*: No space left"):
            collect(tmp_path, endpoint, wanted)
        assert batches(server) == []


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"batches": [], "digest": "x"}', None])
def test_damaged_notes_stop_the_go_before_anything_is_asked(tmp_path, damage):
    """Notes that cannot be trusted are an error that names the way out; they are left as they are."""
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        stopped(tmp_path, server, endpoint, 10)
        content = notes(tmp_path).read_bytes()
        notes(tmp_path).write_bytes(content[: len(content) // 2] if damage is None else damage)
        before, count = notes(tmp_path).read_bytes(), len(server.requests)
        with pytest.raises(StopError, match=r"task\.m\.jsonl\.batches\.json is damaged.*a second time\. Restore it"):
            collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert notes(tmp_path).read_bytes() == before
        assert len(server.requests) == count


def test_no_flipped_bit_changes_what_is_noted(tmp_path):
    """Wherever in the notes a bit flips, it is noticed, or says the same."""
    with ApiServer() as server:
        endpoint = asked_over(server.url)
        stopped(tmp_path, server, endpoint, 2)
    content = notes(tmp_path).read_bytes()
    noted = Notes(tmp_path / "task.m.jsonl").batches
    noticed = 0
    for at in range(len(content)):
        notes(tmp_path).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert Notes(tmp_path / "task.m.jsonl").batches == noted
        except StopError:
            noticed += 1
    assert noticed > len(content) / 2


# Killed

GO = "import sys; from tests.test_batch import go; go(*sys.argv[1:])"


def go(url: str, folder: str, ends: str) -> None:
    """A go in a process of its own, which says on its output that it has come to the place where it ends, and stays there."""

    def stay(*_: object) -> None:
        print("there", flush=True)
        time.sleep(600)

    endpoint = asked_over(url, timeout=600)
    if ends == "in the lines":
        write, collection.GROUP = Recording.write, 2
        Recording.write = lambda self, reply: stay() if len(self) == 7 else write(self, reply)  # type: ignore[method-assign]
    elif ends.startswith("after"):
        Notes.remove = stay  # type: ignore[method-assign]
    collect(Path(folder), endpoint, wanted_of(endpoint, 10))


@pytest.mark.parametrize(
    ("ends", "fault", "waits_for", "uploads", "creations_and_lists"),
    [
        ("in the upload", on("POST /v1/files", HANG), "/v1/files", 2, 1),
        ("before the creation", on("POST /v1/batches", Fault(content={}, wire="hang")), "/v1/batches", 2, 3),
        ("once it is created", on("POST /v1/batches", HANG), "/v1/batches", 1, 2),
        ("while it runs", on("GET /v1/batches/batch_0", HANG), "/v1/batches/batch_0", 1, 1),
        ("in the download", on("GET /v1/files/file-1/content", HANG), "/v1/files/file-1/content", 1, 1),
        ("in the lines", on(""), "", 1, 1),
        ("after the lines", on(""), "", 1, 1),
        ("after all", on(""), "", 1, 1),
    ],
)
def test_a_killed_go_is_taken_up_where_it_ended(tmp_path, ends, fault, waits_for, uploads, creations_and_lists):
    """Killed at any step, the next go leaves one batch, each prompt asked once, and every reply in the recording once."""
    faults = first() if ends == "after all" else first(status(400))  # a failure is not written a second time either
    with ApiServer(other_faults=fault, faults=faults) as server:
        command = [sys.executable, "-c", GO, server.url, str(tmp_path), ends]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            if waits_for:
                deadline = time.monotonic() + 60
                while not server.count[waits_for] and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert server.count[waits_for] == 1
            else:
                assert process.stdout.readline() == b"there\n"
            process.kill()
        endpoint = asked_over(server.url)
        collect(tmp_path, endpoint, wanted_of(endpoint, 10))
        assert (server.count["/v1/files"], server.count["/v1/batches"]) == (uploads, creations_and_lists)
        assert len(batches(server)) == 1
        assert set(server.prompts.values()) == {1}
    assert len(lines(tmp_path)) == 10
    assert not notes(tmp_path).exists()
