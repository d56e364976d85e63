"""The house's bans, each with what to write instead, and the lock files' promises."""

import ast
import re
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "tallystick"
LOCKS = sorted([*ROOT.glob("requirements*.txt"), *ROOT.glob("tests/*/requirements.txt")])

SQL = re.compile(
    r"\b(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\s|TRUNCATE\s|COPY\s+\S+\s+(FROM|TO)\b"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|SCHEMA|ROLE|VIEW|FUNCTION|DATABASE)\b)"
)
REASON = re.compile(r"(noqa: ?[A-Z0-9, ]+|type: ?ignore\[[\w, -]+\])\s+(-|#)\s+.*\w{3}")
ADDRESS = re.compile(r"\w+://|^\s*--?(index-url|extra-index-url|find-links|f|i)\b|\bfile:", re.MULTILINE)

Finds = Callable[[ast.AST], bool]


@dataclass(frozen=True)
class Ban:
    """Something that product code must not say."""

    what: str
    instead: str
    finds: Finds
    allowed: tuple[str, ...] = ()
    """Files below tallystick/ whose work it is; a name that ends in a slash is a folder, ``**/`` is any folder."""

    def allows(self, name: str) -> bool:
        """Say whether the file called *name*, a path below tallystick/, may say it."""
        for home in self.allowed:
            anywhere = home.startswith("**/") and f"/{name}".endswith(home.removeprefix("**"))
            if anywhere or name == home or (home.endswith("/") and name.startswith(home)):
                return True
        return False


def _calls(*names: str) -> Finds:
    """Match a call of a bare name among *names*."""
    return lambda node: isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _calls_method(*names: str) -> Finds:
    """Match a call of a method among *names*, on anything."""
    return lambda node: isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


def _asks_the_time(node: ast.AST) -> bool:
    """Match datetime.now(), datetime.utcnow(), datetime.today() and date.today()."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    owner_name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return owner_name in {"datetime", "date"} and node.func.attr in {"now", "utcnow", "today"}


def _builds_sql(node: ast.AST) -> bool:
    """Match an f-string with a field in it whose fixed text is SQL."""
    if not isinstance(node, ast.JoinedStr) or all(isinstance(part, ast.Constant) for part in node.values):
        return False
    fixed = "?".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return SQL.search(fixed) is not None


COMMITS = ("operations/run.py", "ledger/post.py")
"""Post is here for its savepoint: the optimistic COPY is undone inside the caller's transaction, which it never ends."""

BANS = [
    Ban("float(", "Decimal, or integer minor units (tallystick.money)", _calls("float")),
    Ban("round(", "Money.from_decimal, the one rounding point", _calls("round")),
    Ban("datetime.now(", "the Clock that is passed in (tallystick.clock)", _asks_the_time, ("clock.py",)),
    Ban("SQL in an f-string", "a named block in queries.sql, with parameters", _builds_sql),
    Ban(".commit(", "operations.run, which alone commits", _calls_method("commit", "rollback"), COMMITS),
    Ban(
        ".transaction(",
        "the connection that operations.run hands to the verb",
        _calls_method("transaction"),
        (*COMMITS, "db/migrate.py"),
    ),
    Ban(
        "print(",
        "structlog for operators; only the command line speaks to people",
        _calls("print"),
        ("cli.py", "demo.py", "cli/", "demo/", "**/__main__.py"),
    ),
]


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.what)
def test_no_product_file_says_what_is_banned(ban: Ban) -> None:
    """Each ban has one replacement, and product code uses it."""
    found = [f"{where}: {ban.what} is banned; use {ban.instead}" for where in _offenders(ban)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "source"),
    [
        ("float(", "float(price)"),
        ("round(", "round(total, 2)"),
        ("datetime.now(", "dt.datetime.now(dt.UTC)"),
        ("datetime.now(", "date.today()"),
        ("SQL in an f-string", "f'SELECT * FROM {table}'"),
        ("SQL in an f-string", "f'UPDATE {table} SET amount = 1'"),
        (".commit(", "await connection.commit()"),
        (".transaction(", "connection.transaction()"),
        ("print(", "print(total)"),
    ],
)
def test_each_ban_finds_what_it_bans(what: str, source: str) -> None:
    """A ban that finds nothing would pass for ever, so each is shown an offender."""
    ban = next(ban for ban in BANS if ban.what == what)
    assert any(ban.finds(node) for node in ast.walk(ast.parse(source, mode="exec")))


