import { describe, expect, it } from 'vitest';
import { createOutput, lineSplitter } from '../../runtime/dev/guide.ts';

describe('the output of functions', () => {
  it('has the name of the function before each line', () => {
    const written: string[] = [];
    const output = createOutput((text) => written.push(text), false);
    output.line('one', 'hello');
    expect(written).toEqual(['[one] hello\n']);
  });

  it('gives each name a colour of its own on a terminal', () => {
    const written: string[] = [];
    const output = createOutput((text) => written.push(text), true);
    output.line('one', 'a');
    output.line('two', 'b');
    output.line('one', 'c');
    expect(written).toEqual([
      '\u001b[36m[one]\u001b[39m a\n',
      '\u001b[35m[two]\u001b[39m b\n',
      '\u001b[36m[one]\u001b[39m c\n',
    ]);
  });

  it('is told apart from what is said of a function by colour, which only a terminal gets', () => {
    const written: string[] = [];
    createOutput((text) => written.push(text), true).line('one', 'failed', 'bad');
    createOutput((text) => written.push(text), false).line('one', 'failed', 'bad');
    expect(written).toEqual(['\u001b[36m[one]\u001b[39m \u001b[31mfailed\u001b[39m\n', '[one] failed\n']);
  });

  it('is cut into lines wherever the pieces end', () => {
    const lines: string[] = [];
    const splitter = lineSplitter((line) => lines.push(line));
    for (const piece of ['a', 'b\r\n', '\nc', '\nd']) splitter.push(piece);
    expect(lines).toEqual(['ab', '', 'c']);
    splitter.end();
    splitter.end();
    expect(lines).toEqual(['ab', '', 'c', 'd']);
  });

  it('does not wait for ever for the end of a line', () => {
    const lines: string[] = [];
    const splitter = lineSplitter((line) => lines.push(line));
    splitter.push('x'.repeat(70_000));
    expect(lines).toHaveLength(1);
  });
});
