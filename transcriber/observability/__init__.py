"""What operators see: log lines (`logs`, `log_rate_limit`), metrics, and URLs without their passwords.

All rooms use it. The metrics of the webhook sender, a program of its own, live in `webhooks.metrics`.
"""
