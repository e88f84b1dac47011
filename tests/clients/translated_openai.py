"""OpenAI's SDK over an endpoint whose models speak other APIs: chat, streams, tools and back, responses. Prints one JSON object."""

import json
import sys

import openai
from orders import failure, strict

base, key = sys.argv[1:]
client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=30)
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"], "additionalProperties": False}
function = {"name": "depth", "description": "How deep the water is.", "parameters": schema}
tools = [{"type": "function", "function": function}, {"type": "function", "function": {**function, "name": "width"}}]
asked = {
    "model": "chat",
    "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "How deep is the weir?"}],
}


def calls(message):
    return [[one.function.name, json.loads(one.function.arguments)] for one in message.tool_calls]


whole = strict(client.chat.completions.create(**asked))
chunks = [strict(c) for c in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})]
silent = list(client.chat.completions.create(**asked, stream=True))
call = strict(client.chat.completions.create(**asked, tools=tools)).choices[0].message
with client.chat.completions.stream(**asked, tools=tools) as stream:
    streamed_call = stream.until_done().get_final_completion().choices[0].message
results = [{"role": "tool", "tool_call_id": one.id, "content": f"{one.function.name} is 7"} for one in call.tool_calls]
turns = [*asked["messages"], call.model_dump(exclude_none=True), *results]
after = strict(client.chat.completions.create(model="chat", messages=turns, tools=tools))

flat = [{"type": "function", "strict": True, **function}]
response = strict(client.responses.create(model="chat", input="How deep is the weir?"))
with client.responses.stream(model="chat", input="How deep is the weir?", tools=flat) as stream:
    kinds = [strict(event).type for event in stream]
    called = stream.get_final_response()

print(
    json.dumps(
        {
            "chat": whole.choices[0].message.content,
            "finish_reason": whole.choices[0].finish_reason,
            "usage": whole.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}),
            "streamed": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
            "streamed_usage": chunks[-1].usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}),
            "usage_unasked": sum(not c.choices for c in silent),
            "calls": calls(call),
            "streamed_calls": calls(streamed_call),
            "after": after.choices[0].message.content,
            "response": response.output_text,
            "response_usage": [response.usage.input_tokens, response.usage.output_tokens],
            "response_calls": [[one.name, json.loads(one.arguments)] for one in called.output],
            "response_events": kinds,
            "wrong": failure(openai.APIStatusError, lambda: client.chat.completions.create(**asked, temperature=9)),
        }
    )
)
