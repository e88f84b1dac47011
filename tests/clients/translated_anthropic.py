"""Anthropic's SDK over an endpoint whose models speak other APIs: chat, streams, tools and back. Prints one JSON object."""

import json
import sys

import anthropic
from orders import failure, strict

base, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=30)
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
tools = [
    {"name": "depth", "description": "How deep the water is.", "input_schema": schema},
    {"name": "width", "description": "How wide the water is.", "input_schema": schema},
]
asked = {
    "model": "chat",
    "max_tokens": 4096,
    "system": "Be terse.",
    "messages": [{"role": "user", "content": "How deep is the weir?"}],
}


def calls(message):
    return [[block.name, block.input] for block in message.content if block.type == "tool_use"]


whole = strict(client.messages.create(**asked))
raw = [strict(event) for event in client.messages.create(**asked, stream=True)]
with client.messages.stream(**asked) as stream:
    streamed_text = "".join(stream.text_stream)
    streamed = stream.get_final_message()
call = strict(client.messages.create(**asked, tools=tools))
with client.messages.stream(**asked, tools=tools) as stream:
    streamed_call = stream.get_final_message()
results = [
    {"type": "tool_result", "tool_use_id": block.id, "content": "seven metres"}
    for block in streamed_call.content
    if block.type == "tool_use"
]
turns = [*asked["messages"], {"role": "assistant", "content": streamed_call.content}, {"role": "user", "content": results}]
after = strict(client.messages.create(**{**asked, "messages": turns}, tools=tools))
wrong = failure(anthropic.APIStatusError, lambda: client.messages.create(**{**asked, "model": "no-such-model"}))

print(
    json.dumps(
        {
            "chat": whole.content[0].text,
            "stop_reason": whole.stop_reason,
            "usage": [whole.usage.input_tokens, whole.usage.output_tokens],
            "streamed": streamed_text,
            "streamed_usage": [streamed.usage.input_tokens, streamed.usage.output_tokens],
            "events": sorted({event.type for event in raw}),
            "calls": calls(call),
            "streamed_calls": calls(streamed_call),
            "after": after.content[0].text,
            "wrong": wrong,
        }
    )
)
