"""A file arrives whole and right, or not at all, whatever the server does."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from file_server import (
    Answer,
    FileServer,
    Handler,
    absurd_numbers,
    breaks_after,
    etag,
    ignores_conditions,
    ignores_ranges,
    quick,
    redirects_to,
    sends_another_range,
    stalls_after,
    status,
    trickles,
    web_page,
    without_length,
    without_version,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dermseg.data import transfer
from dermseg.data.transfer import UnreachableError, fetch
from dermseg.errors import DataError

CONTENT = bytes(range(256)) * 64
OLD = b"o" * len(CONTENT)
"""Another version of the same size."""


class Heard:
    """An observer that notes what it hears."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.reasons: list[str] = []

    def moved(self, done: int, _total: int | None) -> None:
        self.done.append(done)

    def checked(self, done: int, total: int) -> None:
        assert done <= total

    def retries(self, reason: str, *_: int) -> None:
        self.reasons.append(reason)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


def partial_of(target: Path, content: bytes, version: bytes, url: str) -> None:
    """Leave what a killed run leaves."""
    target.with_name("a.zip.part").write_bytes(content)
    state = {"url": url, "validator": etag(version), "total": len(version)}
    target.with_name("a.zip.part.json").write_text(json.dumps(state), "utf-8")


def arrived(target: Path) -> bool:
    """Say whether the file is there, right, and nothing else."""
    return target.read_bytes() == CONTENT and [path.name for path in target.parent.iterdir()] == ["a.zip"]


def test_a_file_arrives_and_progress_is_told(server, target):
    heard = Heard()
    fetch(server.offer("a.zip", CONTENT), target, heard, quick())
    assert arrived(target)
    assert heard.done[-1] == len(CONTENT)
    assert server.ranges == [None]


@pytest.mark.parametrize("sent", [0, 1, 5000, len(CONTENT) - 1])
def test_a_broken_connection_is_resumed_where_it_ended(server, target, sent):
    server.script = [breaks_after(sent)]
    heard = Heard()
    fetch(server.offer("a.zip", CONTENT), target, heard, quick())
    assert arrived(target)
    assert server.ranges == [None, f"bytes={sent}-" if sent else None]
    assert len(heard.reasons) == 1


def test_a_connection_that_stalls_is_resumed(server, target):
    server.script = [stalls_after(5000)] * 2
    heard = Heard()
    fetch(server.offer("a.zip", CONTENT), target, heard, quick(attempts=20, timeout=0.4))
    assert arrived(target)
    assert "timed out" in heard.reasons


def test_attempts_are_counted_only_while_nothing_comes(server, target, monkeypatch):
    monkeypatch.setattr(transfer, "WORTH", 1000)
    server.script = [breaks_after(1000)] * 12
    fetch(server.offer("a.zip", CONTENT), target, Heard(), quick(attempts=2))
    assert arrived(target)
    assert server.ranges[:3] == [None, "bytes=1000-", "bytes=2000-"]


def test_a_run_that_was_interrupted_goes_on(server, target):
    remote = server.offer("a.zip", CONTENT)

    class Interrupts(Heard):
        def moved(self, done: int, _total: int | None) -> None:
            if done:
                raise KeyboardInterrupt

    server.script = [stalls_after(3000)]
    with pytest.raises(KeyboardInterrupt):
        fetch(remote, target, Interrupts(), quick())
    assert not target.exists()
    begun = target.with_name("a.zip.part").stat().st_size
    assert 0 < begun <= 3000
    fetch(remote, target, Heard(), quick())
    assert arrived(target)
    assert server.ranges == [None, f"bytes={begun}-"]


