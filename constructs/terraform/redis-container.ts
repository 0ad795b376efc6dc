import { Container } from '@cdktf/provider-docker/lib/container';
import { Image } from '@cdktf/provider-docker/lib/image';
import type { Network } from '@cdktf/provider-docker/lib/network';
import { Volume } from '@cdktf/provider-docker/lib/volume';
import { Construct } from 'constructs';

/** Properties of `RedisContainer`. */
export interface RedisContainerProps {
  /** Name of the container and its volume. */
  readonly name: string;
  readonly network: Network;
  readonly image: string;
  /** `maxmemory`, MiB. */
  readonly memory: number;
}

/**
 * Redis as Karin wants it: an append-only file in a volume, a memory limit, and no eviction, so that a full Redis
 * refuses instead of forgetting.
 */
export class RedisContainer extends Construct {
  /** Where the server finds it inside the network. */
  public readonly url: string;
  /** The container, for `dependsOn`. */
  public readonly container: Container;

  public constructor(scope: Construct, id: string, props: RedisContainerProps) {
    super(scope, id);
    const volume = new Volume(this, 'Data', { name: `${props.name}-data` });
    const image = new Image(this, 'Image', { name: props.image, keepLocally: true });
    this.container = new Container(this, 'Container', {
      name: props.name,
      image: image.imageId,
      command: [
        'redis-server',
        '--appendonly',
        'yes',
        '--appendfsync',
        'everysec',
        '--maxmemory',
        `${props.memory}mb`,
        '--maxmemory-policy',
        'noeviction',
      ],
      volumes: [{ volumeName: volume.name, containerPath: '/data' }],
      networksAdvanced: [{ name: props.network.name, aliases: ['redis'] }],
      healthcheck: { test: ['CMD', 'redis-cli', 'ping'], interval: '10s', timeout: '3s', retries: 5 },
      wait: true,
      restart: 'unless-stopped',
    });
    this.url = 'redis://redis:6379';
  }
}
