"""What every room may use: events, traces, projects, errors. Standard library only."""
