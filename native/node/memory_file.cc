#include "node/memory_file.h"

#include <utility>

namespace interproc::node {
namespace {

// fileFromFd(fd, readOnly)
Napi::Value FromFd(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.Int(0);
  const bool read_only = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return OpenedToJs(info.Env(), os::MemoryFile::Duplicate(fd, read_only), {});
}

// fileDescriptor(file)
Napi::Value Descriptor(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), *file ? (*file)->fd() : -1);
}

// fileReadOnly(file)
Napi::Value ReadOnly(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), *file && (*file)->read_only());
}

// fileStat(file)
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "fstat"});
  os::Result<os::FileStatus> status = os::StatusOf((*file)->fd());
  if (!status.ok()) return Fail(info.Env(), status.error());
  return StatusToJs(info.Env(), status.value());
}

// fileResize(file, size, reserve, path)
Napi::Value Resize(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  const uint64_t size = args.Size(1);
  const os::Pages pages = PagesFrom(args.Flag(2));
  const std::string path = args.Text(3);
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "ftruncate"}, path);
  os::Result<void> resized = (*file)->Resize(size, pages);
  return resized.ok() ? info.Env().Undefined() : Fail(info.Env(), resized.error(), path);
}

// fileLinkedAt(file, path)
Napi::Value LinkedAt(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  const std::string path = args.Text(1);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), *file && (*file)->LinkedAt(path));
}

// fileSeals(file): a mask, or undefined where the object knows no seals
Napi::Value Seals(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "fcntl"});
  os::Result<int> seals = (*file)->Seals();
  return seals.ok() ? Napi::Number::New(info.Env(), seals.value()) : info.Env().Undefined();
}

// fileAddSeals(file, mask, path)
Napi::Value AddSeals(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  const int seals = args.Int(1);
  const std::string path = args.Text(2);
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "fcntl"}, path);
  os::Result<void> added = (*file)->AddSeals(seals);
  return added.ok() ? info.Env().Undefined() : Fail(info.Env(), added.error(), path);
}

// fileClose(file): a window that still maps the object keeps it open
Napi::Value Close(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  if (args.ok()) *file = os::Ref<os::MemoryFile>();
  return info.Env().Undefined();
}

}  // namespace

Napi::Value NamesToJs(Napi::Env env, const os::Result<std::vector<std::string>>& names,
                      const std::string& folder) {
  if (!names.ok()) return Fail(env, names.error(), folder);
  Napi::Array list = Napi::Array::New(env, names.value().size());
  uint32_t index = 0;
  for (const std::string& name : names.value()) list.Set(index++, name);
  return list;
}

void InitMemoryFile(Napi::Env env, Napi::Object exports) {
  exports.Set("fileFromFd", Napi::Function::New<FromFd>(env));
  exports.Set("fileDescriptor", Napi::Function::New<Descriptor>(env));
  exports.Set("fileReadOnly", Napi::Function::New<ReadOnly>(env));
  exports.Set("fileStat", Napi::Function::New<Stat>(env));
  exports.Set("fileResize", Napi::Function::New<Resize>(env));
  exports.Set("fileLinkedAt", Napi::Function::New<LinkedAt>(env));
  exports.Set("fileSeals", Napi::Function::New<Seals>(env));
  exports.Set("fileAddSeals", Napi::Function::New<AddSeals>(env));
  exports.Set("fileClose", Napi::Function::New<Close>(env));
}

Napi::Object StatusToJs(Napi::Env env, const os::FileStatus& status) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* key, double value) {
    object.Set(key, Napi::Number::New(env, value));
  };
  set("size", static_cast<double>(status.size));
  set("allocated", static_cast<double>(status.allocated));
  set("mode", status.mode);
  set("uid", status.uid);
  set("gid", status.gid);
  set("ino", static_cast<double>(status.inode));
  set("nlink", status.links);
  set("mtimeMs", status.modified_ms);
  set("ctimeMs", status.changed_ms);
  return object;
}

Napi::Value OpenedToJs(Napi::Env env, os::Result<os::Ref<os::MemoryFile>> file,
                       const std::string& path) {
  if (!file.ok()) return Fail(env, file.error(), path);
  return MemoryFileHandle::New(env, std::move(file.value()));
}

}  // namespace interproc::node
