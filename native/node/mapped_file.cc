#include "node/mapped_file.h"

#include "node/memory_file.h"
#include "os/mapped_file.h"

namespace interproc::node {
namespace {

// mappedFileCreate(path, size, reserve, mode, uid, gid)
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const uint64_t size = args.Size(1);
  const os::Pages pages = PagesFrom(args.Flag(2));
  const os::Access access = args.Access(3);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::CreateMappedFile(path, access, size, pages), path);
}

// mappedFileOpen(path, readOnly)
Napi::Value Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const bool read_only = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::OpenMappedFile(path, read_only), path);
}

// mappedFileUnlink(path)
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<void> gone = os::UnlinkMappedFile(path);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), path);
}

// mappedFileStat(path)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  if (!args.ok()) return info.Env().Undefined();
  os::Result<os::FileStatus> status = os::StatusOf(path, "stat");
  if (!status.ok()) return Fail(info.Env(), status.error(), path);
  return StatusToJs(info.Env(), status.value());
}

}  // namespace

void InitMappedFile(Napi::Env env, Napi::Object exports) {
  exports.Set("mappedFileCreate", Napi::Function::New<Create>(env));
  exports.Set("mappedFileOpen", Napi::Function::New<Open>(env));
  exports.Set("mappedFileUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("mappedFileStat", Napi::Function::New<Stat>(env));
}

}  // namespace interproc::node
