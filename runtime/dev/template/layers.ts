/**
 * The layers of functions: those that the stacks define lie on this machine, others are in AWS only, and are named with
 * what stands in for them.
 *
 * @module
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { codeLocation } from './code.ts';
import { type CodeLocation, isObject, objectOr, type TemplateFunction, textOr } from './model.ts';
import type { StackScope } from './stack-scope.ts';

/** The layers that the stacks define, by ARN. */
export type KnownLayers = ReadonlyMap<string, CodeLocation>;

export function layersByArn(scopes: readonly StackScope[]): KnownLayers {
  return new Map(
    scopes.flatMap((scope) =>
      scope
        .resources()
        .filter(([, { type }]) => type === 'AWS::Lambda::LayerVersion')
        .map(([logicalId, resource]) => [
          String(scope.ref(logicalId)),
          codeLocation(logicalId, resource, 'Content', scope),
        ]),
    ),
  );
}

/** The layers of one function; `missing`: one sentence for each that is in AWS only. */
export function readLayers(
  name: string,
  runtime: string | undefined,
  value: unknown,
  scope: StackScope,
  known: KnownLayers,
  problems: string[],
): { readonly found: readonly CodeLocation[]; readonly missing: readonly string[] } {
  const found: CodeLocation[] = [];
  const missing: string[] = [];
  const list: readonly unknown[] = Array.isArray(value) ? value : isObject(value) ? [value] : [];
  for (const item of list) {
    const resolved = scope.resolve(item);
    if (!resolved.known) problems.push(`function ${name}: a layer cannot be resolved (${resolved.reason})`);
    for (const arn of (resolved.known ? [resolved.value].flat() : []).map((one) => textOr(one, ''))) {
      const layer = known.get(arn) ?? fetched(arn, scope.settings.layersFolder);
      if (layer === undefined) missing.push(adviceFor(arn, runtime, scope.settings.layersFolder));
      else if (layer.kind === 'absent') problems.push(`function ${name}: a layer is left out: ${layer.reason}`);
      else found.push(layer);
      for (const extension of extensionsOf(layer)) {
        problems.push(`function ${name}: ${extension}, an extension in a layer, is not started here`);
      }
    }
  }
  problems.push(...missing.map((advice) => `function ${name}: ${advice}`));
  return { found, missing };
}

/** Programs that Lambda would start beside the function. */
function extensionsOf(layer: CodeLocation | undefined): readonly string[] {
  if (layer?.kind !== 'folder') return [];
  const folder = join(layer.path, 'extensions');
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
}

/** Where a layer that its developer fetches from AWS is looked for: `<name>-<version>.zip`. */
function fetchedFile(arn: string, folder: string): string | undefined {
  const [name, version] = arn.split(':').slice(-2);
  return /^arn:[^:]+:lambda:/.test(arn) ? join(folder, `${name}-${version}.zip`) : undefined;
}

function fetched(arn: string, folder: string | undefined): CodeLocation | undefined {
  const file = folder === undefined ? undefined : fetchedFile(arn, folder);
  return file !== undefined && existsSync(file) ? { kind: 'zip', path: file } : undefined;
}

/** Public layers whose contents a package manager has as well: the name of the layer, and the command. */
const PACKAGES: readonly (readonly [pattern: RegExp, command: (match: RegExpExecArray) => string])[] = [
  [/:AWSLambdaPowertoolsPython/, () => 'pip install aws-lambda-powertools'],
  [
    /:AWSLambdaPowertoolsTypeScript/,
    () => 'npm install @aws-lambda-powertools/logger @aws-lambda-powertools/metrics @aws-lambda-powertools/tracer',
  ],
  [/:AWSSDKPandas|:AWSDataWrangler/, () => 'pip install awswrangler'],
  [/:Klayers-p\d+-([\w-]+):/, ([, name]) => `pip install ${name}`],
];

/** Public layers that are nothing but an extension. */
const EXTENSIONS =
  /:(LambdaInsightsExtension|AWS-Parameters-and-Secrets|AWS-AppConfig|Datadog-Extension|aws-otel|AWSOpenTelemetry|NewRelicLambdaExtension|Dynatrace)/;

/** That a layer is in AWS only, and what mends it. */
function adviceFor(arn: string, runtime: string | undefined, folder: string | undefined): string {
  if (EXTENSIONS.test(arn)) return `the layer ${arn} is an extension of Lambda, which does not run here`;
  const where = `the layer ${arn} is only in AWS, and the function${runtime === undefined ? '' : ` (${runtime})`} runs without it`;
  const mends = PACKAGES.flatMap(([pattern, command]) => {
    const match = pattern.exec(arn);
    return match === null ? [] : [`install what it brings: ${command(match)}`];
  });
  const file = folder === undefined ? undefined : fetchedFile(arn, folder);
  if (file !== undefined) {
    const url = `aws lambda get-layer-version-by-arn --arn ${arn} --query Content.Location --output text`;
    mends.push(`fetch it: curl --create-dirs -o ${file} "$(${url})"`);
  }
  return mends.length === 0 ? where : `${where}; ${mends.join(', or ')}`;
}

/** How each runtime says that something it was asked to load is not there. */
const NOT_FOUND =
  /ImportModuleError|ModuleNotFoundError|No module named|Cannot find (module|package)|LoadError|NoClassDefFoundError|ClassNotFoundException/;

/**
 * The failure of a function that looks for a module while some of its layers are only in AWS: its JSON with them in the
 * message, and what is to be said of them. Other failures come back as they are.
 */
export function withMissingLayers(
  { missingLayers = [] }: TemplateFunction,
  payload: Uint8Array,
): { readonly payload: Uint8Array; readonly advice: readonly string[] } {
  const text = Buffer.from(payload).toString('utf8');
  if (missingLayers.length === 0 || !NOT_FOUND.test(text)) return { payload, advice: [] };
  // A function answers with what it likes; only what says so is taken for an error.
  const error = objectOr(parsedOr(text));
  const errorMessage = [textOr(error['errorMessage'], ''), ...missingLayers].join('\n');
  return { payload: Buffer.from(JSON.stringify({ ...error, errorMessage })), advice: missingLayers };
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
