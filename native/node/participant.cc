#include "node/participant.h"

#include <cstddef>
#include <utility>

#include "node/env_data.h"
#include "node/memory_file.h"
#include "node/numbers.h"

namespace interproc::node {
namespace {

struct RoleKind {
  using Object = os::Role;
  static constexpr napi_type_tag kTag = {0x5c0e1b7d42a94f18, 0x9e60d3a2b7c5f104};
  static constexpr const char* kName = "a role";
};
using RoleHandle = Handle<RoleKind>;

// A handle that was not let go of; throws EBADF where it was. Read the other arguments first: a
// second exception would end the process.
os::Participant* Held(Args& args) {
  os::Ref<os::Participant>* participant = ParticipantHandle::Of(args, 0);
  if (participant == nullptr) return nullptr;
  if (!*participant) {
    Fail(args.env(), {EBADF, "fcntl"});
    return nullptr;
  }
  return participant->get();
}

Napi::Value ParticipantToJs(Napi::Env env, os::Result<os::Ref<os::Participant>> participant,
                            const std::string& path) {
  if (!participant.ok()) return Fail(env, participant.error(), path);
  return ParticipantHandle::New(env, std::move(participant.value()));
}

os::SegmentOptions Options(Args& args, size_t index) {
  os::SegmentOptions options;
  options.capacity =
      static_cast<uint32_t>(args.Integer(index, INTERPROC_CAPACITY_MIN, INTERPROC_CAPACITY_MAX));
  options.persist = args.Flag(index + 1);
  options.access = args.Access(index + 2);
  if (args.ok() && (options.capacity & (options.capacity - 1)) != 0) args.Reject("a power of two");
  return options;
}

// segmentCreate(path, label, capacity, persist, mode, uid, gid): errors name it by its label, which
// is the path but for objects of /dev/shm
Napi::Value Create(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const std::string label = args.Text(1);
  const char* syscall = label == path ? "open" : "shm_open";
  const os::SegmentOptions options = Options(args, 2);
  if (!args.ok()) return info.Env().Undefined();
  const auto& registry = info.Env().GetInstanceData<EnvData>()->participants;
  return ParticipantToJs(info.Env(), os::Participant::Create(registry, path, options, syscall),
                         label);
}

// segmentCreateAnonymous(capacity, persist, mode, uid, gid)
Napi::Value CreateAnonymous(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::SegmentOptions options = Options(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  const auto& registry = info.Env().GetInstanceData<EnvData>()->participants;
  return ParticipantToJs(info.Env(), os::Participant::CreateAnonymous(registry, options), {});
}

// segmentJoin(file, path, again): '' for one that came as a descriptor; `again`: who calls tries
// again soon where the gate can't be had
Napi::Value Join(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 0);
  const std::string path = args.Text(1);
  const auto gate_tries = args.Flag(2) ? os::GateTries::kFew : os::GateTries::kSome;
  if (!args.ok()) return info.Env().Undefined();
  if (!*file) return Fail(info.Env(), {EBADF, "open"}, path);
  const auto& registry = info.Env().GetInstanceData<EnvData>()->participants;
  return ParticipantToJs(info.Env(), os::Participant::Join(registry, *file, path, gate_tries),
                         path);
}

// segmentUnlink(path, label, file): with undefined for the file, whatever the path leads to
Napi::Value Unlink(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string path = args.Text(0);
  const std::string label = args.Text(1);
  const char* syscall = label == path ? "unlink" : "shm_unlink";
  os::Ref<os::MemoryFile> only;
  if (!args.at(2).IsUndefined()) {
    os::Ref<os::MemoryFile>* file = MemoryFileHandle::Of(args, 2);
    if (!args.ok()) return info.Env().Undefined();
    if (!*file) return Fail(info.Env(), {EBADF, syscall}, label);
    only = *file;
  }
  if (!args.ok()) return info.Env().Undefined();
  const os::Result<void> gone = os::Participant::Unlink(path, only.get(), syscall);
  return gone.ok() ? info.Env().Undefined() : Fail(info.Env(), gone.error(), label);
}

// participantFile(participant): a handle of its own
Napi::Value File(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  return MemoryFileHandle::New(info.Env(), participant->file());
}

// participantId(participant)
Napi::Value Id(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), participant->owner().id);
}

// participantCapacity(participant): of the ring, as it was when the participant came
Napi::Value Capacity(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), participant->capacity());
}

// participantAlive(participant, owner)
Napi::Value Alive(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto owner = static_cast<uint32_t>(args.Integer(1, 0, UINT32_MAX));
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  const os::Result<bool> alive = participant->Alive(owner);
  if (!alive.ok()) return Fail(info.Env(), alive.error());
  return Napi::Boolean::New(info.Env(), alive.value());
}

