// The conversation of conversation.mjs with the AWS SDK for Go v2, which verifies the digests of bodies.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

const body = "h\u00e9llo <&>\r\n\U0001f600"

type failure struct {
	Code    string `json:"code"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

type failedEntry struct {
	ID          string `json:"Id"`
	Code        string
	SenderFault bool
}

// must ends the program on an error: every call that is not meant to fail goes through it.
func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func describe(err error) failure {
	var apiError smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &apiError) || !errors.As(err, &response) {
		return failure{Message: fmt.Sprint(err)}
	}
	return failure{Code: apiError.ErrorCode(), Status: response.HTTPStatusCode(), Message: apiError.ErrorMessage()}
}

func failures(entries []types.BatchResultErrorEntry) []failedEntry {
	failed := []failedEntry{}
	for _, entry := range entries {
		failed = append(failed, failedEntry{*entry.Id, *entry.Code, entry.SenderFault})
	}
	return failed
}

func bodies(messages []types.Message) []string {
	texts := []string{}
	for _, message := range messages {
		texts = append(texts, *message.Body)
	}
	return texts
}

func main() {
	ctx := context.Background()
	name := os.Getenv("NAME")
	client := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(os.Getenv("ENDPOINT")),
		Region:       os.Getenv("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}, nil
		}),
	})
	receive := func(url *string, wait int32) []types.Message {
		return must(client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, WaitTimeSeconds: wait, MaxNumberOfMessages: 10,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"},
		})).Messages
	}
	attribute := func(url *string, attribute types.QueueAttributeName) string {
		input := &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"}}
		return must(client.GetQueueAttributes(ctx, input)).Attributes[string(attribute)]
	}

	url := must(client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: &name, Attributes: map[string]string{"VisibilityTimeout": "45"}, Tags: map[string]string{"team": "clients"},
	})).QueueUrl
	found := must(client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})).QueueUrl
	listed := must(client.ListQueues(ctx, &sqs.ListQueuesInput{QueueNamePrefix: &name})).QueueUrls
	must(client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: url, Attributes: map[string]string{"MaximumMessageSize": "65536"},
	}))
	visibilityTimeout := attribute(url, types.QueueAttributeNameVisibilityTimeout)
	maximumMessageSize := attribute(url, types.QueueAttributeNameMaximumMessageSize)
	tags := must(client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: url})).Tags

	sent := must(client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String(body),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   {DataType: aws.String("String"), StringValue: aws.String("\u00e9\r")},
			"number": {DataType: aws.String("Number"), StringValue: aws.String("12.5")},
			"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255, 13}},
		},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-2-3")},
		},
	}))
	batch := must(client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: url,
		Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("second"), MessageBody: aws.String("second")},
			{Id: aws.String("third"), MessageBody: aws.String("third")},
			{Id: aws.String("late"), MessageBody: aws.String("too late"), DelaySeconds: 901},
		},
	}))
	batched := []string{}
	for _, entry := range batch.Successful {
		batched = append(batched, *entry.Id)
	}

	received := receive(url, 0)
	var first types.Message
	others := []types.Message{}
	for _, message := range received {
		if *message.MessageId == *sent.MessageId {
			first = message
		} else {
			others = append(others, message)
		}
	}
	must(client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: first.ReceiptHandle}))
	again := receive(url, 5)[0]
	changes := []types.ChangeMessageVisibilityBatchRequestEntry{}
	deletions := []types.DeleteMessageBatchRequestEntry{}
	for index, message := range others {
		id := aws.String(strconv.Itoa(index))
		changes = append(changes, types.ChangeMessageVisibilityBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 60})
		deletions = append(deletions, types.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle})
	}
	deletions = append(deletions, types.DeleteMessageBatchRequestEntry{Id: aws.String("bad"), ReceiptHandle: aws.String("not a handle")})
	hidden := must(client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url, Entries: changes}))
	must(client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: again.ReceiptHandle}))
	deleted := must(client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: deletions}))
	must(client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("delayed"), DelaySeconds: 1}))
	delayed := receive(url, 20)[0]

	fifo := must(client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String(name + ".fifo"), Attributes: map[string]string{"FifoQueue": "true"},
	})).QueueUrl
	sequence := []string{}
	for _, text := range []string{"1", "2", "2", "3"} {
		answer := must(client.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: fifo, MessageBody: &text, MessageGroupId: aws.String("g"), MessageDeduplicationId: &text,
		}))
		sequence = append(sequence, *answer.SequenceNumber)
	}
	ordered := receive(fifo, 0)

	_, missing := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(*url + "-nope"), MessageBody: aws.String("x")})
	_, badHandle := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("not a handle")})
	_, badValue := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11})
	must(client.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: url}))
	left := attribute(url, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)
	must(client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: url}))
	must(client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: fifo}))

	receivedBodies := bodies(received)
	sort.Strings(receivedBodies)
	bytes := []int{}
	for _, value := range first.MessageAttributes["bytes"].BinaryValue {
		bytes = append(bytes, int(value))
	}
	fmt.Println(string(must(json.Marshal(map[string]any{
		"url": url, "found": found, "listed": listed,
		"visibilityTimeout": visibilityTimeout, "maximumMessageSize": maximumMessageSize, "tags": tags,
		"sentId": sent.MessageId, "batched": batched, "refused": failures(batch.Failed),
		"receivedBodies": receivedBodies, "firstId": first.MessageId,
		"firstText": first.MessageAttributes["text"].StringValue, "firstNumber": first.MessageAttributes["number"].StringValue,
		"firstBytes": bytes, "firstTrace": first.Attributes["AWSTraceHeader"],
		"receiveCount": again.Attributes["ApproximateReceiveCount"],
		"hidden":       len(hidden.Successful), "deleted": len(deleted.Successful), "notDeleted": failures(deleted.Failed),
		"delayed": delayed.Body, "ordered": bodies(ordered), "duplicateHasFirstNumber": sequence[1] == sequence[2],
		"missing": describe(missing), "badHandle": describe(badHandle), "badValue": describe(badValue), "left": left,
	}))))
}
