"""Finals and call ends to a URL: what `transcriber webhook` runs. No server uses it; Redis is all they share."""
