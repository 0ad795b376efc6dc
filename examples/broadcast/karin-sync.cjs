// @ts-check
/**
 * Serverless Framework plugin: after `serverless deploy` it asks Karin to read AWS again, and prints what changed.
 *
 *   custom.karin.endpoint      where the server is
 *   KARIN_ADMIN_PASSWORD       its admin password, or a token with the scope `manage`; without it nothing is asked
 *
 * A server that cannot be reached is a warning: the deployment stands, and the server reads AWS by itself within the hour.
 */
class KarinSync {
  /**
   * @param {{ service: { custom?: { karin?: { endpoint?: string } } } }} serverless
   * @param {unknown} _options
   * @param {{ log: { notice(text: string): void, warning(text: string): void } }} utils
   */
  constructor(serverless, _options, { log }) {
    this.hooks = { 'after:deploy:deploy': () => this.sync(serverless.service.custom?.karin?.endpoint, log) };
  }

  /**
   * @param {string | undefined} endpoint
   * @param {{ notice(text: string): void, warning(text: string): void }} log
   */
  async sync(endpoint, log) {
    const password = process.env['KARIN_ADMIN_PASSWORD'];
    if (!endpoint) return log.warning('Karin: custom.karin.endpoint is not set, so the server was not asked to sync');
    if (!password)
      return log.warning(
        'Karin: KARIN_ADMIN_PASSWORD is not set, so the server was not asked to sync; it does so by itself within the hour',
      );
    // A capability in the endpoint (/k/<token>) lets callers send; it does not open /sync.
    const url = `${endpoint.replace(/(\/k\/[^/]+)?\/*$/, '')}/sync`;
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${password}` },
        signal: AbortSignal.timeout(30_000),
      });
      if (!response.ok)
        return log.warning(`Karin: ${url} answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
      const { added, changed, removed, broken, unchanged } = await response.json();
      log.notice(
        `Karin: ${added.length} added, ${changed.length} changed, ${removed.length} removed, ${unchanged} as before`,
      );
      for (const { functionArn, reason } of broken) log.warning(`Karin cannot serve ${functionArn}: ${reason}`);
    } catch (error) {
      log.warning(`Karin: ${url} could not be reached: ${error instanceof Error ? error.message : error}`);
    }
  }
}

module.exports = KarinSync;
