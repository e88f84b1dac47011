"""The two load tools: wrk, as fast as it can, and pace, at a fixed rate in turns to several targets."""

import json
import os
import subprocess
from pathlib import Path

from envoys import KEY
from rig import BenchError

LUA = Path(__file__).parent / "wrk.lua"


def wrk(url, connections, seconds, body=None, headers=(), users=0):
    """Counts and latencies of one closed loop; each request from one of so many `users`, where any. wrk has one thread: Envoy and the mock need the rest of the machine."""
    lines = [f"authorization: Bearer {KEY}", "content-type: application/json", *headers]
    environment = {**os.environ, "WEIR_BENCH_HEADERS": "\n".join(lines), "WEIR_BENCH_METHOD": "POST" if body else "GET"}
    if body:
        environment["WEIR_BENCH_BODY"] = str(body)
    if users:
        environment["WEIR_BENCH_USERS"] = str(users)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(LUA), url]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds + 60, check=False)
    told = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if ran.returncode != 0 or not told:
        raise BenchError(f"wrk failed on {url}: {ran.stderr or ran.stdout}")
    return json.loads(told[-1])


def pace(binary, urls, rate, seconds, body):
    """Sorted latencies in microseconds by target, each asked `rate` times a second."""
    command = [binary, str(rate), str(seconds), body, KEY, *urls]
    ran = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if ran.returncode != 0:
        raise BenchError(f"pace failed: {ran.stderr}")
    return json.loads(ran.stdout)


def chat_body(folder, name, size, *, model="chat", stream_chunks=0, chunk_delay_ms=1, stream=False, delay_ms=0):
    """A chat request of exactly `size` bytes."""
    message = {"role": "user", "content": ""}
    request = {"model": model, "messages": [{"role": "system", "content": "Answer in one sentence."}, message]}
    if stream_chunks:
        # The mock would else write all chunks at once, which no model does.
        request |= {"stream": True, "mock": {"*": {"chunks": stream_chunks, "chunk_delay_ms": chunk_delay_ms, "delay_ms": delay_ms}}}
    elif stream:
        request["stream"] = True
    room = size - len(json.dumps(request))
    words = "What a weir holds back, and what it lets pass, is written down here. "
    message["content"] = (words * (room // len(words) + 1))[:room]
    body = json.dumps(request)
    if len(body) != size:
        raise BenchError(f"a body of {size} bytes came out as {len(body)}")
    file = folder / f"body-{name}.json"
    file.write_text(body)
    return file
