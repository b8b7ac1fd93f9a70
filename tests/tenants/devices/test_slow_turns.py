"""Handlers that wait for a provider: no organization may hold all the turns of a gateway."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from tenants.devices.gateway.dispatcher import Dispatcher
from tenants.devices.gateway.limits import Limits


async def test_one_organizations_silent_provider_leaves_turns_for_the_others() -> None:
    dispatcher = Dispatcher(limits=Limits(slow_handlers_max=3, slow_handlers_per_organization=2))
    silent, lively = uuid4(), uuid4()
    provider_answers, begun = asyncio.Event(), 0

    async def wait(organization_id: UUID) -> None:
        nonlocal begun
        async with dispatcher.slow_turn(organization_id):
            begun += 1
            await provider_answers.wait()

    waiting = [asyncio.create_task(wait(silent)) for _ in range(10)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5), dispatcher.slow_turn(lively):
        assert begun == 2
    provider_answers.set()
    await asyncio.gather(*waiting)
    assert begun == 10
    await dispatcher.stop()
