#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""price_table.py - the price table of `enxame market` out of genai-prices.

    tools/price_table.py DATA.json DATE COMMIT > prices/DATE.csv

DATA.json is prices/data.json of github.com/pydantic/genai-prices at COMMIT.  Kept are models with
a price for tokens in and out.  Of prices by the hour of day the first is kept; of those that rise
with the context, the lowest, marked in `tiered`.
"""
import json
import sys

HEAD = """# enxame prices, version 1
# date: {date}
# source: genai-prices {commit}, https://github.com/pydantic/genai-prices
# licence: MIT, Copyright (c) Pydantic Services Inc. 2025 to present; see LICENSE.genai-prices
# USD a million tokens; cached: of the prompt, read again; from: the first day of a price
provider,model,from,usd_per_mtok_in,usd_per_mtok_cached,usd_per_mtok_out,tiered
"""


def base(price):
    return price["base"] if isinstance(price, dict) else price


def rows(providers):
    for provider in providers:
        for model in provider["models"]:
            prices = model["prices"]
            for one in prices if isinstance(prices, list) else [{"prices": prices}]:
                price = one["prices"]
                if "input_mtok" not in price or "output_mtok" not in price:
                    continue
                tiered = any(isinstance(p, dict) for p in price.values())
                cached = price.get("cache_read_mtok")
                yield (provider["id"], model["id"], one.get("constraint", {}).get("start_date", ""),
                       f'{base(price["input_mtok"]):g}',
                       "" if cached is None else f"{base(cached):g}",
                       f'{base(price["output_mtok"]):g}', "yes" if tiered else "")


def main():
    path, date, commit = sys.argv[1:]
    with open(path, encoding="utf-8") as stream:
        found = {}
        for row in rows(json.load(stream)):
            found.setdefault(row[:3], row)
    sys.stdout.write(HEAD.format(date=date, commit=commit))
    for row in sorted(found.values()):
        if any("," in field or '"' in field or not field.isprintable() for field in row):
            sys.exit(f"price_table: a name that CSV cannot hold: {row}")
        sys.stdout.write(",".join(row) + "\n")


main()
