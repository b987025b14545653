#pragma once
// The agenda of a load: connects, waits until the server is warm, measures, and
// waits for what is still owed. The model's client moves the bytes.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "bench/load/findings.hpp"
#include "bench/load/histogram.hpp"
#include "bench/load/schedule.hpp"
#include "bench/load/workload.hpp"
#include "protocol/agenda.hpp"
#include "protocol/service.hpp"

namespace load {

using protocol::Nanoseconds;

/// What a load does.
struct Plan {
  std::string address;  // as net::parse_address() takes it
  std::uint32_t connections = 50;
  std::uint32_t depth = 1;  // closed loop: so many requests owed to each
  double rate = 0;          // open loop: requests per second of all; 0: closed
  Arrivals arrivals = Arrivals::poisson;
  Nanoseconds duration = 5'000'000'000;
  Nanoseconds warmup_max = 2'000'000'000;
  Nanoseconds patience = 1'000'000'000;  // for what is owed at the end
  std::uint32_t churn = 0;    // a new connection after so many; 0: never
  std::uint32_t idle = 0;     // connections that ask once and stay
  std::uint32_t flooder = 0;  // one more connection, of this depth; 0: none
  std::uint64_t seed = 1;
  std::uint32_t threads = 1;  // that ask, each a part of the connections
  std::uint32_t first = 0;    // the number of the first connection, in payloads
  /// Once it is warm it asks on, and measures only when begin() says so.
  bool together = false;
  /// Open loop: so long before a request's time nobody goes to sleep any more.
  /// A CPU that sleeps wakes late, one of a virtual machine by milliseconds,
  /// and the requests go with it. Where there is no other CPU, the time awake
  /// would be the server's: 0.
  Nanoseconds awake = 0;
  static constexpr Nanoseconds awake_beside_others = 5'000'000;
  bool is_open() const { return rate > 0; }
};

/// What it came to. Times in nanoseconds.
struct Outcome {
  Histogram latency;  // from when a request should have been sent
  /// From when it was sent; in an open loop, from when a load that waits for
  /// each answer would have sent it: not before the answer to the one before.
  Histogram naive;
  /// Open loop: how much later it was sent. Closed loop: how much later than it
  /// should a clock of 100 Hz was looked at between the requests.
  Histogram lag;
  std::uint64_t requests = 0;    // answered, of those that belong to the time
  std::uint64_t completed = 0;   // answered within the time, whenever asked
  std::uint64_t errors = 0;      // wrong answers, and connections that ended
  std::uint64_t wrong = 0;       // of these, answers
  std::uint64_t unanswered = 0;  // in the histograms, as late as the end
  std::uint64_t flooded = 0;     // answered to the flooder meanwhile
  std::uint64_t slow_ended = 0;  // slow readers whom the server has ended
  /// The longest time in which answers were owed and none came, and the time of
  /// this kind that the run ended with.
  Nanoseconds silent = 0, silent_at_end = 0;
  std::string first_error;
  Nanoseconds connecting = 0, warming = 0, measuring = 0;
  Nanoseconds cpu = 0;        // of this process while it measured
  Nanoseconds busiest = 0;    // of the thread that took most of it
  Nanoseconds delayed = 0;    // a thread could run and had no CPU: the longest
  std::uint64_t threads = 1;  // that asked
  std::uint64_t cpus = 1;     // that these could have at once
  /// What findings are made of: Latencies, and the gaps of Sends.
  std::vector<std::uint16_t> in_order = {};
  std::vector<double> gaps = {};
  Findings findings = {};
};

/// What has been used so far: a generator's part of the process's CPU time;
/// and of the thread that asks, its own, and how long it could run and did not.
struct Usage {
  Nanoseconds cpu = 0, own = 0, delayed = 0;
};

enum class Phase { connecting, warming, ready, measuring, awaiting, over };

class Generator final : public protocol::Agenda {
 public:
  /// `mailbox` is that of converse(). `usage` is called in the thread of
  /// due(). `entered` is told of each new phase, in the thread that finds out,
  /// and must not block. All outlive the generator.
  Generator(const Plan& plan, const Workload& workload,
            protocol::Postbox& mailbox, std::function<Usage()> usage,
            std::function<void(Phase)> entered);

  protocol::Peer* next() override;
  protocol::Peer* due(Nanoseconds now) override;
  Nanoseconds next_due() override;
  bool over() override { return phase() == Phase::over; }
  void connected(protocol::Peer& peer) override;
  void say(protocol::Peer& peer, Nanoseconds now) override;
  void hand_over(protocol::Peer& peer, Nanoseconds now) override;
  void closed(protocol::Peer& peer, std::string_view why) override;

