import decimal
import json


def handler(event: dict[str, object], context: object) -> dict[str, object]:
    return {"echo": json.dumps(event), "one": str(decimal.Decimal(1))}
