"""Takes the text, the links and the prices out of a page."""
import regex
from compute import op
from lxml import html

PRICE = regex.compile(r"(?<amount>\d+[.,]\d{2})\s*(?<currency>€|EUR|USD|\$)")


@op(warmup={"html": "<p>1.00 EUR</p>"})
def extract(input):
    page = html.fromstring(input["html"])
    text = " ".join(page.text_content().split())
    prices = [
        {"amount": float(found["amount"].replace(",", ".")), "currency": found["currency"]}
        for found in PRICE.finditer(text)
    ]
    return {"text": text, "links": [link for _, _, link, _ in page.iterlinks()], "prices": prices}
