"""What `transcriber webhook` sends, as the OpenAPI description's `webhooks` have it."""

from transcriber.web.api.schemas import TEXT, Json, ref


def _header(name: str, doc: str) -> Json:
    return {"name": name, "in": "header", "required": True, "schema": TEXT, "description": doc}


WEBHOOKS: Json = {
    "event": {
        "post": {
            "summary": "A final or a call's end, as it was kept: in order per call, at least once",
            "description": "Signed as in Standard Webhooks. Sent by `transcriber webhook URL`, not by the server.",
            "tags": ["webhook"],
            "security": [],
            "parameters": [
                _header("webhook-id", "the same for every try of an event"),
                _header("webhook-timestamp", "when it was sent, in epoch seconds"),
                _header("webhook-signature", "`v1,` and HMAC-SHA256 of id.timestamp.body in base64, one a secret"),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [ref("Final"), ref("CallEnded")],
                            "discriminator": {
                                "propertyName": "type",
                                "mapping": {
                                    "final": ref("Final")["$ref"],
                                    "call.ended": ref("CallEnded")["$ref"],
                                },
                            },
                        }
                    }
                },
            },
            "responses": {
                "2XX": {"description": "taken"},
                "400": {"description": "never to be taken, as with 413, 415 and 422: a dead letter"},
                "410": {"description": "the receiver wants no more events: the sender ends"},
                "429": {"description": "too busy, as with 503: with Retry-After nothing is sent for so long"},
                "default": {"description": "tried again, later and later"},
            },
        }
    }
}
