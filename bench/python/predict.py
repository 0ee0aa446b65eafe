import numpy
from compute import op
from sklearn.linear_model import LogisticRegression

FEATURES = numpy.array([[n % 7, n % 5, n % 3] for n in range(210)], dtype=numpy.float64)
MODEL = LogisticRegression().fit(FEATURES, FEATURES.sum(axis=1) > 6)


def work(value):
    return {"likely": [round(float(one), 6) for one in MODEL.predict_proba(numpy.array(value["rows"]))[:, 1]]}


@op(warmup={"times": 2, "input": {"rows": [[1.0, 2.0, 0.0]]}})
def main(input):
    for _ in range(input["times"]):
        answer = work(input["input"])
    return answer
