// RefCounted and Ref<T>: shared ownership that any thread may drop. A finalizer of a JS backing
// store can run late, on another thread and after its env, so the last owner is whoever comes last.
// (std::shared_ptr would bind __libc_single_threaded, which glibc has only since 2.32.)
#ifndef INTERPROC_OS_REF_COUNTED_H_
#define INTERPROC_OS_REF_COUNTED_H_

#include <atomic>
#include <cstdint>
#include <utility>

namespace interproc::os {

template <typename T>
class RefCounted {
 public:
  void AddRef() const { count_.fetch_add(1, std::memory_order_relaxed); }

#ifdef __clang_analyzer__
  void Release() const;  // The analyzer can't count: it may go here, or not.
#else
  // The release here pairs with the acquire of the thread that brings the count to zero: it sees
  // all that the other owners wrote before they let go.
  void Release() const {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete static_cast<const T*>(this);
  }
#endif

 protected:
  RefCounted() = default;
  ~RefCounted() = default;

 private:
  mutable std::atomic<uint32_t> count_{1};
};

template <typename T>
class Ref {
 public:
  Ref() = default;
  // Takes over the reference that a new object is born with.
  static Ref Adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->AddRef();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->Release();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Hands the reference to C code; REQUIRES that Release() is called on it later.
  T* Leak() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

}  // namespace interproc::os

#endif  // INTERPROC_OS_REF_COUNTED_H_
