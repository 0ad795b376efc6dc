/** What people copy out of the documents is right: it has the types, the form and the names that it needs. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { type Block, blocksIn, blocksOf, DOCUMENTS, ROOT } from './blocks.ts';

const BLOCKS = DOCUMENTS.flatMap(blocksOf);
const inLanguages = (...languages: readonly string[]): readonly Block[] =>
  BLOCKS.filter(({ language }) => languages.includes(language));
const named = (blocks: readonly Block[]) =>
  blocks.map((block) => ({ at: `${block.document}:${block.line}`, ...block }));

/** What a piece of a stack or of a program takes for granted, by name. */
const GIVEN: Readonly<Record<string, string>> = {
  app: "import('aws-cdk-lib').App",
  stack: "import('aws-cdk-lib').Stack",
  fn: "import('aws-cdk-lib/aws-lambda').Function",
  consumer: "import('aws-cdk-lib/aws-lambda').Function",
  producer: "import('aws-cdk-lib/aws-lambda').Function",
  topic: "import('aws-cdk-lib/aws-sns').Topic",
  bucket: "import('aws-cdk-lib/aws-s3').Bucket",
  rule: "import('aws-cdk-lib/aws-events').Rule",
  queue: "import('karin-queue').KarinQueue",
  vpc: "import('aws-cdk-lib/aws-ec2').Vpc",
  cluster: "import('aws-cdk-lib/aws-ecs').Cluster",
  certificate: "import('aws-cdk-lib/aws-certificatemanager').ICertificate",
  role: "import('aws-cdk-lib/aws-iam').Role",
  capability: "import('aws-cdk-lib').SecretValue",
};

/** Modules that a block may import and nothing here installs: their types are not looked at. */
const NOT_INSTALLED = ['@pulumi/aws', '@pulumi/pulumi', 'aws-sdk'];

/** Names that a piece may use without importing them, by the package that has them. */
const KNOWN_NAMES: Readonly<Record<string, RegExp>> = {
  'karin-queue': /\b(?:Karin[A-Z]\w*|SyncOnDeploy|SyncFailure)\b/g,
  'aws-cdk-lib': /\b(?:App|CfnOutput|Duration|RemovalPolicy|SecretValue|Stack|Stage|Tags)\b/g,
};

/** A block as a module: its imports, what it takes for granted, and its code, in a stack if it says `this`. */
function moduleOf(code: string): string {
  const written = code.match(/^import [\s\S]*?;$/gm) ?? [];
  const bare = code.replaceAll(/'[^'\n]*'|\/\/.*/g, '');
  const added = Object.entries(KNOWN_NAMES).flatMap(([from, names]) => {
    const imported: readonly string[] = written.join('\n').match(names) ?? [];
    const missing = [...new Set(bare.match(names))].filter((name) => !imported.includes(name));
    return missing.length === 0 ? [] : [`import { ${missing.join(', ')} } from '${from}';`];
  });
  const imports = [...written, ...added];
  const body = imports.reduce((rest, line) => rest.replace(line, line.replaceAll(/[^\n]/g, '')), code);
  const given = Object.entries(GIVEN).filter(
    ([name]) =>
      new RegExp(`\\b${name}\\b`).test(body) &&
      !new RegExp(`(?:const|let|function|class) ${name}\\b`).test(body) &&
      !imports.some((line) => new RegExp(`\\b${name}\\b`).test(line)),
  );
  const declared = given.map(([name, type]) => `declare const ${name}: ${type};`);
  const inStack = /\bthis\b/.test(body) && !/\bclass \w+ extends\b/.test(body);
  return [
    ...imports,
    ...declared,
    ...(inStack
      ? [
          "class Given extends (await import('aws-cdk-lib')).Stack {",
          'constructor() {',
          'super();',
          body,
          '}',
          '}',
          'void Given;',
        ]
      : [body]),
    'export {};',
  ].join('\n');
}

