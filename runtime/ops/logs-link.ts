/**
 * Where the log of a failed run is, for people.
 *
 * @module
 */
import type { PastFailure } from '../queue/failure.ts';

/** Where the console of each partition is. Source: "AWS service endpoints", partitions. */
const CONSOLES: ReadonlyMap<string, string> = new Map([
  ['aws', 'console.aws.amazon.com'],
  ['aws-cn', 'console.amazonaws.cn'],
  ['aws-us-gov', 'console.amazonaws-us-gov.com'],
]);

/**
 * The log of the function in the console of CloudWatch, with the request id as its filter, where the function writes to
 * the log group that Lambda gives it. `undefined`: Lambda did not answer with an id, or the function is not in AWS.
 */
export function logsHref({
  functionArn,
  requestId,
}: Pick<PastFailure, 'functionArn' | 'requestId'>): string | undefined {
  const [, partition = '', service, region, account, , name] = functionArn.split(':');
  const host = CONSOLES.get(partition);
  if (host === undefined || service !== 'lambda' || requestId === undefined) return undefined;
  if (region === undefined || name === undefined || account === '000000000000') return undefined;
  // The console reads its part of an address with `$` in the place of `%`, and what is inside of that twice.
  const twice = (text: string): string => encodeURIComponent(encodeURIComponent(text)).replaceAll('%', '$');
  const filter = encodeURIComponent(`?filterPattern=${encodeURIComponent(`"${requestId}"`)}`).replaceAll('%', '$');
  const group = twice(`/aws/lambda/${name}`);
  const consoleUrl = `https://${encodeURIComponent(region)}.${host}/cloudwatch/home`;
  return `${consoleUrl}?region=${encodeURIComponent(region)}#logsV2:log-groups/log-group/${group}/log-events${filter}`;
}
