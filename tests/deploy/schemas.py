"""Makes the directory of JSON schemas that kubeconform reads, from what tests/deploy/fetch fetched.

Usage: schemas.py KUBERNETES_VERSION WHEELS MODULES OUT
"""

import json
import pathlib
import sys
import zipfile

import yaml

version, wheels, modules, out = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])

# Kubernetes itself. References and ids are those of a server; here the files lie beside each other.
wheel = next(wheels.glob("kubernetes_validate-*.whl"))
folder = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
with zipfile.ZipFile(wheel) as files:
    for name in files.namelist():
        if name.startswith(folder) and name.endswith(".json"):
            text = files.read(name).decode().replace('"/api/_definitions.json', '"_definitions.json')
            schema = json.loads(text)
            schema.pop("$id", None)
            (out / pathlib.Path(name).name).write_text(json.dumps(schema))


def strict(schema):
    """Refuses fields that the definition does not name, as `kubectl --validate=strict` does."""
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.get("x-kubernetes-int-or-string"):
            schema.pop("type", None)
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)


# Definitions of others.
for module, path in [
    ("keda.json", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    ("operator.json", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    ("operator.json", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
]:
    root = json.loads((modules / module).read_text())["Dir"]
    crd = yaml.safe_load((pathlib.Path(root) / path).read_text())
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"].lower()
    for served in crd["spec"]["versions"]:
        schema = served["schema"]["openAPIV3Schema"]
        strict(schema)
        # Kubernetes adds these.
        schema["properties"].update(apiVersion={"type": "string"}, kind={"type": "string"})
        schema["properties"]["metadata"] = {"type": "object"}
        name = f"{kind}-{group.split('.')[0]}-{served['name']}.json"
        (out / name).write_text(json.dumps(schema))

count = len(list(out.glob("*.json")))
print(f"{count} schemas")
if count < 100:
    sys.exit(f"only {count} schemas found in {wheel.name}")
