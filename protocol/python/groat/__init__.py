"""Access tokens of groat for Python programs.

groat keeps OAuth access tokens fresh on this machine: a person signs in once ("groat login work"), and every program
asks groatd, a small daemon, for a token that works. This module asks it over its Unix socket:

    import groat
    groat.token("work")     # an access token, from groatd's memory where it can
    groat.header("work")    # {"Authorization": "Bearer …"}

It keeps no token: ask before each request, which takes less than a tenth of a millisecond. Where groatd does not run,
it is started by the program groat. Only the standard library is imported; every other package is imported by the
function that is named after it. The file works as a copy, too.

Every function may be called from any thread. The names that begin with async_ are for a coroutine of asyncio and do
not block its loop. A process that was forked has connections of its own. All times are Unix seconds, all durations
seconds. Every failure is an Error, whose str() is what happened and, on a second line, what to type next.

PROTOCOL.md of groat says what is sent.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):
    raise ImportError("groat needs Python 3.9 or a later one")

import json
import os
import socket
import time
from _thread import allocate_lock  # threading's, without its import, which takes a fifth of all
from _weakref import ref  # weakref's, likewise

TYPE_CHECKING = False  # typing costs a fifth of the module's time to import
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from typing import Any, NoReturn, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = [
    "Auth",
    "ConfigError",
    "Denied",
    "Error",
    "InternalError",
    "KeystoreUnavailable",
    "Locked",
    "LoginRequired",
    "ProtocolError",
    "SignIn",
    "Temporary",
    "Token",
    "UnknownProfile",
    "Unreachable",
    "UsageError",
    "async_get",
    "async_header",
    "async_reject",
    "async_request",
    "async_session",
    "async_token",
    "auth",
    "earthscope",
    "gdal_env",
    "get",
    "get_async_session",
    "get_session",
    "google_credentials",
    "header",
    "load_ipython_extension",
    "login",
    "login_finish",
    "login_start",
    "logout",
    "planet_auth",
    "profiles",
    "ready",
    "reject",
    "request",
    "session",
    "status",
    "storage_options",
    "token",
    "unlock",
    "whoami",
]

# 1. Errors.


class Error(Exception):
    """What went wrong, and what to type next.

    str() is at most two lines: what happened, and the hint. A notebook shows these two alone, without a stack. It can
    be pickled. No error holds a secret, and its traceback ends at the function that was called.

    kind         the protocol's word, for programs to test: "login_required", "temporary", …
    hint         a command to type next, or ""
    retry_after  seconds after which it is worth asking again, or None where nobody knows
    code         the protocol's number where groatd answered, or None
    data         all else that groatd said of it, as in PROTOCOL.md, "Errors"
    """

    kind: str = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = _line(message), _line(hint)
        super().__init__(self.message, self.hint)
        self.retry_after: int | None = None
        self.code: int | None = None
        self.data: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, {self.hint!r})"

    def __str__(self) -> str:
        return self.message + ("\nhint: " + self.hint if self.hint else "")

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a stack: those that groat writes to stderr."""
        hint = _as_typed(self.hint)
        return ["groat: error: " + self.message] + (["groat: hint: " + hint] if hint else [])


class LoginRequired(Error):
    """A person must sign in: there is no credential, or the authorization server does not accept it any more."""

    kind = "login_required"


class Temporary(Error):
    """The authorization server, or the network, does not do its part now. Try again after retry_after seconds."""

    kind = "temporary"


class Denied(Error):
    """The person's own rules forbid it, or a token may not go where a request goes."""

    kind = "denied"


class Locked(Error):
    """A person must unlock the keystore."""

    kind = "locked"


class UnknownProfile(Error):
    """There is no such profile, none for this address, or more than one to choose from."""

    kind = "unknown_profile"


class ConfigError(Error):
    """The configuration cannot be used, or the authorization server does not take what it says."""

    kind = "config"


class KeystoreUnavailable(Error):
    """The keystore does not answer, or none is chosen."""

    kind = "keystore_unavailable"


class InternalError(Error):
    """A bug, or a kind of error that this version does not know."""

    kind = "internal"


class UsageError(Error, ValueError):
    """A parameter is missing, of another type or out of its bounds."""

    kind = "usage"


class Unreachable(Error):
    """No groatd can be asked: none runs and none can be started, it does not answer, or it is another user's."""

    kind = "unreachable"


class ProtocolError(Error):
    """What came back is no answer of this protocol, or groatd is of another version. The connection is closed."""

    kind = "protocol"


class _Closed(Unreachable):
    """groatd ended the connection before it answered. The request may have been carried out."""


_KINDS: dict[str, type[Error]] = {
    c.kind: c
    for c in (LoginRequired, Temporary, Denied, Locked, UnknownProfile, ConfigError, KeystoreUnavailable, InternalError)
}
_USAGE, _NO_METHOD, _NO_JSON = -32602, -32601, -32700  # JSON-RPC 2.0, section 5.1


def _refusal(error: dict[str, Any]) -> Error:
    """The exception for the error object of an answer."""
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if type(code) is not int or not isinstance(message, str):
        raise ValueError("an error without code and message")
    if not isinstance(data, dict):
        data = {}
    kind, hint = data.get("kind"), data.get("hint")
    made: Error
    if code == _NO_METHOD:
        made = ProtocolError("the groatd that runs is of another version and does not know this", "groat restart")
    elif isinstance(kind, str):
        made = _KINDS.get(kind, InternalError)(message)
        made.kind = kind
    else:
        made = (UsageError if code == _USAGE else ProtocolError)(message)
    if isinstance(hint, str):
        made.hint = _line(hint)
    made.code, made.data, made.retry_after = code, data, _whole(data.get("retry_after"))
    if isinstance(data.get("network"), dict):
        _other_network(made, data["network"])
    return made


def _other_network(made: Error, network: dict[str, Any]) -> None:
    """Says, beside a connection's error, where groatd's way to servers is not this process's."""
    import shlex

    def theirs(setting: str) -> str:
        value = network.get(setting)
        return str(value.get("value") or "") if isinstance(value, dict) else ""

    def ours(*names: str) -> tuple[str, str]:
        return next(((name, os.environ[name]) for name in names if os.environ.get(name)), ("", ""))

    setting, hint = "", ""
    if made.hint.startswith("groat network set ca_file "):  # a certificate that nothing vouches for
        variable, path = ours("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        if os.path.isfile(path) and os.path.abspath(path) != theirs("ca_file"):
            setting, hint = "ca_file", "groat network set ca_file " + shlex.quote(os.path.abspath(path))
    else:
        variable, url = ours("https_proxy", "HTTPS_PROXY")
        scheme, found, rest = url.rpartition("://")
        user, at, host = rest.rstrip("/").rpartition("@")
        shown = (scheme.lower() if found else "http") + "://" + host
        if url and shown != theirs("proxy"):
            # A proxy that takes a password is not for a file: groatd has it from the environment of its start.
            setting, hint = "proxy", made.hint if at else "groat network set proxy " + shlex.quote(shown)
    if not setting:
        return
    since = min(_whole(network.get("started_at")) or 0, 1 << 32)
    began = time.strftime(" since %Y-%m-%d %H:%M", time.localtime(since)) if since else ""
    used = f"uses {theirs(setting)} instead" if theirs(setting) else "does not use it"
    made.message += _line(f" ({variable} is set here; groatd runs{began} with an environment of its own and {used})")
    made.hint = _line(hint)


def _whole(value: object) -> int | None:
    """A number of JSON that is whole, or None: true and false are numbers in Python."""
    return value if type(value) is int else None


# What is printable and cannot be seen: other default-ignorable characters and variation selectors, as Unicode's
# PropList.txt has them, and a symbol without ink.
_UNSEEN = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
)  # fmt: skip
_MOST_MARKS = 4  # on one character: scripts need three, and more would cover other lines


def _line(text: str) -> str:
    """The text as one line of what can be seen, which cannot steer a terminal."""
    if text.isascii() and text.isprintable():
        return text
    from unicodedata import category

    line, marks = "", 0
    for c in text:
        marks = marks + 1 if category(c)[0] == "M" else 0
        seen = c.isprintable() and marks <= _MOST_MARKS and not any(low <= ord(c) <= high for low, high in _UNSEEN)
        line += c if seen else " " if c in "\r\n\t" else "\ufffd"
    return line


class _Secret(str):
    """A secret that is not shown by repr(), which is what logs, notebooks and debuggers have of it, and not pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'\u2026'"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return str, ("",)

    def __copy__(self) -> _Secret:
        return self

    def __deepcopy__(self, memo: object) -> _Secret:
        return self

    def __getitem__(self, key: Any) -> str:
        return _Secret(str.__getitem__(self, key))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return _SecretBytes(str.encode(self, encoding, errors))


class _SecretBytes(bytes):
    """Is _Secret in bytes, which is what httpx has of a header."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'\u2026'"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return bytes, (b"",)

    def __copy__(self) -> _SecretBytes:
        return self

    def __deepcopy__(self, memo: object) -> _SecretBytes:
        return self

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return _Secret(bytes.decode(self, encoding, errors))


def _public(function: _F) -> _F:
    """Has a function raise its errors, and interrupts, as if they began here.

    The frames of what it called have secrets, which logs and debuggers show (cgitb, Sentry, capture_locals, %debug);
    so has an exception that led to another one. A bug of this module is shown whole.
    """
    import functools  # json has it already

    def strip(e: BaseException) -> BaseException:
        if isinstance(e, Exception) and not isinstance(e, Error):
            return e
        e.__cause__ = e.__context__ = None
        return e.with_traceback(None)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as e:
            failure = strip(e)
        del args, kwargs
        try:
            raise failure
        finally:
            del failure

    async def async_call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except BaseException as e:
            failure = strip(e)
        del args, kwargs
        try:
            raise failure
        finally:
            del failure

    is_async = function.__code__.co_flags & 0x80  # inspect.CO_COROUTINE
    made: _F = functools.wraps(function)(async_call if is_async else call)  # type: ignore[assignment]
    return made


# 2. The socket's place: PROTOCOL.md, "Transport".

_MAC = sys.platform == "darwin"
_LONGEST_SOCKET = 103
_VARIABLES = (
    "GROAT_SOCKET",
    "GROAT_CONFIG",
    "GROAT_STATE_DIR",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
)


def _clean(path: str) -> str:
    """The path without ".", ".." and needless slashes. No link is followed."""
    path = os.path.normpath(path)
    return path[1:] if path.startswith("//") else path


def _absolute(path: str | None) -> bool:
    return path is not None and path.startswith("/")


class _Place:
    """The three paths that a caller works with: each place has a groatd of its own."""

    def __init__(self, home: str, configuration: str, state: str) -> None:
        self.home, self.configuration, self.state = home, configuration, state

    @property
    def paths(self) -> tuple[str, str, str]:
        return self.home, self.configuration, self.state

    @property
    def id(self) -> str:
        import hashlib

        return hashlib.sha256(b"".join(os.fsencode(p) + b"\0" for p in self.paths)).hexdigest()[:16]

    def is_also(self, other: _Place) -> bool:
        """Whether the other is the same place, perhaps by other names (a home of an automounter)."""
        return all(p == q or _same_file(p, q) for p, q in zip(self.paths, other.paths))


def _same_file(p: str, q: str) -> bool:
    """Whether two paths lead to one file, or to the same name in one directory where there is none yet."""
    for _ in range(64):
        try:
            return os.path.samefile(p, q)
        except OSError:
            if os.path.lexists(p) or os.path.lexists(q) or os.path.basename(p) != os.path.basename(q):
                return False
        p, q = os.path.dirname(p), os.path.dirname(q)
    return False


def _home_of(uid: int) -> str | None:
    """The home that /etc/passwd names."""
    for fields in _database("/etc/passwd"):
        if len(fields) > 5 and fields[2] == str(uid):
            return fields[5] if _absolute(fields[5]) else None
    return None


def _database(path: str) -> Iterator[list[str]]:
    """The lines of passwd(5) or group(5), in fields. Users of a network are not in them."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                yield line.rstrip("\r\n").split(":")
    except FileNotFoundError:
        return


def _place_of(env: Mapping[str, str | None], uid: int) -> _Place:
    """The place that an environment leads to."""
    home = env.get("HOME")
    if not _absolute(home):
        home = _home_of(uid)
    if not home:
        raise ConfigError(
            "HOME is not an absolute path, and /etc/passwd does not have this user",
            f"HOME=/var/tmp/home-{uid} groat status",
        )
    home = _clean(home)
    configuration = os.path.join(home, ".config", "groat")
    state = os.path.join(home, ".local", "state", "groat")
    if _MAC:
        state = os.path.join(home, "Library", "Application Support", "groat")
    base = env.get("XDG_CONFIG_HOME")
    if base and _absolute(base):
        configuration = os.path.join(_clean(base), "groat")
    base = env.get("XDG_STATE_HOME")
    if base and _absolute(base) and not _MAC:
        state = os.path.join(_clean(base), "groat")
    named = env.get("GROAT_CONFIG")
    if named:
        configuration = _clean(_must_be_absolute("GROAT_CONFIG", named))
        if os.path.basename(configuration) == "config.toml":
            configuration = os.path.dirname(configuration)
    named = env.get("GROAT_STATE_DIR")
    if named:
        state = _clean(_must_be_absolute("GROAT_STATE_DIR", named))
    return _Place(home, configuration, state)


def _must_be_absolute(variable: str, path: str) -> str:
    if not _absolute(path):
        raise ConfigError(f"{variable} is {path!r}, which is not an absolute path", f"unset {variable}")
    return path


class _Files:
    """A file system as one user sees it; the vectors of places bring their own."""

    def __init__(
        self,
        uid: int,
        gid: int,
        lstat: Callable[[str], Any] = os.lstat,
        readlink: Callable[[str], str] = os.readlink,
    ) -> None:
        self.uid, self.gid, self.lstat, self.readlink = uid, gid, lstat, readlink

    def walk(self, path: str) -> Any:
        """What lstat says of the deepest directory on the way to path that is there.

        It raises an OSError where another user could put something else in the place of the path: each directory on
        the way, also over links, belongs to the user or to root and is written by nobody else, but for root's sticky
        ones.
        """
        at, rest, entry, links = "/", path, self.lstat("/"), 0
        root = entry.st_uid
        while True:
            sticky = entry.st_mode & 0o1000 and entry.st_uid in (0, root)
            if entry.st_uid not in (self.uid, 0, root) or not sticky and self.others_write(entry):
                raise PermissionError(f"{at} may be changed by others")
            name, _, rest = rest.lstrip("/").partition("/")
            if not name:
                return entry
            following = _clean(os.path.join(at, name))  # also for "..": there is no link in at
            try:
                found = self.lstat(following)
            except FileNotFoundError:
                return entry
            kind = found.st_mode & 0o170000
            if kind == 0o040000:
                at, entry = following, found
            elif kind == 0o120000:
                links += 1
                if links > 40 or found.st_uid not in (self.uid, 0, root):
                    raise PermissionError(f"{following} is a link of another user, or one of too many")
                target = self.readlink(following)
                at, rest = ("/" if _absolute(target) else at), target + "/" + rest
                entry = self.lstat(at)
            else:
                return entry

    def others_write(self, entry: Any) -> bool:
        mode = entry.st_mode
        return bool(mode & 0o002) or bool(mode & 0o020) and not self.is_private_group(entry.st_gid)

    def is_private_group(self, gid: int) -> bool:
        """Whether the group is the one that only this user is in: many systems give each user one."""
        if self.uid == 0 or gid != self.gid:
            return False
        users = [f for f in _database("/etc/passwd") if len(f) > 3]
        name = next((f[0] for f in users if f[2] == str(self.uid)), None)
        groups = [f for f in _database("/etc/group") if len(f) > 2 and f[2] == str(gid)]
        if any(len(f) > 3 and f[3] not in ("", name) for f in groups):
            return False
        if any(f[3] == str(gid) and f[2] != str(self.uid) for f in users):
            return False
        return self.uid == gid or any(f[0] == name for f in groups)

    def is_usable(self, parent: str, directory: str, private: bool) -> bool:
        """Whether sockets may be in the directory; private: what it is in must be the user's alone."""
        if len(os.fsencode(directory)) > _LONGEST_SOCKET - len("/d.0123456789abcdef/agent.sock"):
            return False
        try:
            if parent == directory:  # the state directory, which may have to be made
                self.walk(directory)
                return True
            above = self.lstat(parent)
            self.walk(parent)
            if private:
                mode = above.st_mode
                shared = mode & 0o002 or mode & 0o1000 and mode & 0o020
                if above.st_uid != self.uid or mode & 0o170000 != 0o040000 or shared:
                    return False
            try:
                return bool(self.lstat(directory).st_uid == self.uid)
            except FileNotFoundError:
                entry, root = self.walk(directory), self.lstat("/").st_uid
                return bool(entry.st_uid == self.uid or entry.st_mode & 0o1000 and entry.st_uid in (0, root))
        except OSError:
            return False


