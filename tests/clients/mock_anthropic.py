"""Anthropic's SDK against a `weir mock`: chat, streams, tools and back, thinking, counting, errors. Prints one JSON object."""

import json
import sys

import anthropic
from orders import behave, failure, strict

base, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=30)
tool = {
    "name": "depth",
    "description": "How deep the water is.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
asked = {"model": "claude", "max_tokens": 4096, "messages": [{"role": "user", "content": "How deep is the weir?"}]}

whole = strict(client.messages.create(**asked))
raw = [strict(event).type for event in client.messages.create(**asked, stream=True)]
with client.messages.stream(**asked) as stream:
    streamed_text = "".join(stream.text_stream)
    streamed = stream.get_final_message()

call = strict(client.messages.create(**asked, tools=[tool]))
with client.messages.stream(**asked, tools=[tool], thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
    events = [event.type for event in stream]
    streamed_call = stream.get_final_message()
results = [
    {"type": "tool_result", "tool_use_id": block.id, "content": "seven metres"}
    for block in streamed_call.content
    if block.type == "tool_use"
]
turns = [*asked["messages"], {"role": "assistant", "content": streamed_call.content}, {"role": "user", "content": results}]
after = client.messages.create(**{**asked, "messages": turns}, tools=[tool])

behave(base, cached_tokens=2, cache_write_tokens=1)
cached = client.messages.create(**asked).usage
behave(base, status=529)
overloaded = failure(anthropic.APIStatusError, lambda: client.messages.create(**asked))
behave(base, stream_error=4)
broken = failure(anthropic.APIStatusError, lambda: [*client.messages.create(**asked, stream=True)])
behave(base)
wrong = failure(anthropic.APIStatusError, lambda: client.messages.create(**{**asked, "max_tokens": 0}))
other = anthropic.Anthropic(base_url=base, api_key="another", max_retries=0, timeout=30)
refused = failure(anthropic.APIStatusError, lambda: other.messages.create(**asked))

print(
    json.dumps(
        {
            "whole": whole.model_dump(),
            "streamed_text": streamed_text,
            "streamed": streamed.model_dump(exclude={"parsed_output"}),
            "call": call.model_dump(),
            "streamed_call": [block.type for block in streamed_call.content],
            "streamed_input": streamed_call.content[-1].input,
            "raw": sorted(set(raw)),
            "events": events,
            "after": after.content[0].text,
            "count": client.messages.count_tokens(model="claude", messages=asked["messages"]).input_tokens,
            "models": [model.id for model in client.models.list()],
            "cached": cached.model_dump(),
            "errors": {"overloaded": overloaded, "broken": broken, "wrong": wrong, "refused": refused},
        }
    )
)
