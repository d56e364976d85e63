"""What several scenarios stand on."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.scenarios.paying import Till, open_till


@pytest_asyncio.fixture(scope="module")
async def till(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    """Start one sandbox for all shops of a file: starting one takes longer than most of what is tested."""
    async with open_till(tmp_path_factory.mktemp("till")) as opened:
        yield opened
