"""Events, traces, projects and errors, for all other packages. Imports only the standard library."""
