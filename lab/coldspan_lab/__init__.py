"""The local Lambda service, its OTLP collector and the `coldspan` command."""
