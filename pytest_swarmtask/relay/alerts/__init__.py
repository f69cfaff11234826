"""Alerts: conditions on events and the past, which ones are active, who is told."""
