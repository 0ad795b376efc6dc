import type { OnTransfer, TransferEvent } from '../../../runtime/transfer/transfer.ts';

type Kind = TransferEvent['kind'];
type Of<K extends Kind> = Extract<TransferEvent, { readonly kind: K }>;

/** Events of transfers, kept in order, to be awaited. */
export class TransferEvents {
  readonly all: TransferEvent[] = [];
  readonly #listeners = new Set<() => void>();

  readonly take: OnTransfer = (event) => {
    this.all.push(event);
    for (const listener of [...this.#listeners]) listener();
  };

  of<K extends Kind>(kind: K): readonly Of<K>[] {
    return this.all.filter((event): event is Of<K> => event.kind === kind);
  }

  /** The first event of this kind, past or to come, that `where` holds for. */
  until<K extends Kind>(kind: K, where: (event: Of<K>) => boolean = () => true): Promise<Of<K>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.of(kind).find(where);
        if (found === undefined) return;
        this.#listeners.delete(look);
        resolve(found);
      };
      this.#listeners.add(look);
      look();
    });
  }
}
