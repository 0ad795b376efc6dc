/**
 * The commands of `karin`, their options and their help. Each command is loaded when it is called, so that
 * `karin --help` and `karin cost` need no AWS SDK.
 *
 * @module
 */
import { Argument, Command, InvalidArgumentError } from 'commander';
import { readVersion } from '../settings.ts';
import { type Completable, completion, SHELLS } from './completion.ts';
import type { CliContext } from './context.ts';

/** `finished`: called with the exit status of commands that end by themselves. */
export function createProgram(context: CliContext, finished: (status: number) => void): Command {
  const program = new Command('karin')
    .description(
      'A small server that speaks the SQS API, keeps messages in Redis and invokes the Lambda functions of disabled event source mappings.',
    )
    .version(readVersion())
    .configureOutput({ writeOut: context.out, writeErr: context.err })
    .addHelpText('after', STATUS_HELP)
    .showHelpAfterError('(karin --help shows all commands)')
    .exitOverride();

  program
    .command('dev')
    .description(
      'run the queues and functions of a project on this machine: CDK, Serverless Framework, SAM or CloudFormation',
    )
    .option('--project <folder>', 'folder of the app (default: the working folder)')
    .option('--template <path>', 'a template or assembly to use instead of what is found in the project')
    .option('--port <number>', 'port of the server; function URLs get the next one (default: PORT, else 4000)', number)
    .option('--host <address>', 'address to listen on (default: HOST, else 127.0.0.1)')
    .option('--all', 'also consume mappings that are enabled')
    .option('--lambda-endpoint <url>', 'another local Lambda that runs the functions, such as serverless-offline')
    .option(
      '--inspect [port]',
      'a port for a debugger for each function in Node, from this one on (default: 9229); while one is attached no timeout ends the function and its messages stay in flight',
      number,
    )
    .option('--no-watch', 'do not read the project again when its files change')
    .option(
      '--watch-only <glob>',
      'only files that match count as changed, relative to the project; repeatable (default: all but packages, output and hidden folders)',
      collect,
    )
    .option(
      '--env-file <path>',
      'variables for functions and for the commands of the project, as in .env; repeatable, a later file wins. Functions: over the template, not over what Lambda sets. Commands: the environment of this process wins',
      collect,
    )
    .action(async (options) => {
      const { dev } = await import('./dev.ts');
      await dev({ ...options, environment: context.env });
    });

  program
    .command('start')
    .description('run the server, configured by the environment')
    .addHelpText('after', START_HELP)
    .action(async () => {
      const { start } = await import('./start.ts');
      await start(context);
    });

  withServer(program.command('sync'))
    .description('ask a running server to read AWS again, and print the difference; status 1 if a mapping is broken')
    .option('--json', 'print the answer of the server')
    .action(async (options) => {
      const { sync } = await import('./sync.ts');
      finished((await sync(options, context)) ? 0 : 1);
    });

  withServer(program.command('drain'))
    .description('move what a queue holds here to the real SQS queue, and all that is sent to it from now on')
    .argument('<queue>', 'name, or region:account:name')
    .option('--yes', 'do not ask')
    .option('--wait-for-delayed', 'stay until delayed messages are due and moved, too')
    .option('--json', 'print one JSON text on each line')
    .action(async (queue: string, options) => {
      const { transfer } = await import('./transfer.ts');
      await transfer('drain', queue, options, context);
    });
  withServer(program.command('pull'))
    .description('bring here the messages that wait in the real SQS queue, from before its mapping was disabled')
    .argument('<queue>', 'name, or region:account:name')
    .option('--json', 'print one JSON text on each line')
    .action(async (queue: string, options) => {
      const { transfer } = await import('./transfer.ts');
      await transfer('pull', queue, options, context);
    });

  program
    .command('password')
    .description('make the hash of a password for KARIN_OPERATORS; the password is read from standard input')
    .option('--generate', 'make a password, too, and print it before its hash')
    .action(async (options) => {
      const { password } = await import('./password.ts');
      await password(options, context);
    });

  program
    .command('alert')
    .description('alerts: where they go is KARIN_ALERTS')
    .command('test')
    .description('send a test alert to every target, from this machine; status 1 if one does not take it')
    .action(async () => {
      const { testAlerts } = await import('./alert.ts');
      finished((await testAlerts(context)) ? 0 : 1);
    });

  withServer(program.command('status'))
    .description('what needs somebody, and how much waits; status 1 if something needs somebody now')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { status } = await import('./operate.ts');
      finished((await status(options, context)) ? 0 : 1);
    });
  withServer(program.command('functions'))
    .description('functions that queues invoke; status 1 if one may not be invoked')
    .option('--check', 'ask Lambda about each with a dry run, which runs nothing')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { functions } = await import('./functions.ts');
      finished((await functions(options, context)) ? 0 : 1);
    });
  withServer(program.command('log-tails'))
    .description('keep the end of the log of a function with each of its failures, for ten minutes')
    .argument('<function>', 'name or ARN, with its alias or version if the mapping has one')
    .option('--json', 'print JSON')
    .action(async (name: string, options) => {
      const { keepLogs } = await import('./functions.ts');
      await keepLogs(name, options, context);
    });
  withServer(program.command('queues'))
    .description('list queues with what waits in them')
    .argument('[search]', 'part of a name, a function or an ARN')
    .option('--show <which>', 'all, busy, failing or held (default: all)')
    .option('--stage <name>', 'those of a stage or CloudFormation stack')
    .option('--sort <order>', 'name, messages or waiting (default: name)')
    .option('--page <number>', 'page of 50 queues (default: 1)', number)
    .option('--json', 'print JSON')
    .action(async (search: string | undefined, options) => {
      const { queues } = await import('./operate.ts');
      await queues(search, options, context);
    });
  withServer(program.command('peek'))
    .description('look at the first messages of a queue without receiving them')
    .argument('<queue>', QUEUE_ARGUMENT)
    .option('--limit <count>', 'messages, 1 to 100 (default: 20)', number)
    .option('--id <id>', 'the message of this id only')
    .option('--json', 'print JSON')
    .action(async (queue: string, options) => {
      const { peek } = await import('./messages.ts');
      await peek(queue, options, context);
    });
  withServer(program.command('search'))
    .description('find a message by its id in all queues, or by a text in its body')
    .argument('<text>', 'id of a message, or a text; a text is looked for in up to 2,000 messages or 4 MiB')
    .option('--queue <queue>', 'look for the text in this queue only')
    .option('--all', 'read on until all messages were read')
    .option('--json', 'print JSON')
    .action(async (text: string, options) => {
      const { search } = await import('./messages.ts');
      await search(text, options, context);
    });
  for (const [name, description] of QUEUE_ACTIONS) {
    withServer(program.command(name))
      .description(description)
      .argument('<queue>', WITH_GLOBS.has(name) ? `${QUEUE_ARGUMENT}; or a glob such as 'app-*'` : QUEUE_ARGUMENT)
      .option('--yes', 'do not ask')
      .option('--json', 'print JSON')
      .action(async (queue: string, options) => {
        const { act } = await import('./operate.ts');
        await act(name, queue, options, context);
      });
  }

  addMoving(program, context);
  addSelecting(program, context, finished);

  atServer(program.command('send'))
    .description('send a message to a queue, as a program does, or as SNS, S3 or EventBridge do; prints its id')
    .argument('<queue>', 'name of the queue')
    .option('--body <text>', 'the message')
    .option('--file <path>', 'a file with the message; - is standard input')
    .option('--delay <seconds>', 'seconds until it is delivered', number)
    .option('--group <id>', 'message group (a FIFO queue: default karin-send)')
    .option('--dedup <id>', 'deduplication id of a FIFO queue (default: a new one)')
    .option('--attribute <name=value>', 'message attribute, also name:Number=5; may be repeated', collect)
    .option('--sns-topic <arn>', 'in the envelope of SNS, as a subscription of this topic has it')
    .option('--subject <text>', 'with --sns-topic: the subject')
    .option('--raw', 'with --sns-topic: as raw delivery has it, without the envelope')
    .option('--s3 <bucket/key>', 'the notification of S3 for this object')
    .option('--event-name <name>', 'with --s3: the event (default: ObjectCreated:Put)')
    .option('--event <path>', 'an event of EventBridge: a whole one, or its detail')
    .option('--detail-type <type>', 'with --event: the detail-type')
    .option('--source <source>', 'with --event: the source')
    .option('--json', 'print JSON')
    .addHelpText('after', SEND_HELP)
    .action(async (queue: string, options) => {
      const { send } = await import('./send.ts');
      await send(queue, options, context);
    });

  addFollowing(program, context);

  const token = program
    .command('token')
    .description('capability tokens: an address that lets its holder in, without keys')
    .addHelpText('after', TOKEN_HELP);
  withServer(token.command('create'))
    .description('make a token and print it, once')
    .requiredOption('--scope <scope>', 'send, consume, manage or all; may be repeated', collect)
    .option(
      '--queue <glob>',
      "names of queues, for example 'app-*', or '<account>/<region>/app-*'; may be repeated (default: all at home)",
      collect,
      [],
    )
    .option('--expires <time>', '30m, 12h or 90d (default: never)')
    .option('--name <text>', 'whose token it is')
    .option('--sends <count>', 'messages that may be sent in a second, through each server (default: no bound)', number)
    .option(
      '--queues <count>',
      'queues made with it that may exist at one time (default: see KARIN_MAX_QUEUES)',
      number,
    )
    .option('--messages <count>', 'messages that may stand in the queues it sends to (default: no bound)', number)
    .option('--bytes <count>', 'bytes of them (default: no bound)', number)
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { createToken } = await import('./token.ts');
      await createToken({ ...options, queue: options.queue.length === 0 ? ['*'] : options.queue }, context);
    });
  withServer(token.command('list'))
    .description('show all tokens, without their secret')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { listTokens } = await import('./token.ts');
      await listTokens(options, context);
    });
  withServer(token.command('revoke'))
    .description('end a token')
    .argument('<id>', 'from karin token list')
    .action(async (id: string, options) => {
      const { revokeToken } = await import('./token.ts');
      await revokeToken(id, options, context);
    });

  program
    .command('doctor')
    .description('check configuration, Redis, AWS and permissions from this machine; status 1 if something is wrong')
    .option(
      '--principal <arn>',
      'role or user that the server runs as (default: AWS_ROLE_ARN, or the user of the credentials)',
    )
    .action(async (options) => {
      const { doctor } = await import('./doctor.ts');
      finished((await doctor(options, context)) ? 0 : 1);
    });

  program
    .command('iam')
    .description('print the policy that the server needs in AWS, or the role that it assumes in another account')
    .option('--region <regions>', 'restrict it to a region, or to several joined by +')
    .option('--account <id>', 'restrict it to an account')
    .option('--trust <arn>', 'print the role that this identity of the server may assume, with its trust')
    .option('--external-id <text>', 'what the server must show to assume the role, 8 or more characters')
    .option('--template', 'print a template that makes the role, for CloudFormation and StackSets')
    .option(
      '--function <name>',
      'a function to be invoked; may be repeated (default: those tagged karin:managed)',
      collect,
      [],
    )
    .option(
      '--queue <name>',
      'a queue of a mapping; may be repeated (default: those tagged karin:managed)',
      collect,
      [],
    )
    .option('--deployed', 'the functions and queues of the disabled mappings that AWS has now, instead of tagged ones')
    .option('--all', 'every function and queue, instead of tagged ones')
    .option('--drain', 'also move messages out to SQS')
    .option('--pull', 'also move messages in from SQS')
    .option('--function-urls', 'also list function URLs')
    .option('--sns-subscriptions', 'also list subscriptions to SNS topics, for karin doctor')
    .action(async (options) => {
      const { iam } = await import('./iam.ts');
      await iam(options, context);
    });

  program
    .command('cost')
    .description('what idle queues cost with and without Karin; of a server by account, region and stage')
    .option('--queues <count>', 'idle queues, every stage counted', number)
    .option('--scopes <count>', 'accounts and regions that they are in (default: 1)', number)
    .option('--machine <dollars>', 'price of the machine a month (default: 2.02)', number)
    .option('--price <dollars>', 'price of a million SQS requests (default: 0.40)', number)
    .option('--url <address>', 'a server whose queues count (default: KARIN_URL, else no server is asked)')
    .option('--user <name>', 'an operator of it, with KARIN_OPERATOR_PASSWORD (default: KARIN_OPERATOR, else nobody)')
    .option('--json', 'print the answer of the server')
    .action(async (options) => {
      const { cost } = await import('./cost.ts');
      await cost(options, context);
    });

  return program;
}

