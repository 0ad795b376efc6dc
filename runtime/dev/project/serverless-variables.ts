/**
 * The variables of a serverless.yml, `${source:address, fallback}`, as far as they can be known without AWS.
 *
 * Source: https://www.serverless.com/framework/docs/guides/variables
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { unresolvable } from '../template/intrinsics.ts';
import { isObject, type JsonObject, scalarText } from '../template/model.ts';
import { parseTemplateText } from '../template/parse.ts';
import { liftVariable } from './lift.ts';

export interface VariableSettings {
  /** Paths of `${file(...)}` are relative to it. */
  readonly folder: string;
  readonly stage: string;
  readonly region: string;
  readonly account: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Not a variable of the framework: `${AWS::Region}`, `${Resource.Arn}` and `${Parameter}` belong to CloudFormation. */
const VARIABLE = /\$\{((?:[a-zA-Z]+(?:\([^()]*\))?:(?!:)|[a-zA-Z]+\([^()]*\))[^${}]*)\}/;
/** More steps than this mean that a variable contains itself. */
const MOST_STEPS = 200;

const NOTHING = Symbol('nothing');

/** The configuration with every variable in place; what only AWS knows becomes a value that says so. */
export function withVariables(configuration: JsonObject, settings: VariableSettings): JsonObject {
  const resolver = new VariableResolver(configuration, settings);
  const resolved = resolver.value(configuration, 0);
  return isObject(resolved) ? resolved : {};
}

class VariableResolver {
  readonly #root: JsonObject;
  readonly #settings: VariableSettings;

  constructor(root: JsonObject, settings: VariableSettings) {
    this.#root = root;
    this.#settings = settings;
  }

  value(value: unknown, depth: number): unknown {
    if (Array.isArray(value)) return value.map((item) => this.value(item, depth));
    if (isObject(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, this.value(member, depth)]));
    }
    return typeof value === 'string' ? this.#text(value, depth) : value;
  }

  /** Innermost variables first: a variable may stand inside the address of another. */
  #text(text: string, depth: number): unknown {
    const match = VARIABLE.exec(text);
    if (match === null) return text;
    if (depth > MOST_STEPS) return unresolvable(`the variable ${match[0]} contains itself`);
    const found = this.#sources(match[1] ?? '', depth);
    if (found === NOTHING)
      return unresolvable(`the variable ${match[0]} is only known to AWS or to a plugin, or has no value`);
    if (match[0] === text) return this.value(found, depth + 1);
    const part = scalarText(found);
    if (part === undefined) return isObject(found) ? found : unresolvable(`${match[0]} is no text`);
    return this.#text(
      text.replace(match[0], () => part),
      depth + 1,
    );
  }

  /**
   * The first source that has a value. Nobody gave the option `--stage`; where nothing else is stated, it is the stage
   * that holds.
   */
  #sources(list: string, depth: number): unknown {
    for (const source of list.match(/(?:'[^']*'|"[^"]*"|\([^)]*\)|[^,])+/g) ?? []) {
      const found = this.#source(source.trim(), depth);
      if (found !== NOTHING && found !== undefined && found !== null) return found;
    }
    return /\bopt:stage\b/.test(list) ? this.#settings.stage : NOTHING;
  }

  #source(source: string, depth: number): unknown {
    const { folder, stage, region, account, environment } = this.#settings;
    const quoted = /^(?:'([^']*)'|"([^"]*)")$/.exec(source);
    if (quoted !== null) return quoted[1] ?? quoted[2];
    if (/^(true|false|null|-?\d+(\.\d+)?)$/.test(source)) return JSON.parse(source);
    const [, kind = '', parameter, address = ''] = /^([a-zA-Z]+)(?:\(([^()]*)\))?(?::(.*))?$/.exec(source) ?? [];
    switch (kind) {
      case 'self':
        return this.#at(this.#root, address, depth);
      case 'env':
        return environment[address] ?? NOTHING;
      case 'opt':
        return address === 'region' ? region : NOTHING;
      case 'param': {
        const ofStage = this.#at(this.#root, `params.${stage}.${address}`, depth);
        return ofStage === NOTHING ? this.#at(this.#root, `params.default.${address}`, depth) : ofStage;
      }
      case 'sls':
        return { stage, instanceId: 'local' }[address] ?? NOTHING;
      case 'aws':
        return { accountId: account, region }[address] ?? NOTHING;
      case 'file':
        return this.#file(resolve(folder, parameter ?? ''), address, depth);
      case 'construct':
        return liftVariable(this.#root['constructs'], address) ?? NOTHING;
      case 'strToBool':
        return ['true', '1'].includes((parameter ?? '').toLowerCase());
      default:
        return NOTHING;
    }
  }

  #file(path: string, address: string, depth: number): unknown {
    if (!existsSync(path) || !/\.(ya?ml|json)$/.test(path)) return NOTHING;
    const contents = parseTemplateText(readFileSync(path, 'utf8'), basename(path), '1.2');
    return address === '' ? contents : this.#at(contents, address, depth);
  }

  /** A member at a dotted path; variables on the way are put in place. */
  #at(from: unknown, address: string, depth: number): unknown {
    let here = from;
    for (const key of address === '' ? [] : address.split('.')) {
      const resolved = typeof here === 'string' ? this.#text(here, depth + 1) : here;
      if (typeof resolved !== 'object' || resolved === null || !Object.hasOwn(resolved, key)) return NOTHING;
      // Objects and arrays alike: an index is a key.
      here = (resolved as Readonly<Record<string, unknown>>)[key];
    }
    return here;
  }
}
