/**
 * What `karin dev` tells a person: what it found, what it cannot run, and what to try next.
 *
 * @module
 */
import type { Discovery } from '../aws/discovery/discovery.ts';
import type { ReportedMapping, SyncReport } from '../aws/sync/synchroniser.ts';
import { parseQueueArn } from '../queue/names.ts';
import { busEvent, type Occasion, s3Event, snsEnvelope } from './envelopes.ts';
import type { Tone } from './report.ts';
import type { Feed, TemplateApplication, TemplateFunction } from './template/model.ts';

/** Where things are. */
export interface Places {
  /** Origin of the SQS API, with a capability where one is needed. */
  readonly sqsOrigin: string;
  /** Origin of the server, for pages. */
  readonly serverOrigin: string;
  readonly account: string;
  readonly region: string;
  functionUrl(name: string): string;
  /** Origin of an API; `undefined`: it is not served. */
  apiOrigin(id: string): string | undefined;
}

/** One line per mapping and per problem. */
export function summary(application: TemplateApplication, discovery: Discovery): readonly string[] {
  const served = discovery.mappings.map(
    ({ queueArn, functionArn }) => [queueArn.name, shortName(functionArn)] as const,
  );
  const width = Math.max(0, ...served.map(([queue]) => queue.length));
  const lines = served.map(([queue, fn]) => `  ${queue.padEnd(width)}  ->  ${fn}`);
  if (lines.length === 0 && discovery.broken.length === 0) {
    lines.push(
      discovery.foreign.length > 0
        ? '  no disabled mapping of a queue; to run those that are enabled as well: karin dev --all'
        : '  no mapping of a queue: karin runs functions whose event source mapping is disabled (enabled: false)',
    );
  }
  for (const { queueArn, functionArn } of discovery.foreign) {
    lines.push(
      `  ${queueArn.name}  ->  ${shortName(functionArn)}: enabled, so AWS would consume this itself; messages are held (karin dev --all runs it)`,
    );
  }
  for (const { queueArn, functionArn, reason } of discovery.broken) {
    lines.push(`! ${queueArn.name}  ->  ${shortName(functionArn)}: ${reason}`);
  }
  const problems = new Set([
    ...application.problems,
    ...application.web.notes,
    ...(discovery.problems ?? []).map(({ text }) => text),
  ]);
  for (const problem of problems) lines.push(`! ${problem}`);
  return lines;
}

/** Commands to copy, for the first queue that has a consumer and the functions that have a URL. */
export function nextSteps(
  application: TemplateApplication,
  discovery: Discovery,
  places: Places,
  occasion: Occasion,
  platform = process.platform,
): readonly string[] {
  const shell = platform === 'win32' ? POWERSHELL : POSIX;
  const { sqsOrigin, serverOrigin, account, region } = places;
  const targets = new Set(
    discovery.queues.map(({ attributes }) => parseQueueArn(attributes.redrivePolicy?.deadLetterTargetArn ?? '')?.name),
  );
  const [first] = discovery.mappings.filter(({ queueArn }) => !targets.has(queueArn.name));
  const queue = (first ?? discovery.mappings[0])?.queueArn ?? discovery.queues[0]?.arn;
  const lines: string[] = [];
  if (queue !== undefined) {
    const url = `${sqsOrigin}/${queue.account}/${queue.name}`;
    const group = queue.name.endsWith('.fifo');
    lines.push(
      'Send a message with the AWS CLI:',
      `  ${shell.credentials} aws sqs send-message --region ${region} --endpoint-url ${sqsOrigin} ${shell.goesOn}`,
      `    --queue-url ${url} --message-body hello${group ? ' --message-group-id one --message-deduplication-id 1' : ' --delay-seconds 5'}`,
      'or with an SDK:',
      `  const sqs = new SQSClient({ endpoint: '${sqsOrigin}', region: '${region}', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } });`,
      `  await sqs.send(new SendMessageCommand({ QueueUrl: '${url}', MessageBody: 'hello'${group ? ", MessageGroupId: 'one', MessageDeduplicationId: '1'" : ', DelaySeconds: 5'} }));`,
    );
  }
  lines.push(...deliveries(application, discovery, places, occasion, shell));
  lines.push(...requests(application, places.apiOrigin));
  const others = callable(application);
  if (others.length > 0) lines.push('Call a function by its URL:');
  for (const fn of others) lines.push(`  ${shell.curl} ${places.functionUrl(fn.name)}`);
  lines.push(...invocation(application, places, shell));
  lines.push(
    'Look at queues and functions:',
    `  ${serverOrigin}/ops   ${serverOrigin}/functions`,
    `Account ${account}, region ${region}, any credentials.`,
  );
  return lines;
}

