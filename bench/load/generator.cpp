#include "bench/load/generator.hpp"

#include <algorithm>
#include <utility>

#include "net/clock.hpp"

namespace load {
namespace {

using protocol::never;

/// So many connects at once: what comes faster overflows queues, and a SYN that
/// is dropped is repeated after a second.
constexpr std::uint32_t connecting_max = 128;
constexpr Nanoseconds hearing_max = 10'000'000'000;  // for all idle ones
constexpr Nanoseconds tick_length = 10'000'000;
constexpr Nanoseconds window_length = 100'000'000;
constexpr std::size_t windows_alike = 5;
constexpr double alike = 0.05;
/// What a request costs between its time and its answer is kept below this: a
/// server that falls behind, or a rate beyond reason, must not take the memory
/// of the machine. What is due beyond it stays a time on its schedule.
constexpr std::size_t owed_bytes_max = 128 << 20;
/// So many are called at once: then it is time to look at what has come.
constexpr std::size_t called_max = 4096;
/// Those that were never sent are recorded in so many steps.
constexpr std::uint64_t unsent_steps = 1000;

/// A port is used for a minute after its connection has ended (TIME_WAIT), and
/// connect(2) searches the longer the more of them are. Each of this host's own
/// addresses has ports of its own.
std::string address_for(const Plan& plan, std::uint32_t number) {
  constexpr std::uint32_t sources = 250;
  const bool spread = plan.churn != 0 && plan.address.starts_with("127.");
  if (!spread) return plan.address;
  return plan.address + " from 127.0.0." + std::to_string(1 + number % sources);
}

std::uint64_t owed_max(const Plan& plan, const Workload& workload) {
  const std::uint64_t of_memory =
      owed_bytes_max / (sizeof(Asked) + workload.request_max());
  return std::max<std::uint64_t>(of_memory, plan.connections);
}

}  // namespace

Generator::Connection::Connection(std::uint32_t number, Role what,
                                  Random random)
    : role(what), speaker(number, random) {}

Generator::Generator(const Plan& plan, const Workload& workload,
                     protocol::Postbox& mailbox, std::function<Usage()> usage,
                     std::function<void(Phase)> entered)
    : plan_(plan),
      workload_(workload),
      mailbox_(mailbox),
      seeds_(plan.seed),
      usage_(std::move(usage)),
      entered_(std::move(entered)),
      created_(net::now()),
      owed_max_(owed_max(plan, workload)),
      unheard_(plan.idle) {
  // With churn a request may have to wait for its connection.
  if (plan.is_open() && plan.arrivals == Arrivals::poisson && plan.churn == 0)
    sends_.emplace(plan.rate);
  add(Role::active, plan_.connections);
  add(Role::flooder, plan_.flooder ? 1 : 0);
  add(Role::idle, plan_.idle);
}

void Generator::add(Role role, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto number =
        plan_.first + static_cast<std::uint32_t>(connections_.size());
    connections_.push_back(
        std::make_unique<Connection>(number, role, Random(seeds_.next())));
    connections_.back()->address = address_for(plan_, number);
    to_connect_.push_back(connections_.back().get());
  }
}

// ---- Connections ------------------------------------------------------------

protocol::Peer* Generator::next() {
  const std::scoped_lock lock(mutex_);
  if (to_connect_.empty() || connecting_ == connecting_max) return nullptr;
  ++connecting_;
  Connection* const c = to_connect_.front();
  to_connect_.pop_front();
  return c;
}

void Generator::connected(protocol::Peer& peer) {
  Connection& c = of(peer);
  c.answered = 0;
  c.answered_at = 0;
  bool all = false;
  {
    const std::scoped_lock lock(mutex_);
    --connecting_;
    ++standing_;
    c.standing = true;
    all = standing_ + lost_ == connections_.size();
  }
  // The thread that asks due() has to look: there may be more to connect to.
  if (all || phase() == Phase::connecting) mailbox_.wake();
}

