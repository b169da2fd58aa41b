"""Sets a marshaller of its own, as awslambdaric documents."""

from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller


class Shouting(LambdaMarshaller):
    def marshal_response(self, response):
        return f'"{response.upper()}"', "application/json"


assert isinstance(LambdaRuntimeClient.marshaller, LambdaMarshaller)
LambdaRuntimeClient.marshaller = Shouting()


def handler(event, context):
    if event == "raise":
        raise ValueError("no luck")
    return event
