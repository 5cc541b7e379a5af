#include "node/memfd.h"

#include <fcntl.h>

#include "node/memory_file.h"
#include "os/memfd.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace interproc::node {
namespace {

// memfdCreate(label, size, reserve, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string label = args.Text(0);
  const uint64_t size = args.Size(1);
  const os::Pages pages = PagesFrom(args.Flag(2));
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::CreateMemfd(label, access, size, pages), {});
}

}  // namespace

void InitMemfd(Napi::Env env, Napi::Object exports) {
  exports.Set("memfdCreate", Napi::Function::New<Create>(env));
  // man 2 fcntl, "File Sealing": what lib/ calls them, and their bits
  Napi::Object seals = Napi::Object::New(env);
  seals.Set("seal", F_SEAL_SEAL);
  seals.Set("shrink", F_SEAL_SHRINK);
  seals.Set("grow", F_SEAL_GROW);
  seals.Set("write", F_SEAL_WRITE);
  seals.Set("future-write", F_SEAL_FUTURE_WRITE);
  seals.Set("exec", F_SEAL_EXEC);
  exports.Set("seals", seals);
}

}  // namespace interproc::node
