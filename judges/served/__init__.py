"""What a judge behind a server needs besides."""
