"""Makes usage records as a gateway sends them and posts them to a collector: `traffic.py URL --rows N [--rate R] [--days D]`. Prints, as JSON, how
many rows were acknowledged and in how long. Each row has an id of its own; what is answered 503 is sent again."""

import argparse
import http.client
import json
import random
import time
import urllib.parse
import uuid

USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "batch-job"]
MODELS = {"chat": [("gpt-4o", 2.5e-6, 1e-5), ("claude", 3e-6, 1.5e-5)], "code": [("gpt-4o-mini", 1.5e-7, 6e-7)], "embed": [("small", 2e-8, 0)]}
LIMIT = "user: 60 calls per minute"


def rfc3339(micros):
    seconds, rest = divmod(micros, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"


def templates(count, more_users):
    """Records without their id and time, as pairs of bytes around them."""
    chance = random.Random(7)
    for _ in range(count):
        user = chance.choices(USERS, weights=[6, 3, 3, 2, 2, 1, 2])[0]
        if more_users and chance.random() < 0.8:
            user = f"user-{chance.randrange(more_users)}@example.com"
        endpoint = chance.choices(list(MODELS), weights=[6, 3, 2])[0]
        entity, cost_in, cost_out = chance.choice(MODELS[endpoint])
        refused = user == "alice" and chance.random() < 0.4
        fell_over = not refused and endpoint == "chat" and chance.random() < 0.06
        given, taken = (0, 0) if refused else (chance.randrange(20, 3000), chance.randrange(5, 900))
        latency = 1 if refused else int(chance.lognormvariate(6.3, 0.7))
        attempts = [] if refused else [{"served_entity_name": entity, "status_code": 200, "error": None, "latency_ms": latency}]
        if fell_over:
            status, error = chance.choice([(503, None), (429, None), (None, "timeout"), (None, "reset")])
            attempts.insert(0, {"served_entity_name": "gpt-4o", "status_code": status, "error": error, "latency_ms": 200})
        row = {
            "account_id": "acme", "workspace_id": "prod", "client_request_id": None, "databricks_request_id": "@ID@", "requester": user,
            "status_code": 429 if refused else 200, "request_time": "@TIME@", "input_token_count": given, "output_token_count": taken,
            "input_character_count": given * 4, "output_character_count": taken * 4, "usage_context": {"team": chance.choice(["search", "ads", "labs"])},
            "request_streaming": chance.random() < 0.5, "served_entity_id": str(uuid.uuid5(uuid.NAMESPACE_OID, endpoint + entity)),
        }
        detail = {
            "endpoint_name": endpoint, "served_entity_name": entity, "api": "/v1/chat/completions", "groups": ["research"], "attempts": attempts,
            "latency_ms": latency, "time_to_first_byte_ms": latency // 3, "token_source": None if refused else "reported", "cached_input_tokens": 0,
            "cache_write_input_tokens": None, "reasoning_tokens": 0, "cost_usd": given * cost_in + taken * cost_out, "limit": LIMIT if refused else None,
            "would_limit": None, "guardrail": None, "finish_reason": None if refused else "stop", "complete": not refused, "trace_id": None,
            "request_id": str(uuid.UUID(int=chance.getrandbits(128))), "gateway": "envoy-1", "config_hash": "34d91e597b912034",
        }
        line = json.dumps({"table": "endpoint_usage", "schema_version": 1, "row": row, "detail": detail}, separators=(",", ":"))
        before, rest = line.split("@ID@")
        between, after = rest.split("@TIME@")
        yield before, between, after + "\n"


def entities():
    for endpoint, models in MODELS.items():
        for entity, *_ in models:
            identity = str(uuid.uuid5(uuid.NAMESPACE_OID, endpoint + entity))
            row = {"served_entity_id": identity, "account_id": "acme", "workspace_id": "prod", "endpoint_name": endpoint, "served_entity_name": entity,
                   "entity_type": "EXTERNAL_MODEL", "entity_name": entity, "task": "llm/v1/chat", "external_model_config": {"provider": "openai"}}
            yield json.dumps({"table": "served_entities", "schema_version": 1, "config_hash": "c1", "row": row}) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rate", type=float, help="rows a second; default: as fast as it goes")
    parser.add_argument("--days", type=float, default=0, help="spread the rows' times over so many days before now")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--users", type=int, default=0, help="so many more users")
    asked = parser.parse_args()
    where = urllib.parse.urlsplit(asked.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=120)
    chance = random.Random()
    made = list(templates(20_000, asked.users))
    begin, sent, resent = time.monotonic(), 0, 0
    now = time.time_ns() // 1000
    first = True
    while sent < asked.rows:
        count = min(asked.batch, asked.rows - sent)
        # Rows in the order of their times, as they would have come.
        newest = now - int(asked.days * 86_400e6 * (1 - sent / asked.rows)) if asked.days else time.time_ns() // 1000
        stamp = rfc3339(newest)
        prefix, number = f"{chance.getrandbits(64):016x}", 0
        lines = list(entities()) if first else []
        for before, between, after in chance.choices(made, k=count):
            number += 1
            lines.append(f"{before}{prefix}-{number}{between}{stamp}{after}")
        body = "".join(lines).encode()
        while True:
            connection.request("POST", "/v1/records", body)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                break
            resent += 1
            time.sleep(0.2)
        sent, first = sent + count, False
        if asked.rate:
            time.sleep(max(0, begin + sent / asked.rate - time.monotonic()))
    took = time.monotonic() - begin
    print(json.dumps({"rows": sent, "seconds": round(took, 2), "rows_per_second": round(sent / took), "resent": resent}))


main()
