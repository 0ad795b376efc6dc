import { Aspects, type Duration } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as apigatewayv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { defined } from './defined';
import { checkIngest, checkReachable, INGEST_PARAMETERS, ingestAddress, ingestQuery } from './ingest';
import { type KarinQueueBase, requireKarinQueue } from './karin-queue-base';
import type { IKarinQueue, KarinIngestOptions } from './queue-interface';

/**
 * How API Gateway sends to a Karin queue.
 */
export interface KarinIntegrationProps extends KarinIngestOptions {
  /**
   * How long API Gateway waits for the server.
   *
   * From 50 milliseconds to 29 seconds.
   *
   * @default Duration.seconds(29)
   */
  readonly timeout?: Duration;
}

/**
 * How a route of an HTTP API sends to a Karin queue.
 */
export interface KarinHttpIntegrationProps extends KarinIntegrationProps {
  /**
   * What API Gateway takes from the request besides its body, as headers or as parameters of the address.
   *
   * It goes before the other properties:
   * `overwriteQueryString('group', apigwv2.MappingValue.requestPathParam('order'))` makes the message group of a part
   * of the path, and `overwriteQueryString('delay', apigwv2.MappingValue.requestQueryString('delay'))` lets the client
   * choose the delay.
   *
   * @default - what the other properties say; the parameters of the address are not the client's to choose
   */
  readonly parameterMapping?: apigatewayv2.ParameterMapping;
}

/**
 * Use a Karin queue as the integration of a route of an HTTP API, in place of the service integration
 * `SQS-SendMessage`.
 *
 * The body of the request becomes the body of the message. The client gets the answer of the server: its status, and
 * JSON with `MessageId` and `MD5OfMessageBody`.
 */
export class KarinHttpIntegration extends apigatewayv2.HttpRouteIntegration {
  private readonly queue: KarinQueueBase;
  private readonly props: KarinHttpIntegrationProps;

  /**
   * @param id id of the underlying integration construct
   * @param queue the queue that requests are sent to
   * @param props what becomes of a request
   */
  constructor(id: string, queue: IKarinQueue, props: KarinHttpIntegrationProps = {}) {
    super(id);
    this.queue = requireKarinQueue(queue, 'KarinHttpIntegration', 'HttpSqsIntegration');
    this.props = props;
  }

  /**
   * Called by `api.addRoutes()`; not meant to be called directly.
   *
   * @param _options the route, and where the integration is defined
   */
  public bind(_options: apigatewayv2.HttpRouteIntegrationBindOptions): apigatewayv2.HttpRouteIntegrationConfig {
    const mapped = this.props.parameterMapping?.mappings ?? {};
    const group = mapped['overwrite:querystring.group'] ?? this.props.messageGroupId;
    const dedup = mapped['overwrite:querystring.dedup'] ?? this.props.messageDeduplicationId;
    checkSender(this.queue, this.props, group, dedup);
    return defined<apigatewayv2.HttpRouteIntegrationConfig>({
      type: apigatewayv2.HttpIntegrationType.HTTP_PROXY,
      method: apigatewayv2.HttpMethod.POST,
      payloadFormatVersion: apigatewayv2.PayloadFormatVersion.VERSION_1_0,
      // API Gateway lets nobody set the header Authorization: the capability stands in the address.
      uri: ingestAddress(this.queue, true),
      timeout: this.props.timeout,
      parameterMapping: this.mapping(mapped),
    });
  }

  /**
   * API Gateway passes on what the client wrote behind the question mark: each parameter of the server is set, or taken
   * away.
   */
  private mapping(mapped: Readonly<Record<string, string>>): apigatewayv2.ParameterMapping {
    const mapping = new apigatewayv2.ParameterMapping();
    const query = ingestQuery(this.props);
    for (const name of INGEST_PARAMETERS) {
      if (mapped[`overwrite:querystring.${name}`] !== undefined) continue;
      const value = query[name];
      if (value === undefined) mapping.removeQueryString(name);
      else mapping.overwriteQueryString(name, apigatewayv2.MappingValue.custom(value));
    }
    for (const [key, value] of Object.entries(mapped)) mapping.custom(key, value);
    return mapping;
  }
}

/**
 * How a route of a WebSocket API, or a method of a REST API, sends to a Karin queue.
 */
export interface KarinMappedIntegrationProps extends KarinIntegrationProps {
  /**
   * What API Gateway takes from the request besides its body, as in the property `requestParameters` of other
   * integrations.
   *
   * It goes before the other properties: `'integration.request.querystring.group': 'method.request.path.order'` makes
   * the message group of a part of the path.
   *
   * @default - what the other properties say
   */
  readonly requestParameters?: { [destination: string]: string };

  /**
   * Templates by content type, which make the body of the message.
   *
   * @default - the body of the request
   */
  readonly requestTemplates?: { [contentType: string]: string };
}

/**
 * Use a Karin queue as the integration of a route of a WebSocket API.
 *
 * What the client sent becomes the body of a message. Map `context.connectionId` to a header and name it in
 * `attributeHeaders` to answer the client later.
 */
export class KarinWebSocketIntegration extends apigatewayv2.WebSocketRouteIntegration {
  private readonly queue: KarinQueueBase;
  private readonly props: KarinMappedIntegrationProps;

