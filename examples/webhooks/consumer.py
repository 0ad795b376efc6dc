"""The same as consumer.ts, for a Python function."""

import hashlib
import hmac
import os


def handler(event, _context):
    """Handles what its sender signed; the rest is named in the answer, and ends in the dead-letter queue."""
    failures = []
    for record in event["Records"]:
        sender = proven_sender(record, os.environ)
        if sender is None:
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            print(f"{sender}: {record['body']}")
    return {"batchItemFailures": failures}


def proven_sender(record, secrets):
    """Who signed the exact bytes of the body; None if nobody that is known did."""
    body = record["body"]

    def header(name):
        return record["messageAttributes"].get(name, {}).get("stringValue", "")

    stripe = [part.partition("=") for part in header("Stripe-Signature").split(",")]
    time = next((value for key, _, value in stripe if key == "t"), "")
    claims = [
        ("github", "GITHUB_SECRET", body, [header("X-Hub-Signature-256").removeprefix("sha256=")]),
        ("stripe", "STRIPE_SECRET", f"{time}.{body}", [value for key, _, value in stripe if key == "v1"]),
        (
            "slack",
            "SLACK_SECRET",
            f"v0:{header('X-Slack-Request-Timestamp')}:{body}",
            [header("X-Slack-Signature").removeprefix("v0=")],
        ),
    ]
    for sender, name, signed, signatures in claims:
        secret = secrets.get(name, "")
        right = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if secret and any(hmac.compare_digest(given.encode(), right.encode()) for given in signatures):
            return sender
    return None
