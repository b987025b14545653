#include "program/surroundings.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

#include "node/text.hpp"
#include "program/processes.hpp"

namespace program {
namespace {

std::string decimal(std::uint64_t number) { return std::to_string(number); }

std::string operating_system() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

/// What the pages come to that are in memory, those that several processes map
/// by a part for each (proc(5), smaps_rollup: Pss).
std::uint64_t proportional_bytes(pid_t process) {
  std::ifstream file(proc(process, "smaps_rollup"));
  std::uint64_t kib = 0;
  for (std::string word; file >> word;)
    if (word == "Pss:" && file >> kib) break;
  return kib * 1024;
}

/// Pages that are in memory (proc(5), statm); where there is no /proc, the most
/// that there ever were. Of a process, asked by itself (which then has no
/// children, or none that it counts), or of it and its children, asked by one
/// of these. A search for children costs more than all else of INFO.
std::uint64_t resident_bytes(pid_t process) {
  if (process != ::getpid()) {
    std::uint64_t sum = proportional_bytes(process);
    for (const pid_t child : children_of(process))
      sum += proportional_bytes(child);
    return sum;
  }
  std::uint64_t all = 0, resident = 0;
  if (std::ifstream(proc(process, "statm")) >> all >> resident)
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
}

/// In microseconds.
struct CpuTime {
  std::uint64_t user = 0, system = 0;
};

/// In user mode and in the system's; of who has children, with those that have
/// ended and were reaped (proc(5), stat: 14 to 17, in ticks of the clock).
CpuTime ticks_of(pid_t process) {
  std::ifstream file(proc(process, "stat"));
  std::string skipped;
  std::getline(file, skipped, ')');  // the name may have blanks
  for (int field = 3; field < 14; ++field) file >> skipped;
  std::uint64_t user = 0, system = 0, of_children_user = 0, of_children = 0;
  file >> user >> system >> of_children_user >> of_children;
  const auto tick =
      1'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return {(user + of_children_user) * tick, (system + of_children) * tick};
}

/// As resident_bytes().
CpuTime cpu_time(pid_t process) {
  if (process == ::getpid()) {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto us = [](const timeval& time) {
      return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
             static_cast<std::uint64_t>(time.tv_usec);
    };
    return {us(used.ru_utime), us(used.ru_stime)};
  }
  CpuTime sum = ticks_of(process);
  for (const pid_t child : children_of(process)) {
    const CpuTime one = ticks_of(child);
    sum.user += one.user;
    sum.system += one.system;
  }
  return sum;
}

std::uint64_t one_total(std::string_view prefix, std::string_view name) {
  return net::total(net::counter(prefix, name));
}

/// Names are those of system calls and counters: nothing to escape.
std::string object(const node::Surroundings::Numbers& numbers) {
  std::string text = "{";
  for (const auto& [name, number] : numbers) {
    if (number == 0) continue;
    if (text.size() > 1) text += ',';
    text += '"' + name + "\":" + decimal(number);
  }
  return text + '}';
}

/// Of those models that have the C library make their system calls.
std::string library_calls() {
  const auto calls = net::totals("lib.");
  return calls.empty() ? "" : ",\"library_calls\":" + object(calls);
}

Surroundings::Fields cpu(pid_t process) {
  const auto seconds = [](std::uint64_t us) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%llu.%06llu",
                  static_cast<unsigned long long>(us / 1'000'000),
                  static_cast<unsigned long long>(us % 1'000'000));
    return std::string(text.data());
  };
  const CpuTime used = cpu_time(process);
  return {{"used_cpu_sys", seconds(used.system)},
          {"used_cpu_user", seconds(used.user)}};
}

Surroundings::Fields ideals(const net::Model& model) {
  Surroundings::Fields fields;
  for (const net::Ideal& ideal : model.ideal) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.2f", ideal.per_request);
    const char* const kind = ideal.unseen     ? "unseen_"
                             : ideal.at_least ? "least_"
                                              : "ideal_";
    fields.emplace_back(kind + std::string(ideal.call), text.data());
  }
  return fields;
}

}  // namespace

Surroundings::Surroundings(const net::Model& model, const net::Options& options,
                           const net::Clients& clients,
                           const std::string& address)
    : model_(model),
      options_(options),
      clients_(clients),
      port_(node::split(address).port),
      system_(operating_system()) {}

Surroundings::Fields Surroundings::fields(std::string_view section) const {
  if (section == "server") return server();
  if (section == "clients")
    return {{"connected_clients", decimal(clients_.now)},
            {"maxclients", decimal(clients_.max)}};
  if (section == "memory")
    return {{"used_memory_rss", decimal(resident_bytes(process_))}};
  if (section == "stats") return stats();
  if (section == "cpu") return cpu(process_);
  if (section == "syscalls") return ideals(model_);
  return {};
}

Surroundings::Fields Surroundings::server() const {
  const auto up = (net::now() - began_) / 1'000'000'000;
  return {{"model", model_.name},
          {"variant", model_.variant},
          {"os", system_},
          {"arch_bits", decimal(8 * sizeof(void*))},
          {"multiplexing_api", model_.name},
          {"process_id", decimal(static_cast<std::uint64_t>(process_))},
          {"tcp_port", port_},
          {"threads", decimal(options_.threads)},
          {"uptime_in_seconds", std::to_string(up)},
          {"uptime_in_days", std::to_string(up / (24 * 60 * 60))}};
}

Surroundings::Fields Surroundings::stats() const {
  return {{"total_connections_received",
           decimal(clients_.accepted + clients_.refused)},
          {"rejected_connections", decimal(clients_.refused)},
          {"evicted_clients", decimal(one_total("net.", "evicted"))},
          {"late_clients", decimal(one_total("net.", "late"))},
          {"no_thread_clients", decimal(one_total("net.", "no_thread"))}};
}

std::string summary(const net::Model& model, const net::Clients& clients) {
  std::uint64_t requests = 0;
  for (const auto& [name, number] : net::totals("cmd.")) requests += number;
  const auto field = [](const char* name, std::uint64_t number) {
    return ",\"" + std::string(name) + "\":" + decimal(number);
  };
  return std::string("{\"model\":\"") + model.name + "\",\"variant\":\"" +
         model.variant + '"' + field("requests", requests) +
         field("accepted", clients.accepted) +
         field("refused", clients.refused) +
         field("reset", one_total("net.", "reset")) +
         field("evicted", one_total("net.", "evicted")) +
         field("late", one_total("net.", "late")) +
         field("no_memory", one_total("lost.", "memory")) +
         field("no_thread", one_total("net.", "no_thread")) +
         ",\"calls\":" + object(net::totals("sys.")) + library_calls() +
         ",\"model_counters\":" + object(net::totals("model.")) + '}';
}

}  // namespace program
