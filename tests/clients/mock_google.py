"""Google's SDK against a `weir mock`: the Gemini API with a key, Vertex AI with the service account in `account.json` of the home
folder. Prints one JSON object."""

import json
import sys
from pathlib import Path

from google import genai
from google.auth.exceptions import RefreshError
from google.genai import errors, types
from google.oauth2 import service_account
from orders import behave, failure

base, key = sys.argv[1:]
options = types.HttpOptions(base_url=base, timeout=30_000)
gemini = genai.Client(api_key=key, http_options=options)
account = json.loads((Path.home() / "account.json").read_text())


def vertex_as(email):
    """Vertex AI by a service account's key, whatever it says who it is."""
    info = {**account, "client_email": email, "token_uri": f"{base}/token"}
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    credentials = service_account.Credentials.from_service_account_info(info, scopes=scopes)
    return genai.Client(vertexai=True, project="p", location="r", credentials=credentials, http_options=options)


vertex = vertex_as(account["client_email"])
question = "How deep is the weir?"
schema = {"type": "OBJECT", "properties": {"place": {"type": "STRING"}}, "required": ["place"]}
tool = types.Tool(function_declarations=[{"name": "depth", "description": "How deep.", "parameters": schema}])


def ask(client=gemini, contents=question, **config):
    config = types.GenerateContentConfig(**config)
    return client.models.generate_content(model="gemini", contents=contents, config=config)


def stream(client=gemini, **config):
    config = types.GenerateContentConfig(**config)
    return [*client.models.generate_content_stream(model="gemini", contents=question, config=config)]


call = ask(tools=[tool])
response = types.Part.from_function_response(name="depth", response={"result": "seven metres"})
turns = [types.UserContent(question), call.candidates[0].content, types.UserContent([response])]
streamed_call = stream(tools=[tool], thinking_config={"include_thoughts": True})
chunks = stream()
likely = ask(candidate_count=2, response_logprobs=True)
found = {}
behave(base, status=429)
found["limited"] = failure(errors.APIError, ask)
behave(base, stream_error=2)
found["broken"] = failure(errors.APIError, stream)
behave(base)
found["refused"] = failure(errors.APIError, lambda: ask(genai.Client(api_key="another", http_options=options)))

found["stranger"] = failure(RefreshError, lambda: ask(vertex_as("stranger@example.com")))

print(
    json.dumps(
        {
            "whole": ask().text,
            "usage": ask().usage_metadata.model_dump(mode="json", exclude_none=True),
            "streamed": "".join(chunk.text for chunk in chunks),
            "streamed_usage": chunks[-1].usage_metadata.model_dump(mode="json", exclude_none=True),
            "finish": chunks[-1].candidates[0].finish_reason,
            "vertex": [ask(vertex).text, "".join(chunk.text for chunk in stream(vertex))],
            "calls": [[one.name, one.args] for one in call.function_calls],
            "streamed_calls": [[one.name, one.args] for chunk in streamed_call for one in chunk.function_calls or []],
            "thoughts": [part.text for part in streamed_call[0].candidates[0].content.parts if part.thought],
            "after": ask(contents=turns, tools=[tool]).text,
            "formatted": ask(response_mime_type="application/json", response_schema=schema).parsed,
            "likely": [len(likely.candidates), likely.candidates[1].logprobs_result.chosen_candidates[0].token],
            "embeddings": [
                [len(one.values) for one in client.models.embed_content(
                    model="embed", contents=["a b", "c"], config={"output_dimensionality": 3}
                ).embeddings]
                for client in (gemini, vertex)
            ],
            "count": gemini.models.count_tokens(model="gemini", contents=question).total_tokens,
            "errors": found,
        }
    )
)
