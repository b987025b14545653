#include "bench/load/options.hpp"

#include <random>

#include "program/command_line.hpp"

namespace load {
namespace {

using program::command_line::choice;
using program::command_line::number;
using program::command_line::refuse;
using program::command_line::rows;
using program::command_line::trace_option;
using program::command_line::word;

/// A number with a fraction; `take` gets it.
void decimal(CLI::App& app, const std::string& name, double least, double most,
             const std::string& type, const std::string& shown,
             const std::string& help, const std::function<void(double)>& take) {
  const auto read = [=](const std::string& text) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || rest != end || !(number >= least) ||
        !(number <= most))
      refuse(name, text,
             "a number from " + CLI::detail::to_string(least) + " to " +
                 CLI::detail::to_string(most));
    take(number);
  };
  word(app, name, read, help)->type_name(type)->default_str(shown);
}

void seconds(CLI::App& app, const std::string& name, double least,
             Nanoseconds& value, const std::string& help) {
  decimal(app, name, least, 3600, "S",
          CLI::detail::to_string(static_cast<double>(value) / 1e9), help,
          [&value](double number) {
            value = static_cast<Nanoseconds>(number * 1e9);
          });
}

void kinds_of_load(CLI::App& app, Options& options) {
  Plan& plan = options.plan;
  number(app, "--connections", plan.connections, {1, 100'000}, "connections");
  number(app, "--threads", plan.threads, {1, 256},
         "threads that ask, each with its part of the connections");
  number(app, "--depth", plan.depth, {1, 100'000},
         "closed loop: requests under way on each");
  decimal(app, "--rate", 0.1, 1e8, "R", "",
          "open loop: requests per second of all together, on a schedule",
          [&plan](double rate) { plan.rate = rate; });
  choice(app, "--arrivals", plan.arrivals,
         {{"poisson", Arrivals::poisson}, {"fixed", Arrivals::fixed}},
         "the schedule's gaps");
  app.get_option("--rate")->excludes("--depth");
  seconds(app, "--duration", 0.01, plan.duration, "the measured time");
  seconds(app, "--warmup", 0, plan.warmup_max,
          "at most so long before it, until rates are steady");
  number(app, "--churn", plan.churn, {0, 1'000'000'000},
         "requests after which a connection is made anew; 0: never");
  number(app, "--idle", plan.idle, {0, 100'000},
         "connections beside these that ask once and stay");
  number(app, "--slow", options.slow, {0, 10'000},
         "connections beside these that read slowly");
  number(app, "--flooder", plan.flooder, {0, 100'000},
         "requests under way on one more connection, not measured; 0: none");
}

void requests(CLI::App& app, Options& options) {
  app.add_option("--command", options.commands,
                 "what is asked, once or more: 'ECHO {32}', '9*GET {key}'; "
                 "{n} and {n-m} are bytes, {key} a key, 9* a weight")
      ->type_name("TEXT")
      ->take_all()
      ->capture_default_str();
  number(app, "--key-count", options.keys, {1, load::keys_max}, "keys");
  app.add_flag_callback(
      "--raw", [&options] { options.answers = Answers::echo; },
      "an echo is asked: the right answer is the request itself");
  number(app, "--seed", options.plan.seed,
         {0, std::numeric_limits<std::uint64_t>::max()},
         "of sizes, keys, commands and gaps");
  app.get_option("--seed")->default_str("another each time");
}

void results(CLI::App& app, Options& options) {
  app.add_option("--json", options.json,
                 "write the result there; -: the standard output")
      ->type_name("FILE");
  app.add_option("--hgrm", options.hgrm, "write the latencies' histogram there")
      ->type_name("FILE");
}

void results_of_a_run(CLI::App& app, Options& options) {
  results(app, options);
  app.add_option("--rank-hgrm", options.rank_hgrm,
                 "each rank's own: FILE.0, FILE.1, ...; see load-mpi")
      ->type_name("FILE");
  app.add_flag("--quiet", options.quiet, "no line of progress on a terminal");
}

// A client that cannot send while it waits has others who wait for it: threads
// of its own or of the C library.
void check_threads(const Plan& plan, const net::Model& client) {
  if (!client.traits.duplex && plan.threads > 1)
    throw CLI::ValidationError(
        "--threads", std::string("the ") + client.name +
                         " client has a thread for each connection as it is");
  if (plan.threads > plan.connections)
    throw CLI::ValidationError("--threads",
                               std::to_string(plan.connections) +
                                   " connections are too few for " +
                                   std::to_string(plan.threads) + " threads");
}

void check(const Options& options, const net::Model& client) {
  check_threads(options.plan, client);
  if (options.plan.is_open() && !client.traits.duplex)
    throw CLI::ValidationError(
        "--rate", std::string("the ") + client.name +
                      " client cannot send while it waits for a reply, so it "
                      "keeps no schedule");
  try {
    const Workload tried(options.commands, options.keys, options.answers);
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError("--command", error.what());
  }
}

std::expected<Options, program::Ending> parse_merge(
    const program::Arguments& arguments, const std::string& name) {
  Options options;
  CLI::App app("Adds histograms up: the result is that of all samples.",
               name + " merge");
  app.add_option("FILE", options.merge, "histograms written with --hgrm")
      ->required();
  results(app, options);
  return program::command_line::parse(
      app, {arguments.begin() + 1, arguments.end()}, options, [] {});
}

}  // namespace

std::expected<Options, program::Ending> parse(
    const program::Arguments& arguments, const net::Model& client) {
  Options options;
  options.plan.seed = std::random_device()();
  const std::string name =
      std::string("load-") + client.name + "-" + client.variant;
  options.probe = arguments == program::Arguments{"--probe"};
  if (options.probe) return options;
  if (!arguments.empty() && arguments.front() == "merge")
    return parse_merge(arguments, name);
  CLI::App app(
      "Asks a server and measures how long it takes to answer. Every answer "
      "is\ncompared byte by byte; the first wrong one ends the run.",
      name);
  app.add_option("ADDRESS", options.plan.address, "127.0.0.1:7000, or a path")
      ->required();
  kinds_of_load(app, options);
  // What is refused, with its reason, is not offered (bench/load_run.py).
  if (!client.traits.duplex) app.get_option("--threads")->group("");
  requests(app, options);
  results_of_a_run(app, options);
  trace_option(app, options.trace);
  rows(app, options.net, client);
  app.footer(
      "merge FILE...: adds histograms up (merge --help).\n"
      "--probe, alone: can this client run here? (exit code 77: no)");
  return program::command_line::parse(app, arguments, options,
                                      [&] { check(options, client); });
}

}  // namespace load
