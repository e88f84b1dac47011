"""OpenAI's SDK asks an endpoint `vectors` for embeddings, as floats and as it asks unasked. Prints one JSON object."""

import json
import sys

import openai
from orders import failure, strict

base, key = sys.argv[1:]
client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=30)
asked = {"model": "vectors", "input": ["How deep is the weir?", "And how wide?"]}
default = strict(client.embeddings.create(**asked))
floats = strict(client.embeddings.create(**asked, encoding_format="float"))
short = strict(client.embeddings.create(model="vectors", input="How deep?", dimensions=3))


def same(one, other):
    return all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding, strict=True))


print(
    json.dumps(
        {
            "same": [same(one, other) for one, other in zip(default.data, floats.data, strict=True)],
            "indices": [one.index for one in default.data],
            "differ": default.data[0].embedding != default.data[1].embedding,
            "short": len(short.data[0].embedding),
            "model": default.model,
            "tokens": [default.usage.prompt_tokens, default.usage.total_tokens],
            "wrong": failure(openai.APIStatusError, lambda: client.embeddings.create(model="vectors", input=[1, 2])),
        }
    )
)