void Generator::closed(protocol::Peer& peer, std::string_view why) {
  Connection& c = of(peer);
  // The model ends what stands: outcome() looks at what is still owed.
  if (over()) return;
  const bool left = why.empty() && c.owed.empty();
  c.session.reset();
  {
    const std::scoped_lock lock(mutex_);
    (std::exchange(c.standing, false) ? standing_ : connecting_) -= 1;
    if (left && plan_.churn != 0) {
      to_connect_.push_back(&c);
    } else if (phase() < Phase::awaiting || !left) {
      lose(c, why);
    }
  }
  if (c.role == Role::active) owed_ -= c.owed.size();
  c.owed.clear();
  mailbox_.wake();
}

void Generator::lose(const Connection& c, std::string_view why) {
  ++lost_;
  if (c.role == Role::active) ++active_lost_;
  // It was never asked, or never answered.
  if (c.role == Role::idle && (c.speaker.sequence == 0 || !c.owed.empty()))
    --unheard_;
  // What is no RESP is an answer, too; see protocol/client_session.cpp.
  if (why.starts_with("protocol error")) ++outcome_.wrong;
  outcome_.errors += std::max<std::size_t>(c.owed.size(), 1);
  if (!outcome_.first_error.empty()) return;
  outcome_.first_error =
      "connection " + std::to_string(c.speaker.connection) + ": ";
  outcome_.first_error +=
      why.empty() ? "the server closed the connection" : why;
}

void Generator::begin() {
  begun_.store(true, std::memory_order_release);
  mailbox_.wake();
}

void Generator::stop(const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    if (outcome_.first_error.empty()) outcome_.first_error = why;
    ++outcome_.errors;
    if (ended_ == 0) ended_ = net::now();
  }
  phase_.store(Phase::over, std::memory_order_release);
  mailbox_.wake();
}

void Generator::convict(const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    ++outcome_.wrong;
  }
  stop(why);
}

bool Generator::has_failed() {
  const std::scoped_lock lock(mutex_);
  return !outcome_.first_error.empty();
}

// ---- What is said -----------------------------------------------------------

Generator::Connection& Generator::of(protocol::Peer& peer) {
  return static_cast<Connection&>(peer);
}

bool Generator::running() const {
  const Phase now = phase();
  return now == Phase::warming || now == Phase::ready ||
         now == Phase::measuring;
}

std::uint32_t Generator::depth_of(const Connection& c) const {
  return c.role == Role::flooder ? plan_.flooder : plan_.depth;
}

void Generator::ask(Connection& c, Nanoseconds intended, Nanoseconds now) {
  Asked asked = workload_.ask(c.session, c.speaker);
  asked.intended_ns = intended;
  asked.sent_ns = now;
  c.owed.push_back(asked);
  // An open load owes from the time that a request is due: call_due().
  if (c.role == Role::active && !plan_.is_open())
    owed_.fetch_add(1, std::memory_order_relaxed);
}

void Generator::say(protocol::Peer& peer, Nanoseconds now) {
  Connection& c = of(peer);
  if (c.role == Role::idle) {
    if (c.speaker.sequence == 0) ask(c, now, now);
    return;
  }
  if (!plan_.is_open() || c.role == Role::flooder) return fill(c, now);
  {
    const std::scoped_lock lock(mutex_);
    c.saying.swap(c.due);
  }
  if (sends_)
    for (const Nanoseconds intended : c.saying)
      if (is_measured(intended)) sends_->add(now);
  for (const Nanoseconds intended : c.saying) ask(c, intended, now);
  c.saying.clear();
}

void Generator::fill(Connection& c, Nanoseconds now) {
  const bool leaves = plan_.churn != 0 && c.role == Role::active;
  while (running() && c.owed.size() < depth_of(c)) {
    if (leaves && c.answered + c.owed.size() >= plan_.churn) return;
    ask(c, now, now);
  }
}

