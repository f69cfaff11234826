"""Alerts: conditions on events and on the history, the active alerts, and their messages."""
