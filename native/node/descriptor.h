// Binds what all descriptors have in common (reading, writing, waiting) for lib/internal/native.ts.
#ifndef INTERPROC_NODE_DESCRIPTOR_H_
#define INTERPROC_NODE_DESCRIPTOR_H_

#include <napi.h>

#include <string>

#include "node/handle.h"
#include "os/descriptor.h"

namespace interproc::node {

struct DescriptorKind {
  using Object = os::Descriptor;
  static constexpr napi_type_tag kTag = {0x5a4f2b1c9d3e4f60, 0x8b7a69584736251d};
  static constexpr const char* kName = "an open descriptor";
};
using DescriptorHandle = Handle<DescriptorKind>;

// The object of the handle at `index`; null, and an exception pending, where it is none or was
// closed (EBADF of `syscall`).
os::Descriptor* OpenDescriptor(Args& args, size_t index, const char* syscall);

Napi::Value DescriptorToJs(Napi::Env env, os::UniqueFd fd, os::DescriptorKind kind,
                           std::string name = {});

// -1 where it would block.
Napi::Value MovedToJs(Napi::Env env, const os::Result<os::Moved>& moved);

void InitDescriptor(Napi::Env env, Napi::Object exports);

}  // namespace interproc::node

#endif  // INTERPROC_NODE_DESCRIPTOR_H_
