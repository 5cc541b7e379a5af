#include "node/sysv_sem.h"

#include <climits>
#include <utility>
#include <vector>

#include "node/blocking_call.h"
#include "node/sysv_ipc.h"
#include "os/patience.h"
#include "os/sysv_sem.h"

namespace interproc::node {
namespace {

constexpr int64_t kValueMax = UINT16_MAX;
constexpr size_t kCountMax = 1 << 16;  // indices have 16 bits

Napi::Object FactsOf(Napi::Env env, const os::SysvSemStatus& status) {
  Facts facts(env, status);
  facts.Set("count", static_cast<double>(status.count));
  facts.SetTime("operatedAtMs", status.operated_at_s);
  facts.SetTime("changedAtMs", status.changed_at_s);
  return facts.object();
}

// A list of 16-bit numbers, as a Uint8Array of them.
std::vector<uint16_t> Numbers(Args& args, size_t index) {
  const ByteSpan bytes = args.Bytes(index);
  if (args.ok() && (bytes.length % 2 != 0 || bytes.length / 2 > kCountMax)) {
    args.Reject("a list of numbers of 16 bits");
  }
  if (!args.ok()) return {};
  std::vector<uint16_t> numbers(bytes.length / 2);
  for (size_t at = 0; at < numbers.size(); ++at) {
    numbers[at] = static_cast<uint16_t>(bytes.data[2 * at] | bytes.data[2 * at + 1] << 8);
  }
  return numbers;
}

// Triples of 16-bit numbers: index, delta, flags.
os::SemOperations OperationsFrom(Args& args, size_t index) {
  enum Flag { kUndo = 1, kNoWait = 2 };
  constexpr size_t kBytesEach = 6;
  const ByteSpan bytes = args.Bytes(index);
  if (args.ok() && (bytes.length == 0 || bytes.length % kBytesEach != 0 ||
                    bytes.length / kBytesEach > kCountMax)) {
    args.Reject("triples");
  }
  os::SemOperations operations;
  if (!args.ok()) return operations;
  operations.reserve(bytes.length / kBytesEach);
  const auto number = [&](size_t at) { return bytes.data[at] | bytes.data[at + 1] << 8; };
  for (size_t at = 0; at < bytes.length; at += kBytesEach) {
    const int flags = number(at + 4);
    struct sembuf operation = {};
    operation.sem_num = static_cast<uint16_t>(number(at));
    operation.sem_op = static_cast<int16_t>(number(at + 2));
    operation.sem_flg = static_cast<int16_t>(((flags & kUndo) != 0 ? SEM_UNDO : 0) |
                                             ((flags & kNoWait) != 0 ? IPC_NOWAIT : 0));
    operations.push_back(operation);
  }
  return operations;
}

// sysvSemCreate(key, values, mode, uid, gid): the id of a set that has these values
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const int key = args.Int(0);
  std::vector<uint16_t> values = Numbers(args, 1);
  const os::Access access = args.Access(2);
  if (args.ok() && values.empty()) args.Reject("a list that is not empty");
  if (!args.ok()) return info.Env().Undefined();
  return IdToJs(info.Env(), os::CreateSysvSem(key, std::move(values), access), key);
}

// sysvSemOpen(key): the id
Napi::Value Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const int key = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return IdToJs(info.Env(), os::OpenSysvSem(key), key);
}

// sysvSemIsReady(id): whether its maker has filled it in
Napi::Value IsReady(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<bool> ready = os::SysvSemIsReady(id);
  if (!ready.ok()) return Fail(info.Env(), ready.error(), IdName(id));
  return Napi::Boolean::New(info.Env(), ready.value());
}

// sysvSemStat(id)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return FactsToJs(info.Env(), os::StatSysvSem(id), id, FactsOf);
}

// sysvSemSet(id, mode | undefined, uid | undefined, gid | undefined)
Napi::Value Set(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SysvChange change = ChangeFrom(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::ChangeSysvSem(id, change), id);
}

// sysvSemRemove(id)
Napi::Value Remove(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::RemoveSysvSem(id), id);
}

// sysvSemList()
Napi::Value List(const Napi::CallbackInfo& info) {
  return ListToJs(info.Env(), os::ListSysvSem(), FactsOf);
}

