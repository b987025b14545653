#include "bench/load/askers.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <fstream>

namespace load {
namespace {

Nanoseconds to_ns(const timeval& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_usec * 1'000;
}

Nanoseconds cpu_of(int who) {
  rusage used{};
  ::getrusage(who, &used);
  return to_ns(used.ru_utime) + to_ns(used.ru_stime);
}

/// schedstat's second number: for how long this thread could run and did not
/// (Documentation/scheduler/sched-stats.rst). 0 where the kernel does not say.
Nanoseconds delayed() {
  std::ifstream file("/proc/thread-self/schedstat");
  Nanoseconds ran = 0, waited = 0;
  file >> ran >> waited;
  return waited;
}

}  // namespace

std::uint64_t cpus_allowed() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint64_t>(std::max(CPU_COUNT(&set), 1));
}

Askers::Askers(const Plan& whole, const Rank& rank, const Workload& workload,
               std::function<void(Phase)> entered)
    : entered_(std::move(entered)) {
  // What helpers of a client take, threads of the C library's or the kernel's,
  // is nobody's own: of the process's time each has an equal part.
  const auto usage = [count = whole.threads] {
    return Usage{cpu_of(RUSAGE_SELF) / count, cpu_of(RUSAGE_THREAD), delayed()};
  };
  for (std::uint32_t i = 0; i < whole.threads; ++i) {
    const Rank part{rank.number * whole.threads + i,
                    rank.count * whole.threads};
    askers_.push_back(
        std::make_unique<Asker>(share(whole, part), workload, usage,
                                [this](Phase phase) { enter(phase); }));
  }
}

void Askers::enter(Phase phase) {
  if (phase == Phase::measuring) {
    if (++measuring_ == askers_.size()) entered_(phase);
    return;
  }
  // Each is told once, whoever comes first.
  const auto number = static_cast<std::size_t>(phase);
  for (std::size_t told = told_; told < number;)
    if (told_.compare_exchange_weak(told, number)) return entered_(phase);
}

void Askers::start(const Converse& converse) {
  for (const auto& asker : askers_)
    asker->ended =
        std::async(std::launch::async,
                   [this, &a = *asker, converse] { run(a, converse); });
}

// Who has failed has no more to measure, and the others need not go on.
void Askers::run(Asker& asker, const Converse& converse) {
  ::pthread_setname_np(::pthread_self(), "converse");
  Generator& generator = asker.generator;
  try {
    converse(generator, asker.mailbox);
    if (!generator.over()) generator.stop("the conversation has ended");
  } catch (const std::exception& error) {
    generator.stop(error.what());
  }
  if (!generator.has_failed()) return;
  for (const auto& other : askers_)
    if (!other->generator.over()) other->generator.stop(another_has_ended);
}

bool Askers::running() const {
  return std::ranges::any_of(askers_, [](const auto& asker) {
    return asker->ended.wait_for(std::chrono::seconds(0)) !=
           std::future_status::ready;
  });
}

std::optional<bool> Askers::ready() const {
  bool all = true;
  for (const auto& asker : askers_) {
    const Phase phase = asker->generator.phase();
    if (phase == Phase::over) return false;
    all &= phase == Phase::ready;
  }
  if (!all) return std::nullopt;
  return true;
}

bool Askers::waits() const {
  return std::ranges::any_of(askers_, [](const auto& asker) {
    const Phase phase = asker->generator.phase();
    return phase == Phase::ready || phase == Phase::over;
  });
}

void Askers::begin() {
  for (const auto& asker : askers_) asker->generator.begin();
}

void Askers::stop(const std::string& why) {
  for (const auto& asker : askers_) {
    if (!asker->generator.over()) asker->generator.stop(why);
    asker->mailbox.stop();
  }
}

void Askers::convict(const std::string& why) {
  askers_.front()->generator.convict(why);
}

Phase Askers::phase() const {
  Phase least = Phase::over;
  for (const auto& asker : askers_)
    least = std::min(least, asker->generator.phase());
  return least;
}

std::uint64_t Askers::answered() const {
  std::uint64_t sum = 0;
  for (const auto& asker : askers_) sum += asker->generator.answered();
  return sum;
}

void Askers::wait() {
  for (const auto& asker : askers_) {
    asker->mailbox.stop();
    asker->ended.get();
  }
}

Outcome Askers::outcome() {
  std::vector<Outcome> outcomes;
  for (const auto& asker : askers_)
    outcomes.push_back(asker->generator.outcome());
  return merge(outcomes);
}

}  // namespace load
