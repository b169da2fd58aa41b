"""GET /downloads/{name}: a link to a file in S3, valid for an hour. It is signed here; nothing is called."""

import json
import os

import boto3

BUCKET = os.environ.get("BUCKET", "coldspan-demo")
FILES = ["annual-report.pdf", "price-list.pdf", "terms.pdf"]

# At module level, as most functions do: it is made once for each environment, and most of the cold start goes here.
client = boto3.client("s3")


def handler(event, context):
    # Here instead of above: only a request needs it, so the first one pays for it, and init does not.
    import difflib

    wanted = event["pathParameters"]["name"]
    nearest = difflib.get_close_matches(wanted, FILES, n=1)
    if not nearest:
        return {"statusCode": 404, "body": json.dumps({"message": f"no file like {wanted}"})}
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": nearest[0]}, ExpiresIn=3600)
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"file": nearest[0], "url": url}),
    }
