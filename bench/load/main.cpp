// # The load
//
// A model's client asks a server, in a thread of its own or in several; the
// main thread waits for the end and for signals, and shows how far it is.

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "bench/load/askers.hpp"
#include "bench/load/generator.hpp"
#include "bench/load/options.hpp"
#include "bench/load/ranks.hpp"
#include "bench/load/report.hpp"
#include "bench/load/slow_readers.hpp"
#include "net/address.hpp"
#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/probe.hpp"
#include "net/timeline.hpp"
#include "program/prepare.hpp"
#include "program/surroundings.hpp"

namespace {

using load::Nanoseconds;
using load::Options;
using load::Phase;

constexpr int failed_code = 1;
constexpr int skipped_code = 77;       // the model cannot run here
constexpr int interrupted_code = 130;  // as shells report SIGINT

/// A line of its own where there is no terminal: who looks at the server's
/// counters knows when.
void announce(Phase phase) {
  if (phase == Phase::warming) std::fputs("warming\n", stderr);
  if (phase == Phase::measuring) std::fputs("measuring\n", stderr);
  if (phase == Phase::awaiting) std::fputs("measured\n", stderr);
  std::fflush(stderr);
}

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::connecting:
      return "connecting";
    case Phase::warming:
      return "warming up";
    case Phase::ready:
      return "waiting for the others";
    case Phase::measuring:
      return "measuring";
    default:
      return "waiting for the last answers";
  }
}

/// Over the line before, and not beyond its end: what goes on in the next row
/// of a terminal is not painted over.
void paint(std::string_view line) {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  const std::size_t columns = known && size.ws_col != 0 ? size.ws_col : 80;
  std::fputs("\r\033[K", stderr);
  std::fwrite(line.data(), 1, std::min(line.size(), columns - 1), stderr);
}

/// The main thread's signals: blocked before any thread is made, then taken by
/// wait().
class Signals {
 public:
  Signals() {
    sigset_t blocked;
    ::sigfillset(&blocked);
    ::sigdelset(&blocked, SIGTSTP);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    ::sigemptyset(&ends_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
      ::sigaddset(&ends_, signal);
  }
  /// Sleeps at most so long; true: the program is to end.
  bool wait(Nanoseconds time) const {
    const timespec limit = net::to_timespec(time);
    return ::sigtimedwait(&ends_, nullptr, &limit) > 0;
  }

 private:
  sigset_t ends_;
};

/// A text as a file; "-": the standard output; "": nowhere.
void write(const std::string& name, const std::string& text) {
  if (name.empty()) return;
  if (name == "-") {
    std::printf("%s\n", text.c_str());
    if (std::fflush(stdout) != 0) net::fail(errno, "write");
    return;
  }
  std::ofstream file(name);
  file << text << '\n' << std::flush;
  if (!file) throw std::runtime_error(name + ": cannot be written");
}

void write(const std::string& name, const load::Histogram& histogram) {
  if (name.empty()) return;
  std::ofstream file(name);
  load::write_hgrm(file, histogram);
  file.flush();
  if (!file) throw std::runtime_error(name + ": cannot be written");
}

class Run {
 public:
  Run(const Options& whole, load::Ranks& ranks)
      : whole_(whole),
        ranks_(ranks),
        options_(load::share(whole, ranks.rank())),
        workload_(options_.commands, options_.keys, options_.answers),
        speaks_(ranks.rank().number == 0),
        shows_(speaks_ && !whole.quiet && ::isatty(STDERR_FILENO)),
        askers_(whole.plan, ranks.rank(), workload_, [this](Phase phase) {
          if (speaks_ && !shows_) announce(phase);
        }) {}

  int run(const Signals& signals) {
    if (options_.slow)
      slow_.emplace(options_.plan.address, options_.slow, options_.answers);
    askers_.start([this](protocol::Agenda& agenda, net::Mailbox& mailbox) {
      model::converse(agenda, mailbox, options_.net);
    });
    const bool interrupted = watch(signals) || !hear_others(signals);
    askers_.wait();
    if (slow_ && !slow_->fault().empty()) askers_.convict(slow_->fault());
    return report(interrupted);
  }

 private:
  bool watch(const Signals& signals) {
    constexpr Nanoseconds pause = 100'000'000;
    std::uint64_t before = 0;
    while (askers_.running()) {
      if (signals.wait(askers_.waits() ? pause / 100 : pause)) {
        askers_.stop("interrupted");
        return true;
      }
      agree();
      const std::uint64_t now = askers_.answered();
      if (shows_)
        paint(name_of(askers_.phase()) + (", " + std::to_string(now)) +
              " answers, " + std::to_string((now - before) * 10) + "/s");
      before = now;
    }
    return false;
  }

