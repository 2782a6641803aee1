"""A groatd that says what a test tells it to."""

import contextlib
import json
import os
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Optional
from unittest import mock

TOKEN = {
    "access_token": "t0ken",
    "token_type": "Bearer",
    "expires_at": 1785602400,
    "expires_in": 838,
    "profile": "work",
    "header": "Authorization: Bearer t0ken",
}


class Groatd:
    """Listens at a socket, and has answer return what to send for each line; None closes the connection."""

    def __init__(self, path: str, answer: Callable[["Groatd", dict[str, Any]], Optional[bytes]]) -> None:
        self.path, self._answer = path, answer
        self.requests: list[dict[str, Any]] = []
        self.connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                answer = self._answer(self, request)
                if answer is None:
                    return
                connection.sendall(answer)

    def hang_up(self) -> None:
        """Ends every connection, as a groatd that is restarted."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()


def result(request: dict[str, Any], value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": value}).encode() + b"\n"


def error(request: dict[str, Any], code: int, message: str, **data: Any) -> bytes:
    value = {"code": code, "message": message, "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": value}).encode() + b"\n"


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[str]:
    """An empty home, with these variables and no others; it yields the directory."""
    with tempfile.TemporaryDirectory(prefix="groat-", dir="/tmp") as home:
        given = {"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": "/nowhere", "GROAT_NO_AUTOSTART": "1", **variables}
        given = {name: value.replace("~", home) for name, value in given.items() if value}
        with mock.patch.dict(os.environ, given, clear=True):
            yield home


@contextlib.contextmanager
def groatd(answer: Callable[[Groatd, dict[str, Any]], Optional[bytes]]) -> Iterator[Groatd]:
    """A stand-in that the module finds."""
    with environment(GROAT_SOCKET="~/s") as home:
        server = Groatd(os.path.join(home, "s"), answer)
        try:
            yield server
        finally:
            server.close()


def shown(e: Optional[BaseException]) -> str:
    """What a logger with capture_locals has of an exception and of what led to it, but for the tests' own frames."""
    text = ""
    while e is not None:
        text += repr(e) + repr(vars(e))
        for frame, line in traceback.walk_tb(e.__traceback__):
            if os.path.dirname(frame.f_code.co_filename) != os.path.dirname(__file__):
                text += f"\n{frame.f_code.co_name}:{line} {frame.f_locals!r}"
        e = e.__cause__ or e.__context__
    return text