/** How to run a function that neither a queue nor a request leads to; the first of them stands for all. */
function invocation(
  application: TemplateApplication,
  { functionUrl, region }: Places,
  { credentials }: Shell,
): readonly string[] {
  const reached = new Set([
    ...application.mappings.map(({ mapping }) => shortName(mapping.functionArn).split(':')[0]),
    ...application.web.apis.flatMap(({ routes }) =>
      routes.map(({ target }) => (target.kind === 'function' ? target.name : '')),
    ),
  ]);
  const first = application.functions.find(({ name, url }) => url === undefined && !reached.has(name));
  if (first === undefined) return [];
  return [
    'Invoke a function:',
    `  ${credentials} aws lambda invoke ` +
      `--region ${region} --endpoint-url ${new URL(functionUrl(first.name)).origin} --function-name ${first.name} out.json`,
  ];
}

/** The routes of each API, with the function behind each. */
export function requests({ web }: TemplateApplication, apiOrigin: Places['apiOrigin']): readonly string[] {
  return web.apis.flatMap((api) => {
    const origin = apiOrigin(api.id);
    if (origin === undefined) return [];
    const routes = api.routes.flatMap(({ method, path, target }) => {
      if (target.kind !== 'function') return [];
      return [{ method, url: origin + (path === '$default' ? '/...' : path), name: target.name }];
    });
    const width = Math.max(0, ...routes.map(({ url }) => url.length));
    const lines = routes.map(({ method, url, name }) => `  ${method.padEnd(6)}  ${url.padEnd(width)}  ->  ${name}`);
    return [`${api.kind === 'http' ? 'HTTP' : 'REST'} API ${api.id}:`, ...lines];
  });
}

/**
 * The address of each queue for web hooks and services of AWS, and a command for each way by which AWS would put
 * messages into one.
 */
function deliveries(
  { fed }: TemplateApplication,
  discovery: Discovery,
  { sqsOrigin, account, region }: Places,
  occasion: Occasion,
  { curl, quoted }: Shell,
): readonly string[] {
  const { queues } = discovery;
  if (queues.length === 0) return [];
  const known = new Map(queues.map(({ arn }) => [arn.name, arn]));
  const addressOf = (name: string): string => {
    // Every message of a FIFO queue has a group, and none of these senders names one.
    const fifo = name.endsWith('.fifo') ? '?group=one' : '';
    return `${sqsOrigin}/in/${known.get(name)?.account ?? account}/${name}${fifo}`;
  };
  const lines = ['POST anything to a queue, as a web hook does; the body becomes the message:'];
  for (const { arn } of queues) lines.push(`  ${addressOf(arn.name)}`);
  const feeds = fed.feeds.filter(({ queue }) => known.has(queue));
  if (feeds.length > 0) lines.push('Play what AWS would put into a queue (karin send makes others):');
  for (const feed of feeds) {
    const body = bodyOf(feed, { account, region }, occasion);
    const dedup = feed.queue.endsWith('.fifo') ? '&dedup=1' : '';
    lines.push(
      `  ${titleOf(feed)}  ->  ${feed.queue}`,
      `    ${curl} -d ${quoted(body)} ${quoted(addressOf(feed.queue) + dedup)}`,
    );
  }
  for (const { queue } of fed.feeds.filter((feed) => !known.has(feed.queue))) {
    lines.push(`! something of AWS feeds the queue ${queue}, which the template does not define`);
  }
  for (const text of fed.unknown) lines.push(`! ${text}; whether it feeds a queue is not known`);
  return lines;
}

function titleOf({ origin }: Feed): string {
  switch (origin.kind) {
    case 'topic':
      return `topic ${origin.topicArn.split(':').at(-1)}${origin.raw ? ', raw' : ''}`;
    case 'bucket':
      return `bucket ${origin.bucket}, ${origin.eventName}`;
    case 'rule':
      return `rule ${origin.rule}`;
  }
}