const QUEUE_ARGUMENT = 'name, friendly name, ARN, region:account:name, or account/region/name';
/** Commands that do something to a queue; those that cannot be undone ask first. */
const QUEUE_ACTIONS = [
  ['purge', 'delete every message of a queue'],
  ['hold', 'keep the messages of a queue and invoke no function'],
  ['resume', 'consume a queue again that is on hold'],
] as const;

/** Those that take a glob as well: they can be undone. */
const WITH_GLOBS: ReadonlySet<string> = new Set(['hold', 'resume']);

/** The commands that move everything to another store. */
function addMoving(program: Command, context: CliContext): void {
  withServer(program.command('export'))
    .description('write every message, queue and token of a server to a file, one JSON document on each line')
    .option('--queue <glob>', "only these queues, for example 'app-*', and no tokens; may be repeated", collect)
    .option('--output <path>', 'the file (default: standard output)')
    .addHelpText('after', EXPORT_HELP)
    .action(async (options) => {
      const { exportQueues } = await import('./move.ts');
      await exportQueues(options, context);
    });
  withServer(program.command('import'))
    .description('put back what karin export wrote; what is there stays, and nothing is imported twice')
    .argument('<file>', 'the file; - is standard input')
    .option('--queue <glob>', "only these queues, for example 'app-*'; may be repeated", collect)
    .option('--dry-run', 'check the file and the server, and change nothing')
    .option('--json', 'print JSON')
    .action(async (file: string, options) => {
      const { importFile } = await import('./move.ts');
      await importFile(file, options, context);
    });
}

