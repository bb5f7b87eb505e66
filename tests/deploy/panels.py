"""Makes recording rules of the panels of a Grafana dashboard on Prometheus, for promtool to judge.

Usage: panels.py DASHBOARD TESTS OUT
A rule is called panel:ID:REF. Fails where a variable is not known here, or TESTS asks no value of a panel.
"""

import json
import pathlib
import sys

dashboard, tests, out = map(pathlib.Path, sys.argv[1:4])
# What Grafana puts in their places: all replicas, and four scrapes of the tests' minute.
VARIABLES = {"$__rate_interval": "4m", "$instance": ".*"}

rules, unasked = [], []
asked = tests.read_text()
for panel in json.loads(dashboard.read_text())["panels"]:
    for target in panel.get("targets", []):
        expression = target["expr"]
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        # $1 is label_replace's own.
        if "$" in expression.replace('"$1"', ""):
            sys.exit(f"{panel['title']}: a variable that this script does not know: {expression}")
        record = f"panel:{panel['id']}:{target['refId']}"
        rules.append({"record": record, "expr": expression})
        if f"expr: {record}\n" not in asked:
            unasked.append(f"{record} ({panel['title']})")
if not rules:
    sys.exit(f"no panels in {dashboard}")
if unasked:
    sys.exit(f"{tests} asks for no value of: {', '.join(unasked)}")
# JSON is YAML.
out.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}, indent=1))
print(f"{len(rules)} expressions")
