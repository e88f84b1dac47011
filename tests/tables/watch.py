"""A reader beside the writers: `watch.py TABLE STOP` reads a table again and again with the deltalake package until the file STOP is there, and prints,
as JSON, how often, how many rows it had in the end, and what was wrong: fewer rows than before, an id twice, a read that failed."""

import json
import os
import pathlib
import sys
import time

import deltalake

table, stop = sys.argv[1], pathlib.Path(sys.argv[2])
reads, most, wrong = 0, 0, []
while True:
    last = stop.exists()
    try:
        ids = deltalake.DeltaTable(table).to_pyarrow_table(columns=["databricks_request_id"]).column(0)
    except deltalake.exceptions.TableNotFoundError:
        if reads:
            raise
        time.sleep(0.1)
        continue
    except Exception as error:
        wrong.append(f"read {reads}: {error}"[:500])
        ids = None
    if ids is not None:
        rows = len(ids)
        if rows < most:
            wrong.append(f"read {reads}: {rows} rows, before there were {most}")
        if len(ids.unique()) != rows:
            wrong.append(f"read {reads}: {rows - len(ids.unique())} ids twice")
        reads, most = reads + 1, max(most, rows)
    if last:
        break
    time.sleep(0.2)
print(json.dumps({"reads": reads, "rows": most, "wrong": wrong}), flush=True)
# Without what the interpreter does at its end: threads of the library's may abort it then ("terminate called").
os._exit(0)
