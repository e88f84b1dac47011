"""crds.py MANIFESTS... -- SCHEMAS...: whether each manifest is what its CustomResourceDefinition says, with no field that it
does not know. What needs a cluster (CEL rules, references) is not looked at."""

import sys

import jsonschema
import yaml


def definitions(paths):
    schemas = {}
    for path in paths:
        with open(path) as file:
            # Of a chart's templates, what is no template.
            text = "".join(line for line in file if "{{" not in line)
        for document in yaml.safe_load_all(text):
            if document and document.get("kind") == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    schemas[key] = strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return schemas


def strict(schema):
    """As the API server prunes: an object holds the fields that are named and no other."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    is_closed = "properties" in schema and "additionalProperties" not in schema
    if schema.get("type") == "object" and is_closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
    return schema


def main():
    cut = sys.argv.index("--")
    schemas, counted, wrong = definitions(sys.argv[cut + 1 :]), 0, 0
    for path in sys.argv[1:cut]:
        with open(path) as file:
            documents = list(yaml.safe_load_all(file))
        for document in documents:
            schema = schemas.get((document["apiVersion"], document["kind"]))
            # Kubernetes' own kinds have no definition.
            if schema is None and "." not in document["apiVersion"]:
                continue
            name = f"{path}: {document['kind']} {document['metadata']['name']}"
            counted += 1
            if schema is None:
                wrong += 1
                print(f"{name}: no definition of {document['apiVersion']}")
                continue
            for error in jsonschema.Draft7Validator(schema).iter_errors(document["spec"]):
                wrong += 1
                print(f"{name}: {'/'.join(map(str, error.path))}: {error.message[:300]}")
    print(f"{counted} manifests against {len(schemas)} definitions, {wrong} errors")
    sys.exit(1 if wrong or not counted else 0)


main()
