"""The server of a team, `swarmtask serve`: it takes signed webhooks into one history, and shows it."""
