"""What people read: reports as text, Markdown, HTML and JSON."""