def _candidates(uid: int, env: Mapping[str, str | None], place: _Place) -> Iterator[tuple[str, str, bool]]:
    """The directories that sockets may be in, in order: what each is in, itself, and whether that must be private."""
    if _MAC:
        caches = os.path.join(place.home, "Library", "Caches")
        yield caches, os.path.join(caches, "groat"), False
    else:
        usual = f"/run/user/{uid}"
        runtime = env.get("XDG_RUNTIME_DIR")
        if runtime and _absolute(runtime) and _clean(runtime) != usual:
            yield _clean(runtime), os.path.join(_clean(runtime), "groat"), True
        yield usual, usual + "/groat", True
        temporary = env.get("TMPDIR") or "/tmp"
        if _absolute(temporary):
            yield _clean(temporary), os.path.join(_clean(temporary), f"groat-{uid}"), False
    yield place.state, place.state, False


def _sockets(files: _Files, env: Mapping[str, str | None], place: _Place) -> tuple[str, str]:
    """The place's own socket, and the plain one, which may be another place's."""
    for parent, directory, private in _candidates(files.uid, env, place):
        if files.is_usable(parent, directory, private):
            return os.path.join(directory, "d." + place.id, "agent.sock"), os.path.join(directory, "agent.sock")
    raise ConfigError(
        f"every path for a socket is longer than {_LONGEST_SOCKET} bytes or in a directory that others may change, "
        f"the last one {place.state}",
        f"GROAT_STATE_DIR=/var/tmp/groat-state-{files.uid} groat status",
    )


