"""pytest as a source of events: the hooks of a session, and what they learn about tests, tasks and coverage."""
