/**
 * Ends or moves leases, three scripts for each kind of queue, and keeps why deliveries failed.
 *
 * Standard queues. A lease holds as long as the message has not been leased again and the lease was not given back;
 * given as a negative number, in other cases as well (`HISTORY` in `script.ts`). It may have run out; on a standard
 * queue that alone does not end it. KEYS[1] -> due   KEYS[2] -> messages   KEYS[3] -> receives
 *
 * FIFO queues. A lease holds while it runs and the lease number and sequence number are those it was given. One that
 * ran out does nothing: later messages of the group wait for whoever receives this one next. KEYS[1..6] as in
 * `fifo-groups.ts`. Commands to give the groups their place: FLIGHTS there. Returns, all three: ms until the new head
 * is due or -1 if the head was not lowered; ms until the new head is due or -1 if there is none; then the outcome of
 * each.
 *
 * @module
 */
import { MOST_FAILURES } from '../../store.ts';
import { FINISH, PLACING, TOUCHED } from './fifo-groups.ts';
import { CLOCK, HEAD, HISTORY, MEMBERS, OUTCOMES, type Script, SIX_BYTES, script } from './script.ts';

const standard = (lua: string): Script => script('allow-oom', CLOCK, HEAD, MEMBERS, OUTCOMES, HISTORY, lua);

/**
 * Deletes messages.
 *
 * KEYS[4] -> failures
 * ARGV: for each lease: id, lease number; channel; queue; time
 * Returns: -1 (the head is never lowered); ms until the new head is due or -1 if there is none; then the outcome of
 *     each.
 * Commands: 7 (EVALSHA, TIME, HMGET, ZREM, HDEL, HDEL, ZRANGE); 4 if no lease holds; +1 HDEL if a message was
 *     received more than once, and so may have failed; +1 for each id without a receive history.
 */
export const DELETE = standard(
  `
local ids = {}
for i = 1, #ARGV - 3, 2 do table.insert(ids, ARGV[i]) end
local histories, gone = redis.call('HMGET', KEYS[3], unpack(ids)), {}
local reply, members, deleted, again = {-1, -1}, {}, {}, {}
for i, id in ipairs(ids) do
  local outcome, count, group = MISSING, 0, ''
  if not gone[id] then outcome, count, group = fence(id, histories[i], tonumber(ARGV[2 * i])) end
  reply[i + 2] = outcome
  if outcome == DONE then
    if count > 1 then table.insert(again, id) end
    gone[id] = true
    table.insert(members, memberOf(id, group))
    table.insert(deleted, id)
  end
end
if #deleted > 0 then
  redis.call('ZREM', KEYS[1], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(deleted))
  redis.call('HDEL', KEYS[3], unpack(deleted))
  if #again > 0 then redis.call('HDEL', KEYS[4], unpack(again)) end
end
reply[2] = nextDue()
return reply`,
);

/**
 * Makes messages due at another time.
 *
 * ARGV: for each lease: id, lease number, ms from now; channel; queue; time
 * Returns: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or -1 if there
 *     is none; then the outcome of each.
 * Commands: 6 (EVALSHA, TIME, HMGET, ZRANGE, ZADD, ZRANGE); 4 if no lease holds; +1 PUBLISH if the head was lowered; +1
 *     for each id without a receive history.
 */
export const CHANGE_VISIBILITY = standard(
  `
local ids = {}
for i = 1, #ARGV - 3, 3 do table.insert(ids, ARGV[i]) end
local histories = redis.call('HMGET', KEYS[3], unpack(ids))
local reply, due, earliest = {-1, -1}, {}, nil
for i, id in ipairs(ids) do
  local outcome, _, group = fence(id, histories[i], tonumber(ARGV[3 * i - 1]))
  reply[i + 2] = outcome
  if outcome == DONE then
    local dueAt = now + ARGV[3 * i]
    if not earliest or dueAt < earliest then earliest = dueAt end
    table.insert(due, dueAt + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
  end
end
if #due > 0 then
  local before = head()
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  reply[1] = lowered(before, earliest)
end
reply[2] = nextDue()
return reply`,
);

