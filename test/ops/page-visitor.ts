/**
 * A person who uses the pages of a server by hand: without a browser, so that forms can be sent that no page has.
 *
 * @module
 */

/** A browser that keeps its cookies. */
export function browser(url: string) {
  const cookies = new Map<string, string>();
  const cookieHeader = (): string => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const request = async (path: string, form?: Readonly<Record<string, string>>): Promise<Response> => {
    const response = await fetch(url + path, {
      redirect: 'manual',
      headers: { cookie: cookieHeader() },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
  const page = async (path: string): Promise<string> => (await request(path)).text();
  const logIn = (name: string, more = {}) =>
    request('/ops/login', { name, password: `${name}-has-a-password`, ...more });
  const token = async (): Promise<string> => /name="csrf" value="([^"]+)"/.exec(await page('/ops/system'))?.[1] ?? '';
  const press = async (path: string, more = {}) => request(path, { csrf: await token(), confirmed: 'yes', ...more });
  return { cookies, cookieHeader, request, page, logIn, token, press };
}
