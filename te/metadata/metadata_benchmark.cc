// What the metadata stores cost, beside what their servers can do at best.
//
//   bazel run -c opt //te/metadata:metadata_benchmark --
//       --benchmark_repetitions=5 --benchmark_enable_random_interleaving
//
// Get and Put are to be compared with Baseline of the same store, threads and
// bytes (redis-benchmark's GET and SET; a gRPC call that returns what it gets).

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/benchmark_backend.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_directory.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/store_segment_resolver.h"

namespace te {
namespace {

using benchmark::State;

// Of a small descriptor's head.
constexpr size_t kValueBytes = 200;
// That publish at once, and that watch one segment.
constexpr int kEngines = 1000;
constexpr Duration kLease = std::chrono::seconds(30);

MonotonicTime Soon() { return RealClock().Now() + std::chrono::minutes(1); }

void Check(const absl::Status& status) { CHECK(status.ok()) << status; }

SegmentDescriptor Descriptor(const std::string& name, size_t buffers) {
  SegmentDescriptor descriptor;
  descriptor.name = name;
  descriptor.incarnation = Incarnation::Random().value();
  descriptor.version = 1;
  descriptor.control_addresses = {"10.0.0.1:9000"};
  descriptor.transports = {{"tcp", ""}};
  for (size_t page = 0; buffers > 0; ++page) {
    const size_t count = std::min(buffers, BufferTable::kPageBuffers);
    descriptor.buffers.SetPage(
        page, std::make_shared<const BufferTable::Page>(
                  count, BufferDescriptor{.address = 0x7f0000000000,
                                          .length = 1 << 20,
                                          .remote_read = true,
                                          .generation = page + 1}));
    buffers -= count;
  }
  return descriptor;
}

// One buffer comes, in the last page, or one goes.
void ChangeOneBuffer(SegmentDescriptor& descriptor) {
  const size_t last = descriptor.buffers.page_count() - 1;
  auto page =
      std::make_shared<BufferTable::Page>(*descriptor.buffers.page(last));
  if (page->size() % 2 == 0) {
    page->pop_back();
  } else {
    page->push_back(page->back());
  }
  descriptor.buffers.SetPage(last, std::move(page));
  ++descriptor.version;
}

// Removes the segment at the end.
class Publication {
 public:
  Publication(std::shared_ptr<MetadataStore> store,
              const SegmentDescriptor& descriptor)
      : resolver_(std::move(store), kLease),
        name_(descriptor.name),
        incarnation_(descriptor.incarnation) {
    Check(resolver_.Publish(descriptor, Soon()));
  }
  ~Publication() { Check(resolver_.Withdraw(name_, incarnation_, Soon())); }

  StoreSegmentResolver& resolver() { return resolver_; }

