"""`serving_endpoints.query` by the unmodified Databricks SDK. Prints one JSON object."""

import json
import sys

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole

host, token = sys.argv[1:]
client = WorkspaceClient(host=host, token=token, auth_type="pat")
answer = client.serving_endpoints.query(
    name="chat",
    messages=[ChatMessage(role=ChatMessageRole.USER, content="How deep is the weir today?")],
    client_request_id="from-the-sdk",
    usage_context={"team": "weir"},
)
print(json.dumps({"content": answer.choices[0].message.content, "total_tokens": answer.usage.total_tokens}))