  /// Of a plan with others: they are ready too, let us measure. Any thread.
  void begin();
  /// Ends it at once, as a failure, in these words. Any thread.
  void stop(const std::string& why);
  /// The same, for the server has answered wrongly.
  void convict(const std::string& why);
  Phase phase() const { return phase_.load(std::memory_order_acquire); }
  /// A connection was lost, an answer was wrong, or it was stopped. Any thread.
  bool has_failed();
  /// Answers so far, warm-up included. Any thread.
  std::uint64_t answered() const {
    return answered_.load(std::memory_order_relaxed);
  }
  /// After converse() has returned: what was owed at the end is in it, as late
  /// as it is by then.
  const Outcome& outcome();

 private:
  enum class Role { active, flooder, idle };
  struct Connection final : protocol::Peer {
    Connection(std::uint32_t number, Role what, Random random);

    const Role role;
    // Of the holder:
    Workload::Speaker speaker;
    std::deque<Asked> owed;           // in the order of the replies
    std::vector<Asked> heard;         // answered in this call
    std::vector<Nanoseconds> saying;  // asked in this call
    std::uint32_t answered = 0;       // on this connection
    Nanoseconds answered_at = 0;      // the last of them
    // Under the mutex:
    std::vector<Nanoseconds> due;  // to be asked
    bool standing = false;
    // Of the thread that calls due():
    bool called = false;
  };
  /// A request of an open load, that has its time.
  struct Event {
    Nanoseconds at;
    std::uint32_t connection;
    bool operator<(const Event& other) const { return at > other.at; }
  };

  void add(Role role, std::uint32_t count);
  static Connection& of(protocol::Peer& peer);
  void lose(const Connection& c, std::string_view why);

  bool running() const;
  std::uint32_t depth_of(const Connection& c) const;
  void ask(Connection& c, Nanoseconds intended, Nanoseconds now);
  void fill(Connection& c, Nanoseconds now);

  bool is_measured(Nanoseconds intended) const;
  void count(Connection& c, Nanoseconds now);
  void record(Connection& c, const Asked& asked, Nanoseconds ended);
  Nanoseconds note_silence(Nanoseconds owed_since, Nanoseconds until);
  Nanoseconds count_owed(Connection& c);
  void count_unsent(const Schedule& schedule);
  std::string describe(const Connection& c, const Asked& asked) const;

  void call(Connection& c);
  bool may_ask() const;
  void call_due(Nanoseconds now);
  void look_at_clock(Nanoseconds now);

  void move_on(Nanoseconds now);
  void look_at_connections(Nanoseconds now);
  bool is_lost();
  void enter(Phase phase, Nanoseconds now, Nanoseconds end);
  void warm(Nanoseconds now);
  void look_at_window(Nanoseconds now);
  void end_warming(Nanoseconds now);
  void measure(Nanoseconds now);
  void forget_unsent(Nanoseconds now);
  void await(Nanoseconds now);
  void finish(Nanoseconds now);

  const Plan plan_;
  const Workload& workload_;
  protocol::Postbox& mailbox_;
  Random seeds_;
  const std::function<Usage()> usage_;
  const std::function<void(Phase)> entered_;
  const Nanoseconds created_;
  const std::uint64_t owed_max_;

  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<Phase> phase_{Phase::connecting};
  std::atomic<bool> begun_{false};  // begin() was called
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> owed_{0};               // to active connections
  std::atomic<Nanoseconds> begin_{protocol::never};  // of the measured time
  std::atomic<Nanoseconds> end_{protocol::never};

  // Of the thread that calls due():
  std::vector<Schedule> schedules_;  // of the active connections
  std::priority_queue<Event> events_;
  std::vector<Connection*> called_;
  bool paused_ = false;  // more is due than was called
  Nanoseconds entered_at_ = 0, phase_end_ = protocol::never;
  Nanoseconds tick_ = protocol::never;
  std::vector<std::uint64_t> windows_;  // answers in each of the last
  std::uint64_t counted_ = 0;
  Usage before_;
  std::optional<Sends> sends_;  // of a Poisson schedule that can be kept

  std::mutex mutex_;  // guards what follows
  std::deque<Connection*> to_connect_;
  std::size_t connecting_ = 0, standing_ = 0, lost_ = 0, active_lost_ = 0;
  std::size_t unheard_;  // idle ones that wait for their only answer
  Nanoseconds ended_ = 0;
  Nanoseconds heard_at_ = 0;  // the last answer to an active connection
  Latencies latencies_{latencies_max};
  Outcome outcome_;
};

}  // namespace load
