#include "program/surroundings.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>

#include "node/text.hpp"

namespace program {
namespace {

std::string decimal(std::uint64_t number) { return std::to_string(number); }

std::string operating_system() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

/// Pages that are in memory (proc(5), statm); where there is no /proc, the most
/// that there ever were.
std::uint64_t resident_bytes() {
  std::uint64_t all = 0, resident = 0;
  if (std::ifstream("/proc/self/statm") >> all >> resident)
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
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

Surroundings::Fields cpu() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%lld.%06ld",
                  static_cast<long long>(time.tv_sec), time.tv_usec);
    return std::string(text.data());
  };
  return {{"used_cpu_sys", seconds(used.ru_stime)},
          {"used_cpu_user", seconds(used.ru_utime)}};
}

Surroundings::Fields ideals(const net::Model& model) {
  Surroundings::Fields fields;
  for (const net::Ideal& ideal : model.ideal) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.2f", ideal.per_request);
    fields.emplace_back(
        (ideal.at_least ? "least_" : "ideal_") + std::string(ideal.call),
        text.data());
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
    return {{"used_memory_rss", decimal(resident_bytes())}};
  if (section == "stats") return stats();
  if (section == "cpu") return cpu();
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
          {"process_id", decimal(static_cast<std::uint64_t>(::getpid()))},
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
         ",\"calls\":" + object(net::totals("sys.")) +
         ",\"model_counters\":" + object(net::totals("model.")) + '}';
}

}  // namespace program
