"""boto3's bedrock-runtime against a `weir mock` that knows the key, which is ID:SECRET. Prints one JSON object."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from orders import behave

base, key = sys.argv[1:]
model = "us.anthropic.claude-v1:0"
config = Config(retries={"total_max_attempts": 1}, read_timeout=30)


def runtime(secret=key.partition(":")[2], region="us-east-1"):
    identity = {"aws_access_key_id": key.partition(":")[0], "aws_secret_access_key": secret}
    return boto3.client("bedrock-runtime", endpoint_url=base, region_name=region, config=config, **identity)


client = runtime()
messages = [{"role": "user", "content": [{"text": "How deep is the weir?"}]}]
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
tools = {"toolConfig": {"tools": [{"toolSpec": {"name": "depth", "description": "How deep.", "inputSchema": {"json": schema}}}]}}
thinking = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}


def converse(to=client, messages=messages, **more):
    return to.converse(modelId=model, messages=messages, **more)


def stream(**more):
    return [*client.converse_stream(modelId=model, messages=messages, **more)["stream"]]


def deltas(events, *path):
    found = []
    for event in events:
        value = event.get("contentBlockDelta", {}).get("delta", {})
        for name in path:
            value = value.get(name, {})
        found.append(value or "")
    return "".join(found)


def error(call):
    try:
        call()
    except (ClientError, EventStreamError) as error:
        return [error.response["Error"]["Code"], error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")]
    return None


def embed(model, body):
    return json.load(client.invoke_model(modelId=model, body=json.dumps(body))["body"])


whole, events = converse(), stream()
called, call_events = converse(**tools), stream(**tools, **thinking)
content = called["output"]["message"]["content"]
result = {"toolUseId": content[0]["toolUse"]["toolUseId"], "content": [{"text": "seven metres"}]}
after = converse(messages=[*messages, called["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}], **tools)
errors = {"secret": error(lambda: converse(runtime("wrong"))), "region": error(lambda: converse(runtime(region="eu-west-1")))}
behave(base, status=429)
errors["limited"] = error(converse)
behave(base, stream_error=2)
errors["broken"] = error(stream)
behave(base)

print(
    json.dumps(
        {
            "whole": whole["output"]["message"]["content"][0]["text"],
            "usage": whole["usage"],
            "streamed": deltas(events, "text"),
            "streamed_usage": events[-1]["metadata"]["usage"],
            "stop": [whole["stopReason"], events[-2]["messageStop"]["stopReason"]],
            "call": [called["stopReason"], content[0]["toolUse"]["name"], content[0]["toolUse"]["input"]],
            "streamed_call": deltas(call_events, "toolUse", "input"),
            "reasoned": deltas(call_events, "reasoningContent", "text"),
            "after": after["output"]["message"]["content"][0]["text"],
            "titan": len(embed("amazon.titan-embed-text-v2:0", {"inputText": "a b", "dimensions": 3})["embedding"]),
            "cohere": len(embed("cohere.embed-v3", {"texts": ["a", "b"], "input_type": "search_query"})["embeddings"]),
            "errors": errors,
        }
    )
)