function bodyOf({ origin }: Feed, home: Pick<Places, 'account' | 'region'>, occasion: Occasion): string {
  switch (origin.kind) {
    case 'topic':
      return origin.raw ? 'hello' : snsEnvelope({ topicArn: origin.topicArn, message: 'hello' }, occasion);
    case 'bucket': {
      const message = s3Event({ ...origin, key: 'example.txt', region: home.region }, occasion);
      const { envelope: topicArn } = origin;
      // The subject that S3 gives to what it publishes.
      const subject = 'Amazon S3 Notification';
      return topicArn === undefined ? message : snsEnvelope({ topicArn, message, subject }, occasion);
    }
    case 'rule':
      return busEvent({ ...origin, ...home, detail: {} }, occasion);
  }
}

/** How commands are written for the shell that a person has. */
interface Shell {
  /** What comes before a command that needs credentials. */
  readonly credentials: string;
  /** At the end of a line whose command goes on in the next. */
  readonly goesOn: string;
  readonly curl: string;
  quoted(text: string): string;
}

const POSIX: Shell = {
  credentials: 'AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local',
  goesOn: '\\',
  curl: 'curl',
  quoted: (text) => `'${text.replaceAll("'", "'\\''")}'`,
};

/** Of version 7.3 or later: those before take quotes out of what they hand to a program. */
const POWERSHELL: Shell = {
  credentials: "$env:AWS_ACCESS_KEY_ID = $env:AWS_SECRET_ACCESS_KEY = 'local';",
  goesOn: '`',
  // Without its ending the name is another command in Windows PowerShell.
  curl: 'curl.exe',
  quoted: (text) => `'${text.replaceAll("'", "''")}'`,
};

/** Functions that are called by requests to a URL of their own. */
export function callable(application: TemplateApplication): readonly TemplateFunction[] {
  return application.functions.filter((fn) => fn.url !== undefined);
}

/** The name of a function, with its qualifier. */
function shortName(functionArn: string): string {
  return functionArn.split(':').slice(6).join(':');
}

/** What a sync after a change did, for people; empty: nothing that concerns mappings. */
export function changes(report: SyncReport): readonly string[] {
  const line = (sign: string, one: ReportedMapping): string =>
    `${sign} ${one.queueArn.split(':').at(-1)}  ->  ${shortName(one.functionArn)}`;
  return [
    ...report.added.map((one) => line('+', one)),
    ...report.removed.map((one) => line('-', one)),
    ...report.changed.map((one) => line('~', one)),
    ...report.broken.map((one) => `${line('!', one)}: ${one.reason}`),
    ...report.problems.map((problem) => `! ${problem}`),
  ];
}

/*
 * What functions print, with the name of the function before each line.
 */

/** Where the lines go. */
export interface Output {
  /** A line that a function printed; with a tone, one that is said of it. */
  line(functionName: string, text: string, tone?: Tone): void;
}

/** ANSI colours that are readable on dark and light terminals; one per function, in turn. */
const COLOURS = [36, 35, 33, 32, 34, 31];
/** A process that never ends its line must not fill the memory, characters. */
const LONGEST_LINE = 65_536;

/** Green, red, and faint; each with what ends it. */
const TONES: Readonly<Record<Tone, readonly [number, number]>> = { good: [32, 39], bad: [31, 39], more: [2, 22] };

/** Writes `[name] text` lines; with `colour`, each name in a colour of its own. */
export function createOutput(write: (text: string) => void, colour: boolean): Output {
  const colours = new Map<string, number>();
  return {
    line(functionName, text, tone) {
      if (!colour) return write(`[${functionName}] ${text}\n`);
      const chosen = colours.get(functionName) ?? COLOURS[colours.size % COLOURS.length] ?? 0;
      colours.set(functionName, chosen);
      const [begin, end] = tone === undefined ? [] : TONES[tone];
      const painted = begin === undefined ? text : `\u001b[${begin}m${text}\u001b[${end}m`;
      write(`\u001b[${chosen}m[${functionName}]\u001b[39m ${painted}\n`);
    },
  };
}

/** Cuts a stream of text into lines; `end` gives the last one, if it was never finished. */
export function lineSplitter(line: (text: string) => void): { push(text: string): void; end(): void } {
  let rest = '';
  return {
    push(text) {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const one of lines) line(one);
      if (rest.length > LONGEST_LINE) {
        line(rest);
        rest = '';
      }
    },
    end() {
      if (rest !== '') line(rest);
      rest = '';
    },
  };
}
