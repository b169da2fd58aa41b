import boto3
from pydantic import BaseModel


class Order(BaseModel):
    number: int = 0


session = boto3.session.Session(region_name="us-east-1")


def handler(event, context):
    return Order(**event).model_dump()
