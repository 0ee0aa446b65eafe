"""Cleans a CSV of orders: names are trimmed, amounts become numbers, what has none is left out, and each customer gets a sum."""
import io

import pandas as pd
from compute import op

SAMPLE = {"csv": "customer,amount\n Ada ,1.5\nBob,x\n"}


@op(warmup=SAMPLE)
def clean(input, ctx):
    table = pd.read_csv(io.StringIO(input["csv"]))
    table["customer"] = table["customer"].str.strip()
    table["amount"] = pd.to_numeric(table["amount"], errors="coerce")
    dropped = int(table["amount"].isna().sum())
    if dropped:
        ctx.log.warn(f"{dropped} rows have no amount")
    sums = table.dropna().groupby("customer")["amount"].sum()
    return {"dropped": dropped, "sums": sums.round(2).to_dict()}