/** Commands that do something to messages that are named. */
const NAMED_ACTIONS = [
  ['cancel', 'delete delayed messages before they are due'],
  ['run-now', 'make delayed messages due now'],
  ['delete', 'delete messages that nobody has received'],
] as const;

/** The commands about several messages of a queue. */
function addSelecting(program: Command, context: CliContext, finished: (status: number) => void): void {
  withServer(program.command('errors'))
    .description('why the messages of a queue failed, those of one error together')
    .argument('<queue>', QUEUE_ARGUMENT)
    .option('--json', 'print JSON')
    .action(async (queue: string, options) => {
      const { errors } = await import('./letters.ts');
      await errors(queue, options, context);
    });
  withServer(program.command('redrive'))
    .description('move the messages of a dead-letter queue back to where they came from, or to another queue')
    .argument('<queue>', QUEUE_ARGUMENT)
    .option('--to <queue>', 'the queue to move them to (default: where each came from)')
    .option('--speed <count>', 'messages a second, 1 to 500 (default: as fast as possible)', number)
    .option('--error <id>', 'only those of an error, by its id from karin errors')
    .option('--wait', 'tell how far it is until it is over; status 1 if it fails')
    .option('--cancel', 'end the redrive that runs; what was moved stays moved')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (queue: string, options) => {
      const { redrive } = await import('./letters.ts');
      finished((await redrive(queue, options, context)) ? 0 : 1);
    });
  withServer(program.command('scheduled'))
    .description('the delayed messages of a queue, by due time')
    .argument('<queue>', QUEUE_ARGUMENT)
    .option('--page <number>', 'page of 100 messages (default: 1)', number)
    .option('--json', 'print JSON')
    .action(async (queue: string, options) => {
      const { scheduled } = await import('./letters.ts');
      await scheduled(queue, options, context);
    });
  for (const [name, description] of NAMED_ACTIONS) {
    const command = withServer(program.command(name))
      .description(`${description}; status 1 if one of them was left alone`)
      .argument('<queue>', QUEUE_ARGUMENT)
      .argument('<message-id...>', 'ids of the messages')
      .option('--json', 'print JSON');
    if (name === 'delete') command.option('--yes', 'do not ask');
    command.action(async (queue: string, ids: readonly string[], options) => {
      const { actOnNamed } = await import('./letters.ts');
      finished((await actOnNamed(name, queue, ids, options, context)) ? 0 : 1);
    });
  }
}

