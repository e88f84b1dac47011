"""Runs docker-compose.yml for real: in an engine of its own, with images that are made here since none can be pulled (the Envoy
binary and Redis with the libraries that they name, weir's own image of `make image`). Prints a line as cargo's tests do.

Everything lies in one temporary folder, and ends with the test: containers, engine, folder.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
KEYS = {"alice": "alice-demo-key", "bob": "bob-demo-key"}
TOKEN = "token-of-this-test"


class Engine:
    """A docker engine and what is asked of it."""

    def __init__(self, dockerd, folder):
        self.folder, self.socket = folder, folder / "docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "COMPOSE_PROJECT_NAME": "weirtest"}
        places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        command = [dockerd, *places, "--host", f"unix://{self.socket}"]
        self.log = folder / "dockerd.log"
        self.process = subprocess.Popen(command, stdout=self.log.open("w"), stderr=subprocess.STDOUT, start_new_session=True)

    def is_ready(self, seconds=40):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            if self.docker("version", check=False).returncode == 0:
                return True
            time.sleep(0.3)
        return False

    def run(self, *command, check=True, **more):
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def docker(self, *arguments, **more):
        return self.run("docker", *arguments, **more)

    def compose(self, *arguments, **more):
        files = ["--file", "docker-compose.yml", "--file", "tests/compose/override.yml"]
        return self.run("docker-compose", *files, *arguments, **more)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        for mounted in reversed([line.split()[1] for line in open("/proc/mounts") if str(self.folder) in line]):
            subprocess.run(["umount", "--lazy", mounted], check=False)


def libraries(binary):
    """What the dynamic linker will look for, at the paths where it looks."""
    told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    words = (word for line in told.splitlines() for word in line.split() if word.startswith("/"))
    return sorted({word for word in words if os.path.exists(word)})


def make_image(engine, name, binary, inside):
    """An image of one program, its libraries and the system's certificates: as little as a base image could have."""
    archive = engine.folder / f"{pathlib.Path(inside).name}.tar"
    with tarfile.open(archive, "w", dereference=True) as tar:
        tar.add(binary, arcname=inside.lstrip("/"))
        for library in libraries(binary):
            tar.add(library, arcname=library.lstrip("/"))
        certificates = "/etc/ssl/certs/ca-certificates.crt"
        if os.path.exists(certificates):
            tar.add(certificates, arcname=certificates.lstrip("/"))
    engine.docker("import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", archive, name)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class System:
    """What `docker compose up` has started."""

    def __init__(self, engine):
        self.engine = engine
        self.port, self.admin_port, self.collect_port = free_ports(3)
        ports = {"PORT": self.port, "ADMIN_PORT": self.admin_port, "COLLECT_PORT": self.collect_port}
        engine.environment.update({name: str(port) for name, port in ports.items()}, WEIR_SECRET_DEMO_RECORDS=TOKEN)

    def up(self, *more):
        self.engine.compose(*more, "up", "--detach")
        self.until("Envoy is healthy", lambda: self.health("envoy") == "healthy", 60)

    def containers(self):
        names = self.engine.docker("ps", "--all", "--quiet").stdout.split()
        return json.loads(self.engine.docker("inspect", *names).stdout)

    def health(self, service):
        found = [c for c in self.containers() if c["Config"]["Labels"]["com.docker.compose.service"] == service]
        return found[0]["State"].get("Health", {}).get("Status") if found else None

    def until(self, what, holds, seconds=30):
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                logs = self.engine.compose("logs", "--tail", "15", check=False).stdout
                raise AssertionError(f"not within {seconds} s: {what}\n{logs}")
            time.sleep(0.3)

    def ask(self, who, **more):
        body = {"model": "chat", "messages": [{"role": "user", "content": "Say hello"}], **more}
        headers = {"authorization": f"Bearer {KEYS[who]}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        return get(urllib.request.Request(url, json.dumps(body).encode(), headers))

    def stat(self, name):
        _, _, text = get(f"http://127.0.0.1:{self.admin_port}/stats?filter={name}")
        return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines())

    def requests(self):
        url = f"http://127.0.0.1:{self.collect_port}/v1/requests"
        _, _, text = get(urllib.request.Request(url, headers={"authorization": f"Bearer {TOKEN}"}))
        return text


def get(request):
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def calls_are_answered_limited_and_recorded(system):
    status, headers, text = system.ask("alice")
    assert status == 200 and "hello" in text.lower(), (status, text)
    model, request_id = headers["served-model-name"], headers["x-databricks-request-id"]
    assert model in ("primary", "backup")
    _, _, stream = system.ask("alice", stream=True)
    assert stream.rstrip().endswith("data: [DONE]"), stream[-200:]
    statuses = [system.ask("bob")[0] for _ in range(14)]
    assert statuses == [200] * 10 + [429] * 4, statuses
    system.until("the record is stored", lambda: request_id in system.requests())


