/**
 * Which way a Karin server may move messages between itself and Amazon SQS.
 */
export class KarinDrain {
  /**
   * Out of Karin: `karin drain` sends what the server holds to the real queue (`sqs:SendMessage`).
   */
  public static readonly OUT = new KarinDrain(true, false);

  /**
   * Into Karin: `karin pull` fetches what waits in the real queue (`sqs:ReceiveMessage`, `sqs:DeleteMessage`).
   */
  public static readonly IN = new KarinDrain(false, true);

  /**
   * Both ways.
   */
  public static readonly BOTH = new KarinDrain(true, true);

  /** @internal */
  public readonly _actions: readonly string[];

  private constructor(out: boolean, into: boolean) {
    this._actions = [...(out ? ['sqs:SendMessage'] : []), ...(into ? ['sqs:ReceiveMessage', 'sqs:DeleteMessage'] : [])];
  }
}