/** The commands that tell what happens, and those that shells complete by. */
function addFollowing(program: Command, context: CliContext): void {
  withServer(program.command('logs'))
    .description('what happened lately: batches, failures, dead letters, transfers')
    .argument('[queue]', `${QUEUE_ARGUMENT} (default: all)`)
    .option('--json', 'print one JSON text on each line')
    .action(async (queue: string | undefined, options) => {
      const { showLogs } = await import('./operate.ts');
      await showLogs(queue, options, context);
    });
  withServer(program.command('tail'))
    .description('what happens from now on, until Ctrl-C')
    .argument('[queue]', `${QUEUE_ARGUMENT} (default: all)`)
    .option('--json', 'print one JSON text on each line')
    .action(async (queue: string | undefined, options) => {
      const { tail } = await import('./operate.ts');
      await tail(queue, options, context);
    });
  program
    .command('completion')
    .description('print a script that completes commands and names of queues: eval "$(karin completion bash)"')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => completion(shell, completable(program.commands), context));
  withServer(program.command('queue-names', { hidden: true }))
    .argument('[beginning]', 'what the names begin with')
    .action(async (beginning: string | undefined, options) => {
      const { queueNames } = await import('./operate.ts');
      await queueNames(beginning ?? '', options, context);
    });
}

