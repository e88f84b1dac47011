"""Opens many streams at once and reads them to their ends: what neither wrk nor pace does."""

import asyncio
import time

from envoys import CHAT_PATH, KEY
from rig import BenchError

#: So many connections are opened at a time: more than a listen queue holds would be refused.
AT_A_TIME = 200


async def one(port, request, gate, opened):
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await writer.drain()
        status = await reader.readline()
    if b" 200 " not in status:
        raise BenchError(f"a stream was answered {status!r}")
    opened.append(time.monotonic())
    seen = b""
    while not seen.endswith(b"0\r\n\r\n"):
        piece = await reader.read(65536)
        if not piece:
            raise BenchError("a stream was cut")
        seen = (seen + piece)[-64:]
    writer.close()


async def hold(port, body, count, meanwhile):
    """`count` streams at once; when all have begun, `meanwhile` runs in a thread. Returns its result, and seconds to open all."""
    head = (
        f"POST {CHAT_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    gate, opened, begin = asyncio.Semaphore(AT_A_TIME), [], time.monotonic()
    tasks = [asyncio.create_task(one(port, head.encode() + body, gate, opened)) for _ in range(count)]
    while len(opened) < count:
        for task in tasks:
            if task.done():
                task.result()
                raise BenchError("a stream ended before all were open")
        if time.monotonic() - begin > 120:
            raise BenchError(f"only {len(opened)} of {count} streams are open after 120 s")
        await asyncio.sleep(0.05)
    found = await asyncio.to_thread(meanwhile)
    were_open = sum(not task.done() for task in tasks)
    await asyncio.gather(*tasks)
    return found, were_open, max(opened) - begin


def many(port, body, count, meanwhile):
    return asyncio.run(hold(port, body, count, meanwhile))
