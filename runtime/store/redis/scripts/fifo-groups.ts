/**
 * How the groups of a FIFO queue are kept, and the functions of the scripts that touch them.
 *
 * KEYS[1] -> due        sorted set: group; score: ms when the group may next be served
 * KEYS[2] -> messages   hash: id -> sent time (6 bytes) and record
 * KEYS[3] -> receives   hash: id -> receive history
 * KEYS[4] -> delayed    sorted set: id; score: ms when the delay ends. Ended delays are removed late; one that is
 *     missing has ended
 * KEYS[5] -> order      sorted set, all scores 0, so in byte order: group, zero byte, sequence number (6 bytes), id
 * KEYS[6] -> flight     hash: group -> for each of its leases: id, sequence number (6 bytes) and end of the lease (13
 *     digits).
 *                       A lease that ran out or was given up stays, with that moment as its end, while another lease of
 *                       the group runs; it may linger after that. The number tells a message from an earlier one of the
 *                       same id, which was deleted and sent again (a dead letter that came back)
 *
 * The rule of AWS: the messages of a group that stand before its first message in flight may be received; those behind
 * it may not. So no message is handed out while an earlier one of its group is in flight.
 *
 * Invariant: a receive takes a group from its first message on and stops at the first one in flight, so while a lease
 * runs the entries of `flight` are the first messages of the group. The group's first message is then the entry with
 * the smallest number, which is found without reading `order`.
 *
 * Invariant: a group is in `due` if and only if it has messages in `order`, and its score is
 *   - while a lease of it runs: the end of the lease of its first message, past or to come, plus a half (ms) if another
 *     lease of the group ends later. Only with that half does a receive read `flight`: without it no lease of the group
 *     runs once the score has come;
 *   - else: the later of the moment it became free (or was first sent to) and the end of the delay of its first
 *     message.
 * Scores have fractions below a half, to keep the order of groups that became due in one call. The whole part is the
 * time.
 *
 * Older servers wrote the end of the last lease as the score, and left out leases that had ended. Both are read
 * rightly: the group is only served later than it might be. An older server beside a new one (a rolling upgrade) does
 * not know the half, and may hand out a message while an earlier one is in flight; so stop the old one first.
 *
 * A group that became free gets that moment as its score, not the time of its oldest message: it queues up behind the
 * other groups that are waiting. Failed messages come first again by themselves, because the order within a group never
 * changes.
 *
 * @module
 */
import { CLOCK, HEAD, HISTORY, OUTCOMES, SIX_BYTES } from './script.ts';

/** Reading the order of a group. */
export const GROUPS = `
local function membersOf(group, most, after)
  local from = after and '(' .. after or '[' .. group .. '\\0'
  return redis.call('ZRANGE', KEYS[5], from, '(' .. group .. '\\1', 'BYLEX', 'LIMIT', 0, most)
end
local function idOf(member)
  return string.sub(member, -16)
end
local function sequenceOf(member)
  return string.sub(member, -22, -17)
end`;

/** The leases of a group, by id, as they are written in `flight`. */
export const LEASES = `
local function readLeases(text)
  local leases = {}
  for at = 1, text and #text or 0, 35 do
    local ends = tonumber(string.sub(text, at + 22, at + 34))
    leases[string.sub(text, at, at + 15)] = {sequence = string.sub(text, at + 16, at + 21), ends = ends}
  end
  return leases
end`;

/**
 * The leases of groups: `loadFlights` reads them, `storeFlights` writes them back and gives the groups their new place
 * in `due`, answering the earliest new score. Needs LEASES.
 *
 * Commands: 1 HMGET to load. To store: 1 ZADD and at most 1 HSET, or 1 HDEL, for all groups; for groups without leases
 *     1 ZRANGE each and 1 ZMSCORE for all, and 1 ZREM if some are empty.
 */
export const FLIGHTS = `
local function loadFlights(groups)
  local flights = {}
  for i, text in ipairs(redis.call('HMGET', KEYS[6], unpack(groups))) do
    flights[groups[i]] = readLeases(text)
  end
  return flights
end
local function storeFlights(groups, flights)
  local held, free, heads, waiting, due, empty = {}, {}, {}, {}, {}, {}
  for _, group in ipairs(groups) do
    local text, last, first = '', 0, nil
    for id, lease in pairs(flights[group]) do
      text = text .. id .. lease.sequence .. lease.ends
      last = math.max(last, lease.ends)
      if not first or lease.sequence < first.sequence then first = lease end
    end
    if last > now then
      table.insert(held, group)
      table.insert(held, text)
      table.insert(due, last > first.ends and first.ends + 0.5 or first.ends)
      table.insert(due, group)
    else
      table.insert(free, group)
      local head = membersOf(group, 1)[1]
      if head then
        table.insert(heads, idOf(head))
        table.insert(waiting, group)
      else
        table.insert(empty, group)
      end
    end
  end
  if #heads > 0 then
    for i, delay in ipairs(redis.call('ZMSCORE', KEYS[4], unpack(heads))) do
      table.insert(due, math.max(now, tonumber(delay or 0)) + (i - 1) / 1024)
      table.insert(due, waiting[i])
    end
  end
  if #held > 0 then redis.call('HSET', KEYS[6], unpack(held)) end
  if #free > 0 then redis.call('HDEL', KEYS[6], unpack(free)) end
  if #empty > 0 then redis.call('ZREM', KEYS[1], unpack(empty)) end
  if #due > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(due)) end
  local earliest
  for i = 1, #due, 2 do
    local score = math.floor(due[i])
    if not earliest or score < earliest then earliest = score end
  end
  return earliest
end`;

/** What a script begins with that gives groups their place. */
export const PLACING = [CLOCK, SIX_BYTES, HEAD, OUTCOMES, HISTORY, GROUPS, LEASES, FLIGHTS].join('\n');

/**
 * Collects the groups whose place in `due` changes: `touch(group)`, once for each. Begins the reply that FINISH
 * completes.
 */
export const TOUCHED = `local touched = {}
local function touch(group)
  if not touched[group] then
    touched[group] = true
    table.insert(touched, group)
  end
end
local reply = {-1, -1}`;

/**
 * Gives the groups of TOUCHED their new place in `due` (by FLIGHTS), and says whether the head was lowered and where it
 * is.
 */
export const FINISH = `
if #touched > 0 then
  local before = head()
  reply[1] = lowered(before, storeFlights(touched, flights))
end
reply[2] = nextDue()
return reply`;
