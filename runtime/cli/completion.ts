/**
 * `karin completion`: scripts that let a shell complete commands, their options and names of queues. They ask
 * `karin queue-names`, which asks the server.
 *
 * @module
 */
import type { CliContext } from './context.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What may follow a command. Names hold letters and hyphens alone, so no shell needs them quoted. */
export interface Completable {
  readonly name: string;
  /** `long`: with its hyphens. */
  readonly options: readonly { readonly long: string; readonly description: string }[];
  readonly commands: readonly Completable[];
  /** Values of its argument, where they are few. */
  readonly words: readonly string[];
  /** Its argument is a queue. */
  readonly ofQueues: boolean;
}

export function completion(
  shell: (typeof SHELLS)[number],
  commands: readonly Completable[],
  { out }: CliContext,
): void {
  const scripts = { bash, zsh, fish };
  out(scripts[shell](commands));
}

/** One line of a `case` for each command and for each of its own commands, which come first as the more exact ones. */
function cases(commands: readonly Completable[], lineOf: (words: readonly string[]) => string): string {
  const options = commands.flatMap((command) =>
    [
      ...command.commands.map((own) => ({ pattern: `"${command.name} ${own.name}"`, of: own })),
      { pattern: `"${command.name} "*`, of: command },
    ].map(({ pattern, of }) => `      ${pattern}) ${lineOf(of.options.map(({ long }) => long))} ;;`),
  );
  return options.join('\n');
}

const namesOf = (commands: readonly { readonly name: string }[]): readonly string[] => commands.map(({ name }) => name);

const queueCommands = (commands: readonly Completable[]): readonly string[] =>
  namesOf(commands.filter(({ ofQueues }) => ofQueues));

/** The words after a command that has few of them: its own commands, or the values of its argument. */
function followers(commands: readonly Completable[]): readonly (readonly [name: string, words: readonly string[]])[] {
  return commands.flatMap(({ name, commands: own, words }): [string, readonly string[]][] => {
    const after = [...namesOf(own), ...words];
    return after.length === 0 ? [] : [[name, after]];
  });
}

function bash(commands: readonly Completable[]): string {
  const offer = (words: readonly string[]): string => `COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$word"))`;
  return `_karin() {
  local word="\${COMP_WORDS[COMP_CWORD]}" first="\${COMP_WORDS[1]}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    ${offer(namesOf(commands))}
  elif [ "\${word:0:1}" = - ]; then
    case "$first \${COMP_WORDS[2]}" in
${cases(commands, offer)}
    esac
  else
    case "$first" in
      ${queueCommands(commands).join('|')}) COMPREPLY=($(karin queue-names "$word" 2>/dev/null)) ;;
${followers(commands)
  .map(([name, words]) => `      ${name}) [ "$COMP_CWORD" -eq 2 ] && ${offer(words)} ;;`)
  .join('\n')}
    esac
  fi
}
complete -o default -F _karin karin
`;
}

function zsh(commands: readonly Completable[]): string {
  const offer = (words: readonly string[]): string => `compadd -- ${words.join(' ')}`;
  return `#compdef karin
_karin() {
  local first="\${words[2]}"
  if (( CURRENT == 2 )); then
    ${offer(namesOf(commands))}
  elif [[ "\${words[CURRENT]}" == -* ]]; then
    case "$first \${words[3]}" in
${cases(commands, offer)}
    esac
  else
    case "$first" in
      ${queueCommands(commands).join('|')}) compadd -- \${(f)"$(karin queue-names "\${words[CURRENT]}" 2>/dev/null)"} ;;
${followers(commands)
  .map(([name, words]) => `      ${name}) (( CURRENT == 3 )) && ${offer(words)} ;;`)
  .join('\n')}
      *) _files ;;
    esac
  fi
}
compdef _karin karin
`;
}

function fish(commands: readonly Completable[]): string {
  const line = (condition: string, what: string): string => `complete -c karin -n '${condition}' ${what}`;
  const seen = (...names: readonly string[]): string => `__fish_seen_subcommand_from ${names.join(' ')}`;
  const options = (condition: string, { options: own }: Completable): readonly string[] =>
    own.map(({ long, description }) => line(condition, `-l ${long.slice(2)} -d '${quoted(description)}'`));
  return `${[
    line('__fish_use_subcommand', `-f -a '${namesOf(commands).join(' ')}'`),
    line(seen(...queueCommands(commands)), "-f -a '(karin queue-names (commandline -ct) 2>/dev/null)'"),
    ...followers(commands).map(([name, words]) =>
      line(`${seen(name)}; and not ${seen(...words)}`, `-f -a '${words.join(' ')}'`),
    ),
    ...commands.flatMap((command) => [
      ...options(seen(command.name), command),
      ...command.commands.flatMap((own) => options(`${seen(command.name)}; and ${seen(own.name)}`, own)),
    ]),
  ].join('\n')}\n`;
}

/** As it stands between single quotes of fish. */
function quoted(text: string): string {
  return text.replace(/[\\']/g, '\\$&');
}
