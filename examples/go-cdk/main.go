package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/karin-queue/karin-queue-go/karinqueue"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	newJobsStack(app, "JobsApp")
	app.Synth(nil)
}

// newJobsStack defines a queue with a dead-letter queue and a consumer, a function that sends to it, and a topic that
// feeds it.
func newJobsStack(scope constructs.Construct, id string) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(id), nil)

	consumer := newFunction(stack, "Consumer", "consumer.handler")
	deadLetters := karinqueue.NewKarinQueue(stack, jsii.String("DeadLetters"), &karinqueue.KarinQueueProps{
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	})
	jobs := karinqueue.NewKarinQueue(stack, jsii.String("Jobs"), &karinqueue.KarinQueueProps{
		Consumer:        consumer,
		ConsumerOptions: &karinqueue.KarinEventSourceProps{ReportBatchItemFailures: jsii.Bool(true)},
		Capability:      awscdk.SecretValue_SecretsManager(jsii.String("karin/capability"), nil),
		DeadLetterQueue: &awssqs.DeadLetterQueue{Queue: deadLetters, MaxReceiveCount: jsii.Number(5)},
	})

	producer := newFunction(stack, "Producer", "producer.handler")
	jobs.BindEnvironment(producer, nil)

	uploads := awssns.NewTopic(stack, jsii.String("Uploads"), nil)
	uploads.AddSubscription(karinqueue.NewKarinSubscription(jobs, &karinqueue.KarinSubscriptionProps{
		RawMessageDelivery: jsii.Bool(true),
	}))
	return stack
}

func newFunction(scope constructs.Construct, id string, handler string) awslambda.Function {
	return awslambda.NewFunction(scope, jsii.String(id), &awslambda.FunctionProps{
		Runtime: awslambda.Runtime_PYTHON_3_13(),
		Handler: jsii.String(handler),
		Code:    awslambda.Code_FromAsset(jsii.String("handlers"), nil),
		Timeout: awscdk.Duration_Seconds(jsii.Number(10)),
	})
}
