import java.net.URI;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.Message;
import software.amazon.awssdk.services.sqs.model.MessageAttributeValue;
import software.amazon.awssdk.services.sqs.model.MessageSystemAttributeNameForSends;
import software.amazon.awssdk.services.sqs.model.MessageSystemAttributeValue;

/**
 * The AWS SDK for Java v2 verifies the digests of bodies and of message attributes in every answer, and throws if one is wrong. So this sends and
 * receives what digests depend on, and prints how much it saw.
 */
public class Digests {
  private static final Map<String, MessageAttributeValue> ATTRIBUTES = Map.of(
      "text", attribute("String").stringValue("\u00e9 <&>\r\n").build(),
      "typed", attribute("String.custom").stringValue("x").build(),
      "number", attribute("Number").stringValue("-12.50").build(),
      "bytes", attribute("Binary.gif").binaryValue(SdkBytes.fromByteArray(new byte[] {0, -1, 13})).build(),
      "Upper", attribute("String").stringValue("sorts before the others").build());

  public static void main(String[] arguments) {
    String name = System.getenv("NAME");
    try (SqsClient client = SqsClient.builder()
        .endpointOverride(URI.create(System.getenv("ENDPOINT")))
        .region(Region.of(System.getenv("AWS_REGION")))
        .httpClient(UrlConnectionHttpClient.create())
        .build()) {
      String url = client.createQueue(request -> request.queueName(name)).queueUrl();
      client.sendMessage(request -> request
          .queueUrl(url)
          .messageBody("h\u00e9llo \ud83d\ude00\r\n")
          .messageAttributes(ATTRIBUTES)
          .messageSystemAttributes(Map.of(
              MessageSystemAttributeNameForSends.AWS_TRACE_HEADER,
              MessageSystemAttributeValue.builder().dataType("String").stringValue("Root=1-2-3").build())));
      client.sendMessageBatch(request -> request.queueUrl(url).entries(
          entry -> entry.id("a").messageBody("one").messageAttributes(ATTRIBUTES),
          entry -> entry.id("b").messageBody("two")));
      int all = receive(client, url, "All");
      int some = receive(client, url, "te.*", "Upper");
      int none = receive(client, url);
      client.deleteQueue(request -> request.queueUrl(url));
      System.out.printf("{\"all\":%d,\"some\":%d,\"none\":%d}%n", all, some, none);
    }
  }

  /** How many attributes came with the messages; they are visible again at once. */
  private static int receive(SqsClient client, String url, String... names) {
    List<Message> messages = client.receiveMessage(request -> request
        .queueUrl(url)
        .maxNumberOfMessages(10)
        .visibilityTimeout(0)
        .messageAttributeNames(names)).messages();
    return messages.stream().mapToInt(message -> message.messageAttributes().size()).sum();
  }

  private static MessageAttributeValue.Builder attribute(String dataType) {
    return MessageAttributeValue.builder().dataType(dataType);
  }
}
