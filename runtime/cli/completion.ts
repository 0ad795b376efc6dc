/**
 * `karin completion`: scripts that let a shell complete commands and names of queues. They ask `karin queue-names`,
 * which asks the server.
 *
 * @module
 */
import type { CliContext } from './context.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `commands`: all names. `ofQueues`: those whose argument is a queue. */
export function completion(
  shell: (typeof SHELLS)[number],
  commands: readonly string[],
  ofQueues: readonly string[],
  { out }: CliContext,
): void {
  const all = commands.join(' ');
  const scripts = {
    bash: `_karin() {
  local word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all}" -- "$word"))
  else
    case "\${COMP_WORDS[1]}" in
      ${ofQueues.join('|')}) COMPREPLY=($(karin queue-names "$word" 2>/dev/null)) ;;
      *) COMPREPLY=() ;;
    esac
  fi
}
complete -o default -F _karin karin
`,
    zsh: `#compdef karin
_karin() {
  if (( CURRENT == 2 )); then
    compadd ${all}
  else
    case "\${words[2]}" in
      ${ofQueues.join('|')}) compadd -- \${(f)"$(karin queue-names "\${words[CURRENT]}" 2>/dev/null)"} ;;
      *) _files ;;
    esac
  fi
}
compdef _karin karin
`,
    fish: `complete -c karin -n __fish_use_subcommand -f -a '${all}'
complete -c karin -n '__fish_seen_subcommand_from ${ofQueues.join(' ')}' -f -a '(karin queue-names (commandline -ct) 2>/dev/null)'
`,
  };
  out(scripts[shell]);
}
