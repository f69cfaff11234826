"""Exporting events over OTLP/HTTP to a tracing backend or a Collector. Needs the extra `otlp`."""
