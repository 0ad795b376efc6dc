import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';

/** What a source would have found: these mappings and queues, and nothing to complain of. */
export function discoveryOf({ mappings, queues }: Pick<Discovery, 'mappings' | 'queues'>): Discovery {
  return { mappings, queues, broken: [], foreign: [], waitingInSqs: {}, problems: [], detailsReadAt: 0 };
}