// sysvSemValues(id)
Napi::Value Values(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<std::vector<uint16_t>> values = os::ValuesOfSysvSem(id);
  if (!values.ok()) return Fail(info.Env(), values.error(), IdName(id));
  Napi::Array list = Napi::Array::New(info.Env(), values.value().size());
  uint32_t index = 0;
  for (const uint16_t value : values.value()) list.Set(index++, value);
  return list;
}

// sysvSemSetValues(id, values): those that are missing become 0
Napi::Value SetValues(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  std::vector<uint16_t> values = Numbers(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::SetValuesOfSysvSem(id, std::move(values)), id);
}

// sysvSemSetValue(id, index, value)
Napi::Value SetValue(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const int index = args.Int(1);
  const int value = static_cast<int>(args.Integer(2, 0, kValueMax));
  if (!args.ok()) return info.Env().Undefined();
  return DoneToJs(info.Env(), os::SetValueOfSysvSem(id, index, value), id);
}

// sysvSemAsk(id, index, fact)
Napi::Value Ask(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const int index = args.Int(1);
  const auto fact = static_cast<os::SysvSemFact>(
      args.Integer(2, 0, static_cast<int>(os::SysvSemFact::kWaitingForZero)));
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<int> answer = os::AskSysvSem(id, index, fact);
  if (!answer.ok()) return Fail(info.Env(), answer.error(), IdName(id));
  return Napi::Number::New(info.Env(), answer.value());
}

// sysvSemOperate(id, operations, looks, nanoseconds): false where they can't all be done now, also
// at so many further looks, and within so long
Napi::Value Operate(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const os::SemOperations operations = OperationsFrom(args, 1);
  const uint32_t looks = args.Looks(2);
  const uint64_t timeout_ns = args.TimeoutNs(3);
  if (!args.ok()) return info.Env().Undefined();
  const auto in_vain = [](const os::Result<bool>& done) { return done.ok() && !done.value(); };
  os::Result<bool> done =
      os::TryPatiently(looks, [&] { return os::OperateSysvSem(id, operations, 0); }, in_vain);
  if (in_vain(done) && timeout_ns > 0) done = os::OperateSysvSem(id, operations, timeout_ns);
  if (!done.ok()) return Fail(info.Env(), done.error(), IdName(id));
  return Napi::Boolean::New(info.Env(), done.value());
}

// sysvSemOperateStart(call, id, operations): a call in the background that gives true
Napi::Value OperateStart(const Napi::CallbackInfo& info) {
  Args args(info);
  const uint64_t call_id = args.Size(0);
  const int id = args.Int(1);
  os::SemOperations operations = OperationsFrom(args, 2);
  if (!args.ok()) return info.Env().Undefined();
  return StartBlockingCall(
      info.Env(), call_id,
      [id, operations = std::move(operations)](const os::BlockingCall& call) {
        return os::OperateSysvSemWaiting(call, id, operations);
      },
      [](Napi::Env env, const os::Outcome&) -> Napi::Value {
        return Napi::Boolean::New(env, true);
      });
}

}  // namespace

void InitSysvSem(Napi::Env env, Napi::Object exports) {
  exports.Set("sysvSemCreate", Napi::Function::New<Create>(env));
  exports.Set("sysvSemOpen", Napi::Function::New<Open>(env));
  exports.Set("sysvSemIsReady", Napi::Function::New<IsReady>(env));
  exports.Set("sysvSemStat", Napi::Function::New<Stat>(env));
  exports.Set("sysvSemSet", Napi::Function::New<Set>(env));
  exports.Set("sysvSemRemove", Napi::Function::New<Remove>(env));
  exports.Set("sysvSemList", Napi::Function::New<List>(env));
  exports.Set("sysvSemValues", Napi::Function::New<Values>(env));
  exports.Set("sysvSemSetValues", Napi::Function::New<SetValues>(env));
  exports.Set("sysvSemSetValue", Napi::Function::New<SetValue>(env));
  exports.Set("sysvSemAsk", Napi::Function::New<Ask>(env));
  exports.Set("sysvSemOperate", Napi::Function::New<Operate>(env));
  exports.Set("sysvSemOperateStart", Napi::Function::New<OperateStart>(env));
}

}  // namespace interproc::node
