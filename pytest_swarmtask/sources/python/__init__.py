"""Python code as a source of events: `AutomationIntegrator`, and the handlers that it calls."""