// participantList(participant): those alive; what is not known of one is 0
Napi::Value List(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  const os::Result<std::vector<uint32_t>> owners = participant->Owners();
  if (!owners.ok()) return Fail(info.Env(), owners.error());
  Napi::Array list = Napi::Array::New(info.Env(), owners.value().size());
  uint32_t index = 0;
  for (const uint32_t owner : owners.value()) {
    const interproc_participant* entry = interproc_find_participant(participant->header(), owner);
    static constexpr interproc_participant kUnknown = {};
    if (entry == nullptr) entry = &kUnknown;
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("id", owner);
    object.Set("pid", interproc__peek(&entry->pid));
    object.Set("thread", interproc__peek(&entry->thread));
    const uint64_t pid_namespace = interproc__peek64(&entry->pid_namespace);
    object.Set("pidNamespace", static_cast<double>(pid_namespace));
    object.Set("isPidOurs",
               Napi::Boolean::New(info.Env(), interproc__pids_are_ours(pid_namespace) != 0));
    object.Set("startedMs", static_cast<double>(interproc__peek64(&entry->started_ms)));
    object.Set("sinceMs", static_cast<double>(interproc__peek64(&entry->since_ms)));
    object.Set("readOnly", Napi::Boolean::New(info.Env(), (owner & INTERPROC_READER_BIT) != 0));
    list.Set(index++, object);
  }
  return list;
}

// participantPublished(participant): [messages, bytes, tail] of the sender's last publication
Napi::Value Published(const Napi::CallbackInfo& info) {
  Args args(info);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  interproc_count count;
  const int result = interproc_published(participant->header(), participant->capacity(), &count);
  if (result != 0) return Fail(info.Env(), os::ProtocolError(result, "stats"));
  return NumbersToJs(info.Env(),
                     {static_cast<double>(count.messages), static_cast<double>(count.bytes),
                      static_cast<double>(count.tail)});
}

// participantLeave(participant): for this handle; the env takes part while others are left
Napi::Value Leave(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Participant>* participant = ParticipantHandle::Of(args, 0);
  if (args.ok()) *participant = os::Ref<os::Participant>();
  return info.Env().Undefined();
}

interproc_side Side(Args& args, size_t index) {
  return args.Integer(index, 0, 1) == 0 ? INTERPROC_SENDER : INTERPROC_RECEIVER;
}

