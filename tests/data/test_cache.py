"""Files are there whole or not at all."""

import errno
import os

import pytest

from allyouneed.data.cache import atomic_file, atomic_write, cache_dir, cached_text, make_folder
from allyouneed.errors import UserError


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path / "named"))
    assert cache_dir() == tmp_path / "named"
    monkeypatch.delenv("ALLYOUNEED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "allyouneed"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "allyouneed"


def test_writing_makes_the_folder_and_replaces_the_file(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    atomic_write(path, b"old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fail():
        with atomic_file(path) as file:
            file.write(b"half of the n")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "not permitted")])
def test_a_full_disk_is_said_with_the_path_and_loses_nothing(tmp_path, monkeypatch, number, reason):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fsync(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match=f"{path}: .*{reason}.*Nothing that was there before is lost"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_in_the_place_of_a_folder_is_an_error_that_says_so(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match=r"taken: a file of that name is in the way"):
        make_folder(tmp_path / "taken")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes().replace(b"kept", b"lost")),
        lambda path: path.unlink(),
    ],
)
def test_a_kept_text_is_made_once_and_again_when_it_is_damaged(tmp_path, damage):
    path, made = tmp_path / "a" / "text", []

    def make():
        made.append(1)
        return "ü is kept\nas it is"

    assert cached_text(path, make) == cached_text(path, make) == "ü is kept\nas it is"
    assert len(made) == 1
    damage(path)
    assert cached_text(path, make) == "ü is kept\nas it is"
    assert len(made) == 2
