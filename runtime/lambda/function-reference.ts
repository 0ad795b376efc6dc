/**
 * The forms in which AWS lets a function be named.
 *
 * @module
 */

export interface FunctionReference {
  /** Twelve digits; absent: the name alone was given. */
  readonly account?: string;
  /** Absent: the name or the partial ARN was given. */
  readonly region?: string;
  readonly name: string;
  /** Alias, version or `$LATEST`; absent: unqualified. */
  readonly qualifier?: string;
}

const FORM =
  /^(?:arn:[a-z0-9-]+:lambda:(?<region>[a-z0-9-]+):)?(?:(?<account>\d{12}):function:)?(?<name>[A-Za-z0-9_-]{1,140})(?::(?<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?$/;

/**
 * Reads `name`, `name:qualifier`, `account:function:name[:qualifier]` or the whole ARN (`FunctionName` of the Lambda API); `undefined` for
 * anything else.
 */
export function parseFunctionReference(text: string): FunctionReference | undefined {
  const { region, account, name, qualifier } = FORM.exec(text)?.groups ?? {};
  if (name === undefined) return undefined;
  return {
    name,
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
    ...(qualifier === undefined ? {} : { qualifier }),
  };
}
