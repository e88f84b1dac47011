"""The Envoys that are compared: Weir with its policies, and what is left when Weir is taken out of its own rendering.

Bare Envoy is not written by hand: it is what `weir render` made, as the running Envoy shows it, with both filters, the
request line's filter and Weir's own routes gone, and one route to the same clusters with the same retries in their place.
"""

import copy
import hashlib
import json
import subprocess

from rig import BenchError, Process, free_port, get_json

KEY = "bench-key"
CHAT_PATH = "/v1/chat/completions"
OUTSIDE_PATH = "/somewhere/else"
#: The endpoint whose primary always answers 503; bare Envoy, which reads no body, is told by a header.
DOWN_ENDPOINT, DOWN_HEADER = "chat-down", "x-bench-down"
SECRETS = {"WEIR_SECRET_BENCH_KEY": "provider-key"}
PLENTY = 10**12
MIB = 1 << 20


class Envoy(Process):
    """One Envoy. `ready_seconds`: from its start to its listener's."""

    def __init__(self, binary, name, config, folder, workers, ports):
        self.port, self.admin_port = ports
        config_file = folder / f"envoy-{name}.yaml"
        config_file.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
        command = [binary, "--config-path", config_file, "--disable-hot-restart", "--log-level", "warning"]
        command += ["--concurrency", workers]
        super().__init__(f"envoy {name}", command, folder / f"envoy-{name}.log", SECRETS)
        self.variant, self.workers = name, workers
        self.ready_seconds = self.wait_until_ok(f"http://127.0.0.1:{self.admin_port}/ready")
        self.ready_cpu_seconds = self.cpu_seconds()
        self.start_mb = self.resident_mb()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def memory(self):
        """What its resident memory is made of, in MB."""
        heap = {name: int(size) / MIB for name, size in get_json(f"http://127.0.0.1:{self.admin_port}/memory").items()}
        parts = self.mapped_mb()
        return {
            "resident": self.resident_mb(),
            "live": heap["allocated"],
            "caches": heap["total_thread_cache"],
            "free": heap["pageheap_free"],
            "machine_code": parts["code"],
            "vms": max(0, parts["anonymous"] - heap["total_physical_bytes"]),
            "files": parts["files"],
        }

    def stats(self):
        found = get_json(f"http://127.0.0.1:{self.admin_port}/stats?format=json&usedonly")["stats"]
        return {stat["name"]: stat["value"] for stat in found if "name" in stat}

    def stat(self, suffix):
        return sum(value for name, value in self.stats().items() if name.endswith(suffix))


def entity(name, mock, provider="openai"):
    """A model of one of the mocks."""
    base = f"http://127.0.0.1:{mock.port}" + ("/v1" if provider == "openai" else "")
    config = {f"{provider}_api_key": "{{secrets/bench/key}}", f"{provider}_api_base": base}
    model = {"provider": provider, "name": MODELS[provider], "task": "llm/v1/chat", f"{provider}_config": config}
    return {"name": name, "external_model": model}


MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5"}


def policy(mocks, collector_port, *, limits=True, records=True, fallback=True, payloads=False, reserve=False, provider="openai"):
    """The default policy, or with one feature off or on. No limit is ever met."""

    def endpoint(name, primary, primary_percentage):
        percentages = {"primary": primary_percentage, "backup": 100 - primary_percentage}
        routes = [{"served_entity_name": n, "traffic_percentage": p} for n, p in percentages.items()]
        config = {"served_entities": [entity("primary", primary, provider), entity("backup", mocks["backup"], provider)]}
        gateway = {"usage_tracking_config": {"enabled": records}}
        if fallback:
            config["traffic_config"] = {"routes": routes}
            gateway["fallback_config"] = {"enabled": True}
        else:
            del config["served_entities"][1]
        if limits:
            gateway["rate_limits"] = LIMITS
        if payloads:
            gateway["inference_table_config"] = PAYLOADS
        return {"name": name, "config": config, "ai_gateway": gateway}

    owner = {"sha256": hashlib.sha256(KEY.encode()).hexdigest(), "user": "alice@example.com", "groups": ["research"]}
    document = {
        "account_id": "bench",
        "workspace_id": "bench",
        "identity": {"sources": [{"api_keys": [owner]}]},
        "unmatched": "pass",
        "unmatched_cluster": "outside",
        "endpoints": [endpoint("chat", mocks["primary"], 90), endpoint(DOWN_ENDPOINT, mocks["down"], 100)],
    }
    if records:
        document["logging"] = {"url": f"http://127.0.0.1:{collector_port}/v1/records"}
    if payloads:
        document["logging"]["max_buffered_bytes"] = 64 << 20
    if reserve:
        document["accounting"] = "reserve"
    return document


PAYLOADS = {"enabled": True, "catalog_name": "main", "schema_name": "ai", "table_name_prefix": "chat"}


LIMITS = [
    {"key": "endpoint", "calls": PLENTY, "renewal_period": "minute"},
    {"key": "user", "calls": PLENTY, "tokens": PLENTY, "renewal_period": "minute"},
    {"key": "user", "principal": "alice@example.com", "calls": PLENTY, "renewal_period": "minute"},
    {"key": "user_group", "principal": "research", "tokens": PLENTY, "renewal_period": "minute"},
]


