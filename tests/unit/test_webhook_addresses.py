"""Addresses: what webhooks may reach, when they are tried again, and how they are signed."""

import datetime as dt
import ipaddress
import uuid

import pytest

from tallystick.notify import judge_address
from tallystick.notify.back_off import IN_A_ROW, WAITS, pause_after, wait_after
from tallystick.notify.judge_address import NotReached, Reach, Target, parse_url

REFUSED = [
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
    "ff02::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_the_public_internet_is_refused(text: str) -> None:
    """Whatever this server alone can reach, however it is written, stays out of reach, and https does not help."""
    assert Reach().refusal(ipaddress.ip_address(text), tls=True) is not None
    allowed = Reach.parse(f"{text}/{32 if '.' in text and ':' not in text else 128}")
    assert allowed.refusal(ipaddress.ip_address(text), tls=False) is None


@pytest.mark.parametrize("text", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_the_public_internet_is_reached_by_https_alone(text: str) -> None:
    """Plain http is for networks that the operator names."""
    assert Reach().refusal(ipaddress.ip_address(text), tls=True) is None
    assert (
        Reach().refusal(ipaddress.ip_address(text), tls=False) == "reached by http, which is for networks of your own"
    )


async def test_a_name_with_one_address_that_is_allowed_goes_to_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that is connected to is the one that was judged: it is handed on as a number."""

    def look_up(*_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("127.0.0.1", 443)), (2, 1, 6, "", ("93.184.215.14", 443))]

    monkeypatch.setattr(judge_address, "_look_up", look_up)
    target = Target(tls=True, host="two.example", port=443, path="/")
    assert str(await Reach().find(target)) == "93.184.215.14"
    with pytest.raises(NotReached, match=r"127\.0\.0\.1 is a loopback address"):
        await Reach().find(Target(tls=False, host="two.example", port=80, path="/"))


def test_a_url_is_taken_apart() -> None:
    """Host, port, path and query, as the request line and the Host header need them."""
    assert parse_url("https://Example.com") == Target(tls=True, host="example.com", port=443, path="/")
    assert parse_url("https://example.com:8443/a?b=c").authority == "example.com:8443"
    assert parse_url("http://[2001:db8::1]:8080/").authority == "[2001:db8::1]:8080"
    assert parse_url("https://example.com?x=1").path == "/?x=1"


def test_waits_grow_and_spread() -> None:
    """Each wait is its step of the schedule and up to a quarter more, or what the endpoint asked for, up to a day."""
    events = [uuid.UUID(int=number) for number in range(200)]
    for attempts in range(1, 20):
        step = WAITS[min(attempts, len(WAITS)) - 1]
        waits = {wait_after(attempts, event, None) for event in events}
        assert step <= min(waits)
        assert max(waits) <= step * 1.25
        assert len(waits) > 30
    assert wait_after(1, events[0], dt.timedelta(hours=1)) == dt.timedelta(hours=1)
    assert wait_after(1, events[0], dt.timedelta(days=9)) == dt.timedelta(days=1)
    assert pause_after(IN_A_ROW - 1) is None
    assert pause_after(IN_A_ROW) == dt.timedelta(seconds=5)
    assert pause_after(10_000) == dt.timedelta(minutes=10)
