// What JS does with an open object that can be mapped, of whatever kind: its status, size, seals.
// The kinds themselves are made in posix_shm.cc, memfd.cc and mapped_file.cc.
#ifndef INTERPROC_NODE_MEMORY_FILE_H_
#define INTERPROC_NODE_MEMORY_FILE_H_

#include <napi.h>

#include <string>
#include <vector>

#include "node/handle.h"
#include "os/memory_file.h"

namespace interproc::node {

struct MemoryFileKind {
  using Object = os::MemoryFile;
  static constexpr napi_type_tag kTag = {0x6f1f0c6a8a5d4c11, 0x9d0e9f54b7a3e201};
  static constexpr const char* kName = "an open memory file";
};
using MemoryFileHandle = Handle<MemoryFileKind>;

void InitMemoryFile(Napi::Env env, Napi::Object exports);

Napi::Object StatusToJs(Napi::Env env, const os::FileStatus& status);
inline os::Pages PagesFrom(bool reserve) {
  return reserve ? os::Pages::kReserved : os::Pages::kSparse;
}
// What a factory returns: the handle, or the error thrown.
Napi::Value OpenedToJs(Napi::Env env, os::Result<os::Ref<os::MemoryFile>> file,
                       const std::string& path);
// A list of names of objects; `folder` is where they lie.
Napi::Value NamesToJs(Napi::Env env, const os::Result<std::vector<std::string>>& names,
                      const std::string& folder);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_MEMORY_FILE_H_
