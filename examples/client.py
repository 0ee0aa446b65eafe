"""Uploads a module, runs it, and reads what happened to a document. Only Python's own library is needed.

    compute serve --dev &
    compute apply examples/triage
    python3 examples/client.py target/guests/transform-c.wasm
"""

import hashlib
import json
import os
import sys
import urllib.request

SERVER = os.environ.get("COMPUTE_SERVER", "http://127.0.0.1:7700")


def call(method, path, body=b""):
    request = urllib.request.Request(SERVER + path, data=body, method=method)
    with urllib.request.urlopen(request) as response:
        return response.headers, json.load(response)


module = open(sys.argv[1], "rb").read()
digest = hashlib.sha256(module).hexdigest()
_, stored = call("PUT", f"/v1/computes/sha256/{digest}", module)
print("stored", stored["ref"])

headers, output = call("POST", f"/run/sha256/{digest}", b'{"name":"Ada"}')
print("ran in", headers["x-compute-wall"], "ns:", output)

ticket = {"subject": "Charged twice", "body": "I want a refund"}
headers, document = call("POST", "/stacks/triage", json.dumps(ticket).encode())
print("answered:", document["answer"])

_, trace = call("GET", "/v1/traces/" + headers["x-compute-rid"])
for step in trace["steps"]:
    print("step", step["op"], step["status"])
