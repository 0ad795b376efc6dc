/**
 * X.509 certificates made on the spot, in a few lines of DER, so that tests need no openssl.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface Made {
  readonly pem: string;
  readonly privateKey: KeyObject;
  readonly name: string;
}

export interface Wanted {
  /** Common name; a name of a host is the alternative name as well. */
  readonly name: string;
  /** Absent: it signs itself. */
  readonly issuer?: Made;
  readonly isAuthority?: boolean;
  readonly from?: Date;
  readonly to?: Date;
  /** Where the certificate of its issuer is. */
  readonly issuerUrl?: string;
  readonly bits?: number;
  /** Whether it has a key that no other has; default: authorities do. */
  readonly hasOwnKey?: boolean;
}

const YEAR_MS = 365 * 86_400_000;

/** Of all certificates without a key of their own: making one takes longest. */
let shared: ReturnType<typeof makeKeys> | undefined;
const makeKeys = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });

export function makeCertificate(wanted: Wanted): Made {
  const { name, issuer, isAuthority = false, issuerUrl, bits = 2_048 } = wanted;
  const { hasOwnKey = isAuthority || bits !== 2_048 } = wanted;
  if (!hasOwnKey) shared ??= makeKeys(bits);
  const { privateKey, publicKey } = hasOwnKey || shared === undefined ? makeKeys(bits) : shared;
  const { from = new Date(Date.now() - YEAR_MS), to = new Date(Date.now() + YEAR_MS) } = wanted;
  const extensions = [
    extension('551d13', der(0x30, ...(isAuthority ? [der(0x01, Buffer.from([0xff]))] : []))),
    ...(isAuthority ? [] : [extension('551d11', der(0x30, der(0x82, Buffer.from(name))))]),
    ...(issuerUrl === undefined
      ? []
      : [
          extension(
            '2b06010505070101',
            der(0x30, der(0x30, oid('2b06010505073002'), der(0x86, Buffer.from(issuerUrl)))),
          ),
        ]),
  ];
  const content = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    SHA256_WITH_RSA,
    distinguished(issuer?.name ?? name),
    der(0x30, time(from), time(to)),
    distinguished(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, ...extensions)),
  );
  const signature = sign('RSA-SHA256', content, issuer?.privateKey ?? privateKey);
  const whole = der(0x30, content, SHA256_WITH_RSA, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return { pem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`, privateKey, name };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

const SHA256_WITH_RSA = der(0x30, oid('2a864886f70d01010b'), der(0x05));

function distinguished(name: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from(name)))));
}

function time(at: Date): Buffer {
  return der(0x18, Buffer.from(`${at.toISOString().replace(/\.\d+|[-:T]/g, '')}`));
}

function extension(id: string, value: Buffer): Buffer {
  return der(0x30, oid(id), der(0x04, value));
}
