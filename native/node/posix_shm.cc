#include "node/posix_shm.h"

#include "node/memory_file.h"
#include "os/posix_shm.h"

namespace interproc::node {
namespace {

// posixShmCreate(name, size, reserve, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  const uint64_t size = args.Size(1);
  const os::Pages pages = PagesFrom(args.Flag(2));
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::CreatePosixShm(name, access, size, pages), name);
}

// posixShmOpen(name, readOnly)
Napi::Value Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  const bool read_only = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::OpenPosixShm(name, read_only), name);
}

// posixShmStat(name)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::FileStatus> status = os::StatPosixShm(name);
  if (!status.ok()) return Fail(info.Env(), status.error(), name);
  return StatusToJs(info.Env(), status.value());
}

// posixShmUnlink(name)
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<void> gone = os::UnlinkPosixShm(name);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), name);
}

// posixShmList(): names without slash
Napi::Value List(const Napi::CallbackInfo& info) {
  return NamesToJs(info.Env(), os::ListPosixShm(), "/dev/shm");
}

// posixShmPath(name): where the object lies in the file system
Napi::Value Path(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::String::New(info.Env(), os::PosixShmPath(name));
}

}  // namespace

void InitPosixShm(Napi::Env env, Napi::Object exports) {
  exports.Set("posixShmCreate", Napi::Function::New<Create>(env));
  exports.Set("posixShmOpen", Napi::Function::New<Open>(env));
  exports.Set("posixShmStat", Napi::Function::New<Stat>(env));
  exports.Set("posixShmUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("posixShmList", Napi::Function::New<List>(env));
  exports.Set("posixShmPath", Napi::Function::New<Path>(env));
}

}  // namespace interproc::node
