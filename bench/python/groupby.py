import pandas
from compute import op


def work(value):
    frame = pandas.DataFrame(value["rows"])
    return {key: int(sum) for key, sum in frame.groupby("key")["value"].sum().items()}


@op(warmup={"times": 2, "input": {"rows": [{"key": f"k{n % 3}", "value": n} for n in range(50)]}})
def main(input):
    for _ in range(input["times"]):
        answer = work(input["input"])
    return answer
