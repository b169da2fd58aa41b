import fatal


def handler(event, context):
    return fatal
