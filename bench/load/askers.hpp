#pragma once
// The threads of a load that ask, each by a client's loop of its own and with
// its part of the connections and of the rate. They begin to measure at the
// same moment, and what they have seen is one outcome.

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/generator.hpp"
#include "bench/load/ranks.hpp"
#include "net/mailbox.hpp"

namespace load {

/// How many CPUs this process may use at once.
std::uint64_t cpus_allowed();

/// All members are for one thread, which is none of these.
class Askers {
 public:
  /// A model's client, until its agenda is over.
  using Converse = std::function<void(protocol::Agenda&, net::Mailbox&)>;

  /// Of all ranks' plan this rank's part, for as many threads as it says.
  /// `entered` is told of each phase in some thread, and must not block: of
  /// `measuring` when the last thread has entered it, of the others when the
  /// first has. So between `measuring` and what follows all of them ask.
  Askers(const Plan& whole, const Rank& rank, const Workload& workload,
         std::function<void(Phase)> entered);

  void start(const Converse& converse);
  bool running() const;
  /// Whether all can measure; nothing as long as that is not known.
  std::optional<bool> ready() const;
  /// One is ready, or has ended.
  bool waits() const;
  void begin();
  /// Those that are not over, as Generator::stop().
  void stop(const std::string& why);
  void convict(const std::string& why);
  /// That of the one who is least far.
  Phase phase() const;
  std::uint64_t answered() const;
  /// Until all threads have ended.
  void wait();
  /// After that.
  Outcome outcome();

 private:
  struct Asker {
    Asker(const Plan& plan, const Workload& workload,
          const std::function<Usage()>& usage,
          const std::function<void(Phase)>& entered)
        : generator(plan, workload, mailbox, usage, entered) {}
    net::Mailbox mailbox;
    Generator generator;
    std::future<void> ended;
  };

  void run(Asker& asker, const Converse& converse);
  void enter(Phase phase);

  const std::function<void(Phase)> entered_;
  std::vector<std::unique_ptr<Asker>> askers_;
  std::atomic<std::size_t> measuring_{0}, told_{0};
};

}  // namespace load