/**
 * Undoes receives: due at once, and counted one time less. Of a lease that was given back already it says `DONE`, and
 * leaves the message as it is.
 *
 * ARGV: for each lease: id, lease number; channel; queue; time
 * Returns: as CHANGE_VISIBILITY.
 * Commands: 7 (EVALSHA, TIME, HMGET, HSET, ZRANGE, ZADD, ZRANGE); 4 if no lease holds; +1 PUBLISH if the head was
 *     lowered; +1 for each id without a receive history.
 */
export const RELEASE = standard(
  `
local ids, histories = {}, {}
for i = 1, #ARGV - 3, 2 do table.insert(ids, ARGV[i]) end
for i, history in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do histories[ids[i]] = history end
local reply, due, receives = {-1, -1}, {}, {}
for i, id in ipairs(ids) do
  local outcome, history, group = givenBack(id, histories[id], tonumber(ARGV[2 * i]))
  reply[i + 2] = outcome
  if history then
    histories[id] = history
    table.insert(due, now + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
    table.insert(receives, id)
    table.insert(receives, history)
  end
end
if #due > 0 then
  redis.call('HSET', KEYS[3], unpack(receives))
  local before = head()
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  reply[1] = lowered(before, now)
end
reply[2] = nextDue()
return reply`,
);

/**
 * Reads the leases given, `width` arguments each: id, lease number, group, sequence number, ...; sets `ids`, `numbers`,
 * `groups` (each once), `histories`, `flights`, `runs` and `outcomeOf` (with the receive count).
 */
const leases = (width: number): string => `
local ids, numbers, groupOf, sequences, groups, histories = {}, {}, {}, {}, {}, {}
for i = 1, #ARGV - 3, ${width} do
  table.insert(ids, ARGV[i])
  table.insert(numbers, tonumber(ARGV[i + 1]))
  table.insert(groupOf, ARGV[i + 2])
  table.insert(sequences, sixBytes(tonumber(ARGV[i + 3])))
  if not groups[ARGV[i + 2]] then
    groups[ARGV[i + 2]] = true
    table.insert(groups, ARGV[i + 2])
  end
end
for i, history in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do histories[ids[i]] = history end
local flights = loadFlights(groups)
local function runs(i)
  local lease = flights[groupOf[i]][ids[i]]
  return lease and lease.ends > now and lease.sequence == sequences[i]
end
local function outcomeOf(i)
  local outcome, count = fence(ids[i], histories[ids[i]], numbers[i])
  if outcome == DONE and not runs(i) then outcome = EXPIRED end
  return outcome, count
end
${TOUCHED}`;

const fifo = (width: number, lua: string): Script => script('allow-oom', PLACING, leases(width), lua, FINISH);

/**
 * Deletes messages.
 *
 * KEYS[7] -> failures
 * ARGV: for each lease: id, lease number, group, sequence number; channel; queue; time
 * Commands: 13 for messages of one group that has others waiting (EVALSHA, TIME, HMGET, HMGET, ZREM, HDEL, HDEL,
 *     ZRANGE; then ZRANGE, ZMSCORE, HDEL, ZADD; then ZRANGE); 12 for the last of a group
 * (ZRANGE, HDEL, ZREM); 5 if no lease holds; +1 PUBLISH if the head was lowered; +1 HDEL if a message was
 * received more than once, and so may have failed; +1 for each id without a receive history.
 */
export const FIFO_DELETE = fifo(
  4,
  `
local members, deleted, gone, again = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local outcome, count = MISSING, 0
  if not gone[id] then outcome, count = outcomeOf(i) end
  reply[i + 2] = outcome
  if outcome == DONE then
    gone[id] = true
    if count > 1 then table.insert(again, id) end
    flights[groupOf[i]][id] = nil
    touch(groupOf[i])
    table.insert(members, groupOf[i] .. '\\0' .. sequences[i] .. id)
    table.insert(deleted, id)
  end
end
if #deleted > 0 then
  redis.call('ZREM', KEYS[5], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(deleted))
  redis.call('HDEL', KEYS[3], unpack(deleted))
  if #again > 0 then redis.call('HDEL', KEYS[7], unpack(again)) end
end`,
);

