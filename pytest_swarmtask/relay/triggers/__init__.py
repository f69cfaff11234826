"""The rules of `automation_triggers`: whether one fires, what it remembers, and what it does."""
