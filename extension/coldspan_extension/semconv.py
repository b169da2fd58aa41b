"""Names of OpenTelemetry's semantic conventions 1.44.0: `docs/faas/aws-lambda.md`, `docs/faas/faas-spans.md`,
`docs/resource/{faas,cloud,process,service}.md`, `docs/resource/cloud-provider/aws/logs.md`,
`docs/general/recording-errors.md`, `docs/exceptions/exceptions-spans.md`."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# Resource
SERVICE_NAME = "service.name"
SERVICE_INSTANCE_ID = "service.instance.id"
CLOUD_PROVIDER = "cloud.provider"
CLOUD_PLATFORM = "cloud.platform"
CLOUD_REGION = "cloud.region"
CLOUD_ACCOUNT_ID = "cloud.account.id"
CLOUD_RESOURCE_ID = "cloud.resource_id"
FAAS_NAME = "faas.name"
FAAS_VERSION = "faas.version"
FAAS_INSTANCE = "faas.instance"
FAAS_MAX_MEMORY = "faas.max_memory"  # bytes
HOST_ID = "host.id"
AWS_LOG_GROUP_NAMES = "aws.log.group.names"
AWS_LOG_STREAM_NAMES = "aws.log.stream.names"
PROCESS_RUNTIME_NAME = "process.runtime.name"
PROCESS_RUNTIME_VERSION = "process.runtime.version"
PROCESS_RUNTIME_DESCRIPTION = "process.runtime.description"
TELEMETRY_SDK_NAME = "telemetry.sdk.name"
TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language"
TELEMETRY_SDK_VERSION = "telemetry.sdk.version"

# The SERVER span of an invocation
FAAS_TRIGGER = "faas.trigger"
FAAS_INVOCATION_ID = "faas.invocation_id"
FAAS_COLDSTART = "faas.coldstart"
AWS_LAMBDA_INVOKED_ARN = "aws.lambda.invoked_arn"

# Where in the source: `docs/registry/attributes/code.md`, `docs/registry/attributes/thread.md`
CODE_FILE_PATH = "code.file.path"
CODE_LINE_NUMBER = "code.line.number"
THREAD_ID = "thread.id"

# Errors
ERROR_TYPE = "error.type"
EXCEPTION = "exception"  # the event's name
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
