/** The commands of the documents that install something. @module */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface InstallCommand {
  /** The document, relative to the root of the repository. */
  readonly document: string;
  /** One command as a reader types it, without what comes after `&&` or `#`. */
  readonly command: string;
}

/** Installs, or fetches and runs at once. */
const INSTALLERS =
  /^(?:npm (?:i|install|add|exec|x)|npx|(?:pnpm|yarn|bun) (?:add|dlx|global add)|pnpx|bunx|(?:python3? -m )?(?:\S*\/)?pip3? install|pipx install|uv (?:pip install|add)|poetry add|go (?:get|install)|dotnet (?:add|tool install)|docker (?:pull|run)|cargo install|brew install)(?:\s|$)/;

/** The languages of blocks that are typed into a shell. */
const SHELLS = new Set(['', 'sh', 'bash', 'shell', 'console']);

/** From every Markdown document of the repository; the changelog tells what was, not what to type. */
export function installCommands(root: string): InstallCommand[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], {
    cwd: root,
    encoding: 'utf8',
  });
  const documents = listed.split('\0').filter((name) => name !== '' && !name.endsWith('CHANGELOG.md'));
  return documents.flatMap((document) =>
    commandsIn(readFileSync(join(root, document), 'utf8')).map((command) => ({ document, command })),
  );
}

/** From blocks of code and from code within a sentence. */
export function commandsIn(text: string): string[] {
  const joined = text.replaceAll(/\s*\\\n\s*/g, ' ');
  const fences = [...joined.matchAll(/^ *```(\w*).*\n([\s\S]*?)^ *```/gm)];
  const blocks = fences.flatMap(([, language = '', code = '']) => (SHELLS.has(language) ? [code] : []));
  const sentences = fences.reduce((rest, [fence]) => rest.replace(fence, ''), joined);
  const inline = [...sentences.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll(/\s+/g, ' '));
  return [...blocks.flatMap((code) => code.split('\n')), ...inline]
    .map((line) => line.replace(/(?:^|\s)#.*$/, ''))
    .flatMap((line) => line.split(/&&|\|\||;|\(|\)/))
    .map((command) => command.trim().replace(/^(?:\$|sudo) /, ''))
    .filter((command) => INSTALLERS.test(command));
}

/** The names that Karin would have on registries, with or without a version. */
const OUR_NAMES =
  /^(?:karin|karin[-_]queue|karin[-_]server|Karin\.Queue|github\.com\/karin-queue\/\S+|(?![.~/])\S*\/karin)(?:(?:@|==|:)[\w.-]+)?$/;

/** Whether a command asks a registry for Karin. `karin` alone is the image that `docker build -t karin` made. */
export function asksRegistryForKarin(command: string): boolean {
  const words = command.split(/\s+/);
  return words.slice(1).some((word) => OUR_NAMES.test(word) && !(words[0] === 'docker' && word === 'karin'));
}