void Generator::hand_over(protocol::Peer& peer, Nanoseconds now) {
  // Of many answers that are wrong the first one is named.
  if (over()) return;
  Connection& c = of(peer);
  c.heard.clear();
  while (const protocol::Value* reply = c.session.reply()) {
    const Asked asked = c.owed.front();
    c.owed.pop_front();
    ++c.answered;
    const std::string why = workload_.check(*reply, asked, c.speaker);
    if (!why.empty()) return convict(describe(c, asked) + why);
    c.heard.push_back(asked);
  }
  if (c.heard.empty()) return;
  count(c, now);
  if (c.role != Role::idle && (!plan_.is_open() || c.role == Role::flooder))
    fill(c, now);
  // A session that has ended is closed by the model, and handed out anew.
  if (plan_.churn != 0 && c.role == Role::active && c.owed.empty() &&
      c.answered >= plan_.churn)
    c.session.end_of_input();
}

std::string Generator::describe(const Connection& c, const Asked& asked) const {
  return "connection " + std::to_string(c.speaker.connection) + ", request " +
         std::to_string(asked.sequence) + ": ";
}

// ---- What is counted --------------------------------------------------------

bool Generator::is_measured(Nanoseconds intended) const {
  return intended >= begin_.load(std::memory_order_relaxed) &&
         intended < end_.load(std::memory_order_relaxed);
}

void Generator::count(Connection& c, Nanoseconds now) {
  const std::scoped_lock lock(mutex_);
  if (c.role == Role::idle) {
    if (--unheard_ == 0) mailbox_.wake();
    return;
  }
  if (c.role == Role::flooder) {
    for (const Asked& asked : c.heard)
      outcome_.flooded += is_measured(asked.intended_ns);
    return;
  }
  owed_.fetch_sub(c.heard.size(), std::memory_order_relaxed);
  answered_.fetch_add(c.heard.size(), std::memory_order_relaxed);
  if (is_measured(now)) outcome_.completed += c.heard.size();
  outcome_.silent =
      std::max(outcome_.silent, note_silence(c.heard.front().intended_ns, now));
  heard_at_ = std::max(heard_at_, now);
  for (const Asked& asked : c.heard) {
    outcome_.requests += is_measured(asked.intended_ns);
    record(c, asked, now);
  }
}

// A naive load asks when it has been answered: of all that an open one sends to
// a server that stands still, it has one request on each connection.
void Generator::record(Connection& c, const Asked& asked, Nanoseconds ended) {
  const Nanoseconds before = std::exchange(c.answered_at, ended);
  if (!is_measured(asked.intended_ns)) return;
  const std::size_t place = outcome_.latency.record(ended - asked.intended_ns);
  latencies_.add(static_cast<std::uint16_t>(place));
  if (!plan_.is_open()) return;
  outcome_.naive.record(ended - std::max(asked.sent_ns, before));
  outcome_.lag.record(asked.sent_ns - asked.intended_ns);
}

// For how long nothing had come from those who owed it. Before the measured
// time nobody is reproached.
Nanoseconds Generator::note_silence(Nanoseconds owed_since, Nanoseconds until) {
  if (begin_ == never) return 0;
  return until - std::max({heard_at_, owed_since, begin_.load()});
}

const Outcome& Generator::outcome() {
  const std::scoped_lock lock(mutex_);
  // stop() came while it measured.
  if (outcome_.measuring == 0 && begin_ != never) {
    outcome_.measuring = ended_ - begin_;
    outcome_.cpu = usage_().cpu - before_.cpu;
  }
  Nanoseconds owed_since = never;
  for (const auto& c : connections_)
    if (c->role == Role::active)
      owed_since = std::min(owed_since, count_owed(*c));
  if (owed_since != never)
    outcome_.silent_at_end = note_silence(owed_since, ended_);
  outcome_.silent = std::max(outcome_.silent, outcome_.silent_at_end);
  for (const Schedule& schedule : schedules_) count_unsent(schedule);
  schedules_.clear();
  const auto latencies = latencies_.values();
  outcome_.in_order.assign(latencies.begin(), latencies.end());
  if (sends_) outcome_.gaps = sends_->gaps();
  // A closed loop sends when it should.
  if (!plan_.is_open()) outcome_.naive = outcome_.latency;
  return outcome_;
}