def render(weir, wasm, name, document, clusters, folder, ports, *more):
    """The bootstrap that `weir render` makes, formatting its access log into nowhere."""
    policy_file, clusters_file = folder / f"policy-{name}.json", folder / f"clusters-{name}.json"
    policy_file.write_text(json.dumps(document, indent=1))
    clusters_file.write_text(json.dumps([own_cluster(*cluster) for cluster in clusters.items()]))
    command = [weir, "render", "envoy", policy_file, "--envoy-version", "1.40", "--wasm", wasm, "--access-log", "/dev/null"]
    command += ["--listen", f"127.0.0.1:{ports[0]}", "--admin", f"127.0.0.1:{ports[1]}", "--clusters", clusters_file, *more]
    rendered = subprocess.run(command, capture_output=True, text=True, env=SECRETS, timeout=120, check=False)
    if rendered.returncode != 0:
        raise BenchError(f"weir render refused {policy_file}: {rendered.stderr}")
    return rendered.stdout


def own_cluster(name, port):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    most = {"max_connections": 10**6, "max_pending_requests": 10**6, "max_requests": 10**6}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def bootstrap_of(weir_envoy, ports):
    """The bootstrap that an Envoy runs with, for other ports."""
    dump = get_json(f"http://127.0.0.1:{weir_envoy.admin_port}/config_dump?resource=&mask=")["configs"]
    bootstrap = copy.deepcopy(next(part["bootstrap"] for part in dump if "bootstrap" in part))
    config = {key: bootstrap[key] for key in ("admin", "memory_allocator_manager", "static_resources") if key in bootstrap}
    config["admin"]["address"]["socket_address"]["port_value"] = ports[1]
    [listener] = config["static_resources"]["listeners"]
    listener["address"]["socket_address"]["port_value"] = ports[0]
    return config


def without_fallback_parts(weir_envoy, ports, *, filters, composite):
    """Weir with parts of what it has for fallbacks taken out of Envoy's configuration alone: nothing would fall back. `filters`: those of
    each attempt stay; `composite`: so do the clusters of plans, which lead to the primary alone otherwise."""
    config = bootstrap_of(weir_envoy, ports)
    if not filters:
        router = connection_manager(config)["http_filters"][-1]["typed_config"]
        router["upstream_http_filters"] = router["upstream_http_filters"][-1:]
    clusters = config["static_resources"]["clusters"]
    by_name = {cluster["name"]: cluster for cluster in clusters}
    for at, cluster in enumerate(clusters):
        if not composite and cluster["name"] in composites(config):
            primary = copy.deepcopy(by_name[cluster["name"].split(".chain-")[0]])
            clusters[at] = {**primary, "name": cluster["name"]}
    return config


def bare(weir_envoy, ports):
    """Weir's own bootstrap without Weir."""
    config = bootstrap_of(weir_envoy, ports)
    manager = connection_manager(config)
    manager.pop("early_header_mutation_extensions", None)
    manager["http_filters"] = [f for f in manager["http_filters"] if not f["name"].startswith("weir.")]
    manager["http_filters"][-1]["typed_config"].pop("upstream_http_filters")
    fields = manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    fields.update(authority="%REQ(:AUTHORITY)%", path="%PATH(NQ)%")
    for host in manager["route_config"]["virtual_hosts"]:
        host["routes"] = bare_routes(host["routes"], composites(config))
    return config


def connection_manager(config):
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def composites(config):
    """The names of the plans' clusters, the primary's first for each endpoint."""
    return [cluster["name"] for cluster in config["static_resources"]["clusters"] if ".chain-" in cluster["name"]]


def bare_routes(routes, names):
    to_model = next(route for route in routes if {"cluster_header", "retry_policy"} <= route.get("route", {}).keys())
    outside = next(route for route in routes if route["name"] == "outside")
    down = [name for name in names if DOWN_ENDPOINT in name]
    chat = [name for name in names if name not in down]
    if len(chat) != 2 or not down:
        raise BenchError(f"expected composite clusters for a 90/10 split and for a primary that is down, found {names}")

    def route(match, target):
        made = copy.deepcopy(to_model)
        made["match"] = {"path": CHAT_PATH, **match}
        for key in ("typed_per_filter_config", "response_headers_to_remove"):
            made.pop(key, None)
        del made["route"]["cluster_header"]
        made["route"].update(target)
        return made

    weights = [{"name": chat[0], "weight": 90}, {"name": chat[1], "weight": 10}]
    return [
        route({"headers": [{"name": DOWN_HEADER, "present_match": True}]}, {"cluster": down[0]}),
        route({}, {"weighted_clusters": {"clusters": weights}}),
        outside,
    ]


def with_noop(config, wasm, ports, roles):
    """Bare Envoy with a do-nothing filter before the router; with two roles also before each attempt."""
    config = copy.deepcopy(config)
    config["admin"]["address"]["socket_address"]["port_value"] = ports[1]
    config["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = ports[0]
    filters = connection_manager(config)["http_filters"]
    if roles > 1:
        codec = "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
        upstream = [noop_filter(wasm, "attempt"), {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": codec}}]
        filters[-1]["typed_config"]["upstream_http_filters"] = upstream
    filters.insert(-1, noop_filter(wasm, "gateway"))
    return config


def noop_filter(wasm, role):
    code = {"local": {"filename": str(wasm)}}
    config = {
        "name": f"noop.{role}",
        "root_id": role,
        "allow_on_headers_stop_iteration": True,
        "vm_config": {"vm_id": "noop", "runtime": "envoy.wasm.runtime.v8", "code": code},
    }
    kind = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
    return {"name": f"noop.{role}", "typed_config": {"@type": kind, "config": config}}


def two_ports():
    return free_port(), free_port()
