/**
 * Judges calls by IAM policies as AWS does for identity-based policies in one account: a call is allowed if some
 * statement allows it and none denies it.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 *
 * @module
 */

export interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Call {
  /** For example `lambda:InvokeFunction`. */
  readonly action: string;
  /** ARN of the resource; `*` for an action that knows none. */
  readonly resource: string;
  /** Condition keys and their values, for example `aws:ResourceTag/team`. */
  readonly context?: Readonly<Record<string, string>>;
}

/** Whether the statements together allow the call. */
export function isAllowed(statements: readonly Statement[], call: Call): boolean {
  const matching = statements.filter((statement) => matches(statement, call));
  return matching.some(({ Effect }) => Effect === 'Allow') && !matching.some(({ Effect }) => Effect === 'Deny');
}

function matches({ Action, Resource, Condition = {} }: Statement, { action, resource, context = {} }: Call): boolean {
  // Action names are compared without regard to case, ARNs with it.
  const named = list(Action).some((pattern) => wildcard(pattern.toLowerCase(), action.toLowerCase()));
  // An action without resource-level permissions is only covered by a statement on everything.
  const covered = list(Resource).some((pattern) => (resource === '*' ? pattern === '*' : wildcard(pattern, resource)));
  return named && covered && Object.entries(Condition).every(([operator, keys]) => holds(operator, keys, context));
}

/** All keys of an operator must hold, each with any of its values; a key that the call does not have fails. */
function holds(
  operator: string,
  keys: Readonly<Record<string, string | readonly string[]>>,
  context: Readonly<Record<string, string>>,
): boolean {
  const compare = { StringEquals: (pattern: string, value: string) => pattern === value, StringLike: wildcard }[
    operator
  ];
  if (compare === undefined) throw new Error(`the evaluator knows StringEquals and StringLike, not ${operator}`);
  return Object.entries(keys).every(([key, patterns]) => {
    const value = context[key];
    return value !== undefined && list(patterns).some((pattern) => compare(pattern, value));
  });
}

/** `*` is any text, `?` any one character. */
function wildcard(pattern: string, text: string): boolean {
  const source = pattern
    .replaceAll(/[.+^$()[\]{}|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(text);
}

function list(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}
