#include "node/mapping.h"

#include <sys/mman.h>

#include <utility>

#include "node/background.h"
#include "node/backing_store.h"
#include "node/memory_file.h"
#include "os/mapping.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace interproc::node {
namespace {

Napi::Value MappedToJs(Napi::Env env, os::Result<os::Ref<os::Mapping>> mapping,
                       const std::string& path) {
  if (!mapping.ok()) return Fail(env, mapping.error(), path);
  return MappingHandle::New(env, std::move(mapping.value()));
}

// A handle and, behind it, a range inside its mapping and a path for errors: what most calls below
// take: (mapping, offset, length, path).
struct RangeArgs {
  RangeArgs(Args& args, const char* syscall) {
    handle = MappingHandle::Of(args, 0);
    offset = args.Size(1);
    length = args.Size(2);
    path = args.Text(3);
    if (!args.ok()) return;
    ok = *handle && offset <= (*handle)->length() && length <= (*handle)->length() - offset;
    if (!ok) Fail(args.env(), {EINVAL, syscall}, path);
  }

  bool ok = false;
  os::Ref<os::Mapping>* handle = nullptr;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::string path;
};

Napi::Value Done(Napi::Env env, const os::Result<void>& result, const std::string& path) {
  return result.ok() ? env.Undefined() : Fail(env, result.error(), path);
}

// mapFile(file, offset, length, path)
Napi::Value MapFile(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  const uint64_t offset = args.Size(1);
  const uint64_t length = args.Size(2);
  const std::string path = args.Text(3);
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "mmap"}, path);
  if (length == 0) return Fail(info.Env(), {EINVAL, "mmap"}, path);
  return MappedToJs(info.Env(), os::Mapping::OfFile(*file, offset, length), path);
}

// mapSysv(id, readOnly)
Napi::Value MapSysv(const Napi::CallbackInfo& info) {
  Args args(info);
  const int id = args.Int(0);
  const bool read_only = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  return MappedToJs(info.Env(), os::Mapping::OfSysv(id, read_only), "id " + std::to_string(id));
}

// mappingAgain(mapping, path): a second mapping of the same range
Napi::Value Again(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  const std::string path = args.Text(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!*mapping) return Fail(info.Env(), {EBADF, "mmap"}, path);
  return MappedToJs(info.Env(), (*mapping)->Again(), path);
}

// mappingPart(mapping, offset, length, path): a second mapping of that part of it
Napi::Value Part(const Napi::CallbackInfo& info) {
  Args args(info);
  const RangeArgs range(args, "mmap");
  if (!range.ok) return info.Env().Undefined();
  if (range.length == 0 || (*range.handle)->closed()) {
    return Fail(info.Env(), {EINVAL, "mmap"}, range.path);
  }
  return MappedToJs(info.Env(), (*range.handle)->Part(range.offset, range.length), range.path);
}

// mappingLength(mapping): bytes
Napi::Value Length(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), *mapping ? static_cast<double>((*mapping)->length()) : 0);
}

// mappingBuffer(mapping, shared): REQUIRES that it is called once a mapping
Napi::Value Buffer(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  const bool shared = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!*mapping) return Fail(info.Env(), {EBADF, "mmap"});
  return NewBuffer(info.Env(), *mapping, shared);
}

// mappingFault(mapping): 0 none, 1 truncated, 2 a page could not be had
Napi::Value FaultOf(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  const os::Fault fault = *mapping ? (*mapping)->fault() : os::Fault::kNone;
  return Napi::Number::New(info.Env(), static_cast<uint32_t>(fault));
}

// mappingClose(mapping)
Napi::Value Close(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  if (args.ok() && *mapping) {
    (*mapping)->Close();
    *mapping = os::Ref<os::Mapping>();
  }
  return info.Env().Undefined();
}

// mappingSync(mapping, offset, length, path): a promise
Napi::Value Sync(const Napi::CallbackInfo& info) {
  Args args(info);
  RangeArgs range(args, "msync");
  if (!range.ok) return info.Env().Undefined();
  return RunInBackground(
      info.Env(),
      [mapping = *range.handle, offset = range.offset, length = range.length] {
        return mapping->Sync(offset, length);
      },
      range.path);
}

// mappingSyncSync(mapping, offset, length, path)
Napi::Value SyncSync(const Napi::CallbackInfo& info) {
  Args args(info);
  RangeArgs range(args, "msync");
  if (!range.ok) return info.Env().Undefined();
  return Done(info.Env(), (*range.handle)->Sync(range.offset, range.length), range.path);
}

