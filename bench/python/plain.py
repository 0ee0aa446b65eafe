from compute import op


def work(value):
    return {**value, "greeting": f"hi {value['name']}"}


@op(warmup={"times": 2, "input": {"name": "Bo"}})
def main(input):
    for _ in range(input["times"]):
        answer = work(input["input"])
    return answer
