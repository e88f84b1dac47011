"""OpenAI's SDK against a `weir mock`: all of its APIs, Azure's paths, tools and back, errors. Prints one JSON object."""

import json
import sys

import openai
from orders import behave, failure, strict

base, key = sys.argv[1:]
client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=30)
azure = openai.AzureOpenAI(
    azure_endpoint=base, azure_deployment="depth", api_version="2024-10-21", api_key=key, max_retries=0, timeout=30
)
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"], "additionalProperties": False}
function = {"name": "depth", "description": "How deep the water is.", "parameters": schema}
tools = [{"type": "function", "function": function}, {"type": "function", "function": {**function, "name": "width"}}]
asked = {"model": "gpt", "messages": [{"role": "user", "content": "How deep is the weir?"}]}


def chat(to=client, **more):
    answer = to.chat.completions.create(**{**asked, **more})
    return map(strict, answer) if more.get("stream") else strict(answer)


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


call = chat(tools=tools).choices[0].message
with client.chat.completions.stream(**asked, tools=tools) as stream:
    streamed_call = stream.until_done().get_final_completion().choices[0].message
results = [{"role": "tool", "tool_call_id": one.id, "content": f"{one.function.name} is 7"} for one in call.tool_calls]
after = chat(messages=[*asked["messages"], call.model_dump(exclude_none=True), *results], tools=tools)
likely = chat(n=2, logprobs=True, top_logprobs=1)
formatted = chat(response_format={"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}})

flat = [{"type": "function", "strict": True, **function}]
response = strict(client.responses.create(model="gpt", input="How deep is the weir?"))
with client.responses.stream(model="gpt", input="How deep is the weir?", tools=flat, reasoning={"effort": "low"}) as stream:
    kinds = [strict(event).type for event in stream]
    called = stream.get_final_response()

behave(base, status=429, retry_after=3)
errors = {"limited": failure(openai.APIStatusError, chat), "azure": failure(openai.APIStatusError, lambda: chat(azure))}
behave(base, stream_error=3)
errors["broken"] = failure(openai.APIError, lambda: [*chat(stream=True)])
behave(base, reasoning="so so")
reasoned = chat()
behave(base)
other = openai.OpenAI(base_url=f"{base}/v1", api_key="another", max_retries=0, timeout=30)
errors["refused"] = failure(openai.APIStatusError, lambda: chat(other))

print(
    json.dumps(
        {
            "chat": chat().choices[0].message.content,
            "streamed": text(chat(stream=True)),
            "azure": [chat(azure).model, text(chat(azure, stream=True))],
            "calls": [[one.function.name, one.function.arguments] for one in call.tool_calls],
            "streamed_calls": [[one.function.name, one.function.arguments] for one in streamed_call.tool_calls],
            "after": after.choices[0].message.content,
            "choices": len(likely.choices),
            "likely": "".join(token.token for token in likely.choices[1].logprobs.content),
            "formatted": json.loads(formatted.choices[0].message.content),
            "reasoned": [reasoned.choices[0].message.reasoning_content, reasoned.usage.completion_tokens_details.reasoning_tokens],
            "completion": client.completions.create(model="gpt", prompt="How deep?").choices[0].text,
            "embeddings": [len(one.embedding) for one in client.embeddings.create(model="e", input=["a", "b"], dimensions=3).data],
            "response": [response.output_text, response.usage.total_tokens],
            "called": [item.type for item in called.output] + [called.output[-1].arguments],
            "kinds": sorted(set(kinds)),
            "errors": errors,
        }
    )
)
