def handler(event, context):
    """Prints each message; a body of `fail` is reported as failed, so that it is delivered again."""
    failures = []
    for record in event["Records"]:
        print(record["body"])
        if record["body"] == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
