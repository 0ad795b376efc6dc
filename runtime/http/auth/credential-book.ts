/**
 * The credentials of the environment and of files: read at start, and again on SIGHUP.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { type Config, ConfigError } from '../../config.ts';
import { type AccessKey, parseAccessKeys } from './access-keys.ts';
import { type Capability, parseTokens } from './capability.ts';

export interface CredentialBook {
  readonly keys: ReadonlyMap<string, AccessKey>;
  /** By SHA-256 hash. */
  readonly tokens: ReadonlyMap<string, Capability>;
  readonly adminPassword?: string;
}

type Source = Pick<Config, 'keysText' | 'keysFile' | 'tokensText' | 'tokensFile' | 'adminPassword'>;

/** What is wrong with the credentials; no sentence holds a secret. */
export function credentialProblems(config: Source): readonly string[] {
  try {
    readCredentialBook(config);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

/** Errors: `ConfigError` with every problem; no message holds a secret. */
export function readCredentialBook(config: Source): CredentialBook {
  const problems: string[] = [];
  const keys = [
    ...parseAccessKeys(config.keysText, 'KARIN_KEYS', problems),
    ...parseAccessKeys(contents(config.keysFile, 'KARIN_KEYS_FILE', problems), 'KARIN_KEYS_FILE', problems),
  ];
  const tokens = [
    ...parseTokens(config.tokensText, 'KARIN_TOKENS', problems),
    ...parseTokens(contents(config.tokensFile, 'KARIN_TOKENS_FILE', problems), 'KARIN_TOKENS_FILE', problems),
  ];
  const ids = keys.map((key) => key.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) {
    problems.push(`the access key ${id} is there twice: remove one, or give the new one another id`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    keys: new Map(keys.map((key) => [key.id, key])),
    tokens: new Map(tokens.map((token) => [token.hash, token])),
    ...(config.adminPassword === undefined ? {} : { adminPassword: config.adminPassword }),
  };
}

function contents(path: string | undefined, variable: string, problems: string[]): string {
  if (path === undefined) return '';
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`${variable}=${path}: cannot be read (${error instanceof Error ? error.message : error})`);
    return '';
  }
}

/** Whether there is anything that could let a caller in. */
export function isEmpty(book: CredentialBook): boolean {
  return book.keys.size === 0 && book.tokens.size === 0 && book.adminPassword === undefined;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What to tell an operator whose server would be open to everybody. */
export function openServerProblem(host: string): string {
  return [
    `HOST=${host} can be reached from other machines, and no credential is configured, so anybody could send and read messages. Make at least one:`,
    '    KARIN_ADMIN_PASSWORD="$(openssl rand -base64 24)"      the ops page, /sync, and karin token create',
    '    KARIN_TOKENS="$(openssl rand -hex 24):send"            callers use the endpoint <url>/k/<token>',
    '    KARIN_KEYS="my-key-id:$(openssl rand -hex 24)"         callers sign with this access key',
    '  or listen on this machine alone: HOST=127.0.0.1',
  ].join('\n');
}
