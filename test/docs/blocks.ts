/** Blocks of code in the Markdown documents of the repository. @module */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Block {
  /** The document, relative to the root of the repository. */
  readonly document: string;
  /** Line of the document where the code begins, from 1. */
  readonly line: number;
  /** What stands behind the fence: `ts`, `sh`; empty: nothing. */
  readonly language: string;
  /** The code, without the indentation that the block has as a whole. */
  readonly code: string;
  /** The file that the sentence right before the block names and the block quotes: `` `examples/hello/app.ts` ``. */
  readonly quoted?: string;
}

/** Documents that tell people what to type; the changelog tells what was. */
export const DOCUMENTS = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\0')
  .filter((name) => name !== '' && !name.startsWith('test/') && name !== 'CHANGELOG.md')
  .sort();

export function blocksOf(document: string): readonly Block[] {
  return blocksIn(readFileSync(join(ROOT, document), 'utf8'), document);
}

export function blocksIn(text: string, document: string): readonly Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  let quoted: string | undefined;
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const [, indentation, language = ''] = /^( *)```(\w*)/.exec(line) ?? [];
    if (indentation === undefined) {
      // Several blocks may follow the name of one file.
      if (line.trim() !== '') quoted = /^`([\w./-]+\/[\w.-]+)`$/.exec(line.trim())?.[1];
      continue;
    }
    const end = lines.findIndex((candidate, at) => at > index && candidate.startsWith(`${indentation}\`\`\``));
    if (end < 0) throw new Error(`${document}:${index + 1}: the block of code does not end`);
    const code = lines
      .slice(index + 1, end)
      .map((each) => each.slice(indentation.length))
      .join('\n');
    blocks.push({ document, line: index + 2, language, code, ...(quoted !== undefined && { quoted }) });
    index = end;
  }
  return blocks;
}
