/**
 * A state or a preview of Pulumi, and a state of SST (which is one of Pulumi), as a template. Its AWS provider is made
 * of Terraform's: names are in camel case, and blocks that Terraform writes as lists are objects.
 *
 * Source: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/
 *
 * @module
 */
import { unresolvable } from './intrinsics.ts';
import { isObject, type JsonObject, objectOr, textOr } from './model.ts';
import { attributeOf, type PlannedResource, plannedTemplate } from './planned.ts';

/** What stands in a preview for a value that is known after the deployment only. */
const UNKNOWN = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
/** Names of the author's own, which are not those of the provider. */
const OWN_NAMES = new Set(['variables', 'tags']);

export function isPulumi(parsed: unknown): parsed is JsonObject {
  return isObject(parsed) && resourcesIn(parsed).some((resource) => typeof objectOr(resource)['urn'] === 'string');
}

export function pulumiTemplate(parsed: JsonObject): JsonObject {
  const all = new Map<string, PlannedResource>();
  for (const entry of resourcesIn(parsed)) {
    const resource = objectOr(entry);
    const urn = textOr(resource['urn'], '');
    // Outputs have what AWS added; a preview has them only for what is there already.
    const stated = { ...objectOr(resource['inputs']), ...objectOr(resource['outputs']) };
    const dependencies = objectOr(resource['propertyDependencies']);
    all.set(urn, {
      address: urn,
      type: terraformType(textOr(resource['type'], '')),
      values: { ...objectOr(snakeCased(stated)), filename: archivePath(stated['code']) },
      reference(path, attribute) {
        const [first = ''] = path;
        const keys = Object.keys(stated).filter((key) => snake(key) === first);
        const urns = keys.flatMap((key) => dependencies[key] ?? []).map(String);
        const [only, ...others] = urns;
        if (only === undefined) return undefined;
        const target = all.get(only);
        if (target === undefined || others.length > 0) {
          return unresolvable(`it is made of ${urns.map(nameOf).join(', ')}, which are known after the deployment`);
        }
        return attributeOf(target, attribute);
      },
    });
  }
  return plannedTemplate([...all.values()]);
}

/** `pulumi stack export`, `pulumi preview --json`, and `sst state export`. */
function resourcesIn(parsed: JsonObject): readonly unknown[] {
  const { deployment, latest, checkpoint, steps } = parsed;
  const state = [deployment, latest, objectOr(checkpoint)['latest']].find(isObject);
  const list = state?.['resources'] ?? (Array.isArray(steps) ? steps.map((step) => objectOr(step)['newState']) : []);
  return Array.isArray(list) ? list : [];
}

/** `aws:sqs/queue:Queue` is `aws_sqs_queue`. */
function terraformType(type: string): string {
  const [, service, name] = /^aws:(\w+)\/(\w+):\w+$/.exec(type) ?? [];
  return name === undefined ? type : `aws_${service}_${snake(name)}`;
}

function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== UNKNOWN)
      .map(([key, member]) => [snake(key), OWN_NAMES.has(key) ? withUnknown(member) : snakeCased(member)]),
  );
}

/** Members that are not known say so, and the others stay. */
function withUnknown(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      member === UNKNOWN ? unresolvable('it is known after the deployment only') : member,
    ]),
  );
}

function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A file or folder that Pulumi packs: `{ path }`, beside a signature that tells what it is. */
function archivePath(code: unknown): string | undefined {
  const { path, assets } = objectOr(code);
  return textOr(path, undefined) ?? textOr(objectOr(objectOr(assets)['.'])['path'], undefined);
}

function nameOf(urn: string): string {
  return urn.split('::').at(-1) ?? urn;
}