def test_a_run_that_was_killed_goes_on(server, target):
    server.script = [stalls_after(6000)]
    remote = server.offer("a.zip", CONTENT)
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from pathlib import Path\nfrom test_transfer import Heard\n"
        "from dermseg.data.catalogue.entries import RemoteFile\nfrom dermseg.data.transfer import fetch\n"
        f"fetch({remote!r}, Path({str(target)!r}), Heard())"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    part = target.with_name("a.zip.part")
    for _ in range(600):
        if part.exists() and part.stat().st_size == 6000:
            break
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait(30)
    assert not target.exists()
    fetch(remote, target, Heard(), quick())
    assert arrived(target)
    assert server.ranges[-1] == "bytes=6000-"


class TestVersions:
    def test_a_file_that_changed_in_between_is_not_stitched(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        partial_of(target, b"old" * 1000, OLD, server.url("a.zip"))
        fetch(remote, target, Heard(), quick())
        assert arrived(target)
        assert server.ranges == ["bytes=3000-"]

    def test_a_server_that_sends_another_version_all_the_same(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        partial_of(target, b"old" * 1000, OLD, server.url("a.zip"))
        server.script = [ignores_conditions]
        fetch(remote, target, Heard(), quick())
        assert arrived(target)
        assert server.ranges == ["bytes=3000-", None]

    @pytest.mark.parametrize("answer", [ignores_ranges, sends_another_range])
    def test_a_server_that_cannot_send_ranges(self, server, target, answer):
        partial_of(target, CONTENT[:3000], CONTENT, server.url("a.zip"))
        remote = server.offer("a.zip", CONTENT)
        server.script = [answer]
        fetch(remote, target, Heard(), quick())
        assert arrived(target)

    @pytest.mark.parametrize("begun", [0, 3000])
    def test_absurd_numbers_in_headers(self, server, target, begun):
        remote = server.offer("a.zip", CONTENT)
        if begun:
            partial_of(target, CONTENT[:begun], CONTENT, server.url("a.zip"))
        server.script = [absurd_numbers]
        fetch(remote, target, Heard(), quick())
        assert arrived(target)

    def test_a_complete_part_only_gets_its_name(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        partial_of(target, CONTENT, CONTENT, server.url("a.zip"))
        heard = Heard()
        fetch(remote, target, heard, quick())
        assert arrived(target)
        assert heard.done == []

    def test_a_part_longer_than_the_file_is_thrown_away(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        partial_of(target, CONTENT + b"x", CONTENT, server.url("a.zip"))
        fetch(remote, target, Heard(), quick())
        assert arrived(target)

    @pytest.mark.parametrize(
        "state", ["", "[]", "{", '{"url": "U", "validator": 1}', '{"url": "U", "validator": "\\n"}']
    )
    def test_a_part_of_unknown_version_is_not_used(self, server, target, state):
        remote = server.offer("a.zip", CONTENT)
        partial_of(target, b"unknown", CONTENT, server.url("a.zip"))
        target.with_name("a.zip.part.json").write_text(state.replace("U", server.url("a.zip")), "utf-8")
        fetch(remote, target, Heard(), quick())
        assert arrived(target)
        assert server.ranges == [None]

    def test_without_a_version_the_checksum_settles_what_was_stitched(self, server, target):
        server.script = [without_version] * 3
        fetch(server.offer("a.zip", CONTENT), target, Heard(), quick())
        assert arrived(target)
        assert server.ranges[1] == f"bytes={len(CONTENT) // 2}-"

    def test_without_a_version_and_a_checksum_nothing_is_stitched(self, server, target):
        server.script = [without_version]
        fetch(server.offer("a.zip", CONTENT, checksum=None), target, Heard(), quick())
        assert arrived(target)
        assert server.ranges == [None, None]

    def test_without_a_version_another_size_gives_it_away(self, server, target):
        remote = server.offer("a.zip", CONTENT, size=None)
        partial_of(target, OLD[:3000], OLD + b"x", server.url("a.zip"))
        server.script = [without_version]
        fetch(remote, target, Heard(), quick())
        assert arrived(target)


class TestRoutes:
    def test_a_redirection_is_followed_also_when_a_download_goes_on(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        server.files["stored.zip"] = CONTENT
        server.script = [
            redirects_to("stored.zip"),
            breaks_after(3000),
            redirects_to("stored.zip"),
        ]
        fetch(remote, target, Heard(), quick())
        assert arrived(target)
        assert server.ranges == [None, None, "bytes=3000-", "bytes=3000-"]

    def test_a_proxy_is_used_as_the_environment_says(self, server, target, monkeypatch):
        monkeypatch.setenv("http_proxy", server.url(""))
        monkeypatch.delenv("no_proxy", raising=False)
        # urllib reads the environment once.
        monkeypatch.setattr(urllib.request, "_opener", None)
        address = "http://far.away.invalid/a.zip"
        remote = server.offer(address, CONTENT, urls=(address,))
        fetch(remote, target, Heard(), quick())
        assert arrived(target)


class TestRefusals:
    def test_wrong_bytes_never_get_the_final_name(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        server.files["a.zip"] = b"\xff" + CONTENT[1:]
        with pytest.raises(DataError, match=r"a\.zip has another checksum than sha256:.*deleted"):
            fetch(remote, target, Heard(), quick())
        assert list(target.parent.iterdir()) == []

    def test_a_file_of_another_size_is_refused_before_it_is_loaded(self, server, target):
        remote = server.offer("a.zip", CONTENT)
        server.files["a.zip"] = CONTENT + b"more"
        with pytest.raises(DataError, match=r"offers 16,388 bytes where 16,384 were expected"):
            fetch(remote, target, Heard(), quick())
        assert list(target.parent.iterdir()) == []

    def test_a_login_page_is_refused_and_costs_nothing(self, server, target):
        remote = server.offer("a.zip", CONTENT, size=None)
        partial_of(target, CONTENT[:3000], CONTENT, server.url("a.zip"))
        server.script = [web_page]
        with pytest.raises(DataError, match="web page in its place"):
            fetch(remote, target, Heard(), quick())
        fetch(remote, target, Heard(), quick())
        assert arrived(target)
        assert server.ranges[-1] == "bytes=3000-"

    def test_the_next_address_is_asked_where_a_file_is_gone(self, server, target):
        remote = server.offer("a.zip", CONTENT, urls=(server.url("gone.zip"), server.url("a.zip")))
        fetch(remote, target, Heard(), quick())
        assert arrived(target)

    def test_a_file_that_no_address_has_is_named_with_the_addresses(self, server, target):
        urls = (server.url("gone.zip"), server.url("lost.zip"))
        remote = server.offer("a.zip", CONTENT, urls=urls)
        with pytest.raises(DataError, match=rf"a\.zip .*{urls[0]} answers 404.*{urls[1]} answers 404"):
            fetch(remote, target, Heard(), quick())

    def test_a_full_disk_is_noticed_before_the_download(self, server, target, monkeypatch):
        monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
        with pytest.raises(DataError, match=r"0\.0 GB free, and a\.zip needs 0\.0 GB.*make room"):
            fetch(server.offer("a.zip", CONTENT), target, Heard(), quick())
        assert not target.exists()


class TestEnds:
    @pytest.mark.parametrize("code", [500, 503, 429])
    def test_a_busy_server_is_asked_again_after_longer_and_longer_pauses(self, server, target, code):
        server.script = [status(code)] * 3
        pauses: list[float] = []
        fetch(server.offer("a.zip", CONTENT), target, Heard(), quick(attempts=4, pauses=pauses))
        assert arrived(target)
        assert pauses == [1, 2, 4]

    def test_a_server_that_stays_down_is_given_up(self, server, target):
        server.script = [status(500)] * 9
        with pytest.raises(UnreachableError, match=r"answers 500.*3 attempts without progress"):
            fetch(server.offer("a.zip", CONTENT), target, Heard(), quick())
        assert len(server.ranges) == 3

    def test_a_server_that_always_stalls_is_given_up_and_what_came_is_kept(self, server, target):
        server.script = [stalls_after(100)] * 9
        with pytest.raises(UnreachableError, match=r"timed out.* attempts without progress"):
            fetch(server.offer("a.zip", CONTENT), target, Heard(), quick(attempts=3, timeout=0.3))
        assert CONTENT.startswith(target.with_name("a.zip.part").read_bytes())
        assert not target.exists()

    def test_a_connection_that_always_breaks_is_given_up_and_what_came_is_kept(self, server, target):
        server.script = [breaks_after(100)] * 9
        with pytest.raises(UnreachableError, match=r"200 bytes are kept in .*a\.zip\.part"):
            fetch(server.offer("a.zip", CONTENT), target, Heard(), quick(attempts=2))
        assert target.with_name("a.zip.part").read_bytes() == CONTENT[:200]
        assert not target.exists()

    def test_a_server_that_trickles_counts_as_stalled(self, server, target, monkeypatch):
        monkeypatch.setattr(transfer, "SLOW", 0.005)
        server.script = [trickles] * 2
        heard = Heard()
        fetch(server.offer("a.zip", CONTENT), target, heard, quick())
        assert arrived(target)
        assert all("all but stalled after" in reason for reason in heard.reasons)

    def test_no_connection(self, server, target):
        remote = server.offer("a.zip", CONTENT, urls=("http://127.0.0.1:9/a.zip",))
        with pytest.raises(UnreachableError, match="refused"):
            fetch(remote, target, Heard(), quick())


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_server_that_states_no_length(server, target, size):
    server.script = [without_length]
    fetch(server.offer("a.zip", CONTENT, size=size), target, Heard(), quick())
    assert arrived(target)


def test_a_file_without_public_facts_is_taken_as_it_comes(server, target):
    fetch(server.offer("a.zip", CONTENT, size=None, checksum=None), target, Heard(), quick())
    assert arrived(target)


def test_md5_is_compared_too(server, target):
    remote = server.offer("a.zip", CONTENT, checksum="md5:" + etag(CONTENT).strip('"').upper())
    fetch(remote, target, Heard(), quick())
    assert arrived(target)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_is_no_reason_to_try_again(server, target):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"a\.zip\.part cannot be written .*make room"):
            fetch(server.offer("a.zip", CONTENT), target, Heard(), quick())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not target.exists()
    fetch(server.offer("a.zip", CONTENT), target, Heard(), quick())
    assert arrived(target)
    assert server.ranges == [None, "bytes=5000-"]


ANSWERS = st.one_of(
    st.integers(0, len(CONTENT)).map(breaks_after),
    st.sampled_from([500, 503, 429]).map(status),
    st.sampled_from([ignores_ranges, sends_another_range, without_version, without_length, absurd_numbers]),
)


@settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(script=st.lists(ANSWERS, max_size=6), changes=st.integers(0, 6))
def test_whatever_a_server_does_the_file_is_right_or_absent(script, changes):
    """Let a server misbehave in any order, and have another version of the file until some moment."""
    with FileServer() as server, TemporaryDirectory() as folder:
        target = Path(folder) / "a.zip"
        remote = server.offer("a.zip", CONTENT)
        server.files["a.zip"] = OLD if changes else CONTENT

        def changing(answer: Answer, number: int) -> Answer:
            def answered(handler: Handler, content: bytes) -> None:
                answer(handler, content)
                if number + 1 == changes:
                    server.files["a.zip"] = CONTENT

            return answered

        server.script = [changing(answer, number) for number, answer in enumerate(script)]
        for _ in range(3):
            try:
                fetch(remote, target, Heard(), quick())
                break
            except DataError:
                assert not target.exists()
                server.files["a.zip"] = CONTENT
        else:
            server.script = []
            fetch(remote, target, Heard(), quick())
        assert arrived(target)
