import json
import re
from datetime import datetime, timedelta

from compute import op

LINE = re.compile(r"(?P<when>\S+) \[(?P<level>\w+)\] (?P<data>\{.*\})")


def work(value):
    counted, last = {}, None
    for line in value["lines"]:
        found = LINE.fullmatch(line)
        data = json.loads(found["data"])
        when = datetime.fromisoformat(found["when"]) + timedelta(hours=data["shift"])
        counted[found["level"]] = counted.get(found["level"], 0) + data["n"]
        last = max(last, when) if last else when
    return {"counted": counted, "last": last.isoformat()}


@op(warmup={"times": 2, "input": {"lines": ['2026-01-02T03:04:05+00:00 [INFO] {"n": 1, "shift": 2}'] * 3}})
def main(input):
    for _ in range(input["times"]):
        answer = work(input["input"])
    return answer
