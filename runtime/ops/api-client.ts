/**
 * Calls the SQS API inside the process, for the buttons of the ops page: they obey the same rules, and get the same errors, as every other caller.
 *
 * @module
 */
import type { SqsApi } from '../sqs/api.ts';
import type { Caller } from '../sqs/request.ts';

export type ApiOutcome = { readonly ok: true } | { readonly ok: false; readonly message: string };

export interface ApiClient {
  call(action: string, input: Readonly<Record<string, unknown>>): Promise<ApiOutcome>;
}

export interface ApiClientParts {
  readonly api: SqsApi;
  readonly account: () => string;
  readonly region: string;
  readonly uuid: () => string;
}

export function createApiClient(parts: ApiClientParts): ApiClient {
  return {
    call: async (action, input) => {
      const headers: Readonly<Record<string, string>> = {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `AmazonSQS.${action}`,
      };
      const caller: Caller = {
        senderId: 'ops',
        account: parts.account(),
        region: parts.region,
        allows: () => true,
      };
      const response = await parts.api.handle({
        method: 'POST',
        path: '/',
        query: '',
        headers: (name) => headers[name.toLowerCase()],
        requestId: parts.uuid(),
        body: Buffer.from(JSON.stringify(input)),
        endpoint: '',
        caller,
        // None of the calls made here waits for messages.
        signal: new AbortController().signal,
      });
      if (response.status < 300) return { ok: true };
      return { ok: false, message: messageIn(response.body) ?? `the call failed with status ${response.status}` };
    },
  };
}

function messageIn(body: string): string | undefined {
  const value: unknown = JSON.parse(body);
  const message = typeof value === 'object' && value !== null && 'message' in value ? value.message : undefined;
  return typeof message === 'string' ? message : undefined;
}
