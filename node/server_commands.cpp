// INFO and CONFIG GET.

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "node/handlers.hpp"
#include "node/text.hpp"

namespace node {

namespace {

/// The text of INFO: sections of "field:value" lines.
class Report {
 public:
  explicit Report(const Node& node) : node_(node) {}

  void title(std::string_view title) {
    if (!text_.empty()) text_ += "\r\n";
    text_.append("# ").append(title).append("\r\n");
  }
  void field(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void field(std::string_view name, std::uint64_t value) {
    field(name, std::to_string(value));
  }
  /// The sums of those counters. Where every peer has a thread there are ten
  /// thousand to look at, so all is added up in one go, when it is first
  /// wanted.
  Surroundings::Numbers totals(std::string_view prefix) {
    if (all_.empty()) {
      steps_ += steps_a_thread * node_.surroundings().threads();
      all_ = node_.surroundings().totals("");
    }
    Surroundings::Numbers found;
    for (const auto& [name, number] : all_)
      if (name.starts_with(prefix))
        found.emplace_back(name.substr(prefix.size()), number);
    return found;
  }
  /// A field for each counter that is not zero.
  void count(std::string_view counters, std::string_view prefix) {
    for (const auto& [name, number] : totals(counters))
      if (number != 0) field(std::string(prefix) + name, number);
  }
  const Node& node() const { return node_; }
  const std::string& text() const { return text_; }
  std::size_t steps() const { return steps_; }

 private:
  // To add up a thread's counters.
  static constexpr std::size_t steps_a_thread = 5;

  const Node& node_;
  std::string text_;
  Surroundings::Numbers all_;
  std::size_t steps_ = 0;
};

std::uint64_t sum(const Surroundings::Numbers& numbers) {
  return std::accumulate(
      numbers.begin(), numbers.end(), std::uint64_t{0},
      [](std::uint64_t all, const auto& one) { return all + one.second; });
}

void server(Report& report) {
  const auto& node = report.node();
  report.field("redis_version", redis_version);
  report.field("iomodels_version", version);
  report.field("redis_mode", node.setup().overlay ? "cluster" : "standalone");
  report.field("overlay",
               node.setup().overlay ? node.overlay().name() : "alone");
  report.field("node_id", dht::to_hex(node.overlay().self().id));
  report.field("node_address", node.overlay().self().address);
}

// Who is blocked waits for a lookup, and has one at a time.
void clients(Report& report) {
  const auto* lookups = report.node().setup().lookups;
  report.field("blocked_clients", lookups ? lookups->running() : 0);
}

void memory(Report& report) {
  const auto& node = report.node();
  report.field("used_memory", node.store().bytes_used());
  report.field("maxmemory", node.store().bytes_max());
  report.field("maxmemory_policy", "noeviction");
  report.field("buffers_used", node.buffers_used());
  report.field("buffers_max", node.limits().buffers_max);
}

// There is no disk, so nothing is loaded or saved.
void persistence(Report& report) {
  for (const auto* name : {"loading", "rdb_bgsave_in_progress", "aof_enabled",
                           "aof_rewrite_in_progress"})
    report.field(name, std::uint64_t{0});
}

void stats(Report& report) {
  const auto& node = report.node();
  report.field("total_commands_processed", sum(report.totals("cmd.")));
  report.field("expired_keys", std::uint64_t{0});
  report.field("evicted_keys", std::uint64_t{0});
  report.field("total_protocol_errors", sum(report.totals("err.")));
  report.count("err.", "protocol_error_");
  report.field("lost_for_memory", sum(report.totals("lost.")));
  if (const auto* lookups = node.setup().lookups) {
    report.field("lookups_running", lookups->running());
    report.field("lookups_ended", lookups->ended());
  }
}

// Nobody copies from us, and we copy from nobody.
void replication(Report& report) {
  report.field("role", "master");
  report.field("connected_slaves", std::uint64_t{0});
  report.field("master_repl_offset", std::uint64_t{0});
}

// "12.34"
std::string hundredths(std::uint64_t number) {
  const auto part = std::to_string(100 + number % 100);
  return std::to_string(number / 100) + '.' + part.substr(1);
}

// The two lists are in one order: that of the table.
void commandstats(Report& report) {
  const auto times = report.totals("time.");
  std::size_t row = 0;
  for (const auto& [name, calls] : report.totals("cmd.")) {
    const std::uint64_t ns = times[row++].second;
    if (calls == 0) continue;
    report.field("cmdstat_" + name,
                 "calls=" + std::to_string(calls) +
                     ",usec=" + std::to_string(ns / 1000) +
                     ",usec_per_call=" + hundredths(ns / 10 / calls));
  }
}

void syscalls(Report& report) {
  report.count("sys.", "syscall_");
  report.count("lib.", "library_");
}

// Those at zero too: what has not happened is worth knowing of a model.
void model(Report& report) {
  for (const auto& [name, number] : report.totals("model."))
    report.field(name, number);
}

void cluster(Report& report) {
  report.field("cluster_enabled",
               std::uint64_t{report.node().setup().overlay != nullptr});
}

void keyspace(Report& report) {
  const auto keys = report.node().store().size();
  if (keys != 0)
    report.field("db0",
                 "keys=" + std::to_string(keys) + ",expires=0,avg_ttl=0");
}

/// What the node knows of it, and behind that what the process has to say.
struct Section {
  std::string_view name, title;
  void (*write)(Report&);
};

constexpr std::array<Section, 12> sections = {{
    {"server", "Server", server},
    {"clients", "Clients", clients},
    {"memory", "Memory", memory},
    {"persistence", "Persistence", persistence},
    {"stats", "Stats", stats},
    {"replication", "Replication", replication},
    {"cpu", "CPU", [](Report&) {}},
    {"commandstats", "Commandstats", commandstats},
    {"syscalls", "Syscalls", syscalls},
    {"model", "Model", model},
    {"cluster", "Cluster", cluster},
    {"keyspace", "Keyspace", keyspace},
}};

// Is this section asked for? Without a name all are: there are few.
bool wanted(const Section& section, std::span<const std::string_view> names) {
  return names.empty() || std::ranges::any_of(names, [&](auto name) {
           return same_word(name, section.name) || same_word(name, "all") ||
                  same_word(name, "everything") || same_word(name, "default");
         });
}

std::string find_field(const Node& node, std::string_view section,
                       std::string_view name) {
  for (const auto& [field, value] : node.surroundings().fields(section))
    if (field == name) return value;
  return "0";
}

struct Setting {
  std::string_view name;
  std::string (*value)(const Node&);
};

constexpr std::array<Setting, 10> settings = {{
    // Nothing is written to a disk.
    {"appendonly", [](const Node&) -> std::string { return "no"; }},
    {"cluster-enabled",
     [](const Node& node) -> std::string {
       return node.setup().overlay ? "yes" : "no";
     }},
    {"databases", [](const Node&) -> std::string { return "1"; }},
    {"maxclients",
     [](const Node& node) {
       return find_field(node, "clients", "maxclients");
     }},
    {"maxmemory",
     [](const Node& node) { return std::to_string(node.store().bytes_max()); }},
    {"maxmemory-policy",
     [](const Node&) -> std::string { return "noeviction"; }},
    {"port",
     [](const Node& node) { return find_field(node, "server", "tcp_port"); }},
    {"proto-max-bulk-len",
     [](const Node& node) { return std::to_string(node.limits().bulk_max); }},
    {"save", [](const Node&) -> std::string { return ""; }},
    // An idle client may stay.
    {"timeout", [](const Node&) -> std::string { return "0"; }},
}};

// So many bytes of patterns are looked at in the time of a PING.
constexpr std::size_t pattern_bytes_a_step = 32;

}  // namespace

void info(const Call& call) {
  const auto names = call.arguments.subspan(1);
  if (names.size() > names_max) return call.reply.error(too_many_names);
  Report report(call.context);
  for (const auto& section : sections) {
    if (!wanted(section, names)) continue;
    report.title(section.title);
    section.write(report);
    for (const auto& [name, value] :
         call.context.surroundings().fields(section.name))
      report.field(name, value);
  }
  call.reply.spend(report.steps());
  call.reply.verbatim(report.text());
}

void config_get(const Call& call) {
  const auto patterns = call.arguments.subspan(2);
  if (patterns.size() > names_max) return call.reply.error(too_many_names);
  std::size_t bytes = 0, steps = 0;
  for (const auto pattern : patterns) bytes += pattern.size();
  if (bytes > patterns_max)
    return call.reply.error(
        "ERR all patterns together may have at most 1024 bytes");
  std::vector<const Setting*> found;
  for (const auto& setting : settings)
    if (std::ranges::any_of(patterns, [&](auto pattern) {
          return matches(pattern, setting.name, steps);
        }))
      found.push_back(&setting);
  call.reply.spend(steps / pattern_bytes_a_step);
  call.reply.map(found.size());
  for (const auto* setting : found)
    field(call.reply, setting->name, setting->value(call.context));
}

}  // namespace node
