"""Task managers: where tasks have a status, and how events change it."""
