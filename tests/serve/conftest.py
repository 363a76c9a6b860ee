from collections.abc import AsyncIterator

import httpx2
import pytest

from serve.app import create_app
from tests.serve.fakes import NOW, FakeFleet


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
async def client(fleet: FakeFleet) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(fleet, stale_after_ms=10_000.0, now_ns=lambda: NOW, max_requests=4)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
