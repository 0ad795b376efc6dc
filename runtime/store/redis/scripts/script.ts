/**
 * What the scripts have in common: how one is declared, the clock, and the small functions that several of them use.
 *
 * Rules for every script:
 * - All keys arrive in KEYS; none is built inside (Redis Cluster, and servers that lock or load keys per call, need to
 *   know them).
 * - The last argument is the time to use instead of the server's, or an empty string; only tests give one.
 * - A message id is 12 or 16 bytes (`calls.ts`) on standard queues and always 16 on FIFO queues, a time or sequence
 *   number inside a stored value 6 bytes, most significant first.
 * - Things handled in one call keep their order: the due time of the i-th gets i/1024 ms added (exact in a double,
 *   never a whole millisecond, because a call handles at most 500). So "due" means: the whole milliseconds of the score
 *   have come.
 *
 * The counts of commands in the headers include the EVALSHA itself, because providers that bill per command bill it so.
 *
 * @module
 */
import { OVERDUE_MS } from '../../store.ts';

export interface Script {
  /**
   * Flags of the shebang line. `allow-oom`: runs although the memory limit is reached, because it frees memory or takes
   * little, and a full server could never be drained without it. `no-writes`: only reads. Empty: refused with an OOM
   * error on a full server.
   */
  readonly flags: 'allow-oom' | 'no-writes' | '';
  readonly lua: string;
}

/** Joins fragments into a script. */
export function script(flags: Script['flags'], ...fragments: readonly string[]): Script {
  return { flags, lua: fragments.join('\n') };
}

/**
 * The text to send. Without the shebang line for servers that do not know it; those refuse every script that writes
 * once they are full.
 */
export function scriptText({ flags, lua }: Script, shebang: boolean): string {
  if (!shebang) return lua;
  return `#!lua${flags === '' ? '' : ` flags=${flags}`}\n${lua}`;
}

/** Sets `now`, milliseconds since the epoch. One TIME unless the time is injected. */
export const CLOCK = `
local now = tonumber(ARGV[#ARGV])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end`;

/** Six bytes for a whole number below 2^48, and back. */
export const SIX_BYTES = `
local function sixBytes(number)
  local bytes = {}
  for i = 6, 1, -1 do
    bytes[i] = number % 256
    number = math.floor(number / 256)
  end
  return string.char(unpack(bytes))
end
local function fromSixBytes(text)
  local number = 0
  for i = 1, 6 do number = number * 256 + string.byte(text, i) end
  return number
end`;

/**
 * The members of `due` on standard queues: the id alone, or, if the message has a group, the id filled up to 16 bytes,
 * its length, and the group. So one longer than an id has a group, and the id can be told from it whatever is in
 * either.
 */
export const MEMBERS = `
local function idOf(member)
  return #member <= 16 and member or string.sub(member, 1, string.byte(member, 17))
end
local function groupOf(member)
  return string.sub(member, 18)
end
local function memberOf(id, group)
  if group == '' then return id end
  return id .. string.rep('\\0', 16 - #id) .. string.char(#id) .. group
end`;

/**
 * The head of the queue, KEYS[1], and the wake. A wake is published only if the head became earlier: every instance
 * already has a timer at or before the old head. The clock of the server may jump over that timer; so a send that finds
 * the head long past due publishes as well.
 * ARGV[#ARGV - 2] is the channel, ARGV[#ARGV - 1] the queue and the instance.
 */
export const HEAD = `
local function head()
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return first[2] and math.floor(first[2])
end
local function lowered(before, after)
  if not after or (before and after >= before) then return -1 end
  local dueIn = math.max(0, after - now)
  redis.call('PUBLISH', ARGV[#ARGV - 2], 'w' .. dueIn .. ' ' .. ARGV[#ARGV - 1])
  return dueIn
end
local function loweredBySend(before, after)
  if before and before < now - ${OVERDUE_MS} then return lowered(nil, before) end
  return lowered(before, after)
end
local function nextDue()
  local at = head()
  return at and math.max(0, at - now) or -1
end`;

/** How a lease stands, as numbers in replies; `readOutcomes` gives them their names. */
export const OUTCOMES = `
local DONE, SUPERSEDED, MISSING, EXPIRED = 0, 1, 2, 3`;

/**
 * The receive history of a message: its leases, counted.
 *
 *   <number of the last lease>:<first received ms>[-<leases given back>[*]][:<group>]
 *
 * The star says that the last lease is among those given back. The group stands there on standard queues if the message
 * has one. The receive count is the number less the leases given back; while it is 0 the first received time counts for
 * nothing. A message that was never leased has no history.
 *
 * The number is the fence of a lease. Invariant: it never falls while the message is in the queue, so no two leases of
 * a message have the same one. A release leaves it as it is and writes the star; so another release of that lease finds
 * itself done and changes nothing, and none can touch a later lease, however late or often it comes. A release whose
 * answer was lost may therefore be repeated.
 *
 * Older servers. They wrote `<receive count>:<first received ms>[:<group>]`, and took 1 off the count on a release.
 * That is a history of which nothing was given back, and their receipt handles hold the count as ours hold the number.
 * An older server beside a new one (a rolling deploy, or the way back) reads what is written here as its own, but for
 * the leases given back: it counts those as receives, and its next receive writes them down so. Hence the receive count
 * that a message has then is too high by its give-backs, never too low. It takes back only numbers that it gave out
 * itself, so a repeated release of a new server still meets no lease of another. On standard queues it takes `-` and
 * what follows for a group: until it receives such a message itself, it changes no visibility timeout of it, and what
 * it deletes leaves a place in `due` that the next receive removes. A release that an older server repeats after a lost
 * answer is as dangerous as it was.
 *
 * `fence` compares a lease with the history; a negative number stands for this lease or an earlier one. A lease that
 * was given back counts for nothing until another follows, and where no receive counts, no lease does. It answers the
 * outcome, and where there is a history the receive count and the group. `givenBack` answers the outcome of giving the
 * lease back, and if that is still to be done the history that follows and the group. `KEYS[2]` holds the records.
 */
export const HISTORY = `
local function readHistory(text)
  local number, first, uncounted, star, group = string.match(text, '^(%d+):(%d+)%-?(%d*)(%*?):?(.*)$')
  return tonumber(number), tonumber(uncounted) or 0, tonumber(first), group, star == '*'
end
local function writeHistory(number, uncounted, first, group, star)
  local less = uncounted == 0 and '' or '-' .. uncounted .. (star and '*' or '')
  return number .. ':' .. first .. less .. (group == '' and '' or ':' .. group)
end
local function leasedOnceMore(history, group)
  local number, uncounted, first = 0, 0, now
  if history then number, uncounted, first = readHistory(history) end
  if number == uncounted then first = now end
  number = number + 1
  return writeHistory(number, uncounted, first, group), number, number - uncounted, first
end
local function fence(id, history, number)
  if not history then
    return redis.call('HEXISTS', KEYS[2], id) == 1 and SUPERSEDED or MISSING
  end
  local current, uncounted, _, group, star = readHistory(history)
  local holds = current == number and not star
  if number < 0 then holds = current > uncounted and (star and current - 1 or current) >= -number end
  return holds and DONE or SUPERSEDED, current - uncounted, group
end
local function givenBack(id, history, number)
  if not history then return fence(id, history, number) end
  local current, uncounted, first, group, star = readHistory(history)
  if current ~= number then return SUPERSEDED end
  if star then return DONE end
  return DONE, writeHistory(number, uncounted + 1, first, group, true), group
end`;