// mappingLock(mapping, offset, length, path, onFault)
Napi::Value Lock(const Napi::CallbackInfo& info) {
  Args args(info);
  const bool on_fault = args.Flag(4);
  RangeArgs range(args, "mlock");
  if (!range.ok) return info.Env().Undefined();
  return Done(info.Env(), (*range.handle)->Lock(range.offset, range.length, on_fault), range.path);
}

// mappingUnlock(mapping, offset, length, path)
Napi::Value Unlock(const Napi::CallbackInfo& info) {
  Args args(info);
  RangeArgs range(args, "munlock");
  if (!range.ok) return info.Env().Undefined();
  return Done(info.Env(), (*range.handle)->Unlock(range.offset, range.length), range.path);
}

// mappingAdvise(mapping, offset, length, path, advice)
Napi::Value Advise(const Napi::CallbackInfo& info) {
  Args args(info);
  const int advice = args.Int(4);
  RangeArgs range(args, "madvise");
  if (!range.ok) return info.Env().Undefined();
  return Done(info.Env(), (*range.handle)->Advise(range.offset, range.length, advice), range.path);
}

// mappingRefresh(mapping, path)
Napi::Value Refresh(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Mapping>* mapping = MappingHandle::Of(args, 0);
  const std::string path = args.Text(1);
  if (!args.ok()) return info.Env().Undefined();
  if (!*mapping) return Fail(info.Env(), {EBADF, "madvise"}, path);
  return Done(info.Env(), (*mapping)->Refresh(), path);
}

// keepFaultGuard(): see KeepHandlersInstalled
Napi::Value KeepFaultGuard(const Napi::CallbackInfo& info) {
  os::KeepHandlersInstalled();
  return info.Env().Undefined();
}

// What lib/ calls them, and their numbers (man 2 madvise).
Napi::Object Advices(Napi::Env env) {
  Napi::Object advices = Napi::Object::New(env);
  advices.Set("normal", MADV_NORMAL);
  advices.Set("random", MADV_RANDOM);
  advices.Set("sequential", MADV_SEQUENTIAL);
  advices.Set("willneed", MADV_WILLNEED);
  advices.Set("dontneed", MADV_DONTNEED);
  advices.Set("remove", MADV_REMOVE);
  advices.Set("dontfork", MADV_DONTFORK);
  advices.Set("dofork", MADV_DOFORK);
  advices.Set("dontdump", MADV_DONTDUMP);
  advices.Set("dodump", MADV_DODUMP);
  advices.Set("hugepage", MADV_HUGEPAGE);
  advices.Set("nohugepage", MADV_NOHUGEPAGE);
  advices.Set("collapse", MADV_COLLAPSE);
  advices.Set("cold", MADV_COLD);
  advices.Set("pageout", MADV_PAGEOUT);
  advices.Set("populate_read", MADV_POPULATE_READ);
  advices.Set("populate_write", MADV_POPULATE_WRITE);
  return advices;
}

}  // namespace

void InitMapping(Napi::Env env, Napi::Object exports) {
  exports.Set("mapFile", Napi::Function::New<MapFile>(env));
  exports.Set("mapSysv", Napi::Function::New<MapSysv>(env));
  exports.Set("mappingAgain", Napi::Function::New<Again>(env));
  exports.Set("mappingPart", Napi::Function::New<Part>(env));
  exports.Set("mappingLength", Napi::Function::New<Length>(env));
  exports.Set("mappingBuffer", Napi::Function::New<Buffer>(env));
  exports.Set("mappingFault", Napi::Function::New<FaultOf>(env));
  exports.Set("mappingClose", Napi::Function::New<Close>(env));
  exports.Set("mappingSync", Napi::Function::New<Sync>(env));
  exports.Set("mappingSyncSync", Napi::Function::New<SyncSync>(env));
  exports.Set("mappingLock", Napi::Function::New<Lock>(env));
  exports.Set("mappingUnlock", Napi::Function::New<Unlock>(env));
  exports.Set("mappingAdvise", Napi::Function::New<Advise>(env));
  exports.Set("mappingRefresh", Napi::Function::New<Refresh>(env));
  exports.Set("keepFaultGuard", Napi::Function::New<KeepFaultGuard>(env));
  exports.Set("advices", Advices(env));
  exports.Set("hasExternalSharedArrayBuffer",
              Napi::Boolean::New(env, HasExternalSharedArrayBuffer()));
}

}  // namespace interproc::node
