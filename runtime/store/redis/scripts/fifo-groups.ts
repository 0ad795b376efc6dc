/**
 * How the groups of a FIFO queue are kept, and the functions of the scripts that touch them.
 *
 * KEYS[1] -> due        sorted set: group; score: ms when the group may next be served
 * KEYS[2] -> messages   hash: id -> sent time (6 bytes) and record
 * KEYS[3] -> receives   hash: id -> receive history
 * KEYS[4] -> delayed    sorted set: id; score: ms when the delay ends. Ended delays are removed late; one that is missing has ended
 * KEYS[5] -> order      sorted set, all scores 0, so in byte order: group, zero byte, sequence number (6 bytes), id
 * KEYS[6] -> flight     hash: group -> for each of its leases: id, sequence number (6 bytes) and end of the lease (13 digits). Leases that ran out may linger.
 *                       The number tells a message from an earlier one of the same id, which was deleted and sent again (a dead letter that came back)
 *
 * Invariant: a group is in `due` if and only if it has messages in `order`, and its score is
 *   - while a lease of it runs: the end of the last one to run out. Nothing of the group is handed out before, so a group has one holder at a time;
 *   - else: the later of the moment it became free (or was first sent to) and the end of the delay of its first message.
 * A group that became free gets that moment as its score, not the time of its oldest message: it queues up behind the other groups that are waiting.
 * Failed messages come first again by themselves, because the order within a group never changes.
 *
 * @module
 */

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

/**
 * The leases of groups: `loadFlights` reads those that still run, `storeFlights` writes them back and gives the groups their new place in `due`,
 * answering the earliest new score.
 *
 * Commands: 1 HMGET to load. To store: 1 ZADD and at most 1 HSET, or 1 HDEL, for all groups; for groups without leases 1 ZRANGE each and 1 ZMSCORE for all, and 1 ZREM if some are empty.
 */
export const FLIGHTS = `
local function loadFlights(groups)
  local flights = {}
  for i, text in ipairs(redis.call('HMGET', KEYS[6], unpack(groups))) do
    local running = {}
    for at = 1, text and #text or 0, 35 do
      local ends = tonumber(string.sub(text, at + 22, at + 34))
      if ends > now then
        running[string.sub(text, at, at + 15)] = {sequence = string.sub(text, at + 16, at + 21), ends = ends}
      end
    end
    flights[groups[i]] = running
  end
  return flights
end
local function storeFlights(groups, flights)
  local held, free, heads, waiting, due, empty = {}, {}, {}, {}, {}, {}
  for _, group in ipairs(groups) do
    local text, last = '', nil
    for id, lease in pairs(flights[group]) do
      if lease.ends > now then
        text = text .. id .. lease.sequence .. lease.ends
        last = math.max(last or 0, lease.ends)
      end
    end
    if last then
      table.insert(held, group)
      table.insert(held, text)
      table.insert(due, last)
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
