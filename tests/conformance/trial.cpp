#include "tests/conformance/trial.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "tests/conformance/server.hpp"

namespace conformance {

namespace {

/// What a trait is that a program does not print.
const std::map<std::string, std::string>& defaults() {
  static const std::map<std::string, std::string> all{
      {"model", ""},     {"variant", ""},  {"concurrent", "all"},
      {"full", "queue"}, {"sleeps", "no"}, {"threads", "none"},
      {"duplex", "no"},  {"store", "no"},  {"limits", "no"},
      {"ring", "no"}};
  return all;
}

/// A program that knows no --traits may serve instead, and never end.
Named<std::string> find_traits(const Program& program) {
  Process process({program.path, "--traits"});
  eventually(
      [&] { return process.ended() || process.output().starts_with("ready "); },
      start_bound());
  if (process.ended() != 0) return {};
  return fields_of(process.output(), '=');
}

/// Waits for the ready line: the address in it, or "" and why there is none.
struct Start {
  std::string address, failure;
};
Start await(Process& process, const std::string& how) {
  const bool in_time = eventually(
      [&] { return process.output().ends_with('\n') || process.ended(); },
      start_bound());
  if (const auto address = address_in(process.output())) return {*address, ""};
  std::string failure = "with " + how;
  if (const auto code = process.ended())
    failure += " it ended with " + std::to_string(*code);
  else
    failure += in_time ? " it runs" : " it runs without a word";
  failure += ", wrote no ready line but " + printable(process.output()) +
             ", and on standard error " + printable(process.errors());
  return {"", failure};
}

struct Found {
  Availability availability;
  bool takes_socket = true;
};

std::string without_socket(const Program& program) {
  // Two at once: a port that is always the same is none that is free.
  Process one({program.path, "--port", "0"});
  Process two({program.path, "--port", "0"});
  const Start first = await(one, "--port 0"), second = await(two, "--port 0");
  for (const Process* process : {&one, &two}) process->signal(SIGTERM);
  for (Process* process : {&one, &two})
    eventually([&] { return process->ended().has_value(); },
               Milliseconds(2'500));
  if (!first.failure.empty()) return first.failure;
  if (!second.failure.empty())
    return "a second one, while the first serves: " + second.failure;
  if (first.address == second.address)
    return "with --port 0 two of them say the same address, " + first.address;
  return "";
}

Found find_own(const Program& program) {
  Descriptor socket = bind_socket();
  const std::string address = address_of(socket),
                    number = std::to_string(socket.get());
  Start start;
  {
    Process process({program.path, "--listen-fd", number}, std::move(socket));
    start = await(process, "--listen-fd " + number);
    process.signal(SIGTERM);
    eventually([&] { return process.ended().has_value(); },
               Milliseconds(2'500));
    if (process.ended() == 77) {
      const auto lines = lines_of(process.errors());
      if (lines.size() == 1) return {{lines[0], ""}, true};
      return {{"", "exit code 77 needs one line, not " +
                       printable(process.errors())},
              true};
    }
  }
  if (start.address == address) return {};
  if (start.failure.empty())
    start.failure = "with --listen-fd " + number + " it listens at " +
                    start.address + ", not at " + address;
  const std::string failure = without_socket(program);
  if (failure.empty()) return {{}, false};
  return {{"", program.path + " does not start:\n  " + start.failure + "\n  " +
                   failure},
          false};
}

Found find_ours(const Program& program) {
  Server server(program, {}, bind_socket());
  try {
    server.await_ready();
    return {};
  } catch (const Trouble& trouble) {
    if (server.process().wait() != 77) return {{"", trouble.what()}};
    const std::string reason = server.process().errors();
    if (lines_of(reason).size() == 1) return {{lines_of(reason)[0], ""}};
    return {{"", "exit code 77 needs one line, not: " + reason}};
  }
}

Found find_out(const Program& program) {
  if (::access(program.path.c_str(), X_OK) != 0)
    return {{"", "there is no program " + program.path}};
  return own_program() ? find_own(program) : find_ours(program);
}

const Found& found(const Program& program) {
  static std::map<std::string, Found> known;
  const auto [entry, is_new] = known.try_emplace(program.path);
  if (is_new) entry->second = find_out(program);
  return entry->second;
}

}  // namespace

Milliseconds start_bound() {
  return std::max(patience(), Milliseconds(10'000));
}

Milliseconds stop_bound() { return Milliseconds(size_of(5'000, 20'000)); }

const Availability& availability(const Program& program) {
  return found(program).availability;
}

bool takes_socket() {
  return !own_program() || found(servers().front()).takes_socket;
}

const std::string& Traits::operator[](const std::string& name) const {
  const auto value = values.find(name);
  if (value != values.end()) return value->second;
  const auto otherwise = defaults().find(name);
  if (otherwise == defaults().end()) throw Trouble("no trait is named " + name);
  return otherwise->second;
}

std::size_t Traits::concurrent() const {
  const auto& value = (*this)["concurrent"];
  if (value == "all") return std::numeric_limits<std::size_t>::max();
  return number_of(value, "the trait concurrent, unless it is \"all\",");
}

Level Traits::level() const {
  Level level = Level::echo;
  for (const Level next : {Level::store, Level::limits, Level::ring}) {
    if ((*this)[word_of(next)] != "yes") break;
    level = next;
  }
  return level;
}

const Traits& traits_of(const Program& program) {
  static std::map<std::string, Traits> known;
  const auto [entry, is_new] = known.try_emplace(program.path);
  if (is_new) entry->second.values = find_traits(program);
  return entry->second;
}

Level level_asked_of(const Program& program) {
  const char* asked = std::getenv("LEVEL");
  if (!own_program() || !asked || !*asked) return traits_of(program).level();
  if (const auto level = level_named(asked)) return *level;
  throw Trouble("LEVEL=" + std::string(asked) +
                " is none of: echo store limits ring");
}

}  // namespace conformance
