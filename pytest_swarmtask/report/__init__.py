"""What people read: made of events, and knowing nothing of how they come about."""