@pytest.mark.parametrize(
    "source",
    ["x: float = 1.5", "isinstance(x, float)", "f'select a {colour}'", "f'{count} transfers'", "clock.now()"],
)
def test_what_merely_looks_like_an_offence_is_let_through(source: str) -> None:
    """Types, prose and the clock that is passed in are not what the bans mean."""
    assert not [ban.what for ban in BANS for node in ast.walk(ast.parse(source)) if ban.finds(node)]


def test_no_file_has_a_name_without_a_reason_to_stop_growing() -> None:
    """A file is named for its verb or its noun; utils and its kin collect whatever has no home."""
    grab_bags = {"service", "services", "utils", "util", "manager", "managers", "helpers", "helper", "common", "misc"}
    paths = [path for folder in ("tallystick", "tests", "bench") for path in (ROOT / folder).rglob("*")]
    found = [str(path.relative_to(ROOT)) for path in paths if path.stem in grab_bags]
    assert not found, f"{found}: name the file for the verb or the type in it"


def test_every_package_says_what_it_owns() -> None:
    """A README stands in every room of the house, telling what must always be true there."""
    rooms = [marker.parent for marker in PRODUCT.glob("*/__init__.py")]
    missing = [room.name for room in rooms if not (room / "README.md").is_file()]
    assert not missing, f"{missing}: write README.md: what it owns, what it does not, what must always be true"


def test_every_silenced_check_gives_its_reason() -> None:
    """Whoever switches a check off says why, in words, behind it: ``noqa: CODE - reason``."""
    found = [f"{_place(path, line)}: {comment}" for path, line, comment in _silencers() if not REASON.search(comment)]
    assert not found, "\n".join(["write '# noqa: CODE - reason' or '# type: ignore[code]  # reason'", *found])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_names_no_address_and_pins_by_hash(lock: Path) -> None:
    """What is installed is fixed by its content, and comes from whichever index the machine uses."""
    text = lock.read_text(encoding="utf-8")
    assert ADDRESS.search(text) is None
    pinned = _pinned(text)
    assert pinned
    assert [name for name, hashes in pinned.items() if not hashes] == []


def test_every_dependency_is_locked() -> None:
    """pyproject.toml says what we need; the locks say exactly which, for use and for development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    used, groups = project["project"]["dependencies"], project["dependency-groups"]
    wanted = {
        "requirements.txt": used,
        "requirements-dev.txt": [*used, *groups["dev"], *project["build-system"]["requires"]],
        "requirements-bootstrap.txt": groups["bootstrap"],
    }
    for name, needs in wanted.items():
        locked = set(_pinned((ROOT / name).read_text(encoding="utf-8")))
        assert not _names(needs) - locked, f"{name} lacks them; run: make lock"


def test_development_uses_the_versions_that_users_get() -> None:
    """What the tests pass with is what a user installs: the development lock holds the other one whole."""
    used, developed = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert set(_versions(used)) <= set(_versions(developed)), "run: make lock"


def _offenders(ban: Ban) -> Iterator[str]:
    for path in sorted(PRODUCT.rglob("*.py")):
        if ban.allows(path.relative_to(PRODUCT).as_posix()):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
            if isinstance(node, ast.expr) and ban.finds(node):
                yield _place(path, node.lineno)


def _silencers() -> Iterator[tuple[Path, int, str]]:
    """Yield every comment that switches a check off, with its place."""
    for folder in ("tallystick", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            with path.open("rb") as source:
                for token in tokenize.tokenize(source.readline):
                    if token.type == tokenize.COMMENT and re.search(r"#\s*(noqa|type: ?ignore)", token.string):
                        yield path, token.start[0], token.string


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def _versions(lock: str) -> list[str]:
    return re.findall(r"^[a-z0-9][\w.-]*==\S+", lock, re.MULTILINE)


def _pinned(lock: str) -> dict[str, int]:
    """Return each package of a lock file with the number of hashes that it is held by."""
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    return {canonicalize_name(entry.partition("==")[0]): entry.count("--hash=sha256:") for entry in entries}
