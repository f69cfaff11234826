"""Plug-ins: the hooks that they implement, and how they are found and registered."""
