"""Chat, streamed chat, the list of models and an unknown model, by the unmodified OpenAI SDK. Prints one JSON object."""

import json
import sys

import openai

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)
messages = [{"role": "user", "content": "How deep is the weir today?"}]

whole = client.chat.completions.create(model="chat", messages=messages)
chunks = list(client.chat.completions.create(model="chat", messages=messages, stream=True, stream_options={"include_usage": True}))
try:
    client.chat.completions.create(model="no-such-model", messages=messages)
    unknown = None
except openai.APIStatusError as error:
    unknown = {"type": type(error).__name__, "status": error.status_code, "code": error.code}

print(
    json.dumps(
        {
            "chat": whole.choices[0].message.content,
            "usage": whole.usage.model_dump(),
            "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
            "streamed_usage": chunks[-1].usage.model_dump(),
            "chunks_without_choices": sum(not chunk.choices for chunk in chunks),
            # Under /serving-endpoints there is no such list.
            "models": [model.id for model in client.models.list()] if base_url.endswith("/v1") else None,
            "unknown_model": unknown,
        }
    )
)
