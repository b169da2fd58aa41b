"""Tells all that it sees of its context."""

import os


def handler(event, context):
    client, identity = context.client_context, context.identity
    remaining = context.get_remaining_time_in_millis()
    context.log("logged by context\n")
    return {
        "event": event,
        "repr": repr(context),
        "names": sorted(name for name in dir(context) if not name.startswith("_")),
        "id": context.aws_request_id,
        "client": client and [client.custom, client.env, client.client and repr(client.client)],
        "client repr": repr(client),
        "identity": [identity.cognito_identity_id, identity.cognito_identity_pool_id],
        "remaining": [remaining == 0, remaining > 30_000],
        "deadline type": type(context._epoch_deadline_time_in_ms).__name__,
        "w3c": context.w3c(),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }
