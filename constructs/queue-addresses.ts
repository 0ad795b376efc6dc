/** Where a queue is, as a text says it. A part that only CloudFormation knows is empty. */
export interface QueueAddress {
  readonly region: string;
  readonly account: string;
  readonly name: string;
}

const PLACEHOLDER = /\$\{[^}]*\}/g;
/** Stands for a part that is only known at deployment; no ARN or URL contains it. */
const UNKNOWN = '?';

const NAME = '(?<name>[\\w?-]+(?:\\.fifo)?)(?![\\w.?-])';

/**
 * The forms in which AWS writes the address of a queue: ARN, URL at an endpoint, URL of old, and integration of API
 * Gateway.
 */
const FORMS = [
  `:sqs:(?<region>[\\w?-]*):(?<account>[\\w?]*):${NAME}`,
  `//(?:[\\w?-]+\\.)?sqs\\.(?<region>[\\w?-]+)\\.[^/\\s]+/(?<account>[\\w?]+)/${NAME}`,
  `//(?:(?<region>[\\w?-]+)\\.)?queue\\.amazonaws\\.com/(?<account>[\\w?]+)/${NAME}`,
  `:apigateway:(?<region>[\\w?-]*):sqs:path/(?<account>[\\w?]+)/${NAME}`,
].map((form) => new RegExp(form, 'g'));

/** Every queue of Amazon SQS that a text names by its ARN or a URL, written out or put together by hand. */
export function addressesIn(text: string): QueueAddress[] {
  // Nearly all texts of a template end here.
  if (!/sqs[.:]|queue\.amazonaws/.test(text)) return [];
  const known = text.replaceAll(PLACEHOLDER, UNKNOWN);
  const part = (value: string | undefined) => (value === undefined || value.includes(UNKNOWN) ? '' : value);
  return FORMS.flatMap((form) =>
    Array.from(known.matchAll(form), ({ groups }) => ({
      region: part(groups?.['region']),
      account: part(groups?.['account']),
      name: part(groups?.['name']),
    })),
  );
}
