import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { writeTogether } from '../../runtime/log.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('lines of the log', () => {
  it('leave the process together, those of one turn at its end', async () => {
    const written: string[] = [];
    const write = writeTogether((lines) => written.push(lines));
    write('one\n');
    write('two\n');
    expect(written).toEqual([]);
    await nextTurn();
    write('three\n');
    await nextTurn();
    expect(written).toEqual(['one\ntwo\n', 'three\n']);
  });

  it('do not gather beyond a bound', () => {
    const written: string[] = [];
    const write = writeTogether((lines) => written.push(lines));
    const line = `${'x'.repeat(1_023)}\n`;
    for (let n = 0; n <= 64; n += 1) write(line);
    expect(written).toEqual([line.repeat(65)]);
  });

  it('leave nothing with the process once they are written, however many logs there were', async () => {
    const before = process.listenerCount('exit');
    const written: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      writeTogether((lines) => written.push(lines))(`${n}\n`);
      await nextTurn();
    }
    expect(written).toHaveLength(20);
    expect(process.listenerCount('exit')).toBe(before);
  });

  it('are written before the process exits', async () => {
    const script = `
      import { createLog } from './runtime/log.ts';
      createLog({ level: 'info' }).info('the last words');
      process.exit(0);`;
    const run = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]);
    expect(run.stdout).toContain('the last words');
  });
});
