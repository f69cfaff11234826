"""Webhooks: signed HTTP requests with events in them."""