  /// As soon as it is known of all threads whether they can measure, the other
  /// ranks are told, once; and all measure if all can.
  void agree() {
    const auto ready = askers_.ready();
    if (agreed_ || !ready) return;
    try {
      const auto all = ranks_.agree(*ready);
      if (!all) return;
      agreed_ = true;
      if (*all) return askers_.begin();
      askers_.stop(load::others_are_not_ready);
    } catch (const std::exception& error) {
      // The other threads are waited for, whatever comes.
      askers_.stop(error.what());
      throw;
    }
  }

  /// One that ended before it was ready is waited for all the same. False: a
  /// signal came.
  bool hear_others(const Signals& signals) {
    while (!agreed_) {
      agree();
      if (signals.wait(1'000'000)) return false;
    }
    return true;
  }

  int report(bool interrupted) {
    if (shows_) std::fputs("\r\033[K", stderr);
    const load::Outcome mine = outcome();
    const std::string fault = load::find_fault(options_.plan, mine);
    const load::Setting setting{
        std::string(model::client.name) + "-" + model::client.variant,
        options_.commands, ranks_.rank().host};
    write(options_.rank_hgrm, mine.latency);
    if (interrupted) {
      if (speaks_) tell(setting, {mine, fault});
      return interrupted_code;
    }
    const auto all =
        load::add_up(ranks_, mine, fault,
                     load::to_json(options_.plan, setting, mine, fault));
    if (!all) return 0;
    tell(setting, *all);
    return all->fault.empty() && all->outcome.errors == 0 ? 0 : failed_code;
  }

  load::Outcome outcome() {
    load::Outcome mine = askers_.outcome();
    if (slow_) mine.slow_ended = slow_->ended();
    // A client that cannot send while it waits has a thread for each peer.
    if (!model::client.traits.duplex) mine.threads = options_.plan.connections;
    mine.cpus = std::min(mine.threads, load::cpus_allowed());
    mine.findings = load::examine(mine.latency, mine.in_order, mine.gaps);
    return mine;
  }

  void tell(load::Setting setting, const load::Whole& all) const {
    setting.host.clear();
    setting.ranks = all.ranks;
    std::fprintf(stderr, "%s\n",
                 load::to_line(whole_.plan, all.outcome, all.fault).c_str());
    write(whole_.json,
          load::to_json(whole_.plan, setting, all.outcome, all.fault));
    write(whole_.hgrm, all.outcome.latency);
  }

  const Options& whole_;
  load::Ranks& ranks_;
  const Options options_;  // this rank's share
  const load::Workload workload_;
  const bool speaks_, shows_;
  bool agreed_ = ranks_.rank().count == 1 && whole_.plan.threads == 1;
  load::Askers askers_;
  std::optional<load::SlowReaders> slow_;
};

/// As many descriptors as the system gives: each connection takes one.
void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

load::Histogram read_histogram(const std::string& name) {
  std::ifstream file(name);
  if (!file) throw std::runtime_error(name + ": " + net::describe(errno));
  try {
    return load::read_hgrm(file);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(name + ": " + error.what());
  }
}

int merge(const Options& options) {
  load::Histogram all;
  for (const std::string& name : options.merge) all.add(read_histogram(name));
  write(options.json.empty() ? "-" : options.json, load::to_json(all));
  write(options.hgrm, all);
  return 0;
}

int run(Options options) {
  if (!options.merge.empty()) return merge(options);
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1)
    options.plan.awake = load::Plan::awake_beside_others;
  const std::string why = net::refusal({&model::client}, options.net);
  if (!why.empty()) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return skipped_code;
  }
  if (options.probe) return 0;
  options.plan.address = net::to_text(net::resolve(options.plan.address));
  raise_descriptor_limit();
  const Signals signals;
  const auto ranks = load::join();
  options.plan.seed = ranks->first_of(options.plan.seed);
  const std::string trace = load::share(options, ranks->rank()).trace;
  if (!trace.empty()) net::trace::to(trace);
  const int code = Run(options, *ranks).run(signals);
  if (!net::trace::write())
    throw std::runtime_error(trace + ": cannot be written");
  return code;
}

}  // namespace

int main(int count, char** words) {
  try {
    program::prepare();
    auto options = load::parse({words + 1, words + count}, model::client);
    if (!options) return program::print(options.error());
    return run(*std::move(options));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return failed_code;
  }
}
