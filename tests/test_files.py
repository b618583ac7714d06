"""Durable writes and digests."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import files

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_canonical_json_is_sorted_tight_ascii():
    """Keys are sorted, blanks are left out and everything beyond ASCII is escaped, a lone surrogate too."""
    assert files.canonical_json({"b": [1, 2.5, None], "a": "ü\ud800"}) == b'{"a":"\\u00fc\\ud800","b":[1,2.5,null]}'


@given(st.dictionaries(st.text(), JSON, max_size=5))
@settings(max_examples=60, deadline=None)
def test_equal_values_have_equal_digests(value):
    """The order in which keys were put in decides nothing, and the bytes read back as the same value."""
    backwards = dict(reversed(value.items()))
    assert files.digest(value) == files.digest(backwards)
    assert json.loads(files.canonical_json(value)) == value


def test_digests_are_sha256():
    """A digest is sha256:<64 hex> over the canonical bytes, pinned so that stored ones stay valid."""
    assert files.digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert files.digest([1, "a"]) != files.digest([1, "b"])


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}])
def test_nan_has_no_digest(value):
    """NaN and infinity are refused, not written as something that is no JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.digest(value)
    with pytest.raises(TypeError):
        files.digest({"a": {1, 2}})


def test_file_and_folder_digests(tmp_path):
    """A file's digest covers its bytes; a folder's are those of its files by name, without its folders."""
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "c").mkdir()
    assert files.file_digest(tmp_path / "b") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert list(files.folder_digests(tmp_path)) == ["a", "b"]
    assert files.folder_digests(tmp_path)["a"] == files.file_digest(tmp_path / "a")


def test_write_whole_replaces_and_makes_folders(tmp_path):
    """The new content takes the old one's place, folders are made, and nothing else is left."""
    path = tmp_path / "deep" / "er" / "file"
    files.write_whole(path, b"old")
    files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    """Where syncing or renaming fails, the error comes through, the old content stays, and no temporary file is left."""
    path = tmp_path / "file"
    files.write_whole(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_json_is_readable_ascii(tmp_path):
    """JSON files are indented ASCII with a newline at their end, and NaN never reaches the disk."""
    files.write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert (tmp_path / "x.json").read_bytes() == b'{\n  "b": 1,\n  "a": "\\u00e9"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", float("nan"))
    assert (tmp_path / "x.json").read_bytes().startswith(b"{")


def test_publish_folder_moves_all_or_nothing(tmp_path):
    """A finished folder appears under its name with all it holds; where another stands there, both stay as they are."""
    first, second, target = (tmp_path / name for name in ("first", "second", "target"))
    for folder in (first, second):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    files.publish_folder(first, target)
    assert not first.exists()
    with pytest.raises(OSError, match="target"):
        files.publish_folder(second, target)
    assert ((target / "file").read_text(), (second / "file").read_text()) == ("first", "second")


def test_a_text_has_one_digest_whatever_wrote_its_line_ends(tmp_path):
    """CR LF and a byte order mark do not change the digest of a text; a changed letter does."""
    (tmp_path / "a").write_bytes(b"one\ntwo\n")
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    (tmp_path / "c").write_bytes(b"one\ntwp\n")
    digests = [files.text_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0] == files.file_digest(tmp_path / "a")
