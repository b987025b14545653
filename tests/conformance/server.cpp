#include "tests/conformance/server.hpp"

#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <iostream>
#include <limits>
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

Arguments command_of(const Program& program, const Arguments& options) {
  Arguments command{program.path};
  command.insert(command.end(), options.begin(), options.end());
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

Availability find_out(const Program& program) {
  if (::access(program.path.c_str(), X_OK) != 0)
    return {"", "there is no program " + program.path};
  Server server(program, {}, bind_socket());
  try {
    server.await_ready();
    return {};
  } catch (const Trouble& trouble) {
    if (server.process().wait() != 77) return {"", trouble.what()};
    const std::string reason = server.process().errors();
    if (lines_of(reason).size() == 1) return {lines_of(reason)[0], ""};
    return {"", "exit code 77 needs one line, not: " + reason};
  }
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

const Availability& availability(const Program& program) {
  static std::map<std::string, Availability> known;
  const auto [entry, is_new] = known.try_emplace(program.path);
  if (is_new) entry->second = find_out(program);
  return entry->second;
}

const std::string& Traits::operator[](const std::string& name) const {
  const auto value = values.find(name);
  if (value == values.end()) throw Trouble("no trait " + name);
  return value->second;
}

std::size_t Traits::concurrent() const {
  const auto& value = (*this)["concurrent"];
  if (value == "all") return std::numeric_limits<std::size_t>::max();
  return std::stoul(value);
}

const Traits& traits_of(const Program& program) {
  static std::map<std::string, Traits> known;
  const auto [entry, is_new] = known.try_emplace(program.path);
  if (is_new)
    entry->second.values =
        fields_of(run({program.path, "--traits"}).output, '=');
  return entry->second;
}

Server::Server(const Program& program, const Arguments& options)
    : Server(program, options, bind_socket()) {}

Server::Server(const Program& program, const Arguments& options,
               Descriptor socket)
    // Braces, since they promise the order: first its number, then the socket.
    : process_{command_of(program, with_socket(options, socket)),
               std::move(socket)} {}

Server::Server(const Program& program, const Arguments& options, Itself)
    : process_(command_of(program, with_free_port(options))) {}

void Server::await_ready() {
  const bool said_or_ended = eventually(
      [this] { return process_.output().ends_with('\n') || process_.ended(); });
  const std::string said = process_.output();
  std::istringstream words(said);
  std::string ready, model, variant, url, more;
  words >> ready >> model >> variant >> url;
  if (!said_or_ended || ready != "ready" || url.empty() || words >> more)
    throw Trouble("no ready line but \"" + said + "\" and " +
                  process_.errors());
  const auto colon = url.find(':');
  address_ = url.substr(url.starts_with("tcp://") ? colon + 3 : colon + 1);
}

std::string Server::port() const {
  return address_.substr(address_.rfind(':') + 1);
}

std::map<std::string, std::string> Server::figures() const {
  Peer peer = connect();
  return figures(peer);
}

std::map<std::string, std::string> Server::figures(Peer& peer,
                                                   const std::string& section) {
  return fields_of(decode(peer.ask({"INFO", section})).text, ':');
}

std::size_t Server::figure(Peer& peer, const std::string& name) {
  const auto all = figures(peer);
  const auto found = all.find(name);
  if (found == all.end()) throw Trouble("INFO has no " + name);
  return std::stoul(found->second);
}

Milliseconds Server::cpu_time_in(Milliseconds window) {
  const auto before = process_.cpu_time();
  std::this_thread::sleep_for(window);
  return process_.cpu_time() - before;
}

int Server::stop() {
  process_.signal(SIGTERM);
  return process_.wait();
}

Account Server::account() {
  process_.wait();
  for (const auto& line : lines_of(process_.errors()))
    if (line.starts_with('{')) return numbers_of(line);
  throw Trouble("no account at the end but: " + process_.errors());
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
