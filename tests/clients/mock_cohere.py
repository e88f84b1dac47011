"""Cohere's SDK against a `weir mock`: chat, streams, tools and back, embeddings, errors. Prints one JSON object."""

import json
import sys

import cohere
from cohere.core.api_error import ApiError
from orders import behave, failure

base, key = sys.argv[1:]
client = cohere.ClientV2(api_key=key, base_url=base, timeout=30)
messages = [{"role": "user", "content": "How deep is the weir?"}]
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
tools = [{"type": "function", "function": {"name": "depth", "description": "How deep.", "parameters": schema}}]
once = {"max_retries": 0}


def chat(to=client, messages=messages, **more):
    answer = to.chat(model="command", messages=messages, request_options=once, **more)
    # The SDK by itself takes anything: its own type says what is right.
    type(answer).model_validate(answer.model_dump(exclude_unset=True))
    return answer


def stream(**more):
    return [*client.chat_stream(model="command", messages=messages, request_options=once, **more)]


def embed():
    return client.embed(
        model="embed", texts=["a b", "c"], input_type="search_query", embedding_types=["float"], output_dimension=3
    )


whole, events = chat(), stream()
call, call_events = chat(tools=tools).message, stream(tools=tools, thinking={"type": "enabled"})
result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "seven metres"}
after = chat(messages=[*messages, call, result], tools=tools)
errors = {}
behave(base, status=429)
errors["limited"] = failure(ApiError, chat)
behave(base, stream_error=4)
broken = stream()[-1]
behave(base)
errors["refused"] = failure(ApiError, lambda: chat(cohere.ClientV2(api_key="another", base_url=base)))

print(
    json.dumps(
        {
            "whole": whole.message.content[0].text,
            "usage": whole.usage.tokens.model_dump(),
            "streamed": "".join(one.delta.message.content.text for one in events if one.type == "content-delta"),
            "streamed_usage": events[-1].delta.usage.tokens.model_dump(),
            "finish": [whole.finish_reason, events[-1].delta.finish_reason, broken.delta.finish_reason],
            "call": [call.tool_calls[0].function.name, call.tool_calls[0].function.arguments],
            "streamed_call": "".join(
                one.delta.message.tool_calls.function.arguments for one in call_events if one.type == "tool-call-delta"
            ),
            "types": sorted({one.type for one in call_events}),
            "after": after.message.content[0].text,
            "embeddings": [len(one) for one in embed().embeddings.float_],
            "errors": errors,
        }
    )
)
