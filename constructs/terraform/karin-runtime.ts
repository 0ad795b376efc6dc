import { Container, type ContainerConfig, type ContainerUpload } from '@cdktf/provider-docker/lib/container';
import { Image } from '@cdktf/provider-docker/lib/image';
import { Network } from '@cdktf/provider-docker/lib/network';
import { Construct } from 'constructs';
import { RedisContainer } from './redis-container';

/** Where the image is built from. */
export interface ImageBuild {
  /**
   * The folder that `docker build` gets: the root of Karin's repository, absolute or relative to where Terraform runs.
   */
  readonly context: string;
  /**
   * The Dockerfile, relative to the context.
   *
   * @default 'runtime/Dockerfile'
   */
  readonly dockerfile?: string;
}

/** A long-lived access key of the runtime's IAM user. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  /** Pass the value of a `TerraformVariable` with `sensitive: true`. */
  readonly secretAccessKey: string;
}

/** Properties of `KarinRuntime`. */
export interface KarinRuntimeProps {
  /** The region whose event source mappings are served, for example `eu-central-1`. */
  readonly region: string;
  /**
   * The name of an image to pull. Either this or `build`.
   *
   * @default - the image is built
   */
  readonly image?: string;
  /**
   * Builds the image here. Either this or `image`.
   *
   * @default - the image is pulled
   */
  readonly build?: ImageBuild;
  /**
   * Prefix of the names of the containers, the network and the volume.
   *
   * @default 'karin'
   */
  readonly name?: string;
  /**
   * The port on the Docker host, 1 to 65,535.
   *
   * @default 4000
   */
  readonly port?: number;
  /**
   * The address of the Docker host on which the port is open. `0.0.0.0` opens it to the network: put TLS in front.
   *
   * @default '127.0.0.1'
   */
  readonly listenAddress?: string;
  /**
   * Origin and base path under which callers reach the server, without a slash at the end, for example
   * `https://karin.example.com`.
   *
   * @default - the Host of each request
   */
  readonly publicUrl?: string;
  /**
   * An existing Redis, `redis://` or `rediss://`. Pass the value of a sensitive variable if it holds a password.
   *
   * @default - a Redis container with an append-only file in a volume
   */
  readonly redisUrl?: string;
  /**
   * Image of the Redis container; Redis 7.0 or newer, or Valkey.
   *
   * @default 'redis:7.4-alpine'
   */
  readonly redisImage?: string;
  /**
   * How much memory the messages in the Redis container may take, MiB, 16 or more. When it is full, sends are refused
   * and nothing is thrown away.
   *
   * @default 64
   */
  readonly redisMemory?: number;
  /**
   * Memory limit of Karin's container, MiB, 128 or more.
   *
   * @default 256
   */
  readonly memory?: number;
  /**
   * Capability tokens, in the form of `KARIN_TOKENS`. Pass the value of a `TerraformVariable` with `sensitive: true`.
   *
   * @default - none
   */
  readonly tokens?: string;
  /**
   * Access keys that callers may sign with, in the form of `KARIN_KEYS`. Pass the value of a sensitive variable.
   *
   * @default - none
   */
  readonly keys?: string;
  /**
   * Password of the operator's page and of `POST /sync`, at least 12 characters. Pass the value of a sensitive
   * variable.
   *
   * @default - none; the page and `/sync` are closed
   */
  readonly adminPassword?: string;
  /**
   * The AWS access key with which the runtime lists mappings and invokes functions.
   *
   * @default - the SDK's own search: `environment`, or the role of the machine
   */
  readonly awsCredentials?: AwsCredentials;
  /**
   * Further settings, see the table in the server's README. Not for secrets: they are shown by `docker inspect`.
   *
   * @default - none
   */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The port inside the container; only the one on the host can be chosen. */
const INNER_PORT = 4000;
/** Karin gives open Invokes up to 60 s on SIGTERM; Docker must not kill it before. */
const STOP_SECONDS = 75;

/**
 * Karin on a Docker host: a network, Redis with an append-only file in a volume, and the server.
 *
 * Secrets reach the container as files that only Karin reads, not as environment variables; like every value of a
 * resource they stand in the Terraform state, so keep the state where secrets may be kept.
 *
 * The stack needs a `DockerProvider`.
 *
 * @example
 * new DockerProvider(this, 'docker');
 * new KarinRuntime(this, 'Karin', { region: 'eu-central-1', build: { context: '..' }, tokens: tokens.stringValue });
 */
export class KarinRuntime extends Construct {
  /**
   * Where the server is reached on the Docker host, for example `http://127.0.0.1:4000`; or the public URL, where one
   * is given.
   */
  public readonly endpoint: string;
  /** The container of the server. */
  public readonly container: Container;
  /** The network that the server shares with Redis. */
  public readonly network: Network;
  /** The Redis container; absent where an existing Redis is used. */
  public readonly redis?: RedisContainer;

