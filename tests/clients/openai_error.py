"""A chat that is to fail, by the unmodified OpenAI SDK. Prints the error as one JSON object."""

import json
import sys

import openai

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)
try:
    client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}])
    print(json.dumps({"type": None}))
except openai.APIStatusError as error:
    print(json.dumps({"type": type(error).__name__, "status": error.status_code, "code": error.code, "message": error.message}))
