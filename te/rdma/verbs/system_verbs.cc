#include "te/rdma/verbs/system_verbs.h"

#include <dlfcn.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/rdma/verbs/device_file.h"

// The header makes macros of these names, for callers that link the library.
#undef ibv_get_device_list
#undef ibv_query_port
#undef ibv_reg_mr

namespace te::rdma {
namespace {

// The functions of the library, under its own names: TE_VERB(name) declares a
// pointer to a function of that type, and Load finds them all.
#define TE_REQUIRED_VERBS(verb)   \
  verb(ibv_get_device_list);      \
  verb(ibv_free_device_list);     \
  verb(ibv_get_device_name);      \
  verb(ibv_open_device);          \
  verb(ibv_close_device);         \
  verb(ibv_query_device);         \
  verb(ibv_alloc_pd);             \
  verb(ibv_dealloc_pd);           \
  verb(ibv_reg_mr);               \
  verb(ibv_dereg_mr);             \
  verb(ibv_create_comp_channel);  \
  verb(ibv_destroy_comp_channel); \
  verb(ibv_create_cq);            \
  verb(ibv_destroy_cq);           \
  verb(ibv_get_cq_event);         \
  verb(ibv_ack_cq_events);        \
  verb(ibv_create_qp);            \
  verb(ibv_modify_qp);            \
  verb(ibv_query_qp);             \
  verb(ibv_destroy_qp);           \
  verb(ibv_get_async_event);      \
  verb(ibv_ack_async_event);      \
  verb(ibv_fork_init)

// Of later releases of rdma-core than the oldest that te runs with.
#define TE_OPTIONAL_VERBS(verb)  \
  verb(ibv_is_fork_initialized); \
  verb(_ibv_query_gid_table);    \
  verb(ibv_reg_dmabuf_mr);       \
  verb(ibv_reg_mr_iova2)

struct Functions {
#define TE_DECLARE(name) decltype(&::name) name = nullptr
  TE_REQUIRED_VERBS(TE_DECLARE);
  TE_OPTIONAL_VERBS(TE_DECLARE);
#undef TE_DECLARE
  // Fills less than the header's inline function, which is why its last
  // parameter has a type of its own; the rest is zeroed.
  int (*ibv_query_port)(ibv_context*, uint8_t,
                        _compat_ibv_port_attr*) = nullptr;
};

template <typename Function>
void Find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
}

absl::StatusOr<Functions> FindAll(void* library) {
  Functions found;
  const char* missing = nullptr;
#define TE_FIND(name) Find(library, #name, found.name)
#define TE_REQUIRE(name) \
  TE_FIND(name);         \
  if (found.name == nullptr) missing = #name
  TE_REQUIRED_VERBS(TE_REQUIRE);
  TE_REQUIRE(ibv_query_port);
  TE_OPTIONAL_VERBS(TE_FIND);
#undef TE_REQUIRE
#undef TE_FIND
  if (missing == nullptr) return found;
  return absl::FailedPreconditionError(
      absl::StrCat("the system's libibverbs has no function ", missing,
                   ": is it older than rdma-core 17, or something else of that "
                   "name? Install the package libibverbs1"));
}

class SystemVerbs final : public Verbs {
 public:
  explicit SystemVerbs(const Functions& functions) : f_(functions) {}

  const char* name() const override { return "libibverbs.so.1"; }

  ibv_device** GetDeviceList(int* count) override {
    return f_.ibv_get_device_list(count);
  }
  void FreeDeviceList(ibv_device** list) override {
    f_.ibv_free_device_list(list);
  }
  const char* GetDeviceName(ibv_device* device) override {
    return f_.ibv_get_device_name(device);
  }
  ibv_context* OpenDevice(ibv_device* device) override {
    const int error =
        OpenError(absl::StrCat("/dev/infiniband/", device->dev_name));
    ibv_context* context = nullptr;
    // Which would take seconds to fail, and not say why.
    if (error != EACCES && error != EPERM) {
      context = f_.ibv_open_device(device);
    }
    if (context == nullptr && error != 0) errno = error;
    return context;
  }
  int CloseDevice(ibv_context* context) override {
    return f_.ibv_close_device(context);
  }
  int QueryDevice(ibv_context* context, ibv_device_attr* attr) override {
    return f_.ibv_query_device(context, attr);
  }
  int QueryPort(ibv_context* context, uint8_t port,
                ibv_port_attr* attr) override {
    memset(attr, 0, sizeof(*attr));
    return f_.ibv_query_port(context, port,
                             reinterpret_cast<_compat_ibv_port_attr*>(attr));
  }
  ssize_t QueryGidTable(ibv_context* context, ibv_gid_entry* entries,
                        size_t max_entries) override {
    if (f_._ibv_query_gid_table == nullptr) return -EOPNOTSUPP;
    return f_._ibv_query_gid_table(context, entries, max_entries, 0,
                                   sizeof(*entries));
  }
  ibv_pd* AllocPd(ibv_context* context) override {
    return f_.ibv_alloc_pd(context);
  }
  int DeallocPd(ibv_pd* pd) override { return f_.ibv_dealloc_pd(pd); }