// roleTake(participant, side): 0 the sender, 1 the receiver
Napi::Value Take(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Participant>* participant = ParticipantHandle::Of(args, 0);
  const interproc_side side = Side(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  if (!*participant) return Fail(info.Env(), {EBADF, "fcntl"});
  os::Result<os::Ref<os::Role>> role = os::Role::Take(*participant, side);
  if (!role.ok()) return Fail(info.Env(), role.error(), (*participant)->path());
  return RoleHandle::New(info.Env(), std::move(role.value()));
}

// roleStart(participant, side): where its predecessor stopped. REQUIRES that the role is ours.
//   sender: [tail, head, turn, messages, bytes]; receiver: [head, done, begun, received]
Napi::Value Start(const Napi::CallbackInfo& info) {
  Args args(info);
  const interproc_side side = Side(args, 1);
  const os::Participant* participant = Held(args);
  if (participant == nullptr) return info.Env().Undefined();
  const interproc_header* header = participant->header();
  if (side == INTERPROC_SENDER) {
    interproc_count count;
    const int result = interproc_sender_start(header, participant->capacity(), &count);
    if (result != 0) return Fail(info.Env(), os::ProtocolError(result, "attach"));
    const uint32_t head = interproc__load(&header->head.position);
    return NumbersToJs(info.Env(),
                       {static_cast<double>(count.tail), static_cast<double>(head),
                        static_cast<double>(count.unused), static_cast<double>(count.messages),
                        static_cast<double>(count.bytes)});
  }
  interproc_resume start;
  const int result =
      interproc_receiver_start(header, participant->ring(), participant->capacity(), &start);
  if (result != 0) return Fail(info.Env(), os::ProtocolError(result, "attach"));
  return NumbersToJs(info.Env(),
                     {static_cast<double>(start.head), static_cast<double>(start.done),
                      static_cast<double>(start.begun), static_cast<double>(start.received)});
}

// roleLeave(role, closed): false tells the peer that its owner has ended without closing
Napi::Value LeaveRole(const Napi::CallbackInfo& info) {
  Args args(info);
  os::Ref<os::Role>* role = RoleHandle::Of(args, 0);
  const bool closed = args.Flag(1);
  if (!args.ok()) return info.Env().Undefined();
  if (*role && closed) (*role)->Close();
  *role = os::Ref<os::Role>();
  return info.Env().Undefined();
}

// The layout of a segment, from interproc.h: byte offsets, and what is written there.
Napi::Object Layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  const auto set = [&](const char* name, size_t value) {
    layout.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
#define INTERPROC_OFFSET(name, member) set(name, offsetof(interproc_header, member))
  INTERPROC_OFFSET("state", id.state);
  INTERPROC_OFFSET("magic", id.magic);
  INTERPROC_OFFSET("version", id.version);
  INTERPROC_OFFSET("kind", id.kind);
  INTERPROC_OFFSET("capacity", id.capacity);
  INTERPROC_OFFSET("flags", id.flags);
  INTERPROC_OFFSET("created", id.created_ms);
  INTERPROC_OFFSET("tail", sender.tail);
  INTERPROC_OFFSET("counts", sender.counts);
  INTERPROC_OFFSET("timesFull", sender.times_full);
  INTERPROC_OFFSET("senderSlept", sender.times_slept);
  INTERPROC_OFFSET("done", receiver.done);
  INTERPROC_OFFSET("begun", receiver.begun);
  INTERPROC_OFFSET("received", receiver.received);
  INTERPROC_OFFSET("receiverSlept", receiver.times_slept);
  INTERPROC_OFFSET("head", head.position);
  INTERPROC_OFFSET("senderRole", role[INTERPROC_SENDER].owner);
  INTERPROC_OFFSET("receiverRole", role[INTERPROC_RECEIVER].owner);
  INTERPROC_OFFSET("senderSleep", sleep[INTERPROC_SENDER].word);
  INTERPROC_OFFSET("receiverSleep", sleep[INTERPROC_RECEIVER].word);
  INTERPROC_OFFSET("senderBell", sleep[INTERPROC_SENDER].bell);
  INTERPROC_OFFSET("receiverBell", sleep[INTERPROC_RECEIVER].bell);
#undef INTERPROC_OFFSET
  set("countSize", sizeof(interproc_count));
  set("countMessages", offsetof(interproc_count, messages));
  set("countBytes", offsetof(interproc_count, bytes));
  set("ring", INTERPROC_HEADER_SIZE);
  set("magicValue", INTERPROC_MAGIC);
  set("versionValue", INTERPROC_VERSION);
  set("kindValue", INTERPROC_KIND_CHANNEL);
  set("capacityMin", INTERPROC_CAPACITY_MIN);
  set("capacityMax", INTERPROC_CAPACITY_MAX);
  set("participantsMax", INTERPROC_PARTICIPANTS);
  set("recordHeader", INTERPROC_RECORD_HEADER);
  set("recordPad", INTERPROC_RECORD_PAD);
  set("batchMessages", INTERPROC_BATCH_MESSAGES);
  set("batchBytes", INTERPROC_BATCH_BYTES);
  set("ready", INTERPROC_READY);
  set("persist", INTERPROC_PERSIST);
  set("roleClosed", INTERPROC_ROLE_CLOSED);
  set("ownerMask", INTERPROC_OWNER_MASK);
  set("awake", INTERPROC_AWAKE);
  set("starved", INTERPROC_STARVED);
  set("asleep", INTERPROC_ASLEEP);
  return layout;
}

// failpoint(name): the process ends here if the environment says so
Napi::Value PassFailpoint(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::string name = args.Text(0);
  if (args.ok()) os::Failpoint(name.c_str());
  return info.Env().Undefined();
}

}  // namespace

void InitParticipant(Napi::Env env, Napi::Object exports) {
  exports.Set("segmentCreate", Napi::Function::New<Create>(env));
  exports.Set("segmentCreateAnonymous", Napi::Function::New<CreateAnonymous>(env));
  exports.Set("segmentJoin", Napi::Function::New<Join>(env));
  exports.Set("segmentUnlink", Napi::Function::New<Unlink>(env));
  exports.Set("participantFile", Napi::Function::New<File>(env));
  exports.Set("participantId", Napi::Function::New<Id>(env));
  exports.Set("participantCapacity", Napi::Function::New<Capacity>(env));
  exports.Set("participantAlive", Napi::Function::New<Alive>(env));
  exports.Set("participantList", Napi::Function::New<List>(env));
  exports.Set("participantPublished", Napi::Function::New<Published>(env));
  exports.Set("participantLeave", Napi::Function::New<Leave>(env));
  exports.Set("roleTake", Napi::Function::New<Take>(env));
  exports.Set("roleStart", Napi::Function::New<Start>(env));
  exports.Set("roleLeave", Napi::Function::New<LeaveRole>(env));
  exports.Set("failpoint", Napi::Function::New<PassFailpoint>(env));
  exports.Set("segmentLayout", Layout(env));
}

}  // namespace interproc::node
