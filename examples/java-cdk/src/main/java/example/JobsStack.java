package example;

import io.github.karinqueue.KarinEventSourceProps;
import io.github.karinqueue.KarinQueue;
import io.github.karinqueue.KarinSubscription;
import io.github.karinqueue.KarinSubscriptionProps;
import software.amazon.awscdk.Duration;
import software.amazon.awscdk.SecretValue;
import software.amazon.awscdk.Stack;
import software.amazon.awscdk.services.lambda.Code;
import software.amazon.awscdk.services.lambda.Function;
import software.amazon.awscdk.services.lambda.Runtime;
import software.amazon.awscdk.services.sns.Topic;
import software.amazon.awscdk.services.sqs.DeadLetterQueue;
import software.constructs.Construct;

/** A queue with a dead-letter queue and a consumer, a function that sends to it, and a topic that feeds it. */
public final class JobsStack extends Stack {
    public JobsStack(final Construct scope, final String id) {
        super(scope, id);

        final Function consumer = function("Consumer", "consumer.handler");
        final KarinQueue deadLetters = KarinQueue.Builder.create(this, "DeadLetters")
                .retentionPeriod(Duration.days(14))
                .build();
        final KarinQueue jobs = KarinQueue.Builder.create(this, "Jobs")
                .consumer(consumer)
                .consumerOptions(KarinEventSourceProps.builder().reportBatchItemFailures(true).build())
                .capability(SecretValue.secretsManager("karin/capability"))
                .deadLetterQueue(DeadLetterQueue.builder().queue(deadLetters).maxReceiveCount(5).build())
                .build();

        final Function producer = function("Producer", "producer.handler");
        jobs.bindEnvironment(producer);

        final Topic uploads = new Topic(this, "Uploads");
        uploads.addSubscription(
                new KarinSubscription(jobs, KarinSubscriptionProps.builder().rawMessageDelivery(true).build()));
    }

    private Function function(final String id, final String handler) {
        return Function.Builder.create(this, id)
                .runtime(Runtime.PYTHON_3_13)
                .handler(handler)
                .code(Code.fromAsset("handlers"))
                .timeout(Duration.seconds(10))
                .build();
    }
}
