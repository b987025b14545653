#include "tests/conformance/server.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

namespace conformance {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<Program> listed(const char* only, const char* names,
                            const std::string& kind) {
  if (const auto path = environment(only); !path.empty())
    return {{path.substr(path.rfind('/') + 1), path}};
  std::vector<Program> programs;
  std::istringstream words(environment(names));
  for (std::string name; words >> name;)
    programs.push_back({name, in_bin(name + "-" + kind)});
  return programs;
}

/// "--nap=50" of NAPS="<program>=--nap=50": whoever asks all the time
/// takes the processors of all other tests. Only where it is about that it
/// does.
std::string nap_of(const Program& program) {
  const char* naps = std::getenv("NAPS");
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string suite = test ? test->test_suite_name() : "";
  if (!naps || suite == "Servers/Promises" || suite == "Servers/Calls")
    return "";
  std::istringstream words(naps);
  for (std::string word; words >> word;)
    if (word.starts_with(program.name + "="))
      return word.substr(program.name.size() + 1);
  return "";
}

Arguments command_of(const Program& program, const Arguments& options) {
  Arguments command{program.path};
  command.insert(command.end(), options.begin(), options.end());
  if (const std::string nap = nap_of(program); !nap.empty())
    command.push_back(nap);
  return command;
}

Arguments with_socket(Arguments options, const Descriptor& socket) {
  options.push_back("--listen-fd");
  options.push_back(std::to_string(socket.get()));
  return options;
}

Arguments with_free_port(Arguments options) {
  options.insert(options.end(), {"--port", "0"});
  return options;
}

/// What AddressSanitizer keeps of freed memory would look like growth.
void keep_quarantine_small() {
  if (!sanitized()) return;
  const std::string options =
      environment("ASAN_OPTIONS") + ":quarantine_size_mb=1";
  ::setenv("ASAN_OPTIONS", options.c_str(), 1);
}

}  // namespace

void PrintTo(const Program& program, std::ostream* out) {
  *out << program.path;
}

std::string in_bin(const std::string& name) {
  return environment("BIN") + "/" + name;
}

const std::vector<Program>& servers() {
  static const auto programs = [] {
    keep_quarantine_small();
    return listed("SERVER", "SERVERS", "server");
  }();
  return programs;
}

const std::vector<Program>& models() {
  static const auto first = [] {
    std::vector<Program> programs;
    const auto model = [](const Program& program) {
      return program.name.substr(0, program.name.find('-'));
    };
    for (const Program& program : servers())
      if (everything() || programs.empty() ||
          model(programs.back()) != model(program))
        programs.push_back(program);
    return programs;
  }();
  return first;
}

const std::vector<Program>& clients() {
  static const auto programs =
      !environment("SERVER").empty() && environment("CLIENT").empty()
          ? std::vector<Program>{}
          : listed("CLIENT", "CLIENTS", "client");
  return programs;
}

std::string name_of(const testing::TestParamInfo<Program>& parameter) {
  std::string name;
  for (const char c : parameter.param.name)
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

Server::Server(const Program& program, const Arguments& options)
    : Server(program, options, bind_socket()) {}

Server::Server(const Program& program, const Arguments& options,
               Descriptor socket)
    // Braces, since they promise the order: first its number, then the socket.
    : process_{command_of(program, takes_socket() ? with_socket(options, socket)
                                                  : with_free_port(options)),
               takes_socket() ? std::move(socket) : Descriptor()} {}

Server::Server(const Program& program, const Arguments& options, Itself)
    : process_(command_of(program, with_free_port(options))) {}

std::optional<std::string> address_in(const std::string& line) {
  std::istringstream words(line);
  std::string ready, model, variant, url, more;
  words >> ready >> model >> variant >> url;
  if (ready != "ready" || url.empty() || words >> more) return {};
  const auto colon = url.find(':');
  return url.substr(url.starts_with("tcp://") ? colon + 3 : colon + 1);
}

void Server::await_ready() {
  const auto spoken = [this] {
    return process_.output().ends_with('\n') || process_.ended();
  };
  eventually(spoken, start_bound());
  const auto address = address_in(process_.output());
  if (!address)
    throw Trouble("no ready line but " + printable(process_.output()) +
                  ", and on standard error " + printable(process_.errors()));
  address_ = *address;
}

std::string Server::port() const {
  return address_.substr(address_.rfind(':') + 1);
}

Named<std::string> Server::figures() const {
  Peer peer = connect();
  return figures(peer);
}

Named<std::string> Server::figures(Peer& peer, const std::string& section) {
  const Answer answer = peer.ask({"INFO", section});
  const Reply reply = decode(answer);
  if (reply.type != '$' && reply.type != '=')
    throw Trouble("INFO is answered by a text, not by " + printable(answer));
  return fields_of(reply.text, ':');
}

std::size_t Server::figure(Peer& peer, const std::string& name) {
  return number_of(figures(peer).at(name), "INFO's " + name);
}

Milliseconds Server::cpu_time_in(Milliseconds window) {
  const auto before = process_.cpu_time();
  std::this_thread::sleep_for(window);
  return process_.cpu_time() - before;
}

int Server::stop() {
  process_.signal(SIGTERM);
  return process_.wait(std::max(patience(), stop_bound()));
}

Account Server::account() {
  process_.wait(std::max(patience(), stop_bound()));
  for (const auto& line : lines_of(process_.errors()))
    if (line.starts_with('{')) return numbers_of(line);
  throw Trouble("no account at the end, on standard error, but " +
                printable(process_.errors()));
}

std::string Server::complaint() const {
  std::string said = process_.errors();
  for (const char* mark : {"Sanitizer", "runtime error:", "Assertion"})
    if (said.find(mark) != std::string::npos) return said;
  return "";
}

void ServerTest::SetUp() {
  const Availability& found = availability(GetParam());
  if (!found.failure.empty()) FAIL() << found.failure;
  if (!found.skip.empty()) GTEST_SKIP() << found.skip;
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const Demand* demand = demand_on(test->test_suite_name(), test->name());
  if (demand && !held_to(demand->level))
    GTEST_SKIP() << "it promises level " << word_of(traits().level())
                 << " and no more";
}

void ServerTest::TearDown() {
  for (const auto& server : servers_) server->process().signal(SIGTERM);
  for (const auto& server : servers_) {
    EXPECT_EQ(server->stop(), 0) << server->process().errors();
    EXPECT_EQ(server->complaint(), "");
  }
  if (!HasFailure()) return;
  for (const auto& server : servers_)
    std::cerr << server->address()
              << " said: " << printable(server->process().errors()) << '\n';
}

Server& ServerTest::start(const Arguments& options) {
  return start(GetParam(), options, bind_socket());
}

Server& ServerTest::start(const Program& program, const Arguments& options,
                          Descriptor socket) {
  Server& server = launch(program, options, std::move(socket));
  server.await_ready();
  return server;
}

Server& ServerTest::launch(const Program& program, const Arguments& options,
                           Descriptor socket) {
  servers_.push_back(
      std::make_unique<Server>(program, options, std::move(socket)));
  return *servers_.back();
}

}  // namespace conformance
