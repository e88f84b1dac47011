"""MLflow's and Databricks' clients over endpoints whose models speak other APIs: query, streams, embeddings, lists. Prints one JSON object."""

import json
import os
import sys

host, token = sys.argv[1:]
os.environ.update(DATABRICKS_HOST=host, DATABRICKS_TOKEN=token, MLFLOW_DEPLOYMENTS_TARGET=host)
os.environ.update(MLFLOW_TRACKING_TOKEN=token)

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole
from mlflow.deployments import get_deploy_client

asked = {"messages": [{"role": "user", "content": "How deep is the weir?"}]}
schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
tools = [{"type": "function", "function": {"name": "depth", "parameters": schema}}]

workspace = WorkspaceClient(host=host, token=token, auth_type="pat")
message = ChatMessage(role=ChatMessageRole.USER, content="How deep is the weir?")
queried = workspace.serving_endpoints.query(name="chat", messages=[message])
vectors = workspace.serving_endpoints.query(name="vectors", input=["one", "two"])
detailed = workspace.serving_endpoints.get("chat")

databricks = get_deploy_client("databricks")
predicted = databricks.predict(endpoint="chat", inputs=asked)
streamed = list(databricks.predict_stream(endpoint="chat", inputs=asked))
called = databricks.predict(endpoint="chat", inputs={**asked, "tools": tools})
table = databricks.predict(endpoint="iris", inputs={"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}})

mlflow = get_deploy_client(host)
gateway = mlflow.predict(endpoint="chat", inputs=asked)

print(
    json.dumps(
        {
            "queried": queried.choices[0].message.content,
            "queried_usage": queried.usage.total_tokens,
            "vectors": [len(one.embedding) > 0 for one in vectors.data],
            "detailed": [detailed.name, detailed.task, [entity.name for entity in detailed.config.served_entities]],
            "listed": sorted(endpoint.name for endpoint in workspace.serving_endpoints.list()),
            "predicted": predicted["choices"][0]["message"]["content"],
            "streamed": "".join(c["choices"][0]["delta"].get("content") or "" for c in streamed if c["choices"]),
            "called": called["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
            "table": table["predictions"],
            "mlflow": gateway["choices"][0]["message"]["content"],
            "mlflow_listed": sorted(endpoint.name for endpoint in mlflow.list_endpoints()),
            "mlflow_endpoint": mlflow.get_endpoint("chat").endpoint_type,
            "databricks_listed": sorted(endpoint["name"] for endpoint in databricks.list_endpoints()),
            "databricks_endpoint": databricks.get_endpoint("chat")["name"],
        }
    )
)
