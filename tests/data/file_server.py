"""A file server on this machine that behaves well, or badly in the ways that real ones do."""

import hashlib
import io
import re
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

from dermseg.data.catalogue.entries import RemoteFile
from dermseg.data.transfer import Patience

Answer = Callable[["Handler", bytes], None]

PIECE = 200


class FileServer(ThreadingHTTPServer):
    """Serves `files`; the first answers are those of `script`, the later ones are right.

    After every `PIECE` bytes it pauses for `pace` seconds. `ranges` are the Range headers of the requests
    so far, None where there was none.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: list[Answer] = []
        self.ranges: list[str | None] = []
        self.pace = 0.0
        self.over = threading.Event()

    def __enter__(self) -> "FileServer":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def offer(self, name: str, content: bytes, images: int = 0, **facts: object) -> RemoteFile:
        """Serve a file and return what a catalogue would know of it."""
        self.files[name] = content
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        known = {"size": len(content), "checksum": checksum, "urls": (self.url(name),), **facts}
        return RemoteFile(name=name, images=images, **known)


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        content = self.server.files.get(self.path.lstrip("/"))
        self.server.ranges.append(self.headers.get("Range"))
        answer = self.server.script.pop(0) if self.server.script else right
        with suppress(ConnectionError):
            status(404)(self, b"") if content is None else answer(self, content)

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass

    def first(self, content: bytes) -> int:
        """First byte asked for, as a server does it that honours Range and If-Range."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked and self.headers.get("If-Range") == etag(content) else 0


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def right(handler: Handler, content: bytes, sent: int | None = None) -> None:
    """Answer as HTTP wants it; with `sent`, only that many bytes of the body."""
    start, size = handler.first(content), len(content)
    if start >= size:
        handler.head(416, Content_Range=f"bytes */{size}", Content_Length=0)
        return
    headers = {"ETag": etag(content), "Content_Length": size - start}
    if start:
        headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
    handler.head(206 if start else 200, **headers)
    body = content[start:][:sent]
    for first in range(0, len(body), PIECE):
        handler.wfile.write(body[first : first + PIECE])
        time.sleep(handler.server.pace)


def breaks_after(sent: int) -> Answer:
    return lambda handler, content: right(handler, content, sent)


def stalls_after(sent: int) -> Answer:
    def answer(handler: Handler, content: bytes) -> None:
        right(handler, content, sent)
        handler.wfile.flush()
        handler.server.over.wait(10)

    return answer


def status(code: int) -> Answer:
    return lambda handler, _: handler.head(code, Content_Length=0)


def ignores_ranges(handler: Handler, content: bytes) -> None:
    handler.head(200, Content_Length=len(content))
    handler.wfile.write(content)


def ignores_conditions(handler: Handler, content: bytes) -> None:
    """Send the range asked for, whatever version it was asked of."""
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.head(206, Content_Range=span, ETag=etag(content), Content_Length=len(content) - start)
    handler.wfile.write(content[start:])


def sends_another_range(handler: Handler, content: bytes) -> None:
    span = f"bytes 0-{len(content) - 1}/{len(content)}"
    handler.head(206, Content_Range=span, ETag=etag(content), Content_Length=len(content))
    handler.wfile.write(content)


def without_version(handler: Handler, content: bytes) -> None:
    """Send any range, and nothing that tells one version from another."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start, size = int(asked[1]) if asked else 0, len(content)
    span = {"Content_Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
    handler.head(206 if start else 200, Content_Length=size - start, **span)
    # Never at once, so that there is something to go on with.
    handler.wfile.write(content[start:][: size // 2])


def trickles(handler: Handler, content: bytes) -> None:
    """Send a byte now and then, so that no timeout ever passes."""
    handler.head(200, ETag=etag(content), Content_Length=len(content))
    for first in range(len(content)):
        handler.wfile.write(content[first : first + 1])
        if handler.server.over.wait(0.02):
            return


def absurd_numbers(handler: Handler, content: bytes) -> None:
    digits = "9" * 5000
    code = 206 if "Range" in handler.headers else 200
    handler.head(code, Content_Range=f"bytes {digits}-{digits}/{digits}", Content_Length=digits)
    handler.wfile.write(content)


def redirects_to(name: str) -> Answer:
    return lambda handler, _: handler.head(302, Location=handler.server.url(name), Content_Length=0)


def web_page(handler: Handler, content: bytes) -> None:
    page = b"<html>Please log in</html>"
    handler.head(200, Content_Type="text/html; charset=utf-8", Content_Length=len(page))
    handler.wfile.write(page)


def without_length(handler: Handler, content: bytes) -> None:
    handler.head(200, ETag=etag(content))
    handler.wfile.write(content)


def quick(attempts: int = 3, pauses: list[float] | None = None, timeout: float = 60.0) -> Patience:
    """Patience for tests: pauses are noted, not made, and a busy machine is no reason for a timeout."""
    noted = [] if pauses is None else pauses
    return Patience(timeout=timeout, attempts=attempts, pause=noted.append)


def archive_of(folder: str, names: list[str]) -> bytes:
    """Pack an archive as the challenge offers it: a folder with pictures and a licence."""
    picture = io.BytesIO()
    Image.new("L", (6, 4), "white").save(picture, "PNG")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{folder}/LICENSE.txt", "free")
        for name in names:
            archive.writestr(f"{folder}/{name}", picture.getvalue())
    return packed.getvalue()
