"""The environment variables that configure exporters of OpenTelemetry, as far as a webhook may take them over.

See https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The base of the addresses of all signals."""
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""The whole address for traces. It takes precedence."""
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"

VARIABLES = (ENDPOINT, TRACES_ENDPOINT, HEADERS, TRACES_HEADERS)
"""Those whose values are hidden in events, as they may have credentials."""