/** What shells offer after each command, as the program itself has it. */
function completable(commands: readonly Command[]): readonly Completable[] {
  return commands
    .filter((command) => command.name() !== 'queue-names')
    .map((command) => {
      const [argument] = command.registeredArguments;
      return {
        name: command.name(),
        options: command.options.flatMap(({ long, description }) => (long ? [{ long, description }] : [])),
        commands: completable(command.commands),
        words: argument?.argChoices ?? [],
        ofQueues: argument?.name() === 'queue',
      };
    });
}

const STATUS_HELP = `
Exit status: 0 done, 1 failed, 2 a mistake in the command, 3 not found, 4 refused, 5 no server answers.`;

/** The options of all commands that talk to a running server. */
function withServer(command: Command): Command {
  return atServer(command).option(
    '--user <name>',
    'an operator, with KARIN_OPERATOR_PASSWORD (default: KARIN_OPERATOR, else nobody)',
  );
}

function atServer(command: Command): Command {
  return command.option(
    '--url <address>',
    'the server (default: KARIN_URL, else this machine); KARIN_ADMIN_PASSWORD lets in',
  );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

const EXPORT_HELP = `
It only looks: queues go on. For a file that is one moment, put the queues on hold first and wait until nothing is in flight:
  karin hold '*'
  karin status
  karin export --output karin.ndjson
What was not on hold is named in a warning. Messages in flight are in the file, and come again where it is imported.`;

const TOKEN_HELP = `
Where tokens are kept: by the server at --url or KARIN_URL; without either, in the Redis at REDIS_URL if that is set; else by the server on this machine.

Examples:
  karin token create --scope send --queue 'app-*' --expires 90d --name 'checkout'
  AWS_ENDPOINT_URL_SQS=https://karin.example.com/k/karin_... aws sqs list-queues`;

const SEND_HELP = `
Who may send: KARIN_TOKEN, a capability in the address, an access key of the server in AWS_ACCESS_KEY_ID, or KARIN_ADMIN_PASSWORD.

Examples:
  karin send jobs --body '{"id": 7}' --delay 30 --attribute kind=order
  karin send orders.fifo --file order.json --group customer-7
  karin send jobs --sns-topic arn:aws:sns:eu-west-1:111122223333:orders --body hello --subject greeting
  karin send thumbnails --s3 uploads/cats/one.jpg --event-name ObjectCreated:Put
  karin send audit --event detail.json --detail-type OrderPlaced --source shop
  karin send jobs --url https://karin.example.com/k/karin_... --body hello`;

const START_HELP = `
Environment (AWS_* variables reach the AWS SDK untouched):
  REDIS_URL                redis:// or rediss://, several separated by commas for a cluster (or REDIS_URL_FILE)
  KARIN_EMBEDDED_REDIS=1   instead: start a private Redis; KARIN_DATA_DIR, KARIN_EMBEDDED_REDIS_MEMORY (MiB, 64)
  KARIN_DURABILITY         answer a send once it is on disk (fsync) or on a replica (replica, replica:2)
  AWS_REGION               region of the queues and functions
  AWS_ENDPOINT_URL_SNS     where certificates of SNS are fetched and subscriptions confirmed, for an emulator (AWS)
  HOST, PORT               127.0.0.1 and 4000
  KARIN_PUBLIC_URL         address that callers use, if a proxy stands before the server
  KARIN_TRUSTED_PROXIES    how many proxies write X-Forwarded-For (0); on Fly (FLY_APP_NAME) 1 means Fly-Client-IP
  KARIN_CONNECTIONS        connections of clients at one time (4096)
  KARIN_CONNECTIONS_PER_ADDRESS  of them, from one address (256; none behind trusted proxies)
  KARIN_CORS_ORIGINS       origins whose pages may use the SQS API from a browser (none)
  KARIN_ADMIN_PASSWORD     the ops page, /sync, tokens (or KARIN_ADMIN_PASSWORD_FILE)
  KARIN_OPERATORS          name:role:password or hash, ...; look, operate or administer (or KARIN_OPERATORS_FILE)
  KARIN_TOKENS             token[:scopes[:queues[:share]...]], ... (or KARIN_TOKENS_FILE, read again on SIGHUP)
  KARIN_KEYS               id:secret[:scopes[:queues[:share]...]], ... (or KARIN_KEYS_FILE, read again on SIGHUP)
                           a share is sends=N a second, queues=N, messages=N or bytes=N
  KARIN_DISCOVERY          aws, template:<path> or none (aws)
  KARIN_REGIONS            further regions of the server's own credentials; none: not even its own (none further)
  KARIN_ROLES              roles of other accounts: <role ARN>[:<regions joined by +>[:<external id>]], ...
                           (or KARIN_ROLES_FILE)
  KARIN_SYNC_INTERVAL      seconds between syncs, 0 for none (3600)
  KARIN_ACCOUNT_ID         account of queues named without one (that of the functions)
  KARIN_CONSUME          names of the queues to consume, * and ? as wildcards, ! excludes (all)
  KARIN_CLOUDWATCH_QUEUES  queues whose metrics are written for CloudWatch Logs, $1.50 a month each (none)
  KARIN_MAX_QUEUES         queues that CreateQueue may make (1000)
  KARIN_MAX_DELAY_SECONDS  longest delay of a message, up to 1209600 (900)
  KARIN_CONCURRENCY        invokes at one time, beyond one for each mapping (200)
  KARIN_BYTES_IN_FLIGHT    bytes of messages in memory (10485760)
  KARIN_STOP_LOOPS=0       only warn of messages that go round in circles, instead of stopping them
  OTEL_EXPORTER_OTLP_ENDPOINT  where traces go by OTLP over HTTP (nowhere), or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
  OTEL_EXPORTER_OTLP_PROTOCOL  http/protobuf or http/json, or OTEL_EXPORTER_OTLP_TRACES_PROTOCOL (http/protobuf)
  OTEL_SDK_DISABLED=true   no traces, whatever else is set; as does OTEL_TRACES_EXPORTER=none
  KARIN_ALERTS             where alerts go: https://, slack+https://, discord+https://, smtps://, ARNs of SNS topics
                           (or the file _FILE names); karin alert test tries them
  KARIN_ALERT_AGE          seconds that the first message of a queue may wait, 0 for no bound (0)
  KARIN_STOP_GRACE         seconds that open invokes get on SIGTERM (60)
  LOG_LEVEL                trace, debug, info, warn, error or silent (info)`;
