"""`make bench-collect`: what one collector process on one core takes, and how long its page's questions take over many rows.

SECONDS_OF_FLOOD (60) of as many rows as it takes while a reader queries the table, and with RATE of that many a second; then ROWS
(10,000,000) in the tables, a restart, and the page's questions.
The collector has core 0 for itself; senders and the reader have the others. Prints a table; nothing here asserts a time."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAFFIC = ROOT / "tests/tables/traffic.py"
SECONDS = int(os.environ.get("SECONDS_OF_FLOOD", "60"))
ROWS = int(os.environ.get("ROWS", "10000000"))
RATE = ["--rate", os.environ["RATE"]] if "RATE" in os.environ else []
OTHERS = "1-" + str((os.cpu_count() or 2) - 1) if (os.cpu_count() or 1) > 1 else "0"


class Collector:
    def __init__(self, out):
        self.out = out
        self.start()

    def start(self):
        begin = time.monotonic()
        command = ["taskset", "-c", "0", str(ROOT / "dist/weir"), "collect", "--listen", "127.0.0.1:0", "--out", str(self.out)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = line.split()[2]
        self.start_seconds = time.monotonic() - begin

    def ask(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stored(self):
        return self.ask("/v1/stats")["rows"]["endpoint_usage"]

    def settle(self):
        while self.ask("/v1/stats")["tables"]["journal_bytes"]:
            time.sleep(0.2)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def send(url, *arguments):
    return subprocess.Popen(["taskset", "-c", OTHERS, sys.executable, str(TRAFFIC), url, *arguments], stdout=subprocess.PIPE, text=True)


def reader(out):
    """DuckDB, where the tests have installed it, counting once a second for as long as it lives."""
    venvs = sorted(pathlib.Path(os.environ.get("WEIR_CACHE", pathlib.Path.home() / ".cache/weir")).glob("venv/*/bin/python"))
    for python in [os.environ.get("WEIR_E2E_TABLES_PYTHON"), *map(str, venvs)]:
        if python and subprocess.run([python, "-c", "import deltalake"], capture_output=True).returncode == 0:
            loop = ("import deltalake,sys,time\nwhile True:\n t=time.monotonic()\n"
                    " n=deltalake.DeltaTable(sys.argv[1]).to_pyarrow_dataset().count_rows()\n print(n,round(time.monotonic()-t,3),flush=True)\n time.sleep(1)")
            return subprocess.Popen(["taskset", "-c", OTHERS, python, "-c", loop, str(out / "endpoint_usage")], stdout=subprocess.PIPE, text=True)
    return None


def flood(collector):
    warm = send(collector.url, "--rows", "2000")
    warm.wait()
    collector.settle()
    querying = reader(collector.out)
    sender = send(collector.url, "--rows", str(10**9), "--batch", "1000", *RATE)
    first, used, begin = collector.stored(), collector.cpu_seconds(), time.monotonic()
    memory, lag = [], []
    while time.monotonic() - begin < SECONDS:
        time.sleep(1)
        memory.append(collector.memory_mb())
        lag.append(collector.ask("/v1/stats")["tables"]["lag_ms"] / 1000)
    took = time.monotonic() - begin
    rows, cpu = collector.stored() - first, collector.cpu_seconds() - used
    sender.kill()
    half, minute = len(memory) // 2, min(60, len(memory))
    minutes = [max(memory[at : at + minute]) for at in range(0, len(memory) - minute + 1, minute)]
    say("rows a second, acknowledged", f"{rows / took:,.0f}")
    say("CPU of the core", f"{100 * cpu / took:.0f} %")
    say("rows a second of CPU", f"{rows / cpu:,.0f}")
    say("memory, first half / second half, most", f"{max(memory[:half]):.0f} / {max(memory[half:]):.0f} MB")
    say("memory minute by minute, most", " / ".join(f"{most:.0f}" for most in minutes) + " MB")
    say("lag of the tables, most", f"{max(lag):.1f} s")
    if querying:
        querying.kill()
        answers = [line.split() for line in querying.stdout.read().splitlines() if line]
        say("queries by a reader meanwhile, slowest", f"{len(answers)}, {max((float(a[1]) for a in answers), default=0):.2f} s")
    collector.settle()


def questions(collector):
    missing = ROWS - collector.stored()
    if missing > 0:
        print(f"  ... {missing:,} more rows over 30 days, of 200 users", flush=True)
        send(collector.url, "--rows", str(missing), "--days", "30", "--users", "200", "--batch", "2000").wait()
    collector.settle()
    say("rows in the table", f"{ROWS:,}")
    say("size of all tables", f"{sum(f.stat().st_size for f in collector.out.rglob('*.parquet')) / 1e6:,.0f} MB")
    collector.stop()
    collector.start()
    begin = time.monotonic()
    while not collector.ask("/v1/stats")["page_loaded"]:
        time.sleep(0.1)
    say("restart: until it listens / until the page has all", f"{collector.start_seconds:.1f} / {time.monotonic() - begin:.1f} s")
    now = int(time.time() * 1e6)
    for name, hours in [("1 h", 1), ("24 h", 24), ("7 d", 168), ("30 d", 720)]:
        times = []
        for by in ["endpoint", "entity", "user"] * 5:
            begin = time.monotonic()
            collector.ask(f"/v1/summary?from={now - int(hours * 3.6e9)}&to={now}&by={by}")
            times.append(time.monotonic() - begin)
        say(f"a question over {name}, slowest of {len(times)}", f"{1000 * max(times):.0f} ms")
    begin = time.monotonic()
    collector.ask("/v1/requests?most=100&user=alice")
    say("the last requests of one user", f"{1000 * (time.monotonic() - begin):.0f} ms")
    say("memory after it", f"{collector.memory_mb():.0f} MB")


def say(what, value):
    print(f"  {what:<52} {value}", flush=True)


def main():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    print(f"weir collect on one core of {os.cpu_count()}, {cpu}; load before: {os.getloadavg()[0]:.1f}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-", dir=os.environ.get("BENCH_DIR")))
    collector = Collector(folder / "out")
    try:
        flood(collector)
        questions(collector)
    finally:
        collector.stop()
        shutil.rmtree(folder)


main()
