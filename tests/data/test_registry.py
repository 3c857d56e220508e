"""Downloads and local copies are used only if their bytes are the pinned ones."""

import gzip
import hashlib
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from allyouneed.data.datasets import DATASETS, Dataset, File
from allyouneed.data.registry import find, get, get_dataset, list_datasets, status
from allyouneed.errors import UserError

CONTENT = b"All the world's a stage. " * 40_000  # a megabyte: several reads
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_BLOB = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/error":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"/truncated": CONTENT[:-1000], "/corrupted": CONTENT[:-1] + b"!"}.get(self.path, CONTENT)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def dataset(server):
    def make(path="/good", **pins):
        pins = pins or {"sha256": SHA256, "size": len(CONTENT)}
        server.asked.clear()
        file = File("input.txt", f"http://127.0.0.1:{server.server_port}{path}", **pins)
        return Dataset("plays", (file,), "public domain", "a play")

    return make


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The folder that ALLYOUNEED_DATA names, with one for the data set in it."""
    monkeypatch.setenv("ALLYOUNEED_DATA", str(tmp_path / "given"))
    folder = tmp_path / "given" / "plays"
    folder.mkdir(parents=True)
    return folder


def left_behind(cache):
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize(
    "pins",
    [{"sha256": SHA256, "size": len(CONTENT)}, {"sha256": SHA256}, {"git_blob": GIT_BLOB}],
    ids=["sha256 and size", "sha256", "git blob"],
)
def test_a_download_is_verified_and_happens_once(dataset, server, cache, pins):
    plays = dataset(**pins)
    assert status(plays) == "not here"
    folder = get_dataset(plays)
    assert (folder / "input.txt").read_bytes() == CONTENT
    assert get_dataset(plays) == folder
    assert server.asked == ["/good"]
    assert status(plays) == "cached"
    assert left_behind(cache) == [folder / "input.txt"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/truncated", "only 999000 of 1000000 bytes"), ("/corrupted", "its sha256 is"), ("/error", "answers 503")],
)
def test_a_bad_download_is_refused_by_name_and_leaves_nothing(dataset, cache, path, reason):
    with pytest.raises(UserError, match=f"input.txt.*{reason}|{path}.*input.txt.*{reason}"):
        get_dataset(dataset(path))
    assert left_behind(cache) == []


@pytest.mark.parametrize("path", ["/truncated", "/corrupted"])
def test_a_git_blob_pin_refuses_too(dataset, cache, path):
    with pytest.raises(UserError, match="its git blob id is"):
        get_dataset(dataset(path, git_blob=GIT_BLOB))
    assert left_behind(cache) == []


def test_a_longer_file_is_refused_before_all_of_it_is_read(dataset, cache):
    with pytest.raises(UserError, match="more than 5000 bytes"):
        get_dataset(dataset(sha256=SHA256, size=5000))
    assert left_behind(cache) == []


def test_no_connection_says_so_and_what_to_do(dataset, cache):
    plays = dataset()
    nowhere = replace(plays, files=(replace(plays.files[0], url="http://127.0.0.1:9/input.txt"),))
    with pytest.raises(UserError, match=r"cannot download input.txt .*no connection.*ALLYOUNEED_DATA"):
        get_dataset(nowhere)
    assert left_behind(cache) == []


def test_a_file_damaged_in_the_cache_is_fetched_again(dataset, server):
    path = get_dataset(dataset()) / "input.txt"
    os.truncate(path, 10)
    assert (get_dataset(dataset()) / "input.txt").read_bytes() == CONTENT
    assert server.asked == ["/good"]


@pytest.mark.parametrize("packed", [True, False])
def test_a_given_copy_is_taken_without_the_network(dataset, server, given, packed):
    (given / ("input.txt.gz" if packed else "input.txt")).write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    plays = dataset()
    assert status(plays) == "in ALLYOUNEED_DATA"
    assert (get_dataset(plays) / "input.txt").read_bytes() == CONTENT
    assert server.asked == []
    assert status(plays) == "cached"


TAMPERED = {
    "other content": gzip.compress(CONTENT[:-1] + b"!"),
    "a packed bomb": gzip.compress(bytes(50_000_000)),
    "truncated": gzip.compress(CONTENT)[:-20],
    "not gzip": b"not packed at all",
    "a flipped bit": gzip.compress(CONTENT)[:-6] + b"\xff" + gzip.compress(CONTENT)[-5:],
}


@pytest.mark.parametrize("packed", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_tampered_given_copy_is_refused_by_name_and_leaves_nothing(dataset, server, cache, given, packed):
    (given / "input.txt.gz").write_bytes(packed)
    with pytest.raises(UserError, match=r"plays/input\.txt\.gz .*not.*kept"):
        get_dataset(dataset())
    assert left_behind(cache) == []
    assert server.asked == []


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UserError, match="'tinyshakespear'; did you mean tinyshakespeare"):
        get("tinyshakespear")
    assert find("wikitext-2") in list_datasets()


def test_every_data_set_has_a_licence_and_secure_addresses():
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS) > 10
    for dataset in DATASETS:
        assert dataset.licence
        assert dataset.about
        assert all(file.url.startswith("https://") for file in dataset.files)
        assert len({file.path for file in dataset.files}) == len(dataset.files)


def test_a_file_has_exactly_one_pin():
    with pytest.raises(ValueError, match=r"input.txt needs exactly one pin"):
        File("input.txt", "https://example.org")
    with pytest.raises(ValueError, match="exactly one pin"):
        File("input.txt", "https://example.org", sha256=SHA256, git_blob=GIT_BLOB)