def a_model_that_fails_is_followed_by_the_next(system):
    before = system.stat("weir.fallbacks")
    orders = {"primary": {"status": 503}, "backup": {}}
    found = {system.ask("alice", mock=orders)[1]["served-model-name"] for _ in range(4)}
    assert found == {"backup"}, found
    assert system.stat("weir.fallbacks") > before


def nothing_runs_as_root_or_without_bounds(system):
    for container in system.containers():
        name, host = container["Name"], container["HostConfig"]
        assert container["Config"]["User"] == "65532:65532", name
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"], name
        assert 0 < host["Memory"] <= 512 << 20 and host["NanoCpus"] > 0 and host["PidsLimit"], name
        bindings = [b for ports in (host["PortBindings"] or {}).values() for b in ports]
        assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings), name
    for container in system.containers():
        if container["State"]["Running"]:
            users = system.engine.docker("top", container["Id"], "-eo", "pid,uid").stdout.splitlines()[1:]
            assert users and all(line.split()[1] == "65532" for line in users), users


def all_are_healthy(system):
    """But for what runs once."""
    running = [container for container in system.containers() if container["State"]["Running"]]
    services = sorted(container["Config"]["Labels"]["com.docker.compose.service"] for container in running)
    assert len(services) >= 4, services
    for service in services:
        system.until(f"{service} is healthy", lambda service=service: system.health(service) == "healthy")


def records_outlive_the_collector(system):
    system.engine.compose("stop", "collector")
    status, headers, _ = system.ask("alice")
    assert status in (200, 429), status
    system.engine.compose("start", "collector")
    request_id = headers["x-databricks-request-id"]
    is_up = lambda: system.health("collector") == "healthy"
    system.until("a record that waited arrives", lambda: is_up() and request_id in system.requests(), 60)


def an_engine_counts_the_limits(system):
    # Its windows are fixed by the clock: a fresh minute.
    time.sleep(61 - time.time() % 60)
    statuses = [system.ask("bob")[0] for _ in range(14)]
    assert statuses == [200] * 10 + [429] * 4, statuses
    assert (failed := system.stat("weir.rls_failed")) == 0, f"{failed} questions to the engine failed"
    # Envoy's own counts would be gone.
    system.engine.compose("restart", "envoy")
    system.until("Envoy is healthy again", lambda: system.health("envoy") == "healthy")
    assert (status := system.ask("bob")[0]) == 429, f"{status}: the engine has forgotten, or was not asked"


TESTS = (
    calls_are_answered_limited_and_recorded,
    a_model_that_fails_is_followed_by_the_next,
    nothing_runs_as_root_or_without_bounds,
    all_are_healthy,
    records_outlive_the_collector,
)


def run(system, tests):
    failed = 0
    for test in tests:
        try:
            test(system)
            print(f"test {test.__name__} ... ok", flush=True)
        except AssertionError as error:
            failed += 1
            logs = system.engine.compose("--profile", "ratelimit", "logs", "--tail", "8", "--no-color", check=False).stdout
            print(f"test {test.__name__} ... FAILED: {error}\n{logs}", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    for name in ("dockerd", "envoy", "redis", "ratelimit"):
        parser.add_argument(f"--{name}", default="")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-compose-"))
    engine = Engine(arguments.dockerd, folder)
    system, done, failed = System(engine), 0, 0
    try:
        if not engine.is_ready():
            tail = "\n".join(engine.log.read_text().splitlines()[-5:])
            print(f"SKIPPED: no docker engine can run here:\n{tail}")
            return 0
        engine.docker("load", "--input", ROOT / "dist/image/weir.tar")
        make_image(engine, "local/envoy:test", arguments.envoy, "/usr/local/bin/envoy")
        system.up()
        done, failed = len(TESTS), run(system, TESTS)
        engine.compose("down", "--volumes")
        if arguments.ratelimit:
            make_image(engine, "local/redis:test", arguments.redis, "/usr/local/bin/redis-server")
            make_image(engine, "local/ratelimit:test", arguments.ratelimit, "/bin/ratelimit")
            engine.environment["WEIR_POLICY"] = "policy-ratelimit.yaml"
            system.up("--profile", "ratelimit")
            tests = (an_engine_counts_the_limits, nothing_runs_as_root_or_without_bounds, all_are_healthy)
            done, failed = done + len(tests), failed + run(system, tests)
            engine.compose("--profile", "ratelimit", "down", "--volumes")
        else:
            print("SKIPPED: the profile `ratelimit` needs envoyproxy/ratelimit, which only Go builds")
    except AssertionError as error:
        print(f"docker-compose.yml does not come up: {error}")
        done, failed = done + 1, failed + 1
    finally:
        if engine.process.poll() is None:
            engine.compose("--profile", "ratelimit", "down", "--volumes", "--timeout", "5", check=False)
        engine.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"test result: {'FAILED' if failed else 'ok'}. {done - failed} passed; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
