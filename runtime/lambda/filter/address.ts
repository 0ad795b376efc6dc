/**
 * IP addresses in filter patterns: the `cidr` operator, and plain addresses, which match other spellings of the same address.
 *
 * @module
 */
import { BlockList, isIP } from 'node:net';
import { FilterError } from './filter-error.ts';
import type { StringTest } from './wildcard.ts';

/** Characters: an IPv6 address that ends in an IPv4 address. */
const LONGEST_ADDRESS = 45;

type Family = 'ipv4' | 'ipv6';

/** `10.0.0.0/24`, `2001:db8::/32`. Errors: `FilterError` for anything else. */
export function compileCidr(text: string): StringTest {
  const [address = '', bits = '', ...rest] = text.split('/');
  const family = familyOf(address);
  const width = family === 'ipv4' ? 32 : 128;
  if (family === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > width) {
    throw new FilterError(
      `cidr ${JSON.stringify(text)} must be an IPv4 or IPv6 address, a slash, and 0 to ${width} mask bits, for example 10.0.0.0/24`,
    );
  }
  const block = new BlockList();
  block.addSubnet(address, Number(bits), family);
  return within(block, family);
}

/** A test for the same address in any spelling; `undefined` if the text is not an IP address. */
export function compileAddress(text: string): StringTest | undefined {
  const family = familyOf(text);
  if (family === undefined) return undefined;
  const block = new BlockList();
  block.addAddress(text, family);
  return within(block, family);
}

function within(block: BlockList, family: Family): StringTest {
  return (value) => familyOf(value) === family && block.check(value, family);
}

function familyOf(text: string): Family | undefined {
  if (text.length > LONGEST_ADDRESS) return undefined;
  const version = isIP(text);
  if (version === 4) return 'ipv4';
  // A zone ("fe80::1%eth0") belongs to one host and has no place in a range.
  return version === 6 && !text.includes('%') ? 'ipv6' : undefined;
}
