import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix, win32 } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { commandOf } from '../../packaging/run.ts';
import { unusable } from '../../runtime/dev/bundle.ts';
import { appSources } from '../../runtime/dev/cdk-bundle.ts';
import { functionEnvironment } from '../../runtime/dev/function-environment.ts';
import { nextSteps } from '../../runtime/dev/guide.ts';
import {
  type Ender,
  endTree,
  executable,
  isBelow,
  isForeignProgram,
  programOnPath,
  pythonOn,
} from '../../runtime/dev/platform.ts';
import { ownRunFolder, runName } from '../../runtime/dev/run-folder.ts';
import type { TemplateApplication, TemplateFunction } from '../../runtime/dev/template/model.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { ConfigError } from '../../runtime/settings.ts';
import { systemTime } from '../../runtime/time.ts';

const FUNCTION: TemplateFunction = {
  name: 'fn',
  arn: 'arn:aws:lambda:eu-west-1:000000000000:function:fn',
  runtime: 'provided.al2023',
  handler: 'index.handler',
  code: { kind: 'inline', text: '' },
  layers: [],
  timeoutSeconds: 3,
  memoryMegabytes: 128,
  environment: {},
  aliases: [],
};

describe('a program on the PATH', () => {
  const on =
    (...files: string[]) =>
    (file: string) =>
      files.includes(file);

  it('is found with the separators of each system', () => {
    expect(programOnPath('java', '/usr/bin:/opt/jdk/bin', 'linux', on('/opt/jdk/bin/java'))).toBe('/opt/jdk/bin/java');
    const jdk = 'C:\\Program Files\\jdk\\bin\\java.exe';
    expect(programOnPath('java', 'C:\\Windows;"C:\\Program Files\\jdk\\bin"', 'win32', on(jdk))).toBe(jdk);
    expect(programOnPath('java', 'C:\\Windows', 'win32', on(jdk))).toBeUndefined();
    expect([executable('bootstrap', 'win32'), executable('bootstrap', 'darwin')]).toEqual([
      'bootstrap.exe',
      'bootstrap',
    ]);
  });

  it('is python3, and on Windows the launcher or else python', () => {
    expect(pythonOn('/usr/bin', 'darwin', on('/usr/bin/python3'))).toEqual({ command: 'python3', args: [] });
    expect(pythonOn('/usr/bin', 'linux', on('/usr/bin/python'))).toBeUndefined();
    const [py, python, python3] = ['C:\\p\\py.exe', 'C:\\p\\python.exe', 'C:\\p\\python3.exe'] as const;
    expect(pythonOn('C:\\p', 'win32', on(py, python))).toEqual({ command: 'py', args: ['-3'] });
    expect(pythonOn('C:\\p', 'win32', on(python, python3))).toEqual({ command: 'python', args: [] });
    expect(pythonOn('C:\\p', 'win32', on(python3))).toBeUndefined();
  });

  it('cannot run elsewhere if it is made for Linux', () => {
    const elf = Buffer.from('\u007fELF');
    expect([isForeignProgram(elf, 'linux'), isForeignProgram(elf, 'darwin'), isForeignProgram(elf, 'win32')]).toEqual([
      false,
      true,
      true,
    ]);
    const script = Buffer.from('#!/b');
    expect([isForeignProgram(script, 'darwin'), isForeignProgram(script, 'win32')]).toEqual([false, true]);
    const folder = mkdtempSync(join(tmpdir(), 'karin-elf-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'bootstrap'), elf, { mode: 0o755 });
    const reason = unusable({ ...FUNCTION, code: { kind: 'folder', path: folder } });
    if (process.platform === 'linux') expect(reason).toBeUndefined();
    else expect(reason).toContain('its bootstrap is a program for Linux');
  });
});

describe('a path is below a folder', () => {
  it.each<[folder: string, path: string, paths: typeof posix, expected: boolean]>([
    ['/app', '/app/src/index.ts', posix, true],
    ['/app', '/app', posix, false],
    ['/app', '/application/index.ts', posix, false],
    ['/app', '/app/../etc/passwd', posix, false],
    ['/app', '/app/..hidden/file', posix, true],
    ['/App', '/app/file', posix, false],
    ['C:\\app', 'C:\\app\\src\\index.ts', win32, true],
    ['C:\\app', 'c:\\App/src/index.ts', win32, true],
    ['C:\\app', 'C:\\application\\index.ts', win32, false],
    ['C:\\app', 'C:\\app\\..\\etc', win32, false],
    ['C:\\app', 'D:\\app\\index.ts', win32, false],
    ['\\\\server\\share\\app', '\\\\server\\share\\app\\index.ts', win32, true],
  ])('or not: %s %s', (folder, path, paths, expected) => {
    expect(isBelow(folder, path, paths)).toBe(expected);
  });
});

describe('a process ends with all that it started', () => {
  const ended = (platform: NodeJS.Platform, process: Partial<Parameters<typeof endTree>[0]>, error?: Error) => {
    const calls: unknown[] = [];
    const system: Ender = {
      platform,
      kill: (pid, signal) => {
        calls.push([pid, signal]);
        if (error !== undefined) throw error;
      },
      run: (program, args) => calls.push([program, ...args]),
    };
    endTree({ exitCode: null, signalCode: null, ...process }, system);
    return calls;
  };

  it('as a group where there are groups, also after its own end', () => {
    for (const platform of ['linux', 'darwin'] as const) {
      expect(ended(platform, { pid: 7 })).toEqual([[-7, 'SIGKILL']]);
      expect(ended(platform, { pid: 7, exitCode: 0 })).toEqual([[-7, 'SIGKILL']]);
      expect(ended(platform, {})).toEqual([]);
      expect(ended(platform, { pid: 7 }, Object.assign(new Error(), { code: 'ESRCH' }))).toHaveLength(1);
      expect(() => ended(platform, { pid: 7 }, new Error('something else'))).toThrow('something else');
    }
  });

  it('as a tree on Windows, while it is there: later its number may be of another process', () => {
    expect(ended('win32', { pid: 7 })).toEqual([['taskkill', '/PID', '7', '/T', '/F']]);
    expect(ended('win32', { pid: 7, exitCode: 1 })).toEqual([]);
    expect(ended('win32', { pid: 7, signalCode: 'SIGKILL' })).toEqual([]);
    expect(ended('win32', {})).toEqual([]);
  });
});

describe('on Windows', () => {
  it('a function gets what programs need there, and a time zone without a colon', () => {
    const inherited = {
      Path: 'C:\\Windows',
      SystemRoot: 'C:\\Windows',
      PATHEXT: '.EXE',
      'ProgramFiles(x86)': 'C:\\Program Files (x86)',
      AWS_PROFILE: 'mine',
    };
    const shared = {
      ...{
        region: 'eu-west-1',
        sqsOrigin: 'http://x',
        lambdaOrigin: 'http://y',
        nodeModules: [],
        cacheFolder: 'C:\\c',
      },
      inherited,
    };
    const environment = functionEnvironment(FUNCTION, shared, 'C:\\app', [], 'win32');
    const { AWS_PROFILE: _, ...kept } = inherited;
    expect(environment).toMatchObject({ ...kept, TZ: 'UTC', PYTHONUTF8: '1' });
    expect(environment).not.toHaveProperty('AWS_PROFILE');
    expect(functionEnvironment(FUNCTION, shared, '/app', [], 'linux')).toMatchObject({ TZ: ':UTC' });
  });

  it('npm is started by Node, because its script cannot be', () => {
    expect(commandOf('npm', 'win32', 'C:\\npm\\npm-cli.js')).toEqual([process.execPath, 'C:\\npm\\npm-cli.js']);
    expect(commandOf('jsii', 'win32', 'C:\\npm\\npm-cli.js')).toEqual(['jsii']);
    expect(commandOf('npm', 'linux', '/npm/npm-cli.js')).toEqual(['npm']);
  });

  it('an app in Python is known by the programs that Windows has', async () => {
    for (const command of ['.venv\\Scripts\\python.exe app.py', 'py -3 app.py', 'gradlew.bat run', 'python3 app.py']) {
      expect(await appSources(command, tmpdir())).toEqual(new Set());
    }
  });

  it('commands to copy are for PowerShell', () => {
    const application: TemplateApplication = {
      functions: [
        { ...FUNCTION, url: { cors: {} } },
        { ...FUNCTION, name: 'alone' },
      ],
      ...{ mappings: [], broken: [], queues: [], problems: [], web: { apis: [], notes: [] } },
      fed: { feeds: [{ queue: 'jobs', origin: { kind: 'topic', topicArn: 'arn:x:y:news', raw: true } }], unknown: [] },
    };
    const arn = { partition: 'aws', region: 'eu-west-1', account: '000000000000', name: 'jobs' };
    const discovery: Parameters<typeof nextSteps>[1] = {
      queues: [{ arn, attributes: DEFAULT_ATTRIBUTES, tags: {} }],
      ...{ mappings: [], broken: [], foreign: [], waitingInSqs: {}, detailsReadAt: 0 },
    };
    const places = {
      ...{ sqsOrigin: 'http://s', serverOrigin: 'http://s', account: '000000000000', region: 'eu-west-1' },
      functionUrl: (name: string) => `http://l/functions/${name}/`,
      apiOrigin: () => undefined,
    };
    const steps = (platform: NodeJS.Platform): string =>
      nextSteps(application, discovery, places, { now: 0, uuid: () => 'u' }, platform).join('\n');
    const windows = steps('win32');
    const login = "$env:AWS_ACCESS_KEY_ID = $env:AWS_SECRET_ACCESS_KEY = 'local'; aws";
    expect(windows).toContain(`  ${login} sqs send-message --region eu-west-1 --endpoint-url http://s \`\n`);
    expect(windows).toContain(`  ${login} lambda invoke `);
    expect(windows).toContain("    curl.exe -d 'hello' 'http://s/in/000000000000/jobs'");
    expect(windows).toContain('  curl.exe http://l/functions/fn/');
    expect(steps('darwin')).toContain('  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws sqs');
  });
});

it('a run has its folder where no socket can be made in it, as in a long path of macOS, and leaves others alone', async () => {
  const home = join(realpathSync(mkdtempSync(join(tmpdir(), 'karin-run-'))), '.karin');
  onTestFinished(() => rmSync(join(home, '..'), { recursive: true, force: true }));
  const before = join(home, runName());
  mkdirSync(before, { recursive: true });
  writeFileSync(join(before, 'owner-0123456789abcdef.sock'), '');
  const folder = join(home, runName());
  const run = await ownRunFolder(folder, systemTime, () => Promise.reject(new ConfigError(['no socket'])));
  expect([isThere(folder), isThere(before)]).toEqual([true, true]);
  await run.release();
  expect([isThere(folder), isThere(before)]).toEqual([false, true]);
});

function isThere(path: string): boolean {
  try {
    return realpathSync(path) === path;
  } catch {
    return false;
  }
}
