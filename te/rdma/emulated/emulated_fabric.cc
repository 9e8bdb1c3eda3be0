#include "te/rdma/emulated/emulated_fabric.h"

#include <utility>

#include "te/rdma/emulated/device_state.h"

namespace te::rdma::emulated {
namespace {

DeviceState& AddTo(Wire& wire, const std::string& host,
                   EmulatedDeviceSpec spec) {
  MutexLock lock(wire.mutex());
  return wire.AddDevice(host, std::move(spec));
}

}  // namespace

EmulatedFabric::EmulatedFabric(const FabricOptions& options)
    : wire_(std::make_shared<Wire>(options)) {}

EmulatedVerbs& EmulatedFabric::Host(const std::string& name) {
  std::shared_ptr<EmulatedVerbs>& verbs = hosts_[name];
  if (verbs == nullptr) verbs = std::make_shared<EmulatedVerbs>(name, wire_);
  return *verbs;
}

EmulatedDevice& EmulatedFabric::AddDevice(const std::string& host,
                                          EmulatedDeviceSpec spec) {
  MutexLock lock(mutex_);
  DeviceState& state = AddTo(*wire_, host, std::move(spec));
  Host(host).AddDevice(state);
  devices_.push_back(std::make_unique<EmulatedDevice>(*wire_, state));
  return *devices_.back();
}

std::shared_ptr<Verbs> EmulatedFabric::VerbsOf(const std::string& host) {
  MutexLock lock(mutex_);
  Host(host);
  return hosts_[host];
}

void EmulatedFabric::SetFaultScript(FaultScript script) {
  MutexLock lock(wire_->mutex());
  wire_->set_script(std::move(script));
}

void EmulatedFabric::FailControlVerb(const std::string& host, int n,
                                     int error) {
  MutexLock lock(mutex_);
  Host(host).FailControlVerb(n, error);
}

uint64_t EmulatedFabric::control_verbs(const std::string& host) {
  MutexLock lock(mutex_);
  return Host(host).control_verbs();
}

}  // namespace te::rdma::emulated