/** What the compiler says of these modules, without the places where they stand. */
function complaintsOf(modules: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'karin-blocks-'));
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    mkdirSync(join(folder, 'blocks'));
    for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, 'blocks', name), text);
    writeFileSync(join(folder, 'given.d.ts'), NOT_INSTALLED.map((name) => `declare module '${name}';`).join('\n'));
    const compilerOptions = {
      rootDir: '/',
      // Pieces declare more than they use.
      noUnusedLocals: false,
      typeRoots: [join(ROOT, 'node_modules/@types')],
      paths: { 'karin-queue': [join(ROOT, 'constructs/index.ts')] },
    };
    const include = ['blocks/*.ts', 'given.d.ts'];
    const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions, include, exclude: [] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', '.', '--pretty', 'false'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return stdout.replaceAll(`${folder}/`, '');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('a block of code', () => {
  describe('in TypeScript', () => {
    // A quote has the types of its file.
    const blocks = inLanguages('ts', 'typescript').filter(({ quoted }) => quoted === undefined);
    const nameOf = ({ document, line }: Block): string => `${document.replaceAll(/\W/g, '-')}-line-${line}.ts`;
    const wrong = "import { KarinQueue } from 'karin-queue';\nnew KarinQueue(this, 'Jobs', { consume: fn });";
    let complaints: readonly string[];
    beforeAll(() => {
      const modules = blocks.map((block) => [nameOf(block), moduleOf(block.code)]);
      complaints = complaintsOf({ ...Object.fromEntries(modules), 'wrong.ts': moduleOf(wrong) }).split('\n');
    });

    it('has the types that it needs', () => {
      expect(blocks.length).toBeGreaterThan(4);
      expect(complaints.filter((line) => line.trim() !== '' && !line.startsWith('blocks/wrong.ts'))).toEqual([]);
    });

    it('is found if it names a property that does not exist', () => {
      expect(complaints.join('\n')).toContain("'consume' does not exist in type 'KarinQueueProps'");
    });
  });

  it.each(named(inLanguages('json')))('in JSON can be read: $at', ({ code }) => {
    expect(() => JSON.parse(code)).not.toThrow();
  });

  it.each(named(inLanguages('yaml', 'yml')))('in YAML can be read: $at', ({ code }) => {
    expect(parseDocument(code, { logLevel: 'silent' }).errors).toEqual([]);
  });

  it.each(named(inLanguages('sh', 'bash')))('for a shell can be read by one: $at', ({ code }) => {
    // What a reader fills in, `<the token>`, is no redirection.
    const filled = code.replaceAll(/<([a-z][^<>\n]*)>/gi, 'filled-in');
    const { stderr } = spawnSync('bash', ['-n'], { input: filled, encoding: 'utf8' });
    expect(stderr).toBe('');
  });

  it('runs scripts of this repository that there are', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const run = inLanguages('sh', 'bash', '').flatMap(({ document, code }) =>
      [...code.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, script = '']) => ({ document, script })),
    );
    expect(run.length).toBeGreaterThan(20);
    expect(run.filter(({ script }) => !(script in scripts))).toEqual([]);
  });

  it.each(named(BLOCKS.filter(({ quoted }) => quoted !== undefined)))(
    'that quotes a file says what the file says: $at',
    ({ code, quoted = '' }) => {
      expect(existsSync(join(ROOT, quoted)), quoted).toBe(true);
      // A piece may stand further to the left than in the file.
      const lines = (text: string): string =>
        text
          .split('\n')
          .map((line) => line.trim())
          .join('\n');
      expect(lines(readFileSync(join(ROOT, quoted), 'utf8'))).toContain(lines(code));
    },
  );
});

describe('the reader of blocks', () => {
  it('sees fences in lists, and the file that a block quotes', () => {
    const text =
      '1. One\n\n   ```sh\n   npm ci\n   ```\n\n`runtime/fly.toml`\n\n```toml\na = 1\n```\n\nEnd.\n\n```sh\nls\n```\n';
    expect(blocksIn(text, 'x.md')).toEqual([
      { document: 'x.md', line: 4, language: 'sh', code: 'npm ci' },
      { document: 'x.md', line: 10, language: 'toml', code: 'a = 1', quoted: 'runtime/fly.toml' },
      { document: 'x.md', line: 16, language: 'sh', code: 'ls' },
    ]);
  });

  it('refuses a block that does not end', () => {
    expect(() => blocksIn('```sh\nls\n', 'x.md')).toThrow('x.md:1');
  });
});
