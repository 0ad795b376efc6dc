/** The scripts of `karin completion`, loaded by the shells that they are for. */
import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { runCli } from './run-cli.ts';

const PROGRAM = fileURLToPath(new URL('../../runtime/cli/karin.ts', import.meta.url));
const run = promisify(execFile);

/** Ends the test where the shell is not there: named on the machine of a person, as a failure where all must be. */
function needs(shell: string, { skip }: TestContext): void {
  if (spawnSync(shell, ['-c', 'true']).error === undefined) return;
  if (process.env['CI'] === 'true') throw new Error(`${shell} is not installed, and CI tests every shell`);
  skip(`${shell} is not installed: its completion was not tested`);
}

/** A folder with `karin` in it, the script for a shell, and what the shell needs to find both. */
async function scene(shell: string) {
  const karin = await runKarin({ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' });
  for (const name of ['jobs', 'mails']) await sqsCall(karin.url, 'CreateQueue', { QueueName: name });
  const folder = mkdtempSync(join(tmpdir(), 'karin-completion-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'karin');
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" --import tsx "${PROGRAM}" "$@"\n`);
  chmodSync(program, 0o755);
  const script = join(folder, 'script');
  writeFileSync(script, (await runCli(['completion', shell])).out);
  const environment = {
    ...{ PATH: `${folder}:${process.env['PATH']}`, HOME: folder, TERM: 'dumb', KARIN_URL: karin.url },
    ...{ XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
  };
  /** Output of the shell for a text of commands. */
  const said = async (text: string, ...options: readonly string[]): Promise<string> => {
    const file = join(folder, 'commands');
    writeFileSync(file, text);
    // The repository, so that node finds tsx.
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout, stderr } = await run(shell, [...options, file], { env: environment, cwd });
    expect(stderr).toBe('');
    return stdout;
  };
  return { folder, script, said };
}

/** What is typed, and what a shell makes of it. */
const TYPED = [
  ['karin pee', 'karin peek'],
  ['karin peek jo', 'karin peek jobs'],
  ['karin peek --json ma', 'karin peek --json mails'],
  ['karin purge --y', 'karin purge --yes'],
  ['karin token cr', 'karin token create'],
  ['karin token create --sc', 'karin token create --scope'],
  ['karin completion fi', 'karin completion fish'],
] as const;

describe('karin completion', () => {
  it('completes commands, options and names of queues in bash', async (context) => {
    needs('bash', context);
    const { script, said } = await scene('bash');
    const asked = TYPED.map(([typed]) => {
      const words = typed.split(' ');
      return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _karin; echo "\${COMPREPLY[*]}"`;
    });
    const last = ([, whole]: (typeof TYPED)[number]): string => whole.slice(whole.lastIndexOf(' ') + 1);
    const out = await said(['set -u', `source ${script}`, ...asked].join('\n'), '--norc', '--noprofile');
    expect(out.trim().split('\n')).toEqual(TYPED.map(last));
  });

  it('completes commands, options and names of queues in zsh, as its line editor calls it', async (context) => {
    needs('zsh', context);
    const { folder, script, said } = await scene('zsh');
    const setup = join(folder, 'setup');
    writeFileSync(
      setup,
      `PS1= PS2= RPS1=
unsetopt prompt_sp
autoload -Uz compinit && compinit -u -D
source ${script}
complete-and-tell() { zle expand-or-complete; print -r -- "<<\${BUFFER}>>"; BUFFER=; zle .accept-line }
zle -N complete-and-tell
bindkey '^X' complete-and-tell
`,
    );
    // A terminal of its own, because nothing is completed without one. Each read waits for the answer.
    const out = await said(
      `zmodload zsh/zpty
zpty session zsh -f -i
zpty -w session 'source ${setup}'
for typed in ${TYPED.map(([typed]) => `'${typed}'`).join(' ')}; do
  zpty -w -n session "$typed"$'\\C-x'
  zpty -r session answer '*<<*>>*'
  print -r -- "\${\${answer##*<<}%%>>*}"
done
zpty -d session
`,
      '-f',
    );
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual(TYPED.map(([, whole]) => whole));
  });

  it('completes commands, options and names of queues in fish', async (context) => {
    needs('fish', context);
    const { script, said } = await scene('fish');
    const out = await said(
      [`source ${script}`, ...TYPED.map(([typed]) => `complete -C '${typed}'`)].join('\n'),
      '--no-config',
    );
    const words = out
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[0]);
    expect(words).toEqual(TYPED.map(([, whole]) => whole.slice(whole.lastIndexOf(' ') + 1)));
  });

  it('offers nothing, and says nothing, where no server answers', async () => {
    expect((await runCli(['queue-names', 'jo', '--url', 'http://127.0.0.1:1'])).out).toBe('');
  });
});
