import os

import boto3

sqs = boto3.client("sqs")


def handler(event, context):
    """Sends `hello`, to be delivered in 5 seconds."""
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody="hello", DelaySeconds=5)
