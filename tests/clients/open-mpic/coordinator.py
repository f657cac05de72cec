"""The coordinator of open-mpic-core, with perspectives of another maker: `coordinator.py SETTINGS < REQUESTS`.

SETTINGS is JSON: `places`, a list with `code`, `rir` and `url`, and the files `certificate`, `key` and `server_ca`. Each line of
REQUESTS is an MPIC request of the library; each line of the output is the response.
"""

import asyncio
import json
import ssl
import sys

import aiohttp
from open_mpic_core import (
    CaaCheckResponse,
    CheckType,
    DcvCheckResponse,
    MpicCaaRequest,
    MpicCoordinator,
    MpicCoordinatorConfiguration,
    MpicDcvRequest,
    RemotePerspective,
)

SETTINGS = json.loads(sys.argv[1])
URLS = {place["code"]: place["url"] for place in SETTINGS["places"]}


async def main():
    context = ssl.create_default_context(cafile=SETTINGS["server_ca"])
    context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def call(perspective, check_type, request):
            url = f"{URLS[perspective.code]}/{check_type.value}"
            async with session.post(url, json=json.loads(request.model_dump_json())) as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {text}")
            kind = CaaCheckResponse if check_type == CheckType.CAA else DcvCheckResponse
            return kind.model_validate_json(text)

        places = [RemotePerspective(code=place["code"], rir=place["rir"]) for place in SETTINGS["places"]]
        coordinator = MpicCoordinator(call, MpicCoordinatorConfiguration(places, len(places), 1, "secret"))
        for line in sys.stdin:
            kind = MpicCaaRequest if json.loads(line)["check_type"] == "caa" else MpicDcvRequest
            response = await coordinator.coordinate_mpic(kind.model_validate_json(line))
            print(response.model_dump_json(), flush=True)


asyncio.run(main())