 private:
  StoreSegmentResolver resolver_;
  const std::string name_;
  const Incarnation incarnation_;
};

void PutValue(BenchmarkBackend& backend, State& state) {
  const auto store = backend.Connect();
  const std::string key = absl::StrCat("put/", state.thread_index());
  const std::string value(kValueBytes, 'x');
  for (auto _ : state) {
    Check(store->Put(key, {{0, value}}, {.lease = kLease}, Soon()).status());
  }
  state.SetItemsProcessed(state.iterations());
}

void GetValue(BenchmarkBackend& backend, State& state) {
  const auto store = backend.Connect();
  const std::string key = absl::StrCat("get/", state.thread_index());
  const std::string value(kValueBytes, 'x');
  Check(store->Put(key, {{0, value}}, {.lease = kLease}, Soon()).status());
  for (auto _ : state) Check(store->Get(key, {}, Soon()).status());
  state.SetItemsProcessed(state.iterations());
}

void GetManyValues(BenchmarkBackend& backend, State& state) {
  constexpr int kKeys = 16;
  const auto store = backend.Connect();
  const std::string value(kValueBytes, 'x');
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) {
    keys.push_back(absl::StrCat("many/", i));
    Check(store->Put(keys.back(), {{0, value}}, {}, Soon()).status());
  }
  for (auto _ : state) {
    for (const auto& found : store->GetMany(keys, {}, Soon())) {
      Check(found.status());
    }
  }
  state.SetItemsProcessed(state.iterations() * kKeys);
}

void RedisBaseline(RedisBackend& backend, RedisBackend::Command command,
                   int pipeline, int connections, State& state) {
  double rate = 0;
  for (auto _ : state) {
    rate = backend.Baseline(command, connections, kValueBytes, pipeline);
    state.SetIterationTime(1 / rate);
  }
  state.counters["items_per_second"] = rate;
}

void GrpcBaseline(GrpcBackend& backend, State& state) {
  const std::string payload(kValueBytes, 'x');
  for (auto _ : state) backend.Echo(payload);
  state.SetItemsProcessed(state.iterations());
}

void Open(BenchmarkBackend& backend, State& state) {
  const Publication published(
      backend.Connect(),
      Descriptor("open", static_cast<size_t>(state.range(0))));
  StoreSegmentResolver resolver(backend.Connect());
  for (auto _ : state) {
    Check(resolver.Lookup("open", nullptr, Soon()).status());
  }
}

void OpenCached(BenchmarkBackend& backend, State& state) {
  const Publication published(
      backend.Connect(),
      Descriptor("cached", static_cast<size_t>(state.range(0))));
  StoreSegmentResolver resolver(backend.Connect());
  std::atomic<bool> watched = false;
  SegmentDirectory directory(
      resolver, {.on_change = [&](const std::string&) { watched = true; }});
  Check(directory.Lookup("cached", Soon()).status());
  while (!watched) std::this_thread::yield();
  Check(directory.Lookup("cached", Soon()).status());
  for (auto _ : state) {
    benchmark::DoNotOptimize(directory.Lookup("cached", kNoDeadline));
  }
}

void Publish(BenchmarkBackend& backend, State& state) {
  const auto store = backend.Connect();
  const SegmentDescriptor descriptor =
      Descriptor("new", static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    std::optional<Publication> publication;
    publication.emplace(store, descriptor);
    state.PauseTiming();
    publication.reset();
    state.ResumeTiming();
  }
}

void AddBuffer(BenchmarkBackend& backend, State& state) {
  SegmentDescriptor descriptor =
      Descriptor("grows", static_cast<size_t>(state.range(0)));
  Publication publication(backend.Connect(), descriptor);
  for (auto _ : state) {
    state.PauseTiming();
    ChangeOneBuffer(descriptor);
    state.ResumeTiming();
    Check(publication.resolver().Publish(descriptor, Soon()));
  }
}

// The other side of AddBuffer.
void SeeBuffer(BenchmarkBackend& backend, State& state) {
  SegmentDescriptor descriptor =
      Descriptor("seen", static_cast<size_t>(state.range(0)));
  Publication publication(backend.Connect(), descriptor);
  StoreSegmentResolver reader(backend.Connect());
  auto known = reader.Lookup("seen", nullptr, Soon());
  Check(known.status());
  for (auto _ : state) {
    state.PauseTiming();
    ChangeOneBuffer(descriptor);
    Check(publication.resolver().Publish(descriptor, Soon()));
    state.ResumeTiming();
    auto now = reader.Lookup("seen", &*known, Soon());
    Check(now.status());
    known = std::move(now);
  }
}

// Until the last of kEngines, which have their connections already, is found.
void PublishAtOnce(BenchmarkBackend& backend, State& state) {
  constexpr int kThreads = 32;
  std::vector<std::shared_ptr<MetadataStore>> stores;
  for (int i = 0; i < kEngines; ++i) stores.push_back(backend.Connect());
  for (auto _ : state) {
    std::vector<std::unique_ptr<Publication>> publications(kEngines);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (auto i = static_cast<size_t>(t); i < stores.size();
             i += kThreads) {
          publications[i] = std::make_unique<Publication>(
              stores[i], Descriptor(absl::StrCat("engine-", i), 10));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    state.PauseTiming();
    publications.clear();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kEngines);
}

// From a change until the last of kEngines watchers has heard of it.
void TellWatchers(BenchmarkBackend& backend, State& state) {
  std::atomic<int> begun = 0;
  std::atomic<int> told = 0;
  std::vector<std::shared_ptr<MetadataStore>> stores;
  std::vector<std::unique_ptr<StoreWatch>> watches;
  for (int i = 0; i < kEngines; ++i) {
    stores.push_back(backend.Connect());
    auto watch =
        stores.back()->Watch({.key = "watched"}, [&](const WatchEvent& event) {
          if (event.kind == WatchEvent::Kind::kBegun) ++begun;
          if (event.kind == WatchEvent::Kind::kChanged) ++told;
        });
    Check(watch.status());
    watches.push_back(*std::move(watch));
  }
  while (begun < kEngines) std::this_thread::yield();
  const auto store = backend.Connect();
  for (auto _ : state) {
    told = 0;
    Check(store->Put("watched", {{0, "x"}}, {}, Soon()).status());
    while (told < kEngines) std::this_thread::yield();
  }
  watches.clear();
}

void RegisterStore(BenchmarkBackend& backend) {
  const auto add = [&](absl::string_view name,
                       void (*run)(BenchmarkBackend&, State&)) {
    return benchmark::RegisterBenchmark(
               absl::StrCat(name, "/", backend.name()).c_str(),
               [&backend, run](State& state) { run(backend, state); })
        ->UseRealTime();
  };
  const std::vector<int64_t> buffers = {10, 1000, 100'000};
  add("Get", GetValue)->Threads(1)->Threads(8);
  add("Put", PutValue)->Threads(1)->Threads(8);
  add("GetMany16", GetManyValues);
  add("OpenCold", Open)->ArgsProduct({buffers});
  add("OpenCached", OpenCached)->ArgsProduct({buffers});
  add("Publish", Publish)->ArgsProduct({buffers});
  add("AddBuffer", AddBuffer)->ArgsProduct({buffers});
  add("SeeBuffer", SeeBuffer)->ArgsProduct({buffers});
  add("PublishAtOnce1000", PublishAtOnce)->Unit(benchmark::kMillisecond);
  add("TellWatchers1000", TellWatchers)->Unit(benchmark::kMillisecond);
}

void RegisterBaselines(RedisBackend& redis, GrpcBackend& grpc) {
  using Command = RedisBackend::Command;
  const auto add_redis = [&](absl::string_view name, Command command,
                             int pipeline, int connections) {
    benchmark::RegisterBenchmark(
        absl::StrCat(name, "/redis/threads:", connections).c_str(),
        [&redis, command, pipeline, connections](State& state) {
          RedisBaseline(redis, command, pipeline, connections, state);
        })
        ->UseManualTime()
        ->Iterations(1);
  };
  for (const int connections : {1, 8}) {
    add_redis("BaselineGet", Command::kGet, 1, connections);
    add_redis("BaselinePut", Command::kSet, 1, connections);
  }
  add_redis("BaselineGetMany16", Command::kGet, 16, 1);
  benchmark::RegisterBenchmark(
      "BaselineEcho/grpc", [&grpc](State& state) { GrpcBaseline(grpc, state); })
      ->UseRealTime()
      ->Threads(1)
      ->Threads(8);
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  const auto in_process = te::MakeInProcessBackend();
  const auto redis = te::MakeRedisBackend();
  const auto grpc = te::MakeGrpcBackend();
  te::RegisterStore(*in_process);
  te::RegisterStore(*redis);
  te::RegisterStore(*grpc);
  te::RegisterBaselines(*redis, *grpc);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
