// OpenHandles: what the handles of one env (main thread or worker) hold, which ends with it at the
// latest. Node finalizes its handles before; Deno and Bun finalize none of a worker that ends: its
// locks would be held, and its channels and descriptors open, for as long as the process lives.
//
// Thread safety: all of one env, on its thread.
#ifndef INTERPROC_NODE_OPEN_HANDLES_H_
#define INTERPROC_NODE_OPEN_HANDLES_H_

namespace interproc::node {

class OpenHandles {
 public:
  // What one handle holds. It may outlive the list, and holds nothing then.
  class Entry {
   public:
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    explicit Entry(OpenHandles& all) : previous_(&all.head_), next_(all.head_.next_) {
      previous_->next_ = this;
      next_->previous_ = this;
    }
    virtual ~Entry() { Unlink(); }

   private:
    friend class OpenHandles;
    Entry() = default;
    virtual void Drop() {}
    void Unlink() {
      previous_->next_ = next_;
      next_->previous_ = previous_;
      previous_ = next_ = this;
    }

    Entry* previous_ = this;
    Entry* next_ = this;
  };

  OpenHandles() = default;
  // The newest first.
  ~OpenHandles() {
    while (head_.next_ != &head_) {
      Entry* entry = head_.next_;
      entry->Unlink();
      entry->Drop();
    }
  }

 private:
  Entry head_;  // of a ring
};

}  // namespace interproc::node

#endif  // INTERPROC_NODE_OPEN_HANDLES_H_
