/**
 * IP addresses in filter patterns: the `cidr` operator, and plain addresses, which match other spellings of the same address.
 *
 * AWS's engine compares addresses as texts of hexadecimal digits, 8 for IPv4 and 32 for IPv6, in the order of texts. So a range of one family can hold addresses of the other:
 * `10.0.0.0/0` holds every IPv6 address up to `ffff:ffff::`. An IPv6 address that ends in an IPv4 address is none for it, and a range of a single address is refused.
 *
 * @module
 */
import { isIP } from 'node:net';
import { FilterError } from './filter-error.ts';
import type { StringTest } from './wildcard.ts';

/** Characters: an IPv6 address in full. */
const LONGEST_ADDRESS = 39;

/** `10.0.0.0/24`, `2001:db8::/32`. Errors: `FilterError` for anything else. */
export function compileCidr(text: string): StringTest {
  const [address = '', bits = '', ...rest] = text.split('/');
  const digits = digitsOf(address);
  const width = digits === undefined || digits.length === 8 ? 32 : 128;
  if (digits === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) >= width) {
    throw new FilterError(
      `cidr ${JSON.stringify(text)} must be an IPv4 or IPv6 address, a slash, and 0 to ${width - 1} mask bits, for example 10.0.0.0/24`,
    );
  }
  const hosts = (1n << BigInt(width - Number(bits))) - 1n;
  const all = (1n << BigInt(width)) - 1n;
  const number = BigInt(`0x${digits}`);
  const low = hex(number & (all ^ hosts), digits.length);
  const high = hex(number | hosts, digits.length);
  return (value) => {
    const asked = digitsOf(value);
    // Of a shorter address that the upper bound begins with, the engine says no.
    const ends = asked?.length === high.length || !high.startsWith(asked ?? high);
    return asked !== undefined && asked >= low && asked <= high && ends;
  };
}

/** A test for the same address in any spelling; `undefined` if the text is not an IP address. */
export function compileAddress(text: string): StringTest | undefined {
  const digits = digitsOf(text);
  return digits === undefined ? undefined : (value) => digitsOf(value) === digits;
}

/** The address as hexadecimal digits; `undefined`: it is none. */
function digitsOf(text: string): string | undefined {
  if (text.length > LONGEST_ADDRESS) return undefined;
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) {
    const octets = text.split('.').map(Number);
    return octets.some((octet) => octet > 255) ? undefined : octets.map((octet) => hex(BigInt(octet), 2)).join('');
  }
  // A zone ("fe80::1%eth0") belongs to one host and has no place in a range.
  if (isIP(text) !== 6 || /[.%]/.test(text)) return undefined;
  const [before = '', after] = text.toLowerCase().split('::');
  const groups = (half: string): readonly string[] => (half === '' ? [] : half.split(':'));
  const [head, tail] = [groups(before), groups(after ?? '')];
  const zeros = Array.from({ length: after === undefined ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join('');
}

function hex(value: bigint, length: number): string {
  return value.toString(16).padStart(length, '0');
}
