import numpy
from compute import op


def work(value):
    numbers = numpy.arange(value["size"] ** 2, dtype=numpy.float64).reshape(value["size"], -1) % 7
    return {"trace": float(numpy.trace(numbers @ numbers))}


@op(warmup={"times": 2, "input": {"size": 8}})
def main(input):
    for _ in range(input["times"]):
        answer = work(input["input"])
    return answer
