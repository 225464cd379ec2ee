"""Finals and ends of calls as signed HTTP POSTs to a URL: what `transcriber webhook` runs. No server uses it.

`WebhookDispatcher` finds calls with something to send in the `WebhookQueue` (consumer groups in Redis) and runs a
`CallDeliverer` for each; these send through one `WebhookClient` and make what is given up `DeadLetters`. The *receiver*
is the user's program behind the URL, the *client* is ours. Signatures and pauses are pure: `protocol`.
"""
