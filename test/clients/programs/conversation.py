"""The conversation of conversation.mjs with boto3, whichever botocore is installed beside it."""

import json
import os

import boto3
from botocore.exceptions import ClientError

NAME = os.environ["NAME"]
BODY = "h\u00e9llo <&>\r\n\U0001f600"

client = boto3.client("sqs", endpoint_url=os.environ["ENDPOINT"])


def receive(url, wait=0):
    answer = client.receive_message(
        QueueUrl=url, WaitTimeSeconds=wait, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    return answer.get("Messages", [])


def failed(call, **parameters):
    try:
        call(**parameters)
        return "no error"
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"code": error.response["Error"]["Code"], "status": status, "message": error.response["Error"]["Message"]}


def failures(answer):
    return [{key: entry[key] for key in ("Id", "Code", "SenderFault")} for entry in answer["Failed"]]


url = client.create_queue(QueueName=NAME, Attributes={"VisibilityTimeout": "45"}, tags={"team": "clients"})["QueueUrl"]
found = client.get_queue_url(QueueName=NAME)["QueueUrl"]
listed = client.list_queues(QueueNamePrefix=NAME)["QueueUrls"]
client.set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": "65536"})
attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
tags = client.list_queue_tags(QueueUrl=url)["Tags"]

sent = client.send_message(
    QueueUrl=url,
    MessageBody=BODY,
    MessageAttributes={
        "text": {"DataType": "String", "StringValue": "\u00e9\r"},
        "number": {"DataType": "Number", "StringValue": "12.5"},
        "bytes": {"DataType": "Binary", "BinaryValue": bytes([0, 255, 13])},
    },
    MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}},
)
batch = client.send_message_batch(
    QueueUrl=url,
    Entries=[
        {"Id": "second", "MessageBody": "second"},
        {"Id": "third", "MessageBody": "third"},
        {"Id": "late", "MessageBody": "too late", "DelaySeconds": 901},
    ],
)
received = receive(url)
first = next(message for message in received if message["MessageId"] == sent["MessageId"])
client.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
again = receive(url, 5)[0]
others = [message for message in received if message is not first]
hidden = client.change_message_visibility_batch(
    QueueUrl=url,
    Entries=[
        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 60}
        for index, message in enumerate(others)
    ],
)
client.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
deleted = client.delete_message_batch(
    QueueUrl=url,
    Entries=[{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(others)]
    + [{"Id": "bad", "ReceiptHandle": "not a handle"}],
)
client.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=1)
delayed = receive(url, 20)[0]

fifo = client.create_queue(QueueName=NAME + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
sequence = [
    client.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body)["SequenceNumber"]
    for body in ("1", "2", "2", "3")
]
ordered = receive(fifo)

missing = failed(client.send_message, QueueUrl=url + "-nope", MessageBody="x")
bad_handle = failed(client.delete_message, QueueUrl=url, ReceiptHandle="not a handle")
bad_value = failed(client.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
client.purge_queue(QueueUrl=url)
left = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
client.delete_queue(QueueUrl=url)
client.delete_queue(QueueUrl=fifo)

print(
    json.dumps(
        {
            "url": url,
            "found": found,
            "listed": listed,
            "visibilityTimeout": attributes["VisibilityTimeout"],
            "maximumMessageSize": attributes["MaximumMessageSize"],
            "tags": tags,
            "sentId": sent["MessageId"],
            "batched": [entry["Id"] for entry in batch["Successful"]],
            "refused": failures(batch),
            "receivedBodies": sorted(message["Body"] for message in received),
            "firstId": first["MessageId"],
            "firstText": first["MessageAttributes"]["text"]["StringValue"],
            "firstNumber": first["MessageAttributes"]["number"]["StringValue"],
            "firstBytes": list(first["MessageAttributes"]["bytes"]["BinaryValue"]),
            "firstTrace": first["Attributes"]["AWSTraceHeader"],
            "receiveCount": again["Attributes"]["ApproximateReceiveCount"],
            "hidden": len(hidden["Successful"]),
            "deleted": len(deleted["Successful"]),
            "notDeleted": failures(deleted),
            "delayed": delayed["Body"],
            "ordered": [message["Body"] for message in ordered],
            "duplicateHasFirstNumber": sequence[1] == sequence[2],
            "missing": missing,
            "badHandle": bad_handle,
            "badValue": bad_value,
            "left": left["Attributes"]["ApproximateNumberOfMessagesNotVisible"],
        }
    )
)
