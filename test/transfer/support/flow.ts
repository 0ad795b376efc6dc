import type { ManualTime } from '../../support/manual-time.ts';

/** Lets time pass, from timer to timer, until `until` is settled. */
export async function flow<T>(time: ManualTime, until: Promise<T>): Promise<T> {
  const state = { open: true };
  const close = (): void => {
    state.open = false;
  };
  until.then(close, close);
  for (await time.advanceAsync(0); state.open; await time.advanceAsync(time.nextInMs() ?? 1_000));
  return until;
}
