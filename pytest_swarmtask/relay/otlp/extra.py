"""Whether the extra `otlp` is installed. Only the relay and its checks load it, for a webhook that needs it."""

from __future__ import annotations

from pytest_swarmtask.core.errors import ConfigError

MISSING = 'format otlp needs an extra that is not installed: pip install "pytest-swarmtask[otlp]"'


def require_extra() -> None:
    """Load opentelemetry-proto.

    Raises:
        ConfigError: it is not installed, or cannot be loaded.
    """
    try:
        from pytest_swarmtask.wire.otlp import requests  # noqa: F401 - it loads all that is needed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("opentelemetry", "google"):
            raise
        raise ConfigError(MISSING) from None
    except Exception as error:  # noqa: BLE001 - protobuf raises its own kinds if its version does not fit
        raise ConfigError(f"format otlp: opentelemetry-proto cannot be loaded: {error}") from None
