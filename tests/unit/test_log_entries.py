"""Entry bundles: their addresses and their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.log.entries import BadBundle, Bundle, decode_bundle, encode_bundle, parse_bundle_path
from tallystick.ledger.log.tiles import BadTile, Tile
from tests.unit.test_log_tiles import NOT_ADDRESSES

ADDRESSES = {
    Bundle(0): "tile/entries/000",
    Bundle(0, 5): "tile/entries/000.p/5",
    Bundle(1_234_067): "tile/entries/x001/x234/067",
    Bundle(999, 255): "tile/entries/999.p/255",
}


@pytest.mark.parametrize(("bundle", "path"), ADDRESSES.items())
def test_a_bundle_has_one_address(bundle: Bundle, path: str) -> None:
    """An address leads to its bundle and back, and the bundle to the tile with the hashes."""
    assert bundle.path == path
    assert parse_bundle_path(path) == bundle
    assert bundle.tile == Tile(0, bundle.number, bundle.width)


@pytest.mark.parametrize("path", [one.replace("tile/0/", "tile/entries/") for one in NOT_ADDRESSES[:-1]])
def test_any_other_spelling_is_no_address_of_a_bundle(path: str) -> None:
    """What is no tile's address is no bundle's, and a tile's is none either."""
    with pytest.raises(BadTile):
        parse_bundle_path(path)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entries_come_out_as_they_went_in(entries: list[bytes]) -> None:
    """Whatever the entries are, empty ones included."""
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_the_length_stands_before_each_entry_in_16_bits() -> None:
    """The form is the one specified, and no entry is longer than it can say."""
    assert encode_bundle([b"ab", b""]) == b"\0\2ab\0\0"
    assert len(encode_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(ValueError, match="too long"):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize(("content", "width"), [(b"\0", 1), (b"\0\2a", 1), (b"\0\1a", 2), (b"\0\1a", 0), (b"", 1)])
def test_a_bundle_of_another_form_is_refused(content: bytes, width: int) -> None:
    """It ends where an entry does, and holds as many as were asked for."""
    with pytest.raises(BadBundle):
        decode_bundle(content, width)
