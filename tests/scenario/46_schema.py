#!/usr/bin/env python3
"""The JSON Schema says what the program says: every example and every config that is accepted
passes it, and it knows each way to write an endpoint."""
import json
import pathlib
import re
import subprocess

import jsonschema

from harness import story

HERE = pathlib.Path(__file__).resolve().parents[2]
FORMS = ["127.0.0.1:80", "[::1]:80", "web.example.net:8080", "localhost:9", "unix:/run/web.sock",
         "srv:_web._tcp.example.net", {"address": "srv:_web._tcp.example.net", "weight": 3}]
WRONG = ["127.0.0.1", "srv:web.example.net", "srv:_web._tcp", "unix:", 80]


def plain(text):
    """JSONC without comments and trailing commas; strings stay as they are."""
    string = r'"(?:[^"\\\\]|\\\\.)*"'
    text = re.sub(string + r"|//[^\n]*|/\*.*?\*/", lambda m: m[0] if m[0][0] == '"' else " ",
                  text, flags=re.S)
    return re.sub(string + r"|,(?=\s*[}\]])", lambda m: m[0] if m[0][0] == '"' else " ", text)


def config(endpoint):
    return {"version": 1, "listeners": {"web": {"address": "127.0.0.1:0"}},
            "services": {"web": {"versions": {"v1": {"endpoints": [endpoint]}}}},
            "routes": [{"service": "web"}]}


def tell(t):
    made = subprocess.run([t.build / "sluicectl", "config", "schema"], stdout=subprocess.PIPE,
                          check=True)
    schema = json.loads(made.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)

    def complaints(doc):
        return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in checker.iter_errors(doc)]

    accepted = list((HERE / "config/examples").glob("*.jsonc"))
    accepted += [p for p in (HERE / "tests/golden/config").glob("*.jsonc")
                 if not p.with_suffix(".txt").read_text()]
    t.check(len(accepted) > 4, f"{accepted}")
    for path in accepted:
        t.equal(complaints(json.loads(plain(path.read_text()))), [], path.name)
    file = pathlib.Path(t.directory) / "form.jsonc"
    for form in FORMS + WRONG:
        file.write_text(json.dumps(config(form)))
        loads = subprocess.run([t.build / "sluice", "-t", "-c", file], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False).returncode == 0
        t.equal(loads, form in FORMS, f"the program about {form}")
        t.equal(complaints(config(form)) == [], loads, f"the schema about {form}")


story(__doc__, tell)
