"""Events as spans and log records of OpenTelemetry, in the protobuf form of OTLP 1.x. Needs the extra `otlp`."""
