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
  /// What the process has to say to this section.
  void fields(std::string_view section) {
    for (const auto& [name, value] : node_.surroundings().fields(section))
      field(name, value);
  }
  /// A field for each counter that is not zero.
  void totals(std::string_view counters, std::string_view prefix,
              std::string_view value_prefix) {
    for (const auto& [name, count] : node_.surroundings().totals(counters))
      if (count != 0)
        field(std::string(prefix) + name,
              std::string(value_prefix) + std::to_string(count));
  }
  const Node& node() const { return node_; }
  const std::string& text() const { return text_; }

 private:
  const Node& node_;
  std::string text_;
};

std::uint64_t sum(const Surroundings::Numbers& numbers) {
  return std::accumulate(
      numbers.begin(), numbers.end(), std::uint64_t{0},
      [](std::uint64_t all, const auto& one) { return all + one.second; });
}

void server(Report& report) {
  const auto& node = report.node();
  report.field("iomodels_version", version);
  report.field("redis_mode", node.setup().overlay ? "cluster" : "standalone");
  report.field("overlay", node.overlay().name());
  report.field("node_id", dht::to_hex(node.overlay().self().id));
  report.field("node_address", node.overlay().self().address);
  report.fields("server");
}

void clients(Report& report) { report.fields("clients"); }

void memory(Report& report) {
  const auto& node = report.node();
  report.field("used_memory", node.store().bytes_used());
  report.field("maxmemory", node.store().bytes_max());
  report.field("maxmemory_policy", "noeviction");
  report.field("buffers_used", node.buffers_used());
  report.field("buffers_max", node.limits().buffers_max);
  report.fields("memory");
}

void stats(Report& report) {
  const auto& node = report.node();
  report.fields("stats");
  report.field("total_commands_processed",
               sum(node.surroundings().totals("cmd.")));
  report.field("total_protocol_errors",
               sum(node.surroundings().totals("err.")));
  report.totals("err.", "protocol_error_", "");
  report.field("lost_for_memory", sum(node.surroundings().totals("lost.")));
  if (const auto* lookups = node.setup().lookups) {
    report.field("lookups_running", lookups->running());
    report.field("lookups_ended", lookups->ended());
  }
}

void commandstats(Report& report) {
  report.totals("cmd.", "cmdstat_", "calls=");
}

void syscalls(Report& report) {
  report.totals("sys.", "syscall_", "");
  report.fields("syscalls");
}

void model(Report& report) {
  report.totals("model.", "", "");
  report.fields("model");
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

struct Section {
  std::string_view name, title;
  void (*write)(Report&);
};

constexpr std::array<Section, 9> sections = {{
    {"server", "Server", server},
    {"clients", "Clients", clients},
    {"memory", "Memory", memory},
    {"stats", "Stats", stats},
    {"commandstats", "Commandstats", commandstats},
    {"syscalls", "Syscalls", syscalls},
    {"model", "Model", model},
    {"cluster", "Cluster", cluster},
    {"keyspace", "Keyspace", keyspace},
}};

// Is the section asked for? Without a name all are: there are few.
bool wanted(const Section& section, std::span<const std::string_view> names) {
  return names.empty() ||
         std::ranges::any_of(names, [&](std::string_view name) {
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

using Settings = std::vector<std::pair<std::string_view, std::string>>;

Settings settings(const Node& node) {
  const bool ring = node.setup().overlay != nullptr;
  const auto bulk_max = std::to_string(node.limits().bulk_max);
  Settings all;
  all.emplace_back("appendonly", "no");  // nothing is written to a disk
  all.emplace_back("cluster-enabled", ring ? "yes" : "no");
  all.emplace_back("databases", "1");
  all.emplace_back("maxclients", find_field(node, "clients", "maxclients"));
  all.emplace_back("maxmemory", std::to_string(node.store().bytes_max()));
  all.emplace_back("maxmemory-policy", "noeviction");
  all.emplace_back("port", find_field(node, "server", "tcp_port"));
  all.emplace_back("proto-max-bulk-len", bulk_max);
  all.emplace_back("save", "");
  all.emplace_back("timeout", "0");  // an idle client may stay
  return all;
}

}  // namespace

void info(const Call& call) {
  Report report(call.node);
  for (const auto& section : sections)
    if (wanted(section, call.arguments.subspan(1))) {
      report.title(section.title);
      section.write(report);
    }
  call.reply.verbatim(report.text());
}

void config_get(const Call& call) {
  auto found = settings(call.node);
  std::erase_if(found, [&](const auto& setting) {
    return std::ranges::none_of(call.arguments.subspan(2), [&](auto pattern) {
      return matches(pattern, setting.first);
    });
  });
  call.reply.map(found.size());
  for (const auto& [name, value] : found) {
    call.reply.bulk(name);
    call.reply.bulk(value);
  }
}

}  // namespace node