// Returns since when the oldest of them is owed.
Nanoseconds Generator::count_owed(Connection& c) {
  for (const Nanoseconds intended : c.due)
    c.owed.push_back({.intended_ns = intended, .sent_ns = ended_});
  const Nanoseconds since = c.owed.empty() ? never : c.owed.front().intended_ns;
  for (const Asked& asked : c.owed) {
    outcome_.unanswered += is_measured(asked.intended_ns);
    record(c, asked, ended_);
  }
  c.owed.clear();
  c.due.clear();
  return since;
}

// They are as many as the rate makes of the time that is left, one as far from
// the other.
void Generator::count_unsent(const Schedule& schedule) {
  const Nanoseconds end = std::min(end_.load(), ended_);
  const Nanoseconds from = std::max(schedule.next_ns(), begin_.load());
  const std::uint64_t count = schedule.count_between(from, end);
  const std::uint64_t steps = std::min(count, unsent_steps);
  for (std::uint64_t i = 0; i < steps; ++i) {
    const std::uint64_t n = count * (i + 1) / steps - count * i / steps;
    const auto passed = static_cast<double>(2 * i + 1) /
                        static_cast<double>(2 * steps) *
                        static_cast<double>(end - from);
    const Nanoseconds late = ended_ - from - static_cast<Nanoseconds>(passed);
    outcome_.latency.record(late, n);
    outcome_.lag.record(late, n);
    outcome_.naive.record(0, n);
  }
  outcome_.unanswered += count;
}

// ---- What is due ------------------------------------------------------------

protocol::Peer* Generator::due(Nanoseconds now) {
  if (called_.empty()) {
    if (std::exchange(paused_, false)) return nullptr;
    call_due(now);
    move_on(now);
    look_at_clock(now);
  }
  if (called_.empty()) return nullptr;
  Connection* const c = called_.back();
  called_.pop_back();
  c->called = false;
  return c;
}

Nanoseconds Generator::next_due() {
  if (!called_.empty()) return 0;
  const Nanoseconds event =
      events_.empty() || !may_ask() ? never : events_.top().at - plan_.awake;
  return std::min({event, tick_, phase_end_});
}

void Generator::call(Connection& c) {
  if (std::exchange(c.called, true)) return;
  called_.push_back(&c);
}

// Where no more may be owed, an answer wakes us.
bool Generator::may_ask() const {
  return owed_.load(std::memory_order_relaxed) < owed_max_;
}

// Requests of before the end are sent, even if their time is found to have come
// only after it.
void Generator::call_due(Nanoseconds now) {
  const Nanoseconds end = end_.load(std::memory_order_relaxed);
  std::size_t count = 0;
  while (!events_.empty() && events_.top().at <= now &&
         events_.top().at < end && may_ask()) {
    if (++count > called_max) {
      paused_ = true;
      return;
    }
    const auto [at, number] = events_.top();
    events_.pop();
    Connection& c = *connections_[number];
    {
      const std::scoped_lock lock(mutex_);
      c.due.push_back(at);
    }
    call(c);
    owed_.fetch_add(1, std::memory_order_relaxed);
    schedules_[number].advance();
    events_.push({schedules_[number].next_ns(), number});
  }
  if (!events_.empty() && events_.top().at >= end) events_ = {};
}

// Every tick that was missed counts, each as late as it is by now: what held up
// the generator for long weighs as much as it took.
void Generator::look_at_clock(Nanoseconds now) {
  if (plan_.is_open() || tick_ > now) return;
  const std::scoped_lock lock(mutex_);
  for (; tick_ <= now; tick_ += tick_length)
    if (phase() == Phase::measuring) outcome_.lag.record(now - tick_);
}

// ---- Phases -----------------------------------------------------------------

void Generator::move_on(Nanoseconds now) {
  switch (phase()) {
    case Phase::connecting:
      look_at_connections(now);
      break;
    case Phase::warming:
      if (now >= phase_end_) look_at_window(now);
      break;
    case Phase::ready:
      if (is_lost()) return finish(now);
      if (begun_.load(std::memory_order_acquire)) measure(now);
      break;
    case Phase::measuring:
      if (now < phase_end_ && !is_lost()) break;
      await(now);
      // Nobody may be left whose answer would wake us.
      [[fallthrough]];
    case Phase::awaiting:
      if (now >= phase_end_ || owed_ == 0 || is_lost()) finish(now);
      break;
    case Phase::over:
      break;
  }
}

