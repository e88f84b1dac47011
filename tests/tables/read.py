"""Reads the tables that `weir collect` wrote with readers that are not ours: `read.py OUT` prints, as JSON, each table's columns and types and
row count by the deltalake package, by DuckDB and by Polars, and the join of usage and entities by DuckDB. `--ids FILE` has the ids of answered
requests, one a line: each must be in each table once. `--without TEXT`: how many rows have that in any column. It changes nothing."""

import argparse
import json
import pathlib

import deltalake
import duckdb
import duckdb_extension_delta
import polars

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("out")
parser.add_argument("--ids")
parser.add_argument("--without", action="append", default=[])
asked = parser.parse_args()
out = pathlib.Path(asked.out).resolve()
tables = sorted(path.parent.name for path in out.glob("*/_delta_log"))


def extension():
    """The delta extension that lies in the package: DuckDB would download it otherwise."""
    folder = pathlib.Path(duckdb_extension_delta.__file__).parent
    return next(str(path) for path in folder.rglob("delta.duckdb_extension*"))


def database():
    db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    path = pathlib.Path(extension())
    if path.suffix == ".gz":
        import gzip
        import tempfile

        unpacked = pathlib.Path(tempfile.mkdtemp()) / "delta.duckdb_extension"
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    db.execute(f"load '{path}'")
    db.execute("set timezone = 'UTC'")
    return db


def with_deltalake(name):
    table = deltalake.DeltaTable(out / name)
    columns = {field.name: kind(json.loads(field.type.to_json())) for field in table.schema().fields}
    return {"columns": columns, "partitions": table.metadata().partition_columns, "rows": table.to_pyarrow_table().num_rows}


def kind(found):
    """A type as the protocol writes it, on one line."""
    if isinstance(found, str):
        return found
    if found["type"] == "map":
        return f"map<{kind(found['keyType'])},{kind(found['valueType'])}>"
    if found["type"] == "array":
        return f"array<{kind(found['elementType'])}>"
    return "struct<" + ",".join(f"{field['name']}:{kind(field['type'])}" for field in found["fields"]) + ">"


def with_duckdb(db, name):
    described = db.execute(f"describe select * from delta_scan('{out / name}')").fetchall()
    rows = db.execute(f"select count(*) from delta_scan('{out / name}')").fetchone()[0]
    return {"columns": {row[0]: row[1] for row in described}, "rows": rows}


def with_polars(name):
    frame = polars.scan_delta(str(out / name)).collect()
    return {"columns": {column: str(dtype) for column, dtype in frame.schema.items()}, "rows": frame.height}


def joined(db):
    usage, entities, detail = (out / name for name in ("endpoint_usage", "served_entities", "endpoint_usage_detail"))
    by_entity = db.execute(f"""
        select e.endpoint_name, count(*), sum(u.input_token_count + u.output_token_count)
        from delta_scan('{usage}') u join delta_scan('{entities}') e using (served_entity_id) group by all order by all""").fetchall()
    by_request = db.execute(f"""
        select count(*), count(distinct u.databricks_request_id), count(*) filter (u.requester is not distinct from d.requester)
        from delta_scan('{usage}') u join delta_scan('{detail}') d using (databricks_request_id)""").fetchone()
    return {"endpoints": [list(map(str, row)) for row in by_entity], "requests": list(by_request)}


def once(db, name):
    """Of the rows with status 200 of a table: how many, how many ids, how many ids that were asked for it lacks, how many it has besides."""
    db.execute(f"create or replace temp table found as select databricks_request_id id from delta_scan('{out / name}') where status_code = 200")
    return db.execute("""select (select count(*) from found), (select count(distinct id) from found),
        (select count(*) from (select id from answered except select id from found)),
        (select count(*) from (select id from found except select id from answered))""").fetchone()


def with_text(db, name, texts):
    found = " or ".join("contains(found::varchar, ?)" for _ in texts)
    return db.execute(f"select count(*) from delta_scan('{out / name}') found where {found}", texts).fetchone()[0]


db = database()
answer = {name: {"deltalake": with_deltalake(name), "duckdb": with_duckdb(db, name), "polars": with_polars(name)} for name in tables}
if {"endpoint_usage", "served_entities", "endpoint_usage_detail"} <= set(tables):
    answer["join"] = joined(db)
if asked.ids:
    db.execute("create temp table answered as select * from read_csv(?, header=false, columns={'id': 'VARCHAR'})", [asked.ids])
    answer["once"] = {name: once(db, name) for name in tables if name.startswith("endpoint_usage") or name.endswith("_payload")}
if asked.without:
    answer["rows_with_a_credential"] = sum(with_text(db, name, asked.without) for name in tables)
print(json.dumps(answer))