  public constructor(scope: Construct, id: string, props: KarinRuntimeProps) {
    super(scope, id);
    const problems = findProblems(props);
    if (problems.length > 0) throw new Error(`KarinRuntime '${this.node.path}': ${problems.join('; ')}`);

    const name = props.name ?? 'karin';
    const port = props.port ?? 4000;
    const listenAddress = props.listenAddress ?? '127.0.0.1';

    this.network = new Network(this, 'Network', { name });
    if (props.redisUrl === undefined) {
      this.redis = new RedisContainer(this, 'Redis', {
        name: `${name}-redis`,
        network: this.network,
        image: props.redisImage ?? 'redis:7.4-alpine',
        memory: props.redisMemory ?? 64,
      });
    }
    const image = new Image(this, 'Image', {
      name: props.image ?? `${name}:local`,
      keepLocally: true,
      ...(props.build && {
        buildAttribute: { context: props.build.context, dockerfile: props.build.dockerfile ?? 'runtime/Dockerfile' },
      }),
    });

    const secrets = uploadedSecrets({ ...props, redisUrl: props.redisUrl ?? this.redis?.url });
    const environment: Record<string, string> = {
      HOST: '0.0.0.0',
      PORT: String(INNER_PORT),
      AWS_REGION: props.region,
      ...(props.publicUrl !== undefined && { KARIN_PUBLIC_URL: props.publicUrl }),
      ...secrets.environment,
      ...props.environment,
    };
    this.container = new Container(this, 'Server', {
      name,
      // The id, not the name: a rebuilt image replaces the container.
      image: image.imageId,
      env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
      upload: secrets.files,
      ports: [{ internal: INNER_PORT, external: port, ip: listenAddress }],
      networksAdvanced: [{ name: this.network.name }],
      healthcheck: {
        // Bash alone, because a second Node would need half as much memory as the server.
        test: [
          'CMD',
          'bash',
          '-c',
          `exec 3<>/dev/tcp/127.0.0.1/${INNER_PORT} && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3`,
        ],
        interval: '30s',
        timeout: '5s',
        startPeriod: '15s',
        retries: 3,
      },
      wait: true,
      restart: 'unless-stopped',
      memory: props.memory ?? 256,
      memorySwap: props.memory ?? 256,
      stopTimeout: STOP_SECONDS,
      destroyGraceSeconds: STOP_SECONDS,
      ...HARDENING,
      ...(this.redis && { dependsOn: [this.redis.container] }),
    });
    this.endpoint = props.publicUrl ?? `http://${listenAddress}:${port}`;
  }
}

/** A server of messages needs no privileges; what is not needed cannot be abused. */
const HARDENING: Pick<ContainerConfig, 'capabilities' | 'securityOpts'> = {
  capabilities: { drop: ['ALL'] },
  securityOpts: ['no-new-privileges:true'],
};

/** Every rule that the properties break; each names the value and the mend. */
function findProblems(props: KarinRuntimeProps): readonly string[] {
  const problems: string[] = [];
  if ((props.image === undefined) === (props.build === undefined)) {
    problems.push(
      'give either image (a name to pull) or build (where to build it), got ' +
        (props.image === undefined ? 'neither' : 'both'),
    );
  }
  if (props.tokens === undefined && props.keys === undefined && props.adminPassword === undefined) {
    problems.push('no credential: the server refuses to start open to the network; give tokens, keys or adminPassword');
  }
  const range = (what: string, value: number | undefined, least: number, most: number, unit: string): void => {
    if (value !== undefined && !(Number.isInteger(value) && value >= least && value <= most)) {
      problems.push(`${what} must be a whole number from ${least} to ${most}${unit}, got ${value}`);
    }
  };
  range('port', props.port, 1, 65_535, '');
  range('memory', props.memory, 128, 1_048_576, ' MiB');
  range('redisMemory', props.redisMemory, 16, 1_048_576, ' MiB');
  if (props.redisUrl !== undefined && (props.redisImage !== undefined || props.redisMemory !== undefined)) {
    problems.push(
      'redisImage and redisMemory describe the Redis container, but redisUrl names an existing Redis; leave one side out',
    );
  }
  if (props.publicUrl !== undefined && !/^https?:\/\/[^/\s]+(\/[^\s]*[^/\s])?$/.test(props.publicUrl)) {
    problems.push(
      `publicUrl must be an absolute http or https URL without a slash at the end, got '${props.publicUrl}'`,
    );
  }
  return problems;
}

/** Files for the container, and the variables that tell Karin where they are. */
interface UploadedSecrets {
  readonly files: ContainerUpload[];
  readonly environment: Readonly<Record<string, string>>;
}

const FOLDER = '/run/karin';

/**
 * Turns the secrets of a runtime into files: an environment variable is shown by `docker inspect` and inherited by
 * every child process, a file is not.
 */
function uploadedSecrets(
  props: Pick<KarinRuntimeProps, 'tokens' | 'keys' | 'adminPassword' | 'awsCredentials'> & {
    readonly redisUrl: string | undefined;
  },
): UploadedSecrets {
  const { awsCredentials } = props;
  const secrets: readonly (readonly [variable: string, file: string, content: string | undefined])[] = [
    ['REDIS_URL_FILE', 'redis-url', props.redisUrl],
    ['KARIN_TOKENS_FILE', 'tokens', props.tokens],
    ['KARIN_KEYS_FILE', 'keys', props.keys],
    ['KARIN_ADMIN_PASSWORD_FILE', 'admin-password', props.adminPassword],
    [
      'AWS_SHARED_CREDENTIALS_FILE',
      'aws-credentials',
      awsCredentials &&
        `[default]\naws_access_key_id = ${awsCredentials.accessKeyId}\naws_secret_access_key = ${awsCredentials.secretAccessKey}\n`,
    ],
  ];
  const given = secrets.flatMap(([variable, file, content]) =>
    content === undefined ? [] : [{ variable, path: `${FOLDER}/${file}`, content }],
  );
  return {
    files: given.map(({ path, content }) => ({ file: path, content })),
    environment: Object.fromEntries(given.map(({ variable, path }) => [variable, path])),
  };
}
