"""Gateways that users would pick instead, from PyPI, each in a virtual environment of its own under ~/.cache/weir/peers:
`make bench PEERS=1`. One worker process each, no database, the same mock behind them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from envoys import CHAT_PATH, KEY
from load import chat_body
from rig import BenchError, Process, free_port
from workloads import BARE, MIDDLE, SMALL, STREAMS, WEIR, Workload

CACHE = Path(os.environ.get("WEIR_CACHE") or Path.home() / ".cache/weir") / "peers"
LITELLM, MLFLOW = "LiteLLM 1.100.0", "MLflow 3.17.2"
PACKAGES = {LITELLM: "litellm[proxy]==1.100.0", MLFLOW: "mlflow[gateway]==3.17.2"}
PEERS = (LITELLM, MLFLOW)
#: What cannot be measured here, and why.
REFUSED = {
    "TensorZero": "PyPI has its client, which can embed the gateway in a Python process; the gateway itself is a Docker image",
}


class Peer(Process):
    """A gateway that is no Envoy. Its processes are counted together."""

    def __init__(self, name, command, log, environment, port, path):
        self.port, self.path = port, path
        super().__init__(name, command, log, environment)

    def asks(self, path, body, headers):
        """What it is asked in place of Weir: its own path, and no field with the mock's orders."""
        plain = body.with_name("body-stream-plain.json") if body.name == "body-stream.json" else body
        return (self.path if path == CHAT_PATH else path), plain, headers

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def family(self):
        """Its own number and its children's, and theirs."""
        parents = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
        found, rest = [], [self.pid]
        while rest:
            pid = rest.pop()
            found.append(pid)
            rest += parents.get(pid, [])
        return found

    def cpu_seconds(self):
        read = super().cpu_seconds
        return sum(self.of_process(pid, read) for pid in self.family())

    def resident_mb(self):
        read = super().resident_mb
        return sum(self.of_process(pid, read) for pid in self.family())

    def of_process(self, pid, read):
        own, self.pid = self.pid, pid
        try:
            return read()
        except (OSError, BenchError):
            return 0
        finally:
            self.pid = own


def start(bench):
    """Installs and starts each. Returns those that answer, and why the others do not."""
    started, refused = [], dict(REFUSED)
    for name, begin in ((LITELLM, litellm), (MLFLOW, mlflow)):
        try:
            peer = begin(install(name), bench)
            bench.envoys[name, 1] = peer
            started.append(name)
        except BenchError as error:
            refused[name] = str(error).replace("\n", " ")[-300:]
    return started, refused


def install(name):
    """The folder of its commands."""
    folder = CACHE / PACKAGES[name].replace("[", "-").replace("]", "")
    if not (folder / "complete").exists():
        print(f"==> install {PACKAGES[name]} into {folder} (some minutes)", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet", PACKAGES[name]]
        venv = [sys.executable, "-m", "venv", "--clear", "--without-pip", folder]
        for command in (venv, pip):
            ran = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                raise BenchError(f"{PACKAGES[name]} could not be installed: {ran.stderr[-300:]}")
        (folder / "complete").touch()
    return folder / "bin"


def environment(bin_folder):
    return {"HOME": os.environ["HOME"], "PATH": f"{bin_folder}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"}


def litellm(bin_folder, bench):
    mock = bench.mocks["translated"].port
    model = {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{mock}/v1", "api_key": "provider-key"}
    config = {"model_list": [{"model_name": "chat", "litellm_params": model}], "general_settings": {"master_key": KEY}}
    file = bench.folder / "litellm.yaml"
    file.write_text(json.dumps(config))
    port = free_port()
    command = [bin_folder / "litellm", "--config", file, "--host", "127.0.0.1", "--port", port, "--num_workers", 1, "--telemetry", "False"]
    # Else it asks GitHub for prices when it starts.
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    peer = Peer(LITELLM, command, bench.folder / "litellm.log", environment(bin_folder) | more, port, CHAT_PATH)
    peer.wait_until_ok(peer.url("/health/liveliness"), 300)
    return peer


def mlflow(bin_folder, bench):
    mock = bench.mocks["translated"].port
    openai = {"openai_api_key": "provider-key", "openai_api_base": f"http://127.0.0.1:{mock}/v1"}
    model = {"provider": "openai", "name": "gpt-4o-mini", "config": openai}
    config = {"endpoints": [{"name": "chat", "endpoint_type": "llm/v1/chat", "model": model}]}
    file = bench.folder / "mlflow.yaml"
    file.write_text(json.dumps(config))
    port = free_port()
    command = [bin_folder / "mlflow", "gateway", "start", "--config-path", file, "--host", "127.0.0.1", "--port", port, "--workers", 1]
    more = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    peer = Peer(MLFLOW, command, bench.folder / "mlflow.log", environment(bin_folder) | more, port, CHAT_PATH)
    peer.wait_until_ok(peer.url("/health"), 300)
    return peer


def workloads(folder, started):
    """The same three, with the peers in each round."""
    body = {size: chat_body(folder, f"{size}k", size << 10) for size in (1, 100)}
    stream = chat_body(folder, "stream", 1 << 10, stream_chunks=100)
    chat_body(folder, "stream-plain", 1 << 10, stream=True)
    plain = Workload("", variants=(BARE, WEIR, *started), seconds=4, rounds=3)
    names = [f"with peers: {name}" for name in (SMALL, MIDDLE, STREAMS)]
    bodies = (body[1], body[100], stream)
    return [replace(plain, name=name, body=file) for name, file in zip(names, bodies)] if started else []