/**
 * Moves the ends of leases. A lease moved to now is over: the message is visible, and may be received if no message
 * before it is in flight.
 *
 * ARGV: for each lease: id, lease number, group, sequence number, ms from now; channel; queue; time
 * Commands: 8 for one group (EVALSHA, TIME, HMGET, HMGET, ZRANGE; then HSET, ZADD; then ZRANGE); 10 if the group became
 *     free (ZRANGE, ZMSCORE, HDEL, ZADD); 5 if no lease holds; +1 as FIFO_DELETE.
 */
export const FIFO_CHANGE_VISIBILITY = fifo(
  5,
  `
for i, id in ipairs(ids) do
  local outcome = outcomeOf(i)
  reply[i + 2] = outcome
  if outcome == DONE then
    flights[groupOf[i]][id].ends = now + ARGV[5 * i]
    touch(groupOf[i])
  end
end`,
);

/**
 * Undoes receives: visible at once, and counted one time less. Of a lease that was given back already it says `DONE`,
 * and leaves the message as it is; of one of an earlier message of the same id it does not.
 *
 * ARGV: for each lease: id, lease number, group, sequence number; channel; queue; time
 * Commands: as FIFO_CHANGE_VISIBILITY when the group becomes free, +1 for HSET of the histories; +1 ZSCORE for each
 *     lease that was given back already.
 */
export const FIFO_RELEASE = fifo(
  4,
  `
local receives = {}
for i, id in ipairs(ids) do
  local outcome, history = givenBack(id, histories[id], numbers[i])
  if history and not runs(i) then outcome, history = EXPIRED, nil end
  if outcome == DONE and not history and not redis.call('ZSCORE', KEYS[5], groupOf[i] .. '\\0' .. sequences[i] .. id) then
    outcome = SUPERSEDED
  end
  reply[i + 2] = outcome
  if history then
    histories[id] = history
    flights[groupOf[i]][id].ends = now
    touch(groupOf[i])
    table.insert(receives, id)
    table.insert(receives, history)
  end
end
if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end`,
);

/** How long what was kept of failures outlives the last one, ms: a day longer than any message may live. */
const EXPIRY_MS = 15 * 24 * 3_600_000;
/** So many are left when the bound is passed, so that the whole hash is read once for a hundred failures. */
const LEFT = MOST_FAILURES - 100;

/**
 * Keeps the last failure of each message. One of a message that is not there, or was never received, is not kept, so
 * that a function which deletes its message and then fails leaves nothing behind. Beyond the bound the oldest go.
 *
 * KEYS[1] -> failures hash: id -> time (six bytes) and text   KEYS[2] -> receives
 * ARGV: for each failure: id, time or '', text; time
 * Returns: nothing of use.
 * Commands: 6 (EVALSHA, TIME, HMGET, HSET, PEXPIRE, HLEN); 3 if no message is there; +2 if the bound is passed
 *     (HGETALL, HDEL).
 */
export const KEEP_FAILURES = script(
  '',
  CLOCK,
  SIX_BYTES,
  HISTORY,
  `
local ids, kept = {}, {}
for i = 1, #ARGV - 1, 3 do table.insert(ids, ARGV[i]) end
for i, history in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  local number, uncounted = 0, 0
  if history then number, uncounted = readHistory(history) end
  if number > uncounted then
    table.insert(kept, ids[i])
    table.insert(kept, sixBytes(tonumber(ARGV[3 * i - 1]) or now) .. ARGV[3 * i])
  end
end
if #kept == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(kept))
redis.call('PEXPIRE', KEYS[1], ${EXPIRY_MS})
if redis.call('HLEN', KEYS[1]) > ${MOST_FAILURES} then
  local all, oldest, gone = redis.call('HGETALL', KEYS[1]), {}, {}
  for i = 1, #all, 2 do table.insert(oldest, {id = all[i], at = fromSixBytes(all[i + 1])}) end
  table.sort(oldest, function(a, b) return a.at < b.at or (a.at == b.at and a.id < b.id) end)
  for i = 1, #oldest - ${LEFT} do gone[i] = oldest[i].id end
  redis.call('HDEL', KEYS[1], unpack(gone))
end
return 0`,
);