// An idle one that is not answered may be one that the server does not know of:
// the kernel connects it all the same.
void Generator::look_at_connections(Nanoseconds now) {
  std::size_t unheard = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (standing_ + lost_ != connections_.size()) return;
    unheard = unheard_;
  }
  if (unheard == 0) return warm(now);
  if (phase_end_ == never) phase_end_ = now + hearing_max;
  if (now >= phase_end_)
    stop(std::to_string(unheard) + " idle connections were not answered");
}

bool Generator::is_lost() {
  const std::scoped_lock lock(mutex_);
  return active_lost_ == plan_.connections;
}

void Generator::enter(Phase phase, Nanoseconds now, Nanoseconds end) {
  entered_at_ = now;
  phase_end_ = end;
  // stop() may have come before: then it is over and stays so.
  Phase before = this->phase();
  while (before != Phase::over &&
         !phase_.compare_exchange_weak(before, phase)) {
  }
  entered_(phase);
}

void Generator::warm(Nanoseconds now) {
  outcome_.connecting = now - created_;
  if (is_lost()) return finish(now);
  enter(Phase::warming, now, now + std::min(window_length, plan_.warmup_max));
  for (const auto& c : connections_) {
    if (c->role == Role::idle) continue;
    if (!plan_.is_open() || c->role == Role::flooder) {
      call(*c);
      continue;
    }
    schedules_.emplace_back(plan_.arrivals, plan_.rate / plan_.connections, now,
                            Random(seeds_.next()));
    events_.push({schedules_.back().next_ns(),
                  static_cast<std::uint32_t>(schedules_.size() - 1)});
  }
  if (!plan_.is_open()) tick_ = now + tick_length;
  if (plan_.warmup_max == 0) end_warming(now);
}

// Steady: so many windows in a row are alike.
void Generator::look_at_window(Nanoseconds now) {
  const std::uint64_t before = std::exchange(counted_, answered());
  windows_.push_back(counted_ - before);
  phase_end_ =
      std::min(phase_end_ + window_length, entered_at_ + plan_.warmup_max);
  if (windows_.size() > windows_alike) windows_.erase(windows_.begin());
  const auto [least, most] = std::ranges::minmax(windows_);
  const bool steady =
      windows_.size() == windows_alike && least > 0 &&
      static_cast<double>(most - least) <= alike * static_cast<double>(most);
  if (steady || now - entered_at_ >= plan_.warmup_max) end_warming(now);
}

void Generator::end_warming(Nanoseconds now) {
  outcome_.warming = now - entered_at_;
  if (plan_.together) return enter(Phase::ready, now, never);
  measure(now);
}

// What the warm-up could not send is nothing that is measured, and would be in
// the way of what is.
void Generator::forget_unsent(Nanoseconds now) {
  events_ = {};
  for (std::uint32_t i = 0; i < schedules_.size(); ++i) {
    schedules_[i].skip_to(now);
    events_.push({schedules_[i].next_ns(), i});
  }
}

void Generator::measure(Nanoseconds now) {
  forget_unsent(now);
  before_ = usage_();
  begin_ = now;
  end_ = now + plan_.duration;
  enter(Phase::measuring, now, end_);
}

void Generator::await(Nanoseconds now) {
  const Usage after = usage_();
  end_ = std::min(now, end_.load());
  {
    const std::scoped_lock lock(mutex_);
    outcome_.measuring = end_ - begin_;
    outcome_.cpu = after.cpu - before_.cpu;
    outcome_.busiest = after.own - before_.own;
    outcome_.delayed = after.delayed - before_.delayed;
  }
  enter(Phase::awaiting, now, now + plan_.patience);
}

void Generator::finish(Nanoseconds now) {
  {
    const std::scoped_lock lock(mutex_);
    if (ended_ == 0) ended_ = now;
  }
  // The model asks over() before its next wait only if that wait is short.
  enter(Phase::over, now, now);
}

}  // namespace load
