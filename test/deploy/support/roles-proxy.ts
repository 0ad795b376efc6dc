/**
 * A proxy in front of the AWS emulator that knows who has which role: it can revoke one, as an operator of another
 * account does, who ends its sessions and takes the server out of its trust policy. It refuses who is not trusted, and
 * remembers what was called in each role. The emulator itself lets everybody assume everything.
 *
 * @module
 */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Call } from '../../constructs/support/policy-evaluator.ts';
import { callOf } from './recording-proxy.ts';

/** Who asks for which role, and what he shows. */
export interface RoleRequest {
  readonly role: string;
  readonly externalId: string | null;
  /** Id of the access key that the request is signed with. */
  readonly accessKeyId: string;
}

export interface RolesProxy {
  readonly url: string;
  /** Calls that were made in roles. */
  readonly calls: readonly { readonly role: string; readonly call: Call }[];
  /** External ids with which each role was assumed, one for each call. */
  readonly assumed: readonly { readonly role: string; readonly externalId: string | null }[];
  /** From now on nobody assumes this role, and what was signed with its sessions is refused. */
  revoke(role: string): void;
  /** It may be assumed again; the old sessions stay ended. */
  restore(role: string): void;
  close(): Promise<void>;
}

/** `trusts`: whether a role may be assumed; default: by everybody. */
export async function startRolesProxy(
  port: number,
  trusts: (asked: RoleRequest) => Promise<boolean> = async () => true,
): Promise<RolesProxy> {
  const calls: { role: string; call: Call }[] = [];
  const assumed: { role: string; externalId: string | null }[] = [];
  const revoked = new Set<string>();
  const ended = new Set<string>();
  /** Roles by the access keys of their sessions. */
  const sessions = new Map<string, string>();

  const server = createServer(async (request, response) => {
    const body = await readAll(request);
    const form = new URLSearchParams(body.toString());
    const role = form.get('Action') === 'AssumeRole' ? (form.get('RoleArn') ?? '') : undefined;
    const [, key = '', region = ''] =
      /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '') ?? [];
    if (role !== undefined) {
      const externalId = form.get('ExternalId');
      assumed.push({ role, externalId });
      if (revoked.has(role) || !(await trusts({ role, externalId, accessKeyId: key }))) {
        const message = `User: arn:aws:iam::123456789012:user/karin is not authorized to perform: sts:AssumeRole on resource: ${role}`;
        response.writeHead(403, { 'Content-Type': 'text/xml' });
        response.end(
          `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>${message}</Message></Error></ErrorResponse>`,
        );
        return;
      }
    }
    const inRole = sessions.get(key);
    if (inRole !== undefined) {
      calls.push({ role: inRole, call: callOf(request, body, { account: inRole.split(':')[4] ?? '', region }) });
    }
    if (ended.has(key)) {
      response.writeHead(403, {
        'Content-Type': 'application/json',
        'x-amzn-errortype': 'UnrecognizedClientException',
      });
      response.end(JSON.stringify({ message: 'The security token included in the request is invalid.' }));
      return;
    }
    const { method, url: path, headers } = request;
    const onward = httpRequest({ host: '127.0.0.1', port, method, path, headers }, async (answer) => {
      const text = await readAll(answer);
      const made = role === undefined ? undefined : /<AccessKeyId>([^<]+)</.exec(text.toString())?.[1];
      if (made !== undefined && role !== undefined) sessions.set(made, role);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.end(text);
    });
    onward.on('error', () => response.destroy());
    onward.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Listening on a TCP port: the address is never the name of a pipe.
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    assumed,
    calls,
    revoke: (role) => {
      revoked.add(role);
      for (const [key, of] of sessions) if (of === role) ended.add(key);
    },
    restore: (role) => {
      revoked.delete(role);
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