  ibv_mr* RegMr(ibv_pd* pd, void* address, size_t length,
                unsigned int access) override {
    // As the header's inline function does.
    if (f_.ibv_reg_mr_iova2 != nullptr &&
        (access & IBV_ACCESS_OPTIONAL_RANGE) != 0) {
      return f_.ibv_reg_mr_iova2(pd, address, length,
                                 reinterpret_cast<uint64_t>(address), access);
    }
    return f_.ibv_reg_mr(
        pd, address, length,
        static_cast<int>(access & ~unsigned{IBV_ACCESS_OPTIONAL_RANGE}));
  }
  ibv_mr* RegDmabufMr(ibv_pd* pd, uint64_t offset, size_t length, uint64_t iova,
                      int fd, int access) override {
    if (f_.ibv_reg_dmabuf_mr == nullptr) {
      errno = EOPNOTSUPP;
      return nullptr;
    }
    return f_.ibv_reg_dmabuf_mr(pd, offset, length, iova, fd, access);
  }
  int DeregMr(ibv_mr* mr) override { return f_.ibv_dereg_mr(mr); }

  ibv_comp_channel* CreateCompChannel(ibv_context* context) override {
    return f_.ibv_create_comp_channel(context);
  }
  int DestroyCompChannel(ibv_comp_channel* channel) override {
    return f_.ibv_destroy_comp_channel(channel);
  }
  ibv_cq* CreateCq(ibv_context* context, int cqe, void* cq_context,
                   ibv_comp_channel* channel, int comp_vector) override {
    return f_.ibv_create_cq(context, cqe, cq_context, channel, comp_vector);
  }
  int DestroyCq(ibv_cq* cq) override { return f_.ibv_destroy_cq(cq); }
  int GetCqEvent(ibv_comp_channel* channel, ibv_cq** cq,
                 void** cq_context) override {
    return f_.ibv_get_cq_event(channel, cq, cq_context);
  }
  void AckCqEvents(ibv_cq* cq, unsigned int count) override {
    f_.ibv_ack_cq_events(cq, count);
  }

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override {
    return f_.ibv_create_qp(pd, attr);
  }
  int ModifyQp(ibv_qp* qp, ibv_qp_attr* attr, int mask) override {
    return f_.ibv_modify_qp(qp, attr, mask);
  }
  int QueryQp(ibv_qp* qp, ibv_qp_attr* attr, int mask,
              ibv_qp_init_attr* init_attr) override {
    return f_.ibv_query_qp(qp, attr, mask, init_attr);
  }
  int DestroyQp(ibv_qp* qp) override { return f_.ibv_destroy_qp(qp); }

  int GetAsyncEvent(ibv_context* context, ibv_async_event* event) override {
    return f_.ibv_get_async_event(context, event);
  }
  void AckAsyncEvent(ibv_async_event* event) override {
    f_.ibv_ack_async_event(event);
  }

 private:
  const Functions f_;
};

// Of libibverbs, which registers no memory before it.
absl::Status PrepareForFork(const Functions& f) {
  if (f.ibv_is_fork_initialized != nullptr &&
      f.ibv_is_fork_initialized() == IBV_FORK_UNNEEDED) {
    return absl::OkStatus();
  }
  const int error = f.ibv_fork_init();
  // EINVAL: somebody in this process has registered memory before, and decided.
  if (error == 0 || error == EINVAL) return absl::OkStatus();
  return ErrnoToStatus(error, "ibv_fork_init");
}

}  // namespace

absl::StatusOr<std::shared_ptr<Verbs>> LoadSystemVerbs(
    const std::string& library) {
  // Never closed: providers leave threads and handlers behind.
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const why = dlerror();
    return absl::NotFoundError(absl::StrCat(
        "libibverbs cannot be loaded (", why == nullptr ? library : why,
        "); RDMA needs the packages libibverbs1 and ibverbs-providers"));
  }
  TE_ASSIGN_OR_RETURN(const Functions functions, FindAll(handle));
  TE_RETURN_IF_ERROR(PrepareForFork(functions));
  return std::make_shared<SystemVerbs>(functions);
}

}  // namespace te::rdma
