"""The command line in wrong hands: whatever is wrong is told on a line, without secrets."""

import os
from pathlib import Path

import pytest

from tallystick.cli.console import faults_on_one_line
from tests.scenarios.serving_up import Said, tallystick

SECRET = {"TALLYSTICK_POSTGRES_URL": "postgresql://u:pa/ss@127.0.0.1:1/x"}


def on_lines(said: Said) -> str:
    """Return the complaint, which is one line and no more."""
    assert "Traceback" not in said.err
    assert "pa/ss" not in said.err + said.out
    return said.refusal()


@pytest.mark.parametrize("key", [".", "/bin/true", "k" * 5000])
async def test_a_key_that_is_none_is_told_on_a_line(tmp_path: Path, key: str) -> None:
    """A directory, a program or a very long text in place of the log's public key."""
    (tmp_path / "receipt").write_text("no receipt")
    said = await tallystick("receipt", "verify", str(tmp_path / "receipt"), "--key", key, data=tmp_path / "data")
    assert said.status == 1
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == 1


async def test_a_book_of_an_impossible_name_is_told_on_a_line(tmp_path: Path) -> None:
    """Neither too long a name nor one that leads elsewhere is looked up among the files."""
    for name in ("x" * 5000, "../../etc/passwd"):
        assert on_lines(await tallystick("log", "key", "-b", name, data=tmp_path)).endswith("invalid_input")


@pytest.mark.parametrize("arguments", [("migrate",), ("verify",), ("key", "list"), ("up", "--port", "0")])
async def test_an_address_with_a_slash_in_its_password_is_not_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It cannot be taken apart, and the complaint names the variable and how to write the character."""
    said = await tallystick(*arguments, data=tmp_path, **SECRET)
    assert said.status == 2
    assert "TALLYSTICK_POSTGRES_URL" in on_lines(said)
    assert "%2F" in said.err


@pytest.mark.usefixtures("house")
async def test_input_that_is_no_input_is_told_on_a_line(database_url: str, tmp_path: Path) -> None:
    """`do` with a NUL in a text, JSON without a bottom, or bytes that are not UTF-8."""
    for operation, given in (
        ("security.create_key", f'{{"name": "a\\u0000b", "scopes": ["*"], "sha256": "{"22" * 32}"}}'),
        ("usage.record", f'{{"source": "s", "events": [{"[" * 5000}{"]" * 5000}]}}'),
        ("ledger.balance", os.fsdecode(b'{"account": "\xff"}')),
    ):
        said = await tallystick("do", operation, given, data=tmp_path, TALLYSTICK_POSTGRES_URL=database_url)
        assert said.status == 1
        assert on_lines(said).endswith("invalid_input")


async def test_a_negative_amount_is_told_as_one(tmp_path: Path) -> None:
    """It is no option that nobody knows, and the store is not asked."""
    said = await tallystick("wallet", "grant", "ada", "-5", "USD", data=tmp_path / "data")
    assert said.status == 2
    assert "amount" in on_lines(said)
    assert "range x>=1" in said.err
    assert not (tmp_path / "data").exists()


def test_what_nobody_foresaw_is_one_line_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Its kind is told; its words may hold secrets, and are not."""
    with pytest.raises(SystemExit) as ended, faults_on_one_line():
        raise ValueError("postgresql://u:secret@h/x")
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "secret" not in told