class _Route:
    """Where the groatd of an environment is looked for."""

    def __init__(self, env: Mapping[str, str | None]) -> None:
        uid = os.geteuid()
        self.explicit = env.get("GROAT_SOCKET") or ""
        self.place: _Place | None = None
        try:
            self.place = _place_of(env, uid)
        except ConfigError:
            if not self.explicit:
                raise
        if self.explicit:
            _must_be_absolute("GROAT_SOCKET", self.explicit)
            if len(os.fsencode(self.explicit)) > _LONGEST_SOCKET:
                raise ConfigError(
                    f"GROAT_SOCKET is longer than {_LONGEST_SOCKET} bytes, which is what the system allows",
                    "unset GROAT_SOCKET",
                )
            self.own = self.plain = self.explicit
        else:
            assert self.place is not None
            self.own, self.plain = _sockets(_Files(uid, os.getegid()), env, self.place)
        # A socket that is named alone is meant whatever its place is: a container's, or another machine's.
        alone = self.explicit and not env.get("GROAT_CONFIG") and not env.get("GROAT_STATE_DIR")
        self.place_id = "" if alone or self.place is None else self.place.id

    def reach(self) -> _Connection | None:
        """A connection to the groatd of the place, or None where none runs."""
        if self.explicit:
            return _dial(self.explicit, self.place_id)
        return _dial(self.own, self.place_id) or self._reach_plain() or self._reach_holder()

    def _reach_plain(self) -> _Connection | None:
        found = _dial(self.plain, self.place_id)
        if found is None:
            return None
        try:
            found.call("hello", None, _ANSWER_TIME)
            return found
        except Error as e:
            found.close()
            if "place" in e.data:
                return None
            raise

    def _reach_holder(self) -> _Connection | None:
        """A connection to the groatd that the lock of the state directory names, or None."""
        holder = self._holder()
        if holder is None:
            return None
        path, place_id = holder
        try:
            found = _dial(path, place_id)
            if found is not None:
                found.call("hello", None, _ANSWER_TIME)
            return found
        except (Error, OSError):
            return None

    def _holder(self) -> tuple[str, str] | None:
        """What the lock says of this place: a socket, and the place's id by the names that its groatd has for it."""
        if self.place is None:
            return None
        mine = os.geteuid()
        try:
            directory = os.lstat(self.place.state)
            if directory.st_uid != mine or directory.st_mode & 0o170077 != 0o040000:
                return None
            lock = os.open(os.path.join(self.place.state, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                entry = os.fstat(lock)
                if entry.st_uid != mine or entry.st_mode & 0o170022 != 0o100000:
                    return None
                record = _parse(os.read(lock, 32 << 10))
            finally:
                os.close(lock)
            boot = ""
            if not _MAC:
                with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
                    boot = f.read().strip()
        except (OSError, ValueError):
            return None
        here = record.get("host") == (socket.gethostname() or "localhost") and record.get("boot", "") == boot
        theirs, path = record.get("place"), record.get("socket")
        if not here or not isinstance(theirs, dict) or not isinstance(path, str) or not _absolute(path):
            return None
        place = _Place(*(str(theirs.get(name, "")) for name in ("home", "configuration", "state")))
        return (path, place.id) if self.place.is_also(place) else None


# 3. The connection.

_LONGEST_LINE = 65536
_CHUNK = 16384
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
_CONNECT_TIME, _ANSWER_TIME, _START_TIME = 3.0, 10.0, 60.0
# What may be asked once more where the connection ended before the answer.
_REPEATABLE = frozenset(("hello", "token", "reject", "status", "profiles", "providers", "whoami", "warnings"))
# Pauses before a request is repeated: a groatd that is ending may still take connections.
_PAUSES = 0.05, 0.2
# Connections that are kept for the next call; more are open only while more threads ask at once. As many calls of an
# asyncio loop are under way at once; the others wait for their turn.
_MOST = 16


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON that every parser reads alike."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name twice in one object")
    if not "".join(members).islower() and len({name.lower() for name in members}) != len(members):
        raise ValueError("two names that differ in case only")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name + " is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).raw_decode
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quote = json.encoder.encode_basestring_ascii  # type: ignore[attr-defined] # what _encode does with a str


def _parse(line: bytes) -> dict[str, Any]:
    """The object on a line, or a ValueError."""
    text = line.decode("utf-8").strip(" \t\r\n")
    try:
        value, end = _decode(text)
    except RecursionError:
        raise ValueError("objects in objects without end") from None
    if end != len(text) or not isinstance(value, dict):
        raise ValueError("it is not one object")
    return value


class _Connection:
    """One connection to groatd, for one call after the other. It is not thread-safe.

    As a context manager it is lent for one call: then it waits for the next one, or is closed where half a request may
    have been sent or half an answer read, as after an interrupt.
    """

    def __init__(self, sock: socket.socket, place_id: str) -> None:
        self.sock = sock
        self.client: _Client | None = None  # to whom it is given back
        self.known: Any = None  # what the client has of it
        self._place = f'"place":"{place_id}",' if place_id else ""
        self._id = 0
        self._received = b""

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, kind: object, e: BaseException | None, trace: object) -> None:
        answered = e is None or isinstance(e, Error) and e.code is not None and e.code != _NO_JSON
        if not (answered and self.client is not None and self.client.keep(self)):
            self.close()

    def close(self) -> None:
        if self.client is not None:
            self.client.open.discard(self.known)
        self.sock.close()

    def __del__(self) -> None:
        """Closes what an interrupt left behind, between two steps."""
        self.sock.close()

    def call(
        self, method: str, params: Mapping[str, Any] | None, timeout: float, end: float | None = None
    ) -> dict[str, Any]:
        """Makes one request and returns its result. It takes timeout seconds at most, until end of monotonic()."""
        line, sock = self.ask(method, params), self.sock
        if end is None:
            end = time.monotonic() + timeout
        try:
            if sock.gettimeout() != timeout:
                sock.settimeout(timeout)
            sock.sendall(line, _NO_SIGNAL)
            while True:
                result = self.hear(sock.recv(_CHUNK))
                if result is not None:
                    return result
                left = end - time.monotonic()
                if left <= 0:
                    raise socket.timeout
                sock.settimeout(left)
        except OSError as e:
            raise _broken(e) from None

    async def async_call(self, method: str, params: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
        """Is call for a coroutine of asyncio."""
        import asyncio

        line = self.ask(method, params)
        sock, loop = self.sock, asyncio.get_running_loop()
        sock.setblocking(False)

        async def converse() -> dict[str, Any]:
            await loop.sock_sendall(sock, line)
            while True:
                result = self.hear(await loop.sock_recv(sock, _CHUNK))
                if result is not None:
                    return result
                await asyncio.sleep(0)  # sock_recv does not wait where there is more

        try:
            return await asyncio.wait_for(converse(), timeout)
        except asyncio.TimeoutError:
            raise _broken(socket.timeout()) from None
        except OSError as e:
            raise _broken(e) from None

    def ask(self, method: str, params: Mapping[str, Any] | None) -> bytes:
        """The line of a request, whose answer is what hear then takes."""
        self._id += 1
        body = ",".join([f"{_quote(name)}:{_encode(value)}" for name, value in params.items()]) if params else ""
        text = f'{{"jsonrpc":"2.0","id":{self._id},{self._place}"method":{_quote(method)},"params":{{{body}}}}}\n'
        line = text.encode("ascii")
        if len(line) > _LONGEST_LINE:
            raise UsageError("the request is longer than 64 KiB, and was not sent")
        return line

    def hear(self, chunk: bytes) -> dict[str, Any] | None:
        """Takes what was received, b"" at the end, and returns the result once it is whole."""
        received = self._received + chunk if self._received else chunk
        while True:
            line, newline, rest = received.partition(b"\n")
            if not newline and (chunk or not line):
                break
            self._received = rest
            if len(line) >= _LONGEST_LINE:
                break
            try:
                result = self._answer(_parse(line))
            except Error:  # some are ValueErrors
                raise
            except ValueError as e:
                what = "groatd's answer cannot be read: " if newline else "groatd's answer was cut in the middle: "
                raise ProtocolError(what + str(e).partition(": line ")[0], "groat restart") from None
            if result is not None:
                return result
            received = rest
        if len(line) >= _LONGEST_LINE:
            raise ProtocolError("groatd's answer is longer than 64 KiB", "groat restart")
        if not chunk:
            raise _Closed("groatd ended the connection before it answered", "groat status")
        self._received = received
        return None

    def _answer(self, reply: dict[str, Any]) -> dict[str, Any] | None:
        """The result in a reply; None where it is a notification, which nobody here has asked for."""
        if reply.get("method") is not None:
            return None
        got, error, result = reply.get("id"), reply.get("error"), reply.get("result")
        if type(got) is not int or got != self._id:
            if got is not None or error is None:
                raise ValueError("it is for another request")
        if error is not None:
            if not isinstance(error, dict):
                raise ValueError("its error is no object")
            raise _refusal(error)
        if not isinstance(result, dict):
            raise ValueError("it has neither a result nor an error")
        return result


class _Socket(socket.socket):
    """A socket that ends no program by SIGPIPE, wherever groatd has closed the connection: a script may have it so."""

    def send(self, data: Any, flags: int = 0) -> int:  # asyncio's way
        return super().send(data, flags | _NO_SIGNAL)


def _broken(e: OSError) -> Error:
    """What a failed system call on a connection means."""
    if isinstance(e, (TimeoutError, socket.timeout)):  # one class since Python 3.10
        return Unreachable("groatd does not answer", "groat restart")
    if isinstance(e, ConnectionError):
        return _Closed("groatd ended the connection before it answered", "groat status")
    return Unreachable(f"groatd cannot be asked: {e.strerror or e}", "groat status")


def _dial(path: str, place_id: str) -> _Connection | None:
    """A connection to a socket, or None where nobody listens. Nothing is sent before the server's user is known."""
    sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if sys.platform == "darwin":
            sock.setsockopt(socket.SOL_SOCKET, 0x1022, 1)  # SO_NOSIGPIPE of its sys/socket.h
        sock.settimeout(_CONNECT_TIME)
        end = time.monotonic() + _CONNECT_TIME
        while True:
            try:
                sock.connect(path)
                break
            except BlockingIOError:  # more connect than groatd's queue holds (unix(7))
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        uid = _server_uid(sock)
        if uid != os.geteuid():
            why = f"the socket belongs to another user (uid {uid}): nothing was sent to {path}"
            raise Unreachable(why, _list(path))
        return _Connection(sock, place_id)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as e:
        sock.close()
        why = "it takes no connection" if isinstance(e, (TimeoutError, socket.timeout)) else e.strerror or str(e)
        raise Unreachable(f"groatd cannot be reached at {path}: {why}", _list(path)) from None
    except BaseException:
        sock.close()
        raise


def _list(path: str) -> str:
    """The command that shows what a path is."""
    from shlex import quote

    return "ls -ld " + quote(path)


def _server_uid(sock: socket.socket) -> int:
    """The user that listens at the other end of a connected socket."""
    if sys.platform == "darwin":
        credentials = sock.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
    else:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    if len(credentials) < 8:
        raise OSError("the system does not say who listens")
    return int.from_bytes(credentials[4:8], sys.byteorder)  # in both, the second of the 32-bit members


def _left(end: float) -> float:
    """The seconds until end, and not quite none."""
    return max(end - time.monotonic(), 0.001)


class _Client:
    """The connections of one environment. It is thread-safe: each connection is one call's while it is used."""

    def __init__(self, env: tuple[Any, ...]) -> None:
        self.env = env
        self.idle: list[_Connection] = []  # to append and to pop is atomic
        self.open: set[Any] = set()  # weak references
        self._starting = allocate_lock()
        self._gates: dict[Any, Any] = {}  # a semaphore for each asyncio loop
        self._gates_lock = allocate_lock()  # each loop is another thread's

    def call(self, method: str, params: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
        """Makes a request, within timeout seconds of the moment that groatd is reached."""
        end = time.monotonic() + timeout
        repeatable = method in _REPEATABLE
        connection = self._idle_one() if repeatable else None
        if connection is not None:
            try:
                with connection:
                    return connection.call(method, params, timeout, end)
            except _Closed:
                self.close()  # what is idle is of the groatd that has ended
        pauses = iter(_PAUSES if repeatable else ())
        while True:
            began = time.monotonic()
            try:
                with self._connect() as connection:
                    end += time.monotonic() - began
                    return connection.call(method, params, _left(end), end)
            except _Closed:
                pause = next(pauses, None)
                if pause is None or _left(end) <= pause:
                    raise
            time.sleep(pause)

    async def async_call(self, method: str, params: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
        """Is call for a coroutine of asyncio."""
        import asyncio

        async with self._gate(asyncio.get_running_loop()):
            end = time.monotonic() + timeout
            repeatable = method in _REPEATABLE
            connection = self._idle_one() if repeatable else None
            if connection is not None:
                try:
                    with connection:
                        return await connection.async_call(method, params, timeout)
                except _Closed:
                    self.close()
            pauses = iter(_PAUSES if repeatable else ())
            while True:
                began = time.monotonic()
                try:
                    with await self._async_connect() as connection:
                        end += time.monotonic() - began
                        return await connection.async_call(method, params, _left(end))
                except _Closed:
                    pause = next(pauses, None)
                    if pause is None or _left(end) <= pause:
                        raise
                await asyncio.sleep(pause)

    def _gate(self, loop: Any) -> Any:
        import asyncio

        with self._gates_lock:
            gate = self._gates.get(loop)
            if gate is None:
                self._gates = {known: gate for known, gate in self._gates.items() if not known.is_closed()}
                self._gates[loop] = gate = asyncio.Semaphore(_MOST)
            return gate

    async def _async_connect(self) -> _Connection:
        """Connects in a thread: groatd may have to be started. Where nobody waits any more the connection is closed."""
        import asyncio

        made = asyncio.get_running_loop().run_in_executor(None, self._connect)
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            made.add_done_callback(lambda done: None if done.exception() else done.result().close())
            raise

    def _idle_one(self) -> _Connection | None:
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def keep(self, connection: _Connection) -> bool:
        """Keeps a connection for the next call, if there are not enough and the environment is still this one."""
        if len(self.idle) >= _MOST or _client is not self:
            return False
        self.idle.append(connection)
        return True

    def close(self) -> None:
        """Closes what no call uses."""
        while (connection := self._idle_one()) is not None:
            connection.close()

    def _connect(self) -> _Connection:
        """A new connection, to a groatd that is started where none runs."""
        route = _Route({name: value and os.fsdecode(value) for name, value in zip(_VARIABLES, self.env)})
        found = route.reach()
        if found is None:
            with self._starting:
                found = route.reach()
                if found is None:
                    _start(route)
                    found = route.reach()
        if found is None:
            raise Unreachable(f"groatd does not run at {route.own}", "groat status")
        found.client, found.known = self, ref(found, self.open.discard)
        self.open.add(found.known)
        return found


# How to have groat, and how to have the tokens of another machine's, where there is none.
_INSTALL = "https://github.com/groat-dev/groat/blob/main/packaging/INSTALL.md"
_ELSEWHERE = "https://github.com/groat-dev/groat/blob/main/packaging/ELSEWHERE.md#clusters"


def _start(route: _Route) -> None:
    """Has groatd started by groat, which has the rules for that."""
    if os.environ.get("GROAT_NO_AUTOSTART"):
        hint = "groatd" if _find("groatd") else _ELSEWHERE
        raise Unreachable(f"groatd does not run at {route.plain}, and GROAT_NO_AUTOSTART forbids starting it", hint)
    if _find("groat") is None:
        raise Unreachable(f"groatd does not run, and groat, which starts it, {_NOT_FOUND}", _where_to_get())
    _groat("list")


# What groat's exit codes mean; its README has them.
_CODES: dict[int, type[Error]] = {2: UsageError, 4: LoginRequired, 75: Temporary, 77: Denied, 78: ConfigError}


def _groat(*arguments: str) -> str:
    """What groat prints for a command. It takes 60 s at most; the error that groat ends with is raised."""
    import subprocess

    program = _find("groat")
    if program is None:
        raise Unreachable(f"groat {_NOT_FOUND}", _where_to_get())
    try:
        done = subprocess.run(
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=_START_TIME, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as e:
        raise Unreachable(f"{program} cannot be run: {type(e).__name__}", "groat status") from None
    if done.returncode == 0:
        return os.fsdecode(done.stdout)
    said = dict(line.split(": ", 2)[1:] for line in os.fsdecode(done.stderr).splitlines() if line.count(": ") > 1)
    message, hint = said.get("error", f"{program} ended with {done.returncode}"), said.get("hint", "groat status")
    raise _CODES.get(done.returncode, Unreachable)(message, hint)


def _find(program: str) -> str | None:
    """The path of a program, from the absolute directories of PATH, or from where "make install" puts it.

    A kernel that a desktop started has another PATH than the person's shell. A directory that is not on it counts
    only where nobody else can put something into it.
    """
    uid = os.getuid()
    named = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for directory in [*named, *(os.path.expanduser(directory) for directory in _INSTALLED)]:
        path = os.path.join(directory, program)
        if not (_absolute(directory) and os.path.isfile(path) and os.access(path, os.X_OK)):
            continue
        if directory in named:
            return path
        try:
            _Files(uid, os.getgid()).walk(path)
            if os.stat(path).st_uid in (0, uid):
                return path
        except OSError:
            continue
    return None


_INSTALLED = ("~/.local/bin", "/usr/local/bin")
_NOT_FOUND = "is neither on PATH nor in ~/.local/bin or /usr/local/bin"


def _where_to_get() -> str:
    """The page that helps where there is no groat: a socket that is named may be another machine's."""
    return _ELSEWHERE if os.environ.get("GROAT_SOCKET") else _INSTALL


# The dict below os.environ, whose keys and values are bytes: to look through os.environ for variables that are not set
# takes as long as the exchange with groatd.
_variable: Callable[[Any], Any] = getattr(os.environ, "_data", os.environ).get
_NAMES = tuple(map(os.fsencode, _VARIABLES)) if hasattr(os.environ, "_data") else _VARIABLES

_client: _Client | None = None
_client_lock = allocate_lock()


def _current() -> _Client:
    """The client of this process's environment, as it is now."""
    global _client
    env = tuple(map(_variable, _NAMES))
    client = _client
    if client is not None and client.env == env:
        return client
    with _client_lock:
        if _client is None or _client.env != env:
            client, _client = _client, _Client(env)
            if client is not None:
                client.close()
        return _client


def _after_fork() -> None:
    """Has a forked child leave its parent's connections alone, whose answers are not the child's."""
    global _client, _client_lock
    client, _client, _client_lock = _client, None, allocate_lock()
    if client is not None:
        for known in list(client.open):  # the parent's descriptors stay open
            connection = known()
            if connection is not None:
                connection.sock.close()


os.register_at_fork(after_in_child=_after_fork)


@_public
def request(method: str, params: Mapping[str, Any] | None = None, *, timeout: float = 10) -> dict[str, Any]:
    """Makes any request of PROTOCOL.md and returns its result; timeout bounds it, once groatd is reached.

    It is for what has no function here. A method that this groatd does not know yet is a ProtocolError.
    """
    return _current().call(method, params, timeout)


@_public
async def async_request(method: str, params: Mapping[str, Any] | None = None, *, timeout: float = 10) -> dict[str, Any]:
    """Is request for a coroutine of asyncio."""
    return await _current().async_call(method, params, timeout)


# 4. Tokens.

_DEFAULT_WAIT = 20


class Token:
    """An access token, or an API key, and what is known of it. It is a secret: do not print, log or keep it.

    access_token  the token
    header        the one header to send, as a dict: {"Authorization": "Bearer …"}, or the provider's own
    expires_at    until when it is good, in Unix seconds by this machine's clock; None for an API key without an end
    scope         what it may do, words separated by spaces; "" where the server did not say
    token_type    "Bearer"; "" for an API key
    profile       whose it is
    api           where a target was named: the API that lists it, to all of which the token may be sent; else ""
    static        True for an API key, which is to be sent as header only

    repr() shows no token. It cannot be pickled: what another process needs is the profile's name.
    """

    __slots__ = ("access_token", "api", "expires_at", "header", "profile", "scope", "static", "token_type")

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.access_token: str = _text(result, "access_token")
        name, colon, value = _text(result, "header").partition(": ")
        whole = name.replace("-", "").isalnum() and colon and value.endswith(self.access_token)
        if not (whole and name.isascii() and value.isascii() and value.isprintable()):
            raise ProtocolError("groatd handed out something that is no header field", "groat restart")
        self.header: dict[str, str] = {name: value}
        self.profile: str = result.get("profile", "")
        self.api: str = result.get("api", "")
        self.expires_at = _whole(result.get("expires_at"))
        self.scope: str = result.get("scope", "")
        self.token_type: str = result.get("token_type", "")
        self.static: bool = result.get("static", False)

    def __repr__(self) -> str:
        return f"<groat.Token of profile {self.profile!r}, expires_at={self.expires_at}, scope={self.scope!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a groat.Token is not pickled: give the other process the profile's name")


def _text(result: Mapping[str, Any], member: str) -> str:
    value = result.get(member)
    if not isinstance(value, str) or not value:
        raise ProtocolError("groatd answered with another kind of token than was asked for", "groat restart")
    return value


def _access_token(result: Mapping[str, Any]) -> str:
    if result.get("static"):
        profile = _text(result, "profile")
        raise UsageError(
            f"profile {profile} has an API key, which is no access token: send groat.header({profile!r})",
            f"groat get {profile} --output header",
        )
    return _text(result, "access_token")


def _seconds(name: str, value: Any) -> Any:
    """A parameter that is a number of seconds."""
    try:
        int(value)
    except (TypeError, ValueError, OverflowError):
        value = None
    if value is None or isinstance(value, str):
        raise UsageError(f"{name} is a number of seconds, such as 600")
    return value


def _params(
    profile: str | None,
    min_ttl: int | None,
    scope: str | None,
    audience: str | None,
    target: str | None,
    timeout: float,
    refused: str | Token | None = None,
) -> dict[str, Any]:
    """The parameters of "token" or, with a token that was refused, of "reject"."""
    if profile is None and target is None:
        profile = os.environ.get("GROAT_PROFILE") or None
    params: dict[str, Any] = {}
    if profile is not None:
        params["profile"] = profile
    if target is not None:
        params["target"] = target
    if min_ttl is not None:
        params["min_ttl"] = int(_seconds("min_ttl", min_ttl))
    if scope is not None:
        params["scope"] = scope
    if audience is not None:
        params["audience"] = audience
    if timeout != _DEFAULT_WAIT:
        params["wait"] = -int(-_seconds("timeout", timeout) // 1)  # rounded up
    if refused is not None:
        params["access_token"] = refused.access_token if isinstance(refused, Token) else refused
    return params


def _call(method: str, params: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Asks for a token."""
    client = _current()
    try:
        return client.call(method, params, timeout)
    except UnknownProfile as e:
        chosen = _chosen(e, params)
    return client.call(method, chosen, timeout)


async def _async_call(method: str, params: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Is _call for a coroutine of asyncio."""
    client = _current()
    try:
        return await client.async_call(method, params, timeout)
    except UnknownProfile as e:
        chosen = _chosen(e, params)
    return await client.async_call(method, chosen, timeout)


def _chosen(e: UnknownProfile, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with $GROAT_PROFILE's profile, where it is one of several that list the target; else the error."""
    profile, choices = os.environ.get("GROAT_PROFILE"), e.data.get("choices")
    if "profile" not in params and isinstance(choices, dict):
        if profile and (profile in choices or len(choices) >= _MOST_CHOICES):
            return {**params, "profile": profile}
        if len(choices) > 1 and not e.hint.startswith("groat get --target "):  # which is for a path that is missing
            e.hint = _line("export GROAT_PROFILE=" + min(choices))
    raise e


_MOST_CHOICES = 16  # PROTOCOL.md, "Errors": there may be more


@_public
def get(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> Token:
    """Returns a token with all that is known of it.

    profile   whose; without it $GROAT_PROFILE's, or the only profile there is
    min_ttl   seconds that the token must be good for; where that cannot be kept, the call fails
    scope     words separated by spaces; audience: one; without them the profile's
    target    the URL that the token is for: a profile that does not list it as an API is an UnknownProfile; without a
              profile, it is the one that lists it, of several $GROAT_PROFILE's
    timeout   seconds that groatd may take to obtain a token, 0 to 120; groatd itself has 10 more to answer

    The authorization server is asked once, however many programs wait. It raises LoginRequired, Temporary, Locked,
    UnknownProfile, Unreachable or another Error.
    """
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return Token(_call("token", params, timeout + _ANSWER_TIME))


@_public
def token(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> str:
    """Returns an access token; the parameters and errors are those of get. An API key is a UsageError: use header."""
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return _access_token(_call("token", params, timeout + _ANSWER_TIME))


@_public
def header(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> dict[str, str]:
    """Returns the one header that a request needs; the parameters and errors are those of get."""
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return Token(_call("token", params, timeout + _ANSWER_TIME)).header


@_public
def reject(
    refused: str | Token,
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> Token:
    """Says that an API refused a token (HTTP 401), and returns a better one; the parameters are those it came by.

    A refused token is renewed at most once a minute, whatever the number of programs that complain; where it was
    replaced moments ago the error is Temporary. Call it once for a response, not in a loop.
    """
    params = _params(profile, min_ttl, scope, audience, target, timeout, refused)
    return Token(_call("reject", params, timeout + _ANSWER_TIME))


@_public
async def async_get(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> Token:
    """Is get for a coroutine of asyncio."""
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return Token(await _async_call("token", params, timeout + _ANSWER_TIME))


@_public
async def async_token(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> str:
    """Is token for a coroutine of asyncio."""
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return _access_token(await _async_call("token", params, timeout + _ANSWER_TIME))


@_public
async def async_header(
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> dict[str, str]:
    """Is header for a coroutine of asyncio."""
    params = _params(profile, min_ttl, scope, audience, target, timeout)
    return Token(await _async_call("token", params, timeout + _ANSWER_TIME)).header


@_public
async def async_reject(
    refused: str | Token,
    profile: str | None = None,
    *,
    min_ttl: int | None = None,
    scope: str | None = None,
    audience: str | None = None,
    target: str | None = None,
    timeout: float = _DEFAULT_WAIT,
) -> Token:
    """Is reject for a coroutine of asyncio."""
    params = _params(profile, min_ttl, scope, audience, target, timeout, refused)
    return Token(await _async_call("reject", params, timeout + _ANSWER_TIME))


def status(profile: str | None = None) -> dict[str, Any]:
    """Returns the state of one profile or of all, as PROTOCOL.md, "status", has it. It costs no request to a server."""
    if profile is not None:
        return request("status", {"profile": profile})
    return _pages("status")


def profiles() -> list[dict[str, Any]]:
    """Returns the configured profiles, sorted by name: each a dict with profile, provider, issuer, resources, …"""
    configured: list[dict[str, Any]] = _pages("profiles")["profiles"]
    return configured


def _pages(method: str) -> dict[str, Any]:
    """All pages of a listing as one."""
    whole = page = request(method)
    while page.get("next"):
        after = page["next"]
        page = request(method, {"after": after})
        whole["profiles"] += page["profiles"]
        if page.get("next", "") and page["next"] <= after:
            raise ProtocolError("groatd's pages go round in circles", "groat restart")
    whole.pop("next", None)
    return whole


def ready(profile: str | None = None) -> bool:
    """Whether a token can be had without a person: False where somebody must sign in, unlock or configure something.

    It never prompts. Where nobody can say (the server is down, groatd is unreachable) it raises the error.
    """
    try:
        get(profile)
    except (LoginRequired, Locked, Denied, UnknownProfile, ConfigError, KeystoreUnavailable):
        return False
    return True


# 5. Authentication for requests, httpx, aiohttp and urllib.


class Auth:
    """Has the requests of an HTTP library carry a profile's token: groatd is asked before each of them.

        requests.get(url, auth=groat.auth("work"))              # or session.auth = …
        httpx.Client(auth=groat.auth("work"))                   # and httpx.AsyncClient
        async with groat.auth("work").client_session() as s:    # an aiohttp.ClientSession
        urllib.request.build_opener(groat.auth("work"))

    A token goes only over https, or over http to this machine and past every proxy, and only where the profile lists an
    API: groatd knows. Any other request is not sent: UnknownProfile or Denied says so. A redirect that leaves the API
    is followed without the token. A request that brings a header of the same name is sent as it is. With requests, the
    proxies are those of the environment: give none as proxies for http, which only groat.session would refuse. With
    httpx, a transport of your own that makes a request anew hands on the request's extensions, without which it has no
    token; neither has a request that goes to a proxy by http.

    Where the API answers with 401, groatd is told, and the request is sent once more with the better token, if there is
    one and if its body can be sent again: no body, text or bytes, and with requests and urllib also a file that can be
    rewound. Otherwise the API's answer is returned.

    It holds no token, is thread-safe, and is pickled as what it was made of. A request that is pickled or shown by
    repr(), as with an answer or an error, is without the token.
    """

    handler_order = 490  # among urllib's handlers: before those that open connections

    def __init__(
        self,
        profile: str | None = None,
        min_ttl: int | None = None,
        scope: str | None = None,
        audience: str | None = None,
    ) -> None:
        self.profile = profile
        self._rest = min_ttl, scope, audience

    def __repr__(self) -> str:
        # All parameters are in it: fsspec tells file systems apart by it.
        rest = zip(("min_ttl", "scope", "audience"), self._rest)
        return f"groat.auth({self.profile!r}{''.join(f', {name}={v!r}' for name, v in rest if v is not None)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), dict(self.__dict__))

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # httpx wants its Auth by isinstance. A base class would import it, which takes longer than all else here.
        httpx = sys.modules.get("httpx")
        return Auth if httpx is None else _httpx_class(httpx.Auth)

    @_public
    def _token(self, target: str, profile: str | None = None) -> Token:
        params = _params(profile or self.profile, *self._rest, target, _DEFAULT_WAIT)
        return _quiet(Token(_call("token", params, _DEFAULT_WAIT + _ANSWER_TIME)))

    @_public
    async def _async_token(self, target: str) -> Token:
        params = _params(self.profile, *self._rest, target, _DEFAULT_WAIT)
        return _quiet(Token(await _async_call("token", params, _DEFAULT_WAIT + _ANSWER_TIME)))

    @_public
    def _better(self, refused: str, at: _Address, again: bool) -> Token | None:
        """Tells groatd of a refused token; the token to send the request with again, if it can be, or None."""
        wait = _DEFAULT_WAIT if again else 0
        try:
            params = _params(self.profile, *self._rest, at.target(), wait, refused)
            better = _quiet(Token(_call("reject", params, wait + _ANSWER_TIME)))
        except Error:
            return None
        return better if again and better.access_token != refused else None

    @_public
    async def _async_better(self, refused: str, at: _Address, again: bool) -> Token | None:
        wait = _DEFAULT_WAIT if again else 0
        try:
            params = _params(self.profile, *self._rest, at.target(), wait, refused)
            better = _quiet(Token(await _async_call("reject", params, wait + _ANSWER_TIME)))
        except Error:
            return None
        return better if again and better.access_token != refused else None

    # requests calls the object with each request that it has prepared, and a hook with each answer.

    def __call__(self, request: Any) -> Any:
        t = self._token(_address_of(request.url).target())
        ((name, value),) = t.header.items()
        if name not in request.headers:
            request.headers[name] = value
            request.register_hook("response", _RequestsHook(self, t))
        return request

    # httpx asks for a flow: it is sent each answer, and may yield another request.

    def sync_auth_flow(self, request: Any) -> Iterator[Any]:
        flow = _HTTPXFlow(request, self._token(_httpx_address(request.url).target()))
        try:
            flow.put(request, flow.token, False)
            refused = flow.refused((yield request))
            if refused is not None:
                at, again = _httpx_address(refused.url), _httpx_can_repeat(refused)
                better = self._better(flow.token.access_token, at, again)
                if better is not None:
                    flow.put(refused, better, False)
                    yield refused
        finally:
            flow.end()

    async def async_auth_flow(self, request: Any) -> AsyncIterator[Any]:
        flow = _HTTPXFlow(request, await self._async_token(_httpx_address(request.url).target()))
        try:
            flow.put(request, flow.token, True)
            refused = flow.refused((yield request))
            if refused is not None:
                at, again = _httpx_address(refused.url), _httpx_can_repeat(refused)
                better = await self._async_better(flow.token.access_token, at, again)
                if better is not None:
                    flow.put(refused, better, True)
                    yield refused
        finally:
            flow.end()

    # aiohttp has no such place that could send a request again, before 3.12: it gets a session.

    def client_session(self, **options: Any) -> Any:
        """Returns an aiohttp.ClientSession, made with these arguments of its own, whose requests carry the token."""
        return _aiohttp_session(self, options)

    # urllib finds a handler's methods by their names.

    def add_parent(self, opener: Any) -> None:
        opener.add_handler(_Urllib(self, opener))  # an Auth may be in several

    def groat_open(self, request: Any) -> None:
        """Is for urllib, which takes no handler that opens nothing."""

    def __lt__(self, other: Any) -> bool:
        return self.handler_order < int(getattr(other, "handler_order", 500))


def auth(
    profile: str | None = None, *, min_ttl: int | None = None, scope: str | None = None, audience: str | None = None
) -> Auth:
    """Returns an object that requests, httpx, aiohttp and urllib take: Auth says how.

    profile is whose token is sent; without it the profile that lists the address of each request, of several
    $GROAT_PROFILE's.
    """
    return Auth(profile, min_ttl, scope, audience)


def _quiet(t: Token) -> Token:
    """The token for a request of another package, which is shown and pickled with all that leads to it."""
    t.header = {name: _Secret(value) for name, value in t.header.items()}
    t.access_token = _Secret(t.access_token)
    return t


def _unpickled(cls: type[Auth], attributes: dict[str, Any]) -> Auth:
    made = cls.__new__(cls)
    made.__dict__.update(attributes)
    return made


class _Address:
    """Where a request goes, as PROTOCOL.md, "Resources", compares addresses."""

    def __init__(self, scheme: str, host: str, port: int | None, path: str) -> None:
        usual = {"https": 443, "http": 80}.get(scheme.lower())
        self.scheme, self.host, self.port = scheme.lower(), host.lower().strip("[]"), port or usual
        self.path = "/" + path.partition("?")[0].partition("#")[0].lstrip("/")
        if path.startswith("//"):
            self.path = "/" + self.path
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.origin = f"{self.scheme}://{shown}" + ("" if self.port == usual else f":{self.port}")

    def target(self, environment: bool = True) -> str:
        """The address to ask groatd for. It is Denied where no token may go.

        environment says whether the library sends by the proxy that the environment names.
        """
        letters = self.host.replace("-", "").replace(".", "").replace("_", "").replace(":", "")
        known = letters.isalnum() and letters.isascii()
        if not (known and (self.scheme == "https" or self.scheme == "http" and self._is_loopback())):
            raise Denied(
                f"a token goes over https only, or over http to this machine, and not to {self}", "groat list"
            )
        if self.scheme == "http" and environment and self._is_proxied():
            raise Denied(
                f"a proxy would see the token for {self.origin}: http_proxy is set, and no_proxy lacks {self.host}",
                f'export no_proxy="$no_proxy,{self.host}"',
            )
        return self.origin + self.path

    def __str__(self) -> str:
        return self.origin if self.host else "an address that programs read differently"

    def _is_proxied(self) -> bool:
        from urllib.request import getproxies, proxy_bypass

        proxies = getproxies()
        return bool(proxies.get("http") or proxies.get("all")) and not proxy_bypass(self.host)

    def _is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return socket.inet_pton(socket.AF_INET, self.host)[0] == 127
        except OSError:
            return self.host == "::1"

    def is_within(self, api: str) -> bool:
        """Whether the address is under an API, certainly: one with a path in which anything is unusual is not."""
        listed = _address_of(api)
        if self.origin != listed.origin:
            return False
        if listed.path == "/":
            return True
        plain = self.path.replace("-", "").replace("_", "").replace("~", "").replace("/", "").replace(".", "")
        segments = self.path[1:].split("/")
        if not (plain.isalnum() and plain.isascii()) or any(not s.strip(".") for s in segments[:-1]):
            return False
        return segments[-1] not in (".", "..") and (self.path + "/").startswith(listed.path.rstrip("/") + "/")


def _address_of(url: str) -> _Address:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url if "\\" not in url else "")  # programs differ on what a backslash is
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _Address("", "", None, "")
    shown = f"[{host}]" if ":" in host else host
    if parts.netloc.rpartition("@")[2].lower() not in (shown, f"{shown}:", f"{shown}:{port}"):
        return _Address("", "", None, "")  # there is more in it, which other programs may take for the host
    return _Address(parts.scheme, host, port, parts.path)


def _seen(address: _Address) -> Denied:
    return Denied(f"a proxy or another server would see the token for {address.origin}, as the program sends it")


class _RequestsHook:
    """Sees each answer to a request of requests that carries a token. It is pickled with the answer, and holds none."""

    def __init__(self, auth: Auth, t: Token) -> None:
        ((self.name, self.value),) = t.header.items()
        self.auth, self.token, self.static, self.api = auth, t.access_token, t.static, t.api

    def __call__(self, answer: Any, **options: Any) -> Any:
        # A redirect may have left the token behind, and requests have put what .netrc has there in its place.
        if self.value and answer.request.headers.get(self.name) == self.value:
            if answer.status_code == 401 and not self.static:
                answer = self.again(answer, options)
            if answer.is_redirect and not self.stays(answer):
                del answer.request.headers[self.name]  # the next request is made from this one
        return answer

    def again(self, answer: Any, options: dict[str, Any]) -> Any:
        request, send = answer.request, getattr(getattr(answer, "connection", None), "send", None)
        again = send is not None and self.rewind(request)
        better = self.auth._better(self.token, _address_of(request.url), again)
        if better is None or send is None:
            return answer
        answer.close()  # unread: its server may never finish it
        ((self.name, self.value),), self.token = better.header.items(), better.access_token
        request.headers[self.name] = self.value
        second = send(request, **options)
        second.history.append(answer)
        return second

    @staticmethod
    def rewind(request: Any) -> bool:
        """Has the body stand where it began, if it can."""
        if request.body is None or isinstance(request.body, (str, bytes)):
            return True
        return _rewind(request.body, getattr(request, "_body_position", None))

    def stays(self, answer: Any) -> bool:
        """Whether a redirect leads to the API that the token is for."""
        from urllib.parse import urljoin

        try:
            location = answer.headers["location"].encode("latin-1").decode("utf-8")
            return _address_of(urljoin(answer.url, location)).is_within(self.api)
        except ValueError:
            return False


def _rewind(body: Any, position: Any) -> bool:
    """Has a file stand where it stood, if it can."""
    try:
        body.seek(position)
        return type(position) is int
    except (AttributeError, TypeError, ValueError, OSError):
        return False


_httpx_made: Any = None


def _httpx_class(base: type) -> type:
    """A class that is both an Auth and httpx's."""
    global _httpx_made
    if _httpx_made is None or base not in _httpx_made.__mro__:
        _httpx_made = type("Auth", (Auth, base), {})
    made: type = _httpx_made
    return made


def _httpx_address(url: Any) -> _Address:
    return _Address(url.scheme, url.raw_host.decode("ascii"), url.port, url.raw_path.decode("ascii"))


class _HTTPXHeaders:
    """What is changed in httpx.Headers: they have one field more, but a copy does not."""

    _groat: tuple[bytes, bytes]

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        own: list[tuple[bytes, bytes]] = super().raw  # type: ignore[misc]
        return own if self._name() in [name.lower() for name, _ in own] else [*own, self._groat]

    def _name(self) -> bytes:
        return self._groat[0].lower()

    def __getitem__(self, name: str) -> str:
        if super().__contains__(name) or name.lower().encode() != self._name():  # type: ignore[misc]
            value: str = super().__getitem__(name)  # type: ignore[misc]
            return value
        return self._groat[1].decode("ascii")

    def __contains__(self, name: Any) -> bool:
        return bool(super().__contains__(name)) or name.lower().encode() == self._name()  # type: ignore[misc]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__mro__[2], (self.multi_items(),)  # type: ignore[attr-defined]


class _HTTPXFlow:
    """Has a request of httpx carry a token, and those that httpx makes of it where it follows a redirect in the API.

    httpx copies a request's headers for the next one, and takes off a header Authorization alone, at another origin
    alone. So the token is in headers whose copies are without it, and the connection's trace puts it on again where a
    request stays in the API. Where a transport has no such trace, a redirect is followed without the token.
    """

    def __init__(self, request: Any, t: Token) -> None:
        self.token, self.request = t, request
        self.carried = self.seen = self.ended = False
        self.before: list[tuple[Any, Any, Any]] = []

    def put(self, request: Any, t: Token, is_async: bool) -> None:
        """Puts a token on a request, if that brings no header of its own."""
        ((name, value),) = t.header.items()
        httpx, plain = sys.modules["httpx"], request.headers
        if isinstance(plain, _HTTPXHeaders):
            plain = httpx.Headers(plain)  # the request is being sent a second time at once
        if name in plain:
            return
        headers = _mix(_HTTPXHeaders, httpx.Headers)(plain)
        headers._groat = self.field = name.encode("ascii"), value.encode("ascii")
        if self.field in httpx.Headers(headers).raw:
            raise ConfigError("this version of httpx would send the token wherever a redirect leads", "groat version")
        self.token, self.carried = t, True
        self.before.append((request, plain, request.extensions))
        request.headers, request.extensions = headers, self.traced(request.extensions, is_async)

    def traced(self, extensions: Mapping[str, Any], is_async: bool) -> dict[str, Any]:
        others = extensions.get("trace")
        if getattr(others, "groat", None) is self:  # a request that follows a redirect
            return {**extensions}

        def trace(event: str, info: Mapping[str, Any]) -> None:
            self.see(info.get("request"))
            if others is not None:
                others(event, info)

        async def async_trace(event: str, info: Mapping[str, Any]) -> None:
            self.see(info.get("request"))
            if others is not None:
                await others(event, info)

        chosen: Any = async_trace if is_async else trace
        chosen.groat = self
        return {**extensions, "trace": chosen}

    def see(self, request: Any) -> None:
        """Looks at a request that is about to be sent."""
        if request is None or self.ended:
            return
        self.seen, url, name = True, request.url, self.field[0].lower()
        headers = [(n, v) for n, v in request.headers if (n.lower(), v) != (name, self.field[1])]
        at = _Address(url.scheme.decode(), url.host.decode(), url.port, url.target.decode("latin-1"))
        self.carried = at.is_within(self.token.api) and name not in [n.lower() for n, _ in headers]
        request.headers = [*headers, self.field] if self.carried else headers

    def refused(self, answer: Any) -> Any:
        """The request that an API refused with the token, or None."""
        request = answer.request
        if answer.status_code != 401 or self.token.static or not self.carried:
            return None
        if request is not self.request and not self.seen:
            return None  # only the trace knows
        return request if _httpx_address(request.url).is_within(self.token.api) else None

    def end(self) -> None:
        """Leaves the requests as they were: they may be sent again, and shown."""
        self.ended = True
        for request, headers, extensions in reversed(self.before):
            request.headers, request.extensions = headers, extensions


def _httpx_can_repeat(request: Any) -> bool:
    return isinstance(request.stream, sys.modules["httpx"].ByteStream)


def _aiohttp_session(auth: Auth, options: dict[str, Any]) -> Any:
    import contextvars
    import importlib

    aiohttp = importlib.import_module("aiohttp")
    theirs = options.get("request_class") or aiohttp.ClientRequest
    carried: contextvars.ContextVar[Token | None] = contextvars.ContextVar("groat", default=None)

    def made(self: Any, method: str, url: Any, **rest: Any) -> None:
        """Puts the token on a request, of which aiohttp makes a new one to follow a redirect: none takes it along."""
        theirs.__init__(self, method, url, **rest)
        t = carried.get()
        if t is None:
            return
        if not _aiohttp_address(self.url).is_within(t.api) or self.proxy is not None and self.url.scheme == "http":
            carried.set(None)
            return
        ((name, value),) = t.header.items()
        if name not in (rest.get("headers") or ()) and (name != "Authorization" or rest.get("auth") is None):
            self.headers[name] = value  # also in the place of what .netrc has

    options["request_class"] = type(theirs.__name__, (theirs,), {"__init__": made})
    session = aiohttp.ClientSession(**options)
    send = session._request  # what all methods of a session lead to

    async def request(method: str, url: Any, **rest: Any) -> Any:
        at = _aiohttp_address(session._build_url(url))
        target = at.target(bool(options.get("trust_env")))
        if at.scheme == "http" and (rest.get("proxy") or options.get("proxy")):
            raise _seen(at)
        t = await auth._async_token(target)
        ((name, value),) = t.header.items()
        if name in session._prepare_headers(rest.get("headers")):
            return await send(method, url, **rest)
        complain = rest.pop("raise_for_status", None)
        mark = carried.set(t)
        try:
            answer = await send(method, url, **rest, raise_for_status=False)
            if answer.status == 401 and not t.static and answer.request_info.headers.get(name) == value:
                again = rest.get("data") is None or isinstance(rest["data"], (str, bytes))
                better = await auth._async_better(t.access_token, at, again)
                if better is not None:
                    answer.close()
                    carried.set(better)
                    answer = await send(method, url, **rest, raise_for_status=False)
        finally:
            carried.reset(mark)
        if complain is None:
            complain = session._raise_for_status
        if callable(complain):
            await complain(answer)
        elif complain:
            answer.raise_for_status()
        return answer

    object.__setattr__(session, "_request", request)
    return session


def _aiohttp_address(url: Any) -> _Address:
    return _Address(url.scheme, url.raw_host or "", url.port, url.raw_path)


class _Sent(dict):  # type: ignore[type-arg]
    """What was sent with a request of urllib. It is urllib's own record of redirects, which it hands on to the next."""

    def __init__(self, request: Any, t: Token) -> None:
        super().__init__()
        self.request, self.api, self.profile, self.static, self.again = request, t.api, t.profile, t.static, False
        try:
            self.position = request.data.tell()
        except (AttributeError, OSError):
            self.position = None

    def put(self, request: Any, t: Token) -> None:
        ((name, self.value),) = t.header.items()
        self.name, self.token = name.capitalize(), t.access_token
        request.add_unredirected_header(name, self.value)

    def is_on(self, request: Any) -> bool:
        """Whether a request carries the token that was put on last."""
        return bool(request.get_header(self.name) == self.value)

    def rewind(self, body: Any) -> bool:
        return body is None or isinstance(body, bytes) or _rewind(body, self.position)


class _Urllib:
    """Signs the requests of one opener of urllib, which finds a handler's methods by their names."""

    handler_order = Auth.handler_order
    __lt__ = Auth.__lt__

    def __init__(self, auth: Auth, opener: Any) -> None:
        self.auth, self.opener = auth, opener

    def add_parent(self, opener: Any) -> None:
        """Is for urllib: the opener is known."""

    def http_request(self, request: Any) -> Any:
        sent = getattr(request, "redirect_dict", None)
        _urllib_afresh(request)
        if isinstance(sent, _Sent) and sent.again and sent.is_on(request):
            return request
        profile, first = None, isinstance(sent, _Sent) and sent.request is request  # which is opened again
        if not first and (request.unverifiable or isinstance(sent, _Sent)):  # it follows a redirect
            if not isinstance(sent, _Sent) or not _address_of(request.full_url).is_within(sent.api):
                return request
            profile = sent.profile
        t = self.auth._token(_urllib_target(request, request.type), profile)
        (name,) = t.header
        if request.has_header(name.capitalize()) and not (isinstance(sent, _Sent) and sent.is_on(request)):
            return request
        if not isinstance(sent, _Sent):
            sent = request.redirect_dict = _Sent(request, t)
        sent.put(request, t)
        return request

    https_request = http_request

    # A proxy is chosen after that, by a handler that comes before this one. What follows opens nothing.

    def http_open(self, request: Any) -> None:
        self.check(request, "http")

    def https_open(self, request: Any) -> None:
        self.check(request, "https")

    @staticmethod
    def check(request: Any, scheme: str) -> None:
        sent = getattr(request, "redirect_dict", None)
        if isinstance(sent, _Sent) and sent.is_on(request):
            _urllib_target(request, scheme)

    def http_error_401(self, request: Any, answer: Any, code: int, message: str, headers: Any) -> Any:
        sent = getattr(request, "redirect_dict", None)
        if not isinstance(sent, _Sent) or sent.again or sent.static or not sent.is_on(request):
            return None  # an HTTPError, as without this handler
        better = self.auth._better(sent.token, _address_of(request.full_url), sent.rewind(request.data))
        if better is None:
            return None
        answer.close()
        sent.put(request, better)
        sent.again = True
        try:
            return self.opener.open(request, timeout=request.timeout)
        finally:
            sent.again = False


_URLLIB_PLACE = ("full_url", "type", "host", "selector", "_tunnel_host")


def _urllib_afresh(request: Any) -> None:
    """Has a request that is opened again go where it went: a proxy that is chosen changes it, and each time again."""
    now = {name: getattr(request, name, None) for name in _URLLIB_PLACE}
    place = getattr(request, "_groat_place", None)
    if place is None or place["full_url"] != now["full_url"]:
        request._groat_place = now
    elif place["type"] == now["type"]:  # else urllib has begun anew for a proxy of another kind
        vars(request).update({name: place[name] for name in _URLLIB_PLACE[1:]})


def _urllib_target(request: Any, scheme: str) -> str:
    """The address to ask groatd for. It is Denied where urllib would connect to another place, as to a proxy by http.

    full_url says where. The attribute host says what is connected to; it is unquoted, and a proxy's if there is one.
    """
    from urllib.parse import urlsplit

    address = _address_of(request.full_url)
    target = address.target()
    connected = getattr(request, "_tunnel_host", None) or request.host
    if scheme != address.scheme or connected != urlsplit(request.full_url).netloc or "@" in connected:
        raise _seen(address)
    return target


# 6. Sessions and credentials for other packages.

# The classes that are made here of another package's and one of this module's, each once.
_mixed: dict[tuple[type, type], Any] = {}


def _theirs(name: str) -> Any:
    """Another package's module."""
    import importlib

    return importlib.import_module(name)


def _mix(ours: type, theirs: Any) -> Any:
    """The class of another package with what ours changes. It is made when that package is there to be imported."""
    made = _mixed.get((ours, theirs))
    if made is None:
        made = _mixed[ours, theirs] = type(theirs.__name__, (ours, theirs), {"__module__": __name__})
    return made


class _Made:
    """An object that one of the functions below has made. Pickled it is that call: it carries no token."""

    def _remember(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call = function, args, kwargs

    def __reduce__(self) -> tuple[Any, ...]:
        import functools

        function, args, kwargs = self._call
        return functools.partial(function, *args, **kwargs), ()


class _OAuth2(_Made):
    """What is the same in authlib's sessions, with requests and with httpx: groatd has the token and renews it."""

    _groat: Any  # signs the requests
    _options: dict[str, Any]  # those of get

    @property
    def token(self) -> Any:
        """The token as authlib has it, from groatd. There is no refresh token in it."""
        t = get(**self._options)
        value: dict[str, Any] = {"access_token": t.access_token, "token_type": t.token_type, "scope": t.scope}
        if t.expires_at is not None:
            value.update({"expires_at": t.expires_at, "expires_in": max(0, int(t.expires_at - time.time()))})
        return _theirs("authlib.oauth2.rfc6749").OAuth2Token(value)

    @token.setter
    def token(self, value: object) -> None:
        """Does nothing: what groatd has counts."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        name = self._options["profile"] or "NAME"
        raise ConfigError("groatd keeps this session: only groat can end it or ask about it", f"groat logout {name}")

    revoke_token = introspect_token = token_from_fragment = _refuse


_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")


class _Session(_OAuth2):
    proxies: Any

    def request(self, method: str, url: str, withhold_token: bool = False, auth: Any = None, **kwargs: Any) -> Any:
        if auth is None and not withhold_token:
            auth = self._groat
        return super().request(method, url, withhold_token=True, auth=auth, **kwargs)  # type: ignore[misc]

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Refuses a request by http with the token where a proxy is to have it, which only this session knows of."""
        at = _address_of(request.url)
        if at.scheme == "http" and any(isinstance(value, _Secret) for value in request.headers.values()):
            if _theirs("requests.utils").select_proxy(request.url, kwargs.get("proxies", self.proxies)):
                raise _seen(at)
        return super().send(request, **kwargs)  # type: ignore[misc]

    def fetch_token(self, *args: object, **kwargs: object) -> Any:
        """The token, from groatd: no request is sent."""
        return self.token

    fetch_access_token = refresh_token = fetch_token

    def ensure_active_token(self, *args: object) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        names = self.__attrs__  # type: ignore[attr-defined] # requests' own list of what is pickled
        state = {name: getattr(self, name) for name in names if name not in ("auth", "cookies")}
        state["headers"] = state["headers"].copy()
        for name in _SECRET_HEADERS:
            state["headers"].pop(name, None)
        return (*super().__reduce__(), state)


class _AsyncSession(_OAuth2):
    def request(self, method: str, url: Any, withhold_token: bool = False, **kwargs: Any) -> Any:
        self._choose(withhold_token, kwargs)
        return super().request(method, url, withhold_token=True, **kwargs)  # type: ignore[misc]

    def stream(self, method: str, url: Any, withhold_token: bool = False, **kwargs: Any) -> Any:
        self._choose(withhold_token, kwargs)
        return super().stream(method, url, withhold_token=True, **kwargs)  # type: ignore[misc]

    def _choose(self, withhold_token: bool, kwargs: dict[str, Any]) -> None:
        default = _theirs("httpx").USE_CLIENT_DEFAULT
        if kwargs.get("auth", default) is default:
            kwargs["auth"] = None if withhold_token else self._groat

    async def fetch_token(self, *args: object, **kwargs: object) -> Any:
        """The token, from groatd: no request is sent."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, lambda: self.token)

    refresh_token = fetch_token

    async def ensure_active_token(self, *args: object) -> None:
        pass


def session(
    profile: str | None = None, *, scope: str | None = None, audience: str | None = None, **settings: Any
) -> Any:
    """Returns an authlib OAuth2Session (and so a requests.Session) that asks groatd before each request.

    It never asks the authorization server: fetch_token and refresh_token return what groatd has. An answer 401 has the
    token replaced and the request sent once more. The settings are authlib's: proxies, verify, default_timeout, ….
    Pickled it is the profile's name and the settings of requests, without cookies and what else is secret.
    """
    theirs = _theirs("authlib.integrations.requests_client").OAuth2Session
    return _signed(_mix(_Session, theirs), session, profile, scope, audience, settings)


def async_session(
    profile: str | None = None, *, scope: str | None = None, audience: str | None = None, **settings: Any
) -> Any:
    """Returns an authlib AsyncOAuth2Client (and so an httpx.AsyncClient) that asks groatd before each request.

    It is otherwise what session returns. Its attribute token asks groatd without await.
    """
    theirs = _theirs("authlib.integrations.httpx_client").AsyncOAuth2Client
    return _signed(_mix(_AsyncSession, theirs), async_session, profile, scope, audience, settings)


def _signed(made: Any, function: Any, profile: Any, scope: Any, audience: Any, settings: dict[str, Any]) -> Any:
    for name in ("client_secret", "token", "token_endpoint", "update_token"):
        if settings.get(name) is not None:
            raise UsageError(f"groat has the credentials, and renews the token: leave out {name}")
    options = {"profile": profile, "scope": scope, "audience": audience}
    one = made(**settings)
    one._groat, one._options = auth(**options), options
    one.token_auth = one._groat
    one._remember(function, **options, **settings)
    return one


def get_session(app_credentials: None = None, *, profile: str | None = None, **settings: Any) -> Any:
    """Returns session for the notebooks and programs that use py-spatiafi's function of this name.

    Without a profile it is $GROAT_PROFILE's, or the only one of SpatiaFi, or the only one there is. As theirs it fails
    at once where there is no token, and asks an API up to three times more that answers with 500, 502, 503 or 504.
    """
    name = _spatiafi(app_credentials, profile)
    get(name)
    made = session(name, **settings)
    retries = _theirs("urllib3.util").Retry(total=3, status_forcelist=[500, 502, 503, 504])
    for prefix in ("http://", "https://"):
        made.mount(prefix, _theirs("requests.adapters").HTTPAdapter(max_retries=retries))
    return made


async def get_async_session(app_credentials: None = None, *, profile: str | None = None, **settings: Any) -> Any:
    """Is get_session for a coroutine of asyncio. As with theirs there may be any number of connections.

    A connection that cannot be made is tried three times more, where no settings of httpx are given.
    """
    import asyncio

    httpx = _theirs("httpx")
    name = await asyncio.get_running_loop().run_in_executor(None, _spatiafi, app_credentials, profile)
    await async_get(name)
    limits = httpx.Limits(max_connections=None)
    if settings:
        return async_session(name, **{"limits": limits, **settings})
    made = async_session(name, transport=httpx.AsyncHTTPTransport(retries=3, limits=limits))
    made._remember(async_session, name)  # a transport cannot be pickled
    return made


def _spatiafi(app_credentials: object, profile: str | None) -> str | None:
    if app_credentials is not None:
        raise UsageError("groat has the App Credentials: leave out app_credentials", "groat import --dry-run")
    profile = profile or os.environ.get("GROAT_PROFILE") or None
    if profile is None:
        theirs = [p["profile"] for p in profiles() if p.get("provider") == "spatiafi"]
        profile = theirs[0] if len(theirs) == 1 else None
    return profile


class _GoogleCredentials(_Made):
    """What google_credentials adds to a class of google.auth."""

    token: str | None
    expiry: Any

    def __init__(self, options: dict[str, Any], quota_project: str | None) -> None:
        super().__init__()
        self._options, self._quota_project_id, self._groat = options, quota_project, auth(**options)
        self._sent = _theirs("threading").local()  # of this thread's last request: the token and the address

    @property
    def quota_project_id(self) -> str | None:
        return self._quota_project_id

    def with_quota_project(self, quota_project_id: str | None) -> Any:
        return google_credentials(quota_project=quota_project_id or "", **self._options)

    @property
    def expired(self) -> bool:
        """Whether the token has ended or is about to; google.auth's own margin is longer than some tokens live."""
        import datetime

        soon = datetime.datetime.fromtimestamp(time.time() + 5, datetime.timezone.utc).replace(tzinfo=None)
        return self.expiry is not None and bool(soon >= self.expiry)

    @property
    def valid(self) -> bool:
        return self.token is not None and not self.expired

    def before_request(self, request: object, method: str, url: str, headers: dict[str, str]) -> None:
        at = _address_of(url)
        t = self._groat._token(at.target())
        self._hold(t)
        self._sent.last = t.access_token, at
        self._apply_token(headers, t.access_token)

    def refresh(self, request: object) -> None:
        """Takes groatd's token. After a request of this thread, which was then refused, groatd replaces it first.

        Where there is no better one, the API's answer stands.
        """
        last, self._sent.last = getattr(self._sent, "last", None), None
        if last is None:
            self._hold(get(**self._options))
            return
        refused, at = last
        better = self._groat._better(refused, at, True)
        if better is not None:
            self._hold(better)

    def apply(self, headers: dict[str, str], token: str | bytes | None = None) -> None:
        if isinstance(token, bytes):
            token = token.decode()
        self._apply_token(headers, token or self.token or "")

    def _hold(self, t: Token) -> None:
        import datetime

        if t.static:
            raise UsageError(f"profile {t.profile} has an API key, which is no access token of Google's", "groat list")
        self.token, self.expiry = t.access_token, None
        if t.expires_at is not None:
            end = datetime.datetime.fromtimestamp(t.expires_at, datetime.timezone.utc)
            self.expiry = end.replace(tzinfo=None)

    def _apply_token(self, headers: dict[str, str], token: str) -> None:
        headers["authorization"] = "Bearer " + token
        if self._quota_project_id:
            headers["x-goog-user-project"] = self._quota_project_id


def google_credentials(
    profile: str | None = None,
    *,
    quota_project: str | None = None,
    scope: str | None = None,
    audience: str | None = None,
) -> Any:
    """Returns google.auth credentials, for ee.Initialize(credentials=…, project=…) and Google's own libraries.

    They ask groatd before each request, and only for an API that the profile lists. Google's libraries follow redirects
    by themselves: to the same host with the token, also out of an API that is a path. Without a profile groatd chooses
    the one that lists the API; a refresh that no request came before has no address, and takes $GROAT_PROFILE's or the
    only one. Pickled they are the profile's name. quota_project is the Google Cloud project that is charged;
    without it $GOOGLE_CLOUD_QUOTA_PROJECT's.
    """
    if quota_project is None:
        quota_project = os.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT") or None
    credentials = _theirs("google.auth.credentials")
    theirs = getattr(credentials, "CredentialsWithQuotaProject", credentials.Credentials)
    options = {"profile": profile, "scope": scope, "audience": audience}
    made = _mix(_GoogleCredentials, theirs)(options, quota_project or None)
    made._remember(google_credentials, quota_project=quota_project or "", **options)
    return made


# GDAL reads a configuration file with options for some addresses only; a header file is among them since this version.
_GDAL_CHOOSES = (3, 10)


class _Variables(dict[str, str]):
    """Environment variables, which are set while it is entered. It is a dict for all who take one."""

    _before: tuple[dict[str, str | None], ...] = ()  # of each time that it was entered

    def __enter__(self) -> _Variables:
        self._before += ({name: os.environ.get(name) for name in self},)
        os.environ.update(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._before, before = self._before[:-1], self._before[-1]
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def gdal_env(profile: str | None = None, *, every_host: bool = False) -> Any:
    """Returns variables that have GDAL send the profile's header, which groatd keeps current in a file.

    GDAL looks into the file at each request, so what is open stays open for as long as somebody is signed in:

        with groat.gdal_env("work"):
            rasterio.open(url)             # also xarray with rasterio, and every program that is started here
        rasterio.Env(**groat.gdal_env("work", every_host=True))

    Only the APIs that the profile lists are sent the header. That takes GDAL 3.10, and the variables must be there when
    it is first used. every_host has any GDAL send it to every server that is read. The file goes with this process.
    """
    if not every_host:
        _check_gdal(profile)
    flags = ["--while", str(os.getpid())] + (["--every-host"] if every_host else [])
    printed = _groat("helper", "gdal", *([profile] if profile else []), *flags)
    import shlex

    words = shlex.split(printed)
    return _Variables(word.split("=", 1) for word in words if word != "export")


def _check_gdal(profile: str | None) -> None:
    """Refuses a GDAL that would send nothing. One that is not in this process is its user's to know."""
    version = getattr(sys.modules.get("rasterio"), "__gdal_version__", None)
    if version is None:
        version = getattr(sys.modules.get("osgeo.gdal"), "__version__", None)
    numbers = tuple(int(n) for n in str(version or "99.0").split(".")[:2])
    if numbers < _GDAL_CHOOSES:
        name = f'"{profile}", ' if profile else ""
        raise ConfigError(
            f"GDAL {version} sends a header to every server or to none; choosing servers takes GDAL 3.10",
            f"groat.gdal_env({name}every_host=True)",
        )


class _FsspecClient:
    """Makes the aiohttp.ClientSession that a file system of fsspec has for as long as it is used."""

    def __init__(self, signing: Any) -> None:
        self._groat = signing

    def __repr__(self) -> str:
        return repr(self._groat)

    async def __call__(self, loop: object = None, **settings: Any) -> Any:
        return self._groat.client_session(**settings)


def storage_options(profile: str | None = None, *, scope: str | None = None, audience: str | None = None) -> Any:
    """Returns what has fsspec's file system of http and https send the profile's token, as a dict.

        fsspec.open(url, **groat.storage_options("work"))
        xarray.open_zarr(url, storage_options=groat.storage_options("work"))     # pandas, Dask and zarr take it too
    """
    return {"get_client": _FsspecClient(auth(profile, scope=scope, audience=audience))}


class _PlanetAuthenticator(_Made):
    """What planet_auth adds to a request authenticator of planet-auth."""

    _token_body: str | None
    _token_prefix: str
    _auth_header: str

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self._options, self._groat = options, auth(**options)

    def pre_request_hook(self) -> None:
        ((self._auth_header, value),) = get(**self._options).header.items()
        self._token_prefix, _, self._token_body = value.rpartition(" ")

    def __call__(self, request: Any) -> Any:
        request.headers.setdefault("X-Planet-App", "groat")
        return self._groat(request)

    def sync_auth_flow(self, request: Any) -> Any:
        request.headers.setdefault("X-Planet-App", "groat")
        return self._groat.sync_auth_flow(request)

    def async_auth_flow(self, request: Any) -> Any:
        request.headers.setdefault("X-Planet-App", "groat")
        return self._groat.async_auth_flow(request)

    def update_credential(self, new_credential: object) -> None:
        """Does nothing: what groatd has counts."""

    def update_credential_data(self, new_credential_data: object) -> None:
        """Does nothing: what groatd has counts."""

    def is_initialized(self) -> bool:
        return ready(self._options["profile"])


def planet_auth(profile: str | None = None, *, scope: str | None = None, audience: str | None = None) -> Any:
    """Returns a planet_auth.Auth, whose request_authenticator() is for requests, httpx and planet.Session(auth=…).

    It asks groatd before each request; it has no login, and reads and writes no file. An API key is sent as one.
    """
    theirs = _theirs("planet_auth")
    options = {"profile": profile, "scope": scope, "audience": audience}
    authenticator = _mix(_PlanetAuthenticator, theirs.CredentialRequestAuthenticator)(options)
    authenticator._remember(_planet_authenticator, **options)
    nothing = theirs.Auth.initialize_from_config_dict(client_config={"client_type": "none"})
    return theirs.Auth(
        auth_client=nothing.auth_client(), request_authenticator=authenticator, profile_name=profile or "groat"
    )


def _planet_authenticator(**options: Any) -> Any:
    return planet_auth(**options).request_authenticator()


class _EarthScopeFlow:
    """What earthscope adds to the AuthFlow of earthscope-sdk 1: groatd has the tokens."""

    def __init__(self, ctx: Any, options: dict[str, Any]) -> None:
        self._groat_ctx, self._options, self._groat = ctx, options, auth(**options)
        super().__init__(ctx)  # type: ignore[call-arg]

    @property
    def access_token(self) -> str:
        return token(**self._options)

    @property
    def tokens(self) -> Any:
        return _theirs("earthscope_sdk.config.models").Tokens.model_validate({"access_token": self.access_token})

    @property
    def access_token_body(self) -> Any:
        return self.tokens.access_token_body

    async def async_refresh(self, scope: str | None = None) -> Any:
        await async_get(**self._options)
        return self

    async def async_refresh_if_necessary(self, scope: str | None = None, auto_refresh_threshold: int = 60) -> Any:
        await async_get(**self._options)
        return self

    async def async_revoke_refresh_token(self) -> Any:
        name = self._options["profile"] or "NAME"
        raise ConfigError("groatd keeps this session: only groat can end it", f"groat logout {name}")

    def _mine(self, request: Any) -> bool:
        """Whether the SDK would send its own token with a request."""
        if request.headers.get("authorization") is not None:
            return False
        allowed = getattr(self._groat_ctx.settings.oauth2, "is_host_allowed", None)
        return allowed is None or bool(allowed(request.url.host))

    def sync_auth_flow(self, request: Any) -> Any:
        if self._mine(request):
            yield from self._groat.sync_auth_flow(request)
        else:
            yield request

    async def async_auth_flow(self, request: Any) -> Any:
        if not self._mine(request):
            yield request
            return
        flow: Any = self._groat.async_auth_flow(request)
        try:
            request = await flow.__anext__()
            while True:
                response = yield request
                request = await flow.asend(response)
        except StopAsyncIteration:
            pass
        finally:
            await flow.aclose()


class _DeviceFlow:
    """What programs use of a DeviceCodeFlowSimple of earthscope-sdk 0.2."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    @property
    def access_token(self) -> str:
        return token(**self._options)

    def get_access_token_refresh_if_necessary(self, *args: object, **kwargs: object) -> str:
        return self.access_token

    def do_flow(self) -> NoReturn:
        name = self._options["profile"] or "NAME"
        raise LoginRequired("groat signs in", f"groat login {name} --provider earthscope")


def earthscope(
    profile: str | None = None, *, scope: str | None = None, audience: str | None = None, settings: Any = None
) -> Any:
    """Returns a context for EarthScopeClient(ctx=…) of earthscope-sdk 1; with 0.2, what DeviceCodeFlowSimple is for.

    Each request of the client asks groatd. No token of the SDK's own is used, and none is written to its files.
    """
    options = {"profile": profile, "scope": scope, "audience": audience}
    try:
        context = _theirs("earthscope_sdk.common.context").SdkContext(settings)
    except ModuleNotFoundError as e:
        if e.name != "earthscope_sdk.common":  # 0.2 has none
            raise
        return _DeviceFlow(options)
    theirs = _theirs("earthscope_sdk.auth.auth_flow").AuthFlow
    context.auth_flow = _mix(_EarthScopeFlow, theirs)(context, options)
    return context


# 7. Signing in, and notebooks.

# The parameters of PROTOCOL.md, "login", but for those that login sets by itself.
_LOGIN = frozenset(
    "provider issuer token_url auth_server authorization_endpoint device_endpoint par_endpoint "
    "revocation_endpoint userinfo_endpoint par grant no_browser client_auth basic username client_id backend "
    "key certificate key_alg key_id assertion_audience assertion_file redirect subject header prefix "
    "new_client secret replace ephemeral scope audience resource_indicator target_audience wider_scope strict_scope "
    "set resources trust fleet".split()
)
_SWITCHES = frozenset("fleet no_browser new_client secret replace ephemeral wider_scope strict_scope".split())
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")  # as groat has it
_LISTS = frozenset(("resources", "trust"))
_FLAGS = {"resources": "api"}  # what groat login calls them, where it is not the same
# How long a person may take (groatd gives a sign-in up sooner), and groatd for a step of its own.
_PERSON_TIME, _STEP_TIME = 36 * 60.0, 75.0


class SignIn:
    """What a sign-in came to. str() is the sentence for people; a notebook shows nothing, since login has shown it.

    The attributes are those of the result in PROTOCOL.md, "login": profile, outcome, grant, issuer, client_id, created,
    keystore, expires_at; result has all of them.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result
        self.profile, self.outcome, self.grant, self.issuer, self.client_id, self.keystore = (
            _line(str(result.get(name, "")))
            for name in ("profile", "outcome", "grant", "issuer", "client_id", "keystore")
        )
        self.created: bool = bool(result.get("created"))
        self.expires_at = _whole(result.get("expires_at"))

    def __str__(self) -> str:
        already = "already " if self.outcome == "already_signed_in" else ""
        text = f"{already}signed in: profile {self.profile} at {self.issuer}"
        left = _whole(self.result.get("expires_in"))
        if left is not None and left > 0:
            text += f"; access token good for {_duration(left)}"
        if self.created:
            text += f"\ncreated: App Credentials {self.client_id}, which exist at the provider from now on"
        if self.result.get("untried"):
            text += "\nnote: the key was not tried out; whether it works shows at the first use"
        return text

    def __repr__(self) -> str:
        return f"<groat.SignIn of profile {self.profile!r}, outcome={self.outcome!r}>"

    def _ipython_display_(self) -> None:
        pass


@_public
def login(profile: str, *, paste: bool = False, keystore: str | None = None, **parameters: Any) -> SignIn:
    """Signs a profile in, as "groat login" does, with a person in front of the notebook or terminal.

    parameters are those of PROTOCOL.md, "login", which are those of "groat login" with _ for -: provider, username,
    client_id, issuer, grant, scope, api (or resources), and so on. A profile that exists needs none. What to open, and
    the code to type there, is shown below the cell and taken away again at the end. A password or another secret is
    asked for by getpass: it is in no cell, no output and no history. Where nobody can be asked the call fails; so it
    does, in a notebook that a program runs, where somebody would have to open an address.

    paste     asks for the address that the browser ended at, where that is on another machine
    keystore  where credentials are kept on this machine, where nothing is chosen yet: "keychain", "passphrase" (an
              encrypted file; the passphrase is asked for), "key-file" or "memory"

    A call that is interrupted gives the sign-in up.
    """
    return _login(_SigningIn(profile, parameters, paste, keystore))


def _login(begun: _SigningIn) -> SignIn:
    begun.alone = _notebook() is not None and not _somebody()
    return begun.finish()


@_public
def login_start(profile: str, *, paste: bool = False, keystore: str | None = None, **parameters: Any) -> None:
    """Begins what login does, and returns once there is something to open; login_finish, in another cell, waits for the
    end. The sign-in is given up where it is begun anew, or where the process ends."""
    earlier = _begun.pop(profile, None)
    if earlier is not None:
        earlier.give_up()
    begun = _SigningIn(profile, parameters, paste, keystore)
    begun.until_shown()
    _begun[profile] = begun


@_public
def login_finish(profile: str | None = None) -> SignIn:
    """Waits until a sign-in that login_start began has come to its end; profile is needed where there are several."""
    import shlex

    mine = [name for name, begun in _begun.items() if begun.pid == os.getpid()]
    if profile is None and len(mine) == 1:
        profile = mine[0]
    if profile is None and mine:
        raise UsageError(f"sign-ins of {', '.join(mine)} are under way: groat.login_finish takes the name of one")
    if profile is None or profile not in mine:
        which = f"a sign-in of profile {_line(profile)}" if profile else "a sign-in"
        hint = f"groat login {shlex.quote(profile)}" if profile else "groat status"
        raise UsageError(f"groat.login_start has not begun {which} in this process, or it was given up", hint)
    return _begun.pop(profile).finish()


def whoami(profile: str | None = None) -> dict[str, Any]:
    """Returns what the provider says of the person behind a profile: strings, numbers and booleans by their names."""
    claims: dict[str, Any] = request("whoami", {"profile": profile} if profile else None, timeout=60)["claims"]
    return claims


@_public
def unlock() -> None:
    """Opens a locked keystore, as "groat unlock" does: its passphrase is asked for by getpass, or the desktop asks.

    Where it is open nobody is asked. The state of the keystore is shown as login shows what it came to.
    """
    state = request("keystore")
    if state.get("state") != "ok" or state.get("use") == "keychain":
        params: dict[str, Any] = {}
        if state.get("use") == "sealed" and state.get("key") == "passphrase":
            params["passphrase"] = _hidden("Passphrase of the keystore", Locked, "groat unlock")
        state = request("unlock", params, timeout=_STEP_TIME)
    _Page().end(_keystore_text(state))


@_public
def logout(profile: str, *, yes: bool = False, keep_remote: bool = False) -> dict[str, Any]:
    """Ends a profile's session at the provider, and forgets the profile here; the result is PROTOCOL.md's, "logout".

    yes          also where the provider keeps a client, which cannot be deleted there: without it that is refused
    keep_remote  leaves the session at the provider as it is
    """
    import shlex

    done = request("logout", {"profile": profile, "yes": yes, "keep_remote": keep_remote}, timeout=_STEP_TIME)
    if not done.get("forgotten"):
        stays = f"client {done.get('client_id')} stays at {done.get('issuer')}"
        hint = f"groat logout {shlex.quote(profile)} --yes"
        raise UsageError(f"{stays}: yes=True forgets the profile all the same", hint)
    return done


_KEYSTORES = {
    "keychain": {"use": "keychain"},
    "passphrase": {"use": "sealed", "key": "passphrase"},
    "key-file": {"use": "sealed", "key": "file"},
    "memory": {"use": "memory"},
}


def _choose_keystore(word: str, command: str) -> None:
    if word not in _KEYSTORES:
        known = ", ".join(_KEYSTORES)
        raise UsageError(f"there is no keystore {word!r}; there are {known}", "groat keystore")
    params, state = dict(_KEYSTORES[word]), request("keystore")
    if all(state.get(name) == value for name, value in params.items()):
        return  # as where a cell is run again
    if word == "passphrase":
        params["passphrase"] = _hidden("New passphrase", KeystoreUnavailable, command)
        again = _hidden("The same again", KeystoreUnavailable, command)
        if not again or again != params["passphrase"]:
            raise UsageError("nothing was typed, or not twice the same: no keystore was chosen", command)
    request("keystore", params, timeout=_STEP_TIME)


def _hidden(what: str, otherwise: type[Error], command: str) -> str:
    """What a person types without an echo. Where nobody can be asked the error is otherwise, and command its hint."""
    import getpass
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown
            return _Secret(getpass.getpass(what + ": "))
    except (getpass.GetPassWarning, NotImplementedError, EOFError, OSError):
        raise otherwise(f"{what}: nobody can type it here", command) from None


class _GivenUp(KeyboardInterrupt):
    """An interrupt that ended a sign-in."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the sign-in was given up"]


class _SigningIn:
    """One sign-in, on a connection of its own: groatd gives it up when that ends."""

    def __init__(self, profile: str, parameters: dict[str, Any], paste: bool, keystore: str | None) -> None:
        import shlex

        self.command = "groat login " + shlex.quote(profile)
        params: dict[str, Any] = {"profile": profile}
        for name, value in parameters.items():
            name = next((ours for ours, flag in _FLAGS.items() if flag == name), name)
            self._check(name, value)
            if value is None or value is False:
                continue
            if name in ("key", "certificate", "assertion_file"):
                value = os.path.abspath(os.path.expanduser(value))
            elif name in _LISTS:
                value = [value] if isinstance(value, str) else list(value)
            params[name] = value
            self.command += _flag(name, value)
        if keystore is not None:
            self.command += _flag("keystore", keystore)
            _choose_keystore(keystore, self.command)
        if _somebody():
            params["confirm"] = True
        self.pid, self.paste, self.page = os.getpid(), paste, _Page()
        self.patience, self.received = _STEP_TIME, b""
        self.pasting: dict[str, Any] | None = None  # the prompt that wants the browser's address
        self.flags = False  # whether the parameters were typed as the flags of groat login
        self.alone = False  # whether nobody sees the page before the end
        self.again = False  # whether what was pasted may have been something else
        self.result: SignIn | None = None
        self.connection = _current()._connect()
        try:
            self._send("login", params)
            self.id = self.connection._id
        except BaseException:
            self.give_up()
            raise

    @staticmethod
    def _check(name: str, value: Any) -> None:
        if name in ("password", "client_secret", "api_key", "token", "passphrase") or name == "secret" and (
            value is not True and value is not False
        ):
            raise UsageError("a secret does not belong in a cell, which is saved: leave it out, and it is asked for")
        if name not in _LOGIN:
            from difflib import get_close_matches

            near = get_close_matches(name, sorted(_LOGIN | set(_FLAGS.values())), 1)
            meant = f"; {near[0]} is one" if near else ""
            raise UsageError(f"there is no parameter {_line(name)} of a sign-in{meant}", "groat login --help")

    def finish(self) -> SignIn:
        """Goes on until the end."""
        while self.result is None:
            self._step()
        return self.result

    def until_shown(self) -> None:
        """Goes on until a person has something to open, or until the end."""
        while self.result is None and not self.page.asks:
            self._step()

    def give_up(self) -> None:
        """Ends the sign-in, and returns once groatd has ended it too: then another one of the profile can begin."""
        sock = self.connection.sock
        try:
            if self.pid == os.getpid():  # else it is the parent's
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(2)
                while sock.recv(16384):
                    pass
        except OSError:
            pass  # it has ended already
        finally:
            self.connection.close()
            if self.result is None:
                self.page.end("")

    def _step(self) -> None:
        """Takes one message of groatd's."""
        try:
            if self.again and self.pasting is not None and self._waits():
                self.again = False
                self._answer(self.pasting, self._ask_for_address())
            message = self._read()
            if message.get("method") == "prompt" and isinstance(message.get("params"), dict):
                self._prompted(message["params"])
            elif "method" not in message and (message.get("id") == self.id or self._unread(message)):
                self._ended(message)
        except ValueError as e:
            self.give_up()
            if isinstance(e, Error):
                raise
            raise ProtocolError("groatd's answer cannot be read", "groat restart") from None
        except OSError as e:
            self.give_up()
            raise _broken(e) from None
        except KeyboardInterrupt:
            self.give_up()
            raise _GivenUp from None
        except BaseException:
            self.give_up()
            raise

    @staticmethod
    def _unread(message: dict[str, Any]) -> bool:
        """Whether groatd says that it could not read a request."""
        return message.get("id") is None and "error" in message

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + self.patience
        while True:
            line, newline, rest = self.received.partition(b"\n")
            if newline:
                self.received = rest
                return _parse(line)
            if len(line) > _LONGEST_LINE:
                raise ValueError("a line without end")
            self.connection.sock.settimeout(max(end - time.monotonic(), 0.001))
            chunk = self.connection.sock.recv(16384)
            if not chunk:
                raise _Closed("groatd ended the connection, and the sign-in with it", "groat status")
            self.received += chunk

    def _waits(self) -> bool:
        """Whether groatd says nothing more for a second, so that it waits for a person."""
        import select

        return b"\n" not in self.received and not select.select([self.connection.sock], [], [], 1)[0]

    def _send(self, method: str, params: dict[str, Any]) -> None:
        self.connection.sock.settimeout(_ANSWER_TIME)
        self.connection.sock.sendall(self.connection.ask(method, params), _NO_SIGNAL)

    def _ended(self, message: dict[str, Any]) -> None:
        error, result = message.get("error"), message.get("result")
        if isinstance(error, dict):
            refusal = _refusal(error)
            if not self.flags:
                refusal.message = _without_flags(refusal.message)
            if refusal.hint.startswith("groat keystore use sealed "):  # nothing is chosen yet
                refusal.hint = self.command + " --keystore passphrase"
            raise refusal
        if not isinstance(result, dict):
            raise ValueError("it has neither a result nor an error")
        self.result = SignIn(result)
        self.connection.close()
        self.page.end(str(self.result))

    def _prompted(self, prompt: dict[str, Any]) -> None:
        kind, text = prompt.get("kind"), _line(str(prompt.get("text", "")))
        if kind == "notice":
            self.page.notice(text)
            self.again = self.pasting is not None
        elif kind == "secret":
            self.patience = _STEP_TIME
            self._answer(prompt, self._ask_for_secret(text, bool(prompt.get("optional"))))
        elif kind == "confirm":
            self.patience = _STEP_TIME
            self._answer(prompt, "yes" if self._ask(text) else "no")
        elif kind in ("device", "browser"):
            if self.alone:
                raise LoginRequired(f"{text.rstrip(':')}: nobody can do that while a program runs this", self.command)
            self.patience = _PERSON_TIME
            self.page.ask(prompt)
            if kind == "browser" and self.paste:
                self.pasting = prompt
                self._answer(prompt, self._ask_for_address())

    def _answer(self, prompt: dict[str, Any], value: str) -> None:
        if value or prompt.get("kind") != "browser":
            answer = {"login_id": prompt.get("login_id"), "question": prompt.get("question"), "value": value}
            self._send("login_input", answer)

    def _ask_for_secret(self, what: str, optional: bool) -> str:
        typed = _hidden(what, LoginRequired, self.command)
        if not typed and not optional:
            raise LoginRequired("nothing was typed, and the sign-in was given up", self.command)
        if typed != typed.strip() or not (typed[:1] + typed[-1:]).isprintable():
            raise LoginRequired("what was typed begins or ends with a blank: it was not sent", self.command)
        return typed

    def _ask_for_address(self) -> str:
        what = "The address that the browser ended at, or the code in it"
        return _Secret(_hidden(what, LoginRequired, self.command).strip())

    def _ask(self, question: str) -> bool:
        try:
            return input(question + " [y/N] ").strip().lower() in ("y", "yes")
        except (NotImplementedError, EOFError):
            return False


_begun: dict[str, _SigningIn] = {}


def _flag(name: str, value: Any) -> str:
    """A parameter of login as groat login has it on its command line."""
    import shlex

    flag = " --" + _FLAGS.get(name, name).replace("_", "-")
    if value is True:
        return "" if name == "secret" else flag
    if name == "set":
        value = [f"{key}={word}" for key, word in value.items()]
    return "".join(f"{flag} {shlex.quote(str(word))}" for word in (value if isinstance(value, list) else [value]))


def _without_flags(text: str) -> str:
    """A sentence of groatd's about flags of groat login, with what login calls them in their place."""
    import re

    def name(found: re.Match[str]) -> str:
        flag = found[1].replace("-", "_")
        if flag not in _LOGIN and flag not in _FLAGS.values():
            return found[0]
        return flag + (f'="{found[2]}"' if found[2] else "")

    return re.sub(r"--([a-z]+(?:-[a-z]+)*)(?: ([a-z]+(?:_[a-z]+)+))?", name, text)


def _notebook() -> Any:
    """The shell of IPython that runs in a kernel, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _somebody() -> bool:
    """Whether a person can be asked: by the page of a notebook, or at a terminal."""
    shell = _notebook()
    if shell is not None:
        return bool(getattr(shell.kernel, "_allow_stdin", True))
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # it is closed
        return False


class _Page:
    """Where a person sees what a sign-in says: an output of the cell that changes, or stderr."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.asks: dict[str, Any] | None = None  # the prompt with what is to be opened
        self.id = ""

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self._show(text)

    def ask(self, prompt: dict[str, Any]) -> None:
        self.asks = prompt
        self._show(_prompt_text(prompt))

    def end(self, sentence: str) -> None:
        """Takes away what was to be opened. Without a sentence the sign-in was given up."""
        self.asks = None
        if sentence:
            self.notices.append(sentence)
        if sentence or self.id:
            self._show(sentence)

    def _show(self, news: str) -> None:
        if _notebook() is None:
            print(news, file=sys.stderr, flush=True)
            return
        from html import escape
        from importlib import import_module

        text = "\n".join(self.notices + ([_prompt_text(self.asks)] if self.asks else []))
        html = "".join(f"<div>{escape(notice)}</div>" for notice in self.notices).replace("\n", "<br>")
        if self.asks:
            html += _prompt_html(self.asks)
        update, self.id = bool(self.id), self.id or os.urandom(8).hex()
        display = import_module("IPython.display").display
        display({"text/plain": text, "text/html": html}, raw=True, display_id=self.id, update=update)


def _prompt_text(prompt: dict[str, Any]) -> str:
    lines = [_line(str(prompt.get("text", ""))), "", "  " + _line(str(prompt.get("url", "")))]
    if prompt.get("code"):
        lines += ["", "  code: " + _line(str(prompt["code"]))]
    return "\n".join(lines) + "\n"


def _prompt_html(prompt: dict[str, Any]) -> str:
    from html import escape

    url, code = _line(str(prompt.get("url", ""))), _line(str(prompt.get("code") or ""))
    left = _whole(prompt.get("expires_in"))
    html = f"<div>{escape(_line(str(prompt.get('text', ''))))}</div>"
    if url.startswith(("https://", "http://")):
        html += f'<p><a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(url)}</a></p>'
    else:
        html += f"<p>{escape(url)}</p>"
    if code:
        html += f'<p>code: <code style="font-size: 150%">{escape(code)}</code></p>'
    html += _qr_svg(str(prompt.get("qr") or ""))
    if left is not None and left > 0:
        html += f"<div>the code is good for {_duration(left)}; this waits for you</div>"
    return html


def _qr_svg(drawing: str) -> str:
    """groatd's QR code, which it draws in blocks for a terminal, as a picture with square modules; else ""."""
    lines = drawing.splitlines()
    if not lines or drawing.strip(" \n█▀▄") or len(set(map(len, lines))) > 1:
        return ""
    import re

    # Each character is two modules above one another; a block is a light one.
    rows = ["".join("." if c in light else "#" for c in line) for line in lines for light in ("█▀", "█▄")]
    runs = [(y, run.start(), len(run[0])) for y, row in enumerate(rows) for run in re.finditer("#+", row)]
    dark = "".join(f"M{x} {y}h{n}v1h-{n}z" for y, x, n in runs)
    width, height = len(lines[0]), len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{4 * width}" '
        f'height="{4 * height}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{width}v{height}h-{width}z"/><path d="{dark}"/></svg>'
    )


def _duration(seconds: int) -> str:
    """A duration as groat says it: 13m58s, 4h10m, 6d2h."""
    if seconds < 3600:
        minutes, seconds = divmod(max(seconds, 0), 60)
        return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
    if seconds < 48 * 3600:
        return f"{seconds // 3600}h{seconds // 60 % 60}m"
    return f"{seconds // 86400}d{seconds // 3600 % 24}h"


class _Table:
    """Rows for people, as text and as HTML."""

    columns: tuple[str, ...] = ()
    nothing = ""  # what is said where there is no row
    rows: list[list[str]]
    first: list[str] = []  # lines before the rows

    def __repr__(self) -> str:
        table = [list(self.columns), *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in table]
        return "\n".join(self.first + (lines if self.rows else [self.nothing]))

    def _repr_html_(self) -> str:
        from html import escape

        if not self.rows:
            return f"<pre>{escape(repr(self))}</pre>"
        first = "".join(f"<div>{escape(line)}</div>" for line in self.first)
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f"{first}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _no_profiles() -> str:
    return "no profiles yet\nnext: " + _as_typed("groat login")


def _server(address: object) -> str:
    """An address without what goes without saying."""
    text = str(address or "")
    return text[8:].replace(":443", "", 1) if text.startswith("https://") else text


class _Status(_Table):
    """The states of profiles as a table."""

    columns = ("profile", "state", "token", "account", "what to do")

    def __init__(self, result: dict[str, Any]) -> None:
        self.rows = [self._row(p) for p in result.get("profiles", [])]
        self.nothing = _no_profiles()
        keystore = result.get("keystore") or {}
        if keystore.get("state") in ("locked", "unavailable"):
            self.first = [_keystore_text(keystore)]
            if keystore["state"] == "locked":
                self.first.append("next: " + _as_typed("groat unlock"))

    @staticmethod
    def _row(p: dict[str, Any]) -> list[str]:
        state = p.get("blocked") or p.get("state") or ""
        if state == "temporary" and p.get("state") == "fresh":
            state = "fresh"  # the token that is held is served meanwhile
        if p.get("broken"):
            state = "config"
        words = {"config": "configuration error", "internal": "internal error", "temporary": "temporary failure"}
        token = ["does not expire"] if p.get("static") else []
        if p.get("expires_in", 0) > 0:
            token.append("good for " + _duration(p["expires_in"]))
        elif p.get("expires_at"):
            token.append("has expired")
        if p.get("last"):
            token.append("the sign-in ends with it")
        for name, text in (("renew_in", "renewal in "), ("retry_in", "retry in ")):
            if p.get(name, 0) > 0:
                token.append(text + _duration(p[name]))
        account = " at ".join(x for x in (p.get("account"), _server(p.get("issuer"))) if x)
        trouble = "; ".join(x for x in (p.get("message"), _as_typed(str(p.get("hint") or ""))) if x)
        row = [p.get("profile", ""), words.get(state, state.replace("_", " ")), ", ".join(token), account, trouble]
        return [_line(str(cell)) for cell in row]


class _List(_Table):
    """What is configured as a table."""

    columns = ("profile", "provider", "account", "server", "APIs")

    def __init__(self, configured: list[dict[str, Any]]) -> None:
        self.nothing = _no_profiles()
        self.rows = []
        for p in configured:
            apis = " ".join(map(_server, p.get("resources") or []))
            row = [p.get("profile"), p.get("provider"), p.get("account"), _server(p.get("issuer")), apis]
            self.rows.append([_line(str(cell or "")) for cell in row])


class _Whoami(_Table):
    """What the provider says of a person as a table."""

    columns = ("", "")
    nothing = "nothing"

    def __init__(self, claims: dict[str, Any]) -> None:
        self.rows = [[_line(str(name)), _line(str(value))] for name, value in sorted(claims.items())]


def _keystore_text(state: dict[str, Any]) -> str:
    key = f" (key: {state['key']})" if state.get("key") else ""
    message = f": {state['message']}" if state.get("message") else ""
    return _line(f"keystore: {state.get('use')}{key}, {state.get('state')}{message}")


_loaded = False


def load_ipython_extension(shell: Any) -> None:
    """Makes %groat of "%load_ext groat": help(groat._magic) has what it knows."""
    global _loaded
    shell.register_magic_function(_magic, "line", "groat")
    _loaded = True


def _as_typed(hint: str) -> str:
    """A hint as the next cell takes it, where %groat is there and can do that; else as a terminal does."""
    import shlex

    if not (_loaded and _somebody()):
        return hint
    try:
        words = shlex.split(hint)
        if len(words) > 1 and words[0] == "groat" and "$" not in hint:
            _magic_call(words[1:])
            return "%" + hint
        if len(words) == 2 and words[0] == "export":
            word = words[1].replace("$no_proxy", os.environ.get("no_proxy", ""))
            return hint if "$" in word else "%env " + word
    except ValueError:  # also UsageError
        pass
    return hint


def _magic(line: str) -> Any:
    """What groat has at a terminal, as far as a cell can be its terminal.

    %groat status [PROFILE], list, whoami [PROFILE], login PROFILE [flags], unlock, keystore, logout PROFILE [flags],
    network, profile. What login and the last three take, "%groat login --help" and so on say.
    """
    import shlex

    try:
        words = shlex.split(line)
    except ValueError as e:
        raise UsageError(f"the line cannot be read: {e}") from None
    return _magic_call(words or ["status"])()


def _magic_call(words: list[str]) -> Callable[[], Any]:
    """What a line of %groat does."""
    command, *rest = words
    profile = rest[0] if rest else None
    if command in ("login", "logout", "network", "profile"):
        if not rest or command != "login" or any(word in ("-h", "--help") for word in rest):
            if command == "logout" and not rest:
                raise UsageError("%groat logout needs the name of a profile", "groat list")
            return lambda: print(_groat(*words).rstrip("\n"))
        if not rest[0].startswith("-"):
            parameters = _parameters(rest[1:])
            return lambda: _login_by_flags(rest[0], parameters)
        raise UsageError("the first word after %groat login is the name of the profile", "groat login --help")
    if command == "unlock" and not rest:
        return unlock
    if command == "keystore" and not rest:
        return lambda: print(_groat("keystore").rstrip("\n"))
    if command == "list" and not rest:
        return lambda: _List(profiles())
    if command in ("status", "whoami") and len(rest) < 2 and not (profile or "").startswith("-"):
        if command == "whoami":
            return lambda: _Whoami(whoami(profile))
        return lambda: _Status(status(profile))
    known = "status, list, whoami, login, unlock, keystore, logout, network and profile"
    raise UsageError(f"%groat knows {known}, and no flags but those of login and the last three", "groat status")


def _login_by_flags(profile: str, parameters: dict[str, Any]) -> SignIn:
    keystore = parameters.pop("keystore", None)
    begun = _SigningIn(profile, parameters, False, keystore)
    begun.flags = True
    return _login(begun)


def _parameters(words: list[str]) -> dict[str, Any]:
    """The flags of groat login as parameters of login."""
    names = {flag: name for name, flag in _FLAGS.items()}
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_")
        name = names.get(name, name)
        if not flag.startswith("--") or name not in _LOGIN and name != "keystore" or name == "secret":
            if not word.startswith("-"):
                quoted = "what has blanks is quoted, and a profile has one name"
                raise UsageError(f"{word!r} is no flag of %groat login: {quoted}", "groat login --help")
            raise UsageError(f"%groat login does not know {word!r}", "groat login --help")
        if name in _SWITCHES:
            if equals and value not in _TRUE + _FALSE:
                raise UsageError(f"{flag} is true or false, not {value!r}", "groat login --help")
            found[name] = not equals or value in _TRUE
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                raise UsageError(f"{flag} needs a value", "groat login --help")
            value = following
        if name == "set":
            key, _, value = value.partition("=")
            found.setdefault(name, {})[key] = value
        elif name in _LISTS:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Of the package's version, which an installed one has; a copied file has "0"."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import metadata

        try:
            installed = metadata.distribution("groat")
            if os.path.samefile(str(installed.locate_file("groat/__init__.py")), __file__):
                return installed.version
        except (metadata.PackageNotFoundError, OSError):
            pass
        return "0"
