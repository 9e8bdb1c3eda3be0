#include "te/metadata/redis_scripts.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

static_assert(MetadataStore::kMaxParts == 8192, "which is in kHead");

// Leaves what the head says in variables. The bound keeps a head that somebody
// else has written from keeping the server busy for ever.
constexpr absl::string_view kHead = R"lua(
local call = redis.call
local head = call('HGET', KEYS[1], 'head')
local replaced, present, count = nil, '0', '0'
if head then
  replaced, present, count = string.match(head, '^te1:(%d+):(%d+):(%d+)$')
  if not count or #replaced ~= 20 or #present ~= 20 or #count > 4 or
     tonumber(count) > 8192 or replaced > present or
     replaced < '00000000000000000001' then
    return redis.error_reply('TEFOREIGN')
  end
elseif call('EXISTS', KEYS[1]) ~= 0 then
  return redis.error_reply('TEFOREIGN')
end
)lua";

constexpr absl::string_view kCompare = R"lua(
if ARGV[1] ~= 'any' and ARGV[1] ~= present then return {0, present} end
)lua";

// Answers with `version` and what became of `told`, the PUBLISH. Without the
// right to publish a change is made all the same: the user's own watches do
// not work then either, and say so.
constexpr absl::string_view kTold = R"lua(
return {type(told) == 'number' and 1 or 2, version}
)lua";

// A version is the time in microseconds, or one more than the last when that is
// not above it. So a server that comes back with what it had saved some time
// ago, counter included, gives no version again. A counter that is none is not
// looked at.
//
// The counter is written before anything else: a full server fails there. HSET
// takes no more arguments at once than Lua's stack has room for. Nearly all of
// the time goes into the calls and into making strings, hence %d (%.0f is
// slower) and the short way for one part.
constexpr absl::string_view kPut = R"lua(
local now = call('TIME')
local number = now[1] * 1000000 + now[2]
local version = string.format('%020d', number)
local last = tonumber(call('GETSET', KEYS[2], version) or 0)
if last and last >= number and last < 9e15 then
  version = string.format('%020d', last + 1)
  call('GETSET', KEYS[2], version)
end
if head and ARGV[4] == '1' then
  call('DEL', KEYS[1])
  head, count = false, '0'
end
if #ARGV > 4 and ARGV[#ARGV - 1] + 1 > tonumber(count) then
  count = ARGV[#ARGV - 1] + 1
end
head = 'te1:' .. (head and replaced or version) .. ':' .. version .. ':' .. count
if #ARGV == 6 then
  call('HSET', KEYS[1], 'head', head, 'v' .. ARGV[5], version, 'p' .. ARGV[5],
       ARGV[6])
else
  local fields = {'head', head}
  for i = 5, #ARGV, 2 do
    local n = #fields
    fields[n + 1] = 'v' .. ARGV[i]
    fields[n + 2] = version
    fields[n + 3] = 'p' .. ARGV[i]
    fields[n + 4] = ARGV[i + 1]
    if n > 1000 then
      call('HSET', KEYS[1], unpack(fields))
      fields = {}
    end
  end
  if #fields > 0 then call('HSET', KEYS[1], unpack(fields)) end
end
if ARGV[2] ~= '0' then
  call('PEXPIRE', KEYS[1], ARGV[2])
elseif present ~= '0' then
  call('PERSIST', KEYS[1])
end
local told = redis.pcall('PUBLISH', ARGV[3] .. KEYS[1], version)
)lua";

constexpr absl::string_view kRenew = R"lua(
if not head then return {0, present} end
if ARGV[2] == '0' then
  call('PERSIST', KEYS[1])
else
  call('PEXPIRE', KEYS[1], ARGV[2])
end
return {1, present}
)lua";

constexpr absl::string_view kRemove = R"lua(
if not head then return {0, present} end
call('DEL', KEYS[1])
local version = present
local told = redis.pcall('PUBLISH', ARGV[2] .. KEYS[1], '0')
)lua";

// The bytes of parts that are not asked for are not read, since they may be
// many.
constexpr absl::string_view kGet = R"lua(
if not head then return false end
local since, left = ARGV[1], tonumber(ARGV[3])
local whole = since < replaced or since > present
local answer = {head, 0}
if since == present then return answer end
local digits = '^' .. string.rep('%d', 20) .. '$'
local numbers, fields = {}, {}
local function read()
  if #fields == 0 then return end
  local parts = call('HMGET', KEYS[1], unpack(fields))
  for i, number in ipairs(numbers) do
    answer[#answer + 1] = number
    answer[#answer + 1] = parts[i] or ''
  end
  numbers, fields = {}, {}
end
local first, any = tonumber(ARGV[2]), false
while first < tonumber(count) do
  local last = math.min(first + 500, tonumber(count)) - 1
  for number = first, last do fields[#fields + 1] = 'v' .. number end
  local versions = call('HMGET', KEYS[1], unpack(fields))
  fields = {}
  for i, version in ipairs(versions) do
    local number = first + i - 1
    if version and not string.match(version, digits) then
      return redis.error_reply('TEFOREIGN')
    end
    if version and (whole or version > since) then
      local bytes = call('HSTRLEN', KEYS[1], 'p' .. number)
      if bytes > 0 or not whole then
        left = left - bytes
        if left < 0 and any then
          read()
          answer[2] = number
          return answer
        end
        any = true
        numbers[#numbers + 1] = number
        fields[#fields + 1] = 'p' .. number
      end
    end
  end
  read()
  first = last + 1
end
return answer
)lua";

}  // namespace

std::string RedisPutScript() {
  return absl::StrCat(kHead, kCompare, kPut, kTold);
}
std::string RedisRenewScript() { return absl::StrCat(kHead, kCompare, kRenew); }
std::string RedisRemoveScript() {
  return absl::StrCat(kHead, kCompare, kRemove, kTold);
}
std::string RedisGetScript() { return absl::StrCat(kHead, kGet); }

}  // namespace te
