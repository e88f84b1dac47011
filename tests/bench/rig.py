"""What runs during a measurement: processes with free ports, and what the kernel says of them.

Each process is started from the main thread (some Envoy builds end with the thread that started them) and is ended by
its own number, with whatever it has started itself. Every wait is bounded.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Why there is no result: one sentence for whoever ran the benchmark."""


def free_port(_taken=set()):
    """Below Linux's range for outgoing connections, so that no load takes it before its owner does."""
    port = 12000 + os.getpid() * 61 % 20000
    for _ in range(20000):
        port = port + 1 if port < 31999 else 12000
        with socket.socket() as probe:
            if port not in _taken and probe.connect_ex(("127.0.0.1", port)) != 0:
                try:
                    probe.close()
                    with socket.socket() as bound:
                        bound.bind(("127.0.0.1", port))
                except OSError:
                    continue
                _taken.add(port)
                return port
    raise BenchError("no free port between 12000 and 32000")


class Process:
    """A child that serves, its output in a file, ended with the benchmark."""

    running = []

    def __init__(self, name, command, log, environment=None):
        self.name, self.log = name, Path(log)
        with open(self.log, "wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], **(environment or {})},
                # Some peers start workers of their own: all end together.
                start_new_session=True,
            )
        self.pid = self.child.pid
        Process.running.append(self)

    def wait_until_ok(self, url, seconds=180):
        """Waits for a 200. Returns after how many seconds it came."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if self.child.poll() is not None:
                break
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if answer.status == 200:
                        return time.monotonic() - begin
            except (OSError, urllib.error.URLError):
                time.sleep(0.005)
        tail = self.log.read_text(errors="replace").splitlines()[-15:]
        raise BenchError(f"{self.name} is not ready at {url}; its log ends:\n" + "\n".join(tail))

    def cpu_seconds(self):
        """User and system time of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident_mb(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise BenchError(f"{self.name} has ended; see {self.log}")

    def mapped_mb(self):
        """Resident memory by what it maps: pages of files, machine code that was made at run time, all else."""
        found, kind = {"files": 0, "code": 0, "anonymous": 0}, "anonymous"
        for line in Path(f"/proc/{self.pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                is_file = len(words) > 5 and words[5].startswith("/")
                kind = "files" if is_file else "code" if "x" in words[1] else "anonymous"
            elif words[0] == "Rss:":
                found[kind] += int(words[1]) / 1024
        return found

    def end(self):
        if self in Process.running:
            Process.running.remove(self)
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait(10)

    @staticmethod
    def end_all():
        for process in list(Process.running):
            process.end()


def get_json(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=body)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def machine_busy_seconds():
    """CPU seconds that all of the machine has spent on anything."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICK


class Mock(Process):
    """A provider: `weir mock`."""

    def __init__(self, weir, name, folder, *orders):
        self.port = free_port()
        command = [weir, "mock", "--name", name, "--listen", f"127.0.0.1:{self.port}"]
        for order in orders:
            command += ["--behave", order]
        super().__init__(f"mock {name}", command, folder / f"mock-{name}.log")
        self.wait_until_ok(f"http://127.0.0.1:{self.port}/health")


class Collector(Process):
    """`weir collect`, started anew now and then on the same port: records of a whole run would fill a disk."""

    def __init__(self, weir, folder, port):
        self.port, self.out = port, folder / "records"
        command = [weir, "collect", "--format", "ndjson", "--listen", f"127.0.0.1:{port}", "--out", self.out]
        super().__init__("collector", command, folder / "collect.log")
        until = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if time.monotonic() > until or self.child.poll() is not None:
                raise BenchError(f"the collector does not listen; see {self.log}")
            time.sleep(0.01)

    def usage_rows(self):
        """Rows of `endpoint_usage` on disk."""
        rows = 0
        for file in (self.out / "endpoint_usage").glob("*.ndjson"):
            with open(file, "rb") as lines:
                while piece := lines.read(1 << 20):
                    rows += piece.count(b"\n")
        return rows


def run(main, after=lambda: None):
    """A command's end: its errors in a line, and whatever it has started, ended."""
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        Process.end_all()
        after()
