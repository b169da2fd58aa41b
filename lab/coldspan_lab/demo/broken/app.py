"""The sample function after a change that did not ship what it needs: no request gets past its import."""

import json

import price_rules


def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(price_rules.all_of_them())}
