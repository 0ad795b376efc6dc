/**
 * The environment of a function's process: what its template says, what Lambda sets, and nothing of the developer's own
 * but the way to programs and proxies. Credentials are dummies, so that a function under development cannot reach into
 * a real account by accident.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseEnv } from 'node:util';
import type { TemplateFunction } from './template/model.ts';

/** What all functions of one local Lambda share. */
export interface SharedEnvironment {
  readonly region: string;
  /** Origin of the SQS API, for `AWS_ENDPOINT_URL_SQS`. */
  readonly sqsOrigin: string;
  /** Origin of the local Lambda, for `AWS_ENDPOINT_URL_LAMBDA`. */
  readonly lambdaOrigin: string;
  /** The environment of this process. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  /** Variables of `--env-file`: they win over those of the template. Absent: none. */
  readonly given?: Readonly<Record<string, string>>;
  /** `node_modules` folders that stand in for what AWS's Node runtimes provide, in order of preference. */
  readonly nodeModules: readonly string[];
  /** A folder for what compilers keep between two builds. */
  readonly cacheFolder: string;
}

/**
 * Of this process's variables, those that programs need to be found, to find temporary space and to reach the network.
 */
const INHERITED = /^(PATH|HOME|TMPDIR|TEMP|TMP|LANG|LC_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_.*|https?_proxy|no_proxy)$/i;
/** The same on Windows, where programs do not start, or find nothing, without them. */
const INHERITED_ON_WINDOWS =
  /^(USERPROFILE|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|(LOCAL)?APPDATA|PROGRAM(DATA|FILES|FILES\(X86\)))$/i;
/** Endpoints of other services, such as a local DynamoDB, reach functions as they reach any other program. */
const ENDPOINT = /^AWS_ENDPOINT_URL(_|$)/;

export function functionEnvironment(
  fn: TemplateFunction,
  shared: SharedEnvironment,
  taskRoot: string,
  layers: readonly string[],
  platform = process.platform,
): Record<string, string> {
  const inherited = Object.entries(shared.inherited).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      (INHERITED.test(entry[0]) || INHERITED_ON_WINDOWS.test(entry[0]) || ENDPOINT.test(entry[0])),
  );
  const nodeModules = [...layers.flatMap((layer) => nodePackages(layer, fn.runtime)), ...shared.nodeModules];
  const python = /^python3\.\d+/.exec(fn.runtime ?? '')?.[0] ?? 'python3';
  const { PATH = '' } = shared.inherited;
  return {
    ...Object.fromEntries(inherited),
    // As Lambda has it; Windows knows no colon there.
    TZ: platform === 'win32' ? 'UTC' : ':UTC',
    NODE_PATH: nodeModules.join(delimiter),
    PYTHONPATH: layers
      .flatMap((layer) => [join(layer, 'python'), join(layer, 'python', 'lib', python, 'site-packages'), layer])
      .join(delimiter),
    ...(layers.length === 0
      ? {}
      : {
          PATH: [...layers.map((layer) => join(layer, 'bin')), PATH].join(delimiter),
          // Libraries made for Lambda can stand in the way of programs of this machine: only where a layer has some.
          LD_LIBRARY_PATH: layers
            .map((layer) => join(layer, 'lib'))
            .filter((lib) => existsSync(lib))
            .join(delimiter),
        }),
    // Output of a Python process would otherwise be held back until its buffer is full.
    PYTHONUNBUFFERED: '1',
    // As in Lambda, whatever the language of this machine.
    PYTHONUTF8: '1',
    AWS_EC2_METADATA_DISABLED: 'true',
    // The SDK would warn of the Node version of this machine, which is not the one that the function has in AWS.
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    ...fn.environment,
    ...shared.given,
    ...(fn.logging?.format === undefined ? {} : { AWS_LAMBDA_LOG_FORMAT: fn.logging.format }),
    ...(fn.logging?.level === undefined ? {} : { AWS_LAMBDA_LOG_LEVEL: fn.logging.level }),
    AWS_ENDPOINT_URL_SQS: shared.sqsOrigin,
    AWS_ENDPOINT_URL_LAMBDA: shared.lambdaOrigin,
    AWS_REGION: shared.region,
    AWS_DEFAULT_REGION: shared.region,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_SESSION_TOKEN: 'local',
    AWS_LAMBDA_FUNCTION_NAME: fn.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(fn.memoryMegabytes),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${fn.name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: 'local',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_EXECUTION_ENV: `AWS_Lambda_${fn.runtime ?? 'provided'}`,
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: taskRoot,
    _HANDLER: fn.handler,
  };
}

/** Where a layer keeps packages for Node, those for one version first. */
export function nodePackages(layer: string, runtime = ''): readonly string[] {
  const version = /^nodejs(\d+)/.exec(runtime)?.[1];
  const places = version === undefined ? [''] : [`node${version}`, ''];
  return places.map((place) => join(layer, 'nodejs', place, 'node_modules'));
}

/** What a function cannot set, as in Lambda: it is decided here. */
const RESERVED =
  /^(_.*|AWS_(REGION|DEFAULT_REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|EXECUTION_ENV|ENDPOINT_URL_SQS|ENDPOINT_URL_LAMBDA|LAMBDA_.*)|LAMBDA_(TASK_ROOT|RUNTIME_DIR))$/;

/**
 * The variables of files in the form of `.env`; of two that set the same one the later wins. `reserved`: those that are
 * left out, because this command or Lambda sets them itself. Errors: `EnvFileError`.
 */
export function readEnvFiles(files: readonly string[]): {
  readonly variables: Readonly<Record<string, string>>;
  readonly reserved: readonly string[];
} {
  const all = files.flatMap((file) => Object.entries(parseEnv(textOf(file))));
  const variables: Record<string, string> = {};
  const reserved = new Set<string>();
  for (const [name, value = ''] of all) {
    if (RESERVED.test(name)) reserved.add(name);
    else variables[name] = value;
  }
  return { variables, reserved: [...reserved] };
}

/** A file that is no file of variables. */
export class EnvFileError extends Error {
  override readonly name = 'EnvFileError';
}

/**
 * On Windows, editors begin a file with a mark of the byte order, which would be part of the first name, and `>` of
 * PowerShell 5 writes UTF-16. Errors: `EnvFileError`.
 */
function textOf(file: string): string {
  try {
    const bytes = readFileSync(file);
    const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : 'utf-8';
    // It takes the mark off.
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch (cause) {
    throw new EnvFileError(`${file}, which --env-file names, cannot be read as text`, { cause });
  }
  throw new EnvFileError(`${file}, which --env-file names, holds what is no text`);
}
