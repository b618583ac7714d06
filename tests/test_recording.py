"""Recordings: what is appended comes back, a crash costs one line at most, and damage never goes unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.errors import RecordingError
from pytest_distill.recording import Recording, Reply, reply_key

REPLY = Reply("k0", "row-0", "big", "yes", "answered", 12, 1, "2026-11-22T10:00:00Z")


def replies(n: int, start: int = 0) -> list[Reply]:
    return [replace(REPLY, key=f"k{k}", id=f"row-{k}", text=f"text {k} é") for k in range(start, start + n)]


def write(path, found: list[Reply]) -> Recording:
    recording = Recording(path)
    with recording.writing():
        recording.append(found)
    return recording


def test_replies_come_back_by_key(tmp_path):
    """A recording that is opened again holds the very replies, and none under another key."""
    written = write(tmp_path / "deep" / "r.jsonl", replies(3))
    read = Recording(written.path)
    assert [read.get(f"k{k}") for k in range(3)] == [written.get(f"k{k}") for k in range(3)] == replies(3)
    assert (len(read), read.get("k3")) == (3, None)


def test_a_missing_file_is_an_empty_recording(tmp_path):
    """Reading a recording that is not there finds nothing and makes no file."""
    assert len(Recording(tmp_path / "r.jsonl")) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_last_reply_of_a_key_counts(tmp_path):
    """Where a key was recorded twice, the later reply is replayed and both lines stay in the file."""
    path = tmp_path / "r.jsonl"
    write(path, [REPLY, replace(REPLY, text="later")])
    assert Recording(path).get("k0").text == "later"
    assert path.read_bytes().count(b"\n") == 2


def test_lines_are_ascii_json_with_a_digest(tmp_path):
    """A line is one ASCII JSON object with all fields and a 16-digit digest; its form is pinned so that recordings stay valid."""
    write(tmp_path / "r.jsonl", [replace(REPLY, text="é\n")])
    data = (tmp_path / "r.jsonl").read_bytes()
    assert data.isascii()
    assert json.loads(data) == {
        "at": "2026-11-22T10:00:00Z", "id": "row-0", "key": "k0", "model": "big", "outcome": "answered", "sha": "f099220becb53a68",
        "text": "é\n", "tokens_in": 12, "tokens_out": 1,
    }  # fmt: skip


ANY = st.text(st.characters() | st.sampled_from("\ud800\udfff\ud83d\ude00\n\r\x00\u2028"))


@given(ANY, ANY)
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back(tmp_path_factory, text, name):
    """Any text round-trips, lone surrogates and line breaks included (two halves of a pair come back as their character)."""
    path = tmp_path_factory.mktemp("text") / "r.jsonl"
    write(path, [replace(REPLY, text=text, id=name), replace(REPLY, key="k1")])
    joined = [value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for value in (text, name)]
    assert Recording(path).get("k0") == replace(REPLY, text=joined[0], id=joined[1])
    assert len(Recording(path)) == 2


@pytest.mark.parametrize("cut", [1, 2, 60])
def test_a_torn_last_line_is_set_aside(tmp_path, cut):
    """A last line that a crash cut short is passed over by a reader; the next to write moves it to .quarantine and goes on from there."""
    path = tmp_path / "r.jsonl"
    write(path, replies(3))
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    recording, aside = Recording(path), tmp_path / "r.jsonl.quarantine"
    recording.read()
    assert (len(recording), path.read_bytes(), aside.exists()) == (2, data[:-cut], False)
    lines = data.splitlines(keepends=True)
    with recording.writing():
        assert (len(recording), path.read_bytes()) == (2, lines[0] + lines[1])
        assert aside.read_bytes() == lines[2][:-cut] + b"\n"
        recording.append(replies(1, start=2))
    assert path.read_bytes() == data
    assert [Recording(path).get(f"k{k}") for k in range(3)] == replies(3)


def test_a_line_in_mid_write_is_left_to_its_writer(tmp_path):
    """Reading while another process writes a line takes nothing from it; once the line is whole it is read."""
    path = tmp_path / "r.jsonl"
    write(path, replies(3))
    data = path.read_bytes()
    path.write_bytes(data[:-40])
    reader = Recording(path)
    assert (len(reader), [found.name for found in tmp_path.iterdir() if "quarantine" in found.name]) == (2, [])
    with path.open("ab") as file:
        file.write(data[-40:])
    reader.read()
    assert [reader.get(f"k{k}") for k in range(3)] == replies(3)


def test_a_damaged_last_line_is_set_aside_too(tmp_path):
    """A last line that ends properly but does not match its digest is no reply, and the next to write sets it aside as well."""
    path = tmp_path / "r.jsonl"
    write(path, replies(2))
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[1].replace(b"text 1", b"text 9")
    path.write_bytes(lines[0] + damaged)
    recording, aside = Recording(path), tmp_path / "r.jsonl.quarantine"
    assert (len(recording), path.read_bytes(), aside.exists()) == (1, lines[0] + damaged, False)
    with recording.writing():
        assert (len(recording), path.read_bytes()) == (1, lines[0])
    assert aside.read_bytes().startswith(damaged)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_never_replayed(tmp_path_factory, data):
    """Whichever bit of an earlier line flips, reading raises RecordingError with path:line, unless the line still says the same."""
    path = tmp_path_factory.mktemp("flip") / "r.jsonl"
    write(path, replies(3))
    content = bytearray(path.read_bytes())
    first = content.index(b"\n")
    second = content.index(b"\n", first + 1)
    at = data.draw(st.integers(0, second - 1).filter(lambda at: at != first))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        read = Recording(path)
    except RecordingError as error:
        assert f"{path}:{1 if at < first else 2}: the line is damaged" in str(error)
    else:
        assert [read.get(f"k{k}") for k in range(3)] == replies(3)
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"sha": "x", "key": NaN}', b'{"key": "k9"}', b"\xff"])
def test_a_foreign_line_is_damage(tmp_path, line):
    """A blank line, other JSON and no JSON at all in the middle of a recording are named with their line."""
    path = tmp_path / "r.jsonl"
    write(path, replies(2))
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, lines[1], b""]))
    with pytest.raises(RecordingError) as caught:
        Recording(path)
    assert f"{path}:2: the line is damaged" in str(caught.value)
    assert "delete that line" in str(caught.value)


APPEND = """
import sys
from pathlib import Path
from pytest_distill.recording import Recording
from tests.test_recording import replies
recording = Recording(Path(sys.argv[1]))
for k in range(int(sys.argv[2]), 100, 2):
    with recording.writing():
        recording.append(replies(1, start=k))
"""


def test_two_processes_append_to_one_recording(tmp_path):
    """Two processes that write in turn lose and tear nothing, and each sees on entry what the other wrote."""
    path = tmp_path / "r.jsonl"
    children = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(start)]) for start in (0, 1)]
    assert [child.wait(60) for child in children] == [0, 0]
    early = Recording(path)
    assert sorted(path.read_bytes().splitlines()) == sorted(set(path.read_bytes().splitlines()))
    assert [early.get(f"k{k}") for k in range(100)] == replies(100)
    write(path, replies(1, start=100))
    assert early.get("k100") is None
    with early.writing():
        assert early.get("k100") is not None


def test_a_key_covers_all_that_was_asked():
    """Model, prompt and limit each change the key, which is pinned so that recordings stay valid."""
    key = reply_key("sha256:m", "prompt", 10)
    assert key == "63e4793b3cdde7a8336bafbdee5d523a"
    assert len({key, reply_key("sha256:n", "prompt", 10), reply_key("sha256:m", "prompt ", 10), reply_key("sha256:m", "prompt", 11)}) == 4