  /**
   * @param id id of the underlying integration construct
   * @param queue the queue that messages are sent to
   * @param props what becomes of a message
   */
  constructor(id: string, queue: IKarinQueue, props: KarinMappedIntegrationProps = {}) {
    super(id);
    this.queue = requireKarinQueue(queue, 'KarinWebSocketIntegration', 'WebSocketAwsIntegration');
    this.props = props;
  }

  /**
   * Called by `api.addRoute()`; not meant to be called directly.
   *
   * @param _options the route, and where the integration is defined
   */
  public bind(
    _options: apigatewayv2.WebSocketRouteIntegrationBindOptions,
  ): apigatewayv2.WebSocketRouteIntegrationConfig {
    return defined<apigatewayv2.WebSocketRouteIntegrationConfig>({
      // AWS::ApiGatewayV2::Integration knows HTTP for WebSocket APIs, the enumeration of aws-cdk-lib does not.
      type: 'HTTP' as apigatewayv2.WebSocketIntegrationType,
      uri: ingestAddress(this.queue, true),
      method: 'POST',
      requestParameters: requestParameters(this.queue, this.props),
      requestTemplates: this.props.requestTemplates,
      templateSelectionExpression: this.props.requestTemplates === undefined ? undefined : '\\$default',
      timeout: this.props.timeout,
    });
  }
}

/**
 * Use a Karin queue as the integration of a method of a REST API, in place of an `AwsIntegration` with the service
 * `sqs`.
 *
 * The body of the request becomes the body of the message; of its headers API Gateway passes on those in
 * `attributeHeaders`. The method answers 200, 400 or 503 with the JSON of the server.
 */
export class KarinRestIntegration extends apigateway.Integration {
  private readonly queue: KarinQueueBase;
  private readonly headers: readonly string[];

  /**
   * @param queue the queue that requests are sent to
   * @param props what becomes of a request
   */
  constructor(queue: IKarinQueue, props: KarinMappedIntegrationProps = {}) {
    const karin = requireKarinQueue(queue, 'KarinRestIntegration', 'AwsIntegration');
    const headers = Object.fromEntries(
      (props.attributeHeaders ?? []).map((name) => [
        `integration.request.header.${name}`,
        `method.request.header.${name}`,
      ]),
    );
    const parameters = { ...headers, ...requestParameters(karin, props) };
    super({
      type: apigateway.IntegrationType.HTTP,
      integrationHttpMethod: 'POST',
      uri: ingestAddress(karin, true),
      options: defined<apigateway.IntegrationOptions>({
        passthroughBehavior: apigateway.PassthroughBehavior.WHEN_NO_MATCH,
        requestParameters: Object.keys(parameters).length === 0 ? undefined : parameters,
        requestTemplates: props.requestTemplates,
        timeout: props.timeout,
        integrationResponses: [
          { statusCode: '200' },
          { statusCode: '400', selectionPattern: '4\\d{2}' },
          { statusCode: '503', selectionPattern: '5\\d{2}' },
        ],
      }),
    });
    this.queue = karin;
    this.headers = Object.values(parameters).filter((source) => source.startsWith('method.request.'));
  }

  /**
   * Called by `resource.addMethod()`; not meant to be called directly.
   *
   * @param method the method
   */
  public override bind(method: apigateway.Method): apigateway.IntegrationConfig {
    for (const statusCode of ['200', '400', '503']) method.addMethodResponse({ statusCode });
    // API Gateway maps only what the method declares.
    Aspects.of(method).add({
      visit: (node) => {
        if (!(node instanceof apigateway.CfnMethod)) return;
        const declared = node.requestParameters ?? {};
        if (!('resolve' in declared)) {
          node.requestParameters = {
            ...Object.fromEntries(this.headers.map((source) => [source, false])),
            ...declared,
          };
        }
      },
    });
    checkReachable(this.queue, 'API Gateway');
    return super.bind(method);
  }
}

/** The parameters of the address as `integration.request.querystring.<name>`; a fixed value stands in single quotes. */
function requestParameters(queue: KarinQueueBase, props: KarinMappedIntegrationProps): Record<string, string> {
  const given = props.requestParameters ?? {};
  const place = (name: string) => `integration.request.querystring.${name}`;
  checkSender(
    queue,
    props,
    given[place('group')] ?? props.messageGroupId,
    given[place('dedup')] ?? props.messageDeduplicationId,
  );
  const fixed = Object.entries(ingestQuery(props)).map(([name, value]) => [place(name), `'${value}'`]);
  return { ...Object.fromEntries(fixed), ...given };
}

/** A group or a deduplication id that API Gateway maps counts as given. */
function checkSender(
  queue: KarinQueueBase,
  props: KarinIngestOptions,
  group: string | undefined,
  dedup: string | undefined,
): void {
  const options = defined<KarinIngestOptions>({
    delay: props.delay,
    attributeHeaders: props.attributeHeaders,
    keepContentType: props.keepContentType,
    base64: props.base64,
    messageGroupId: group,
    messageDeduplicationId: dedup,
  });
  checkIngest(queue, options, { known: false });
  checkReachable(queue, 'API Gateway');
}
