// # The client's program
//
// The main thread says what is to be asked and waits for the answers; another
// one runs the model's client, which moves the bytes.

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <future>
#include <string>
#include <thread>

#include "net/address.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/probe.hpp"
#include "net/timeline.hpp"
#include "program/caller.hpp"
#include "program/demonstration.hpp"
#include "program/lookup.hpp"
#include "program/options.hpp"
#include "program/prepare.hpp"
#include "program/printer.hpp"

namespace {

using program::Caller;
using program::ClientOptions;

constexpr int failed_code = 1;
constexpr int skipped_code = 77;  // the model cannot run here

/// All but those by which people and shells end and stop a program.
void block_signals() {
  sigset_t set;
  ::sigfillset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP})
    ::sigdelset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// Runs the model's client beside the main thread.
class Conversation {
 public:
  Conversation(Caller& caller, net::Mailbox& mailbox,
               const net::Options& options)
      : caller_(caller),
        mailbox_(mailbox),
        ended_(ended_promise_.get_future()) {
    thread_ = std::thread([this, &options] {
      ::pthread_setname_np(::pthread_self(), "converse");
      try {
        model::converse(caller_, mailbox_, options);
        caller_.fail("the conversation has ended");
      } catch (const std::exception& error) {
        caller_.fail(error.what());
      }
      ended_promise_.set_value();
    });
  }

  /// False: it is still there. A client that sleeps in connect(2) may not be
  /// woken for minutes, and nobody waits for what it has to say any more.
  bool end() {
    caller_.stop();
    mailbox_.stop();
    if (ended_.wait_for(std::chrono::seconds(1)) != std::future_status::ready)
      return false;
    thread_.join();
    return true;
  }

 private:
  Caller& caller_;
  net::Mailbox& mailbox_;
  std::promise<void> ended_promise_;
  std::future<void> ended_;
  std::thread thread_;
};

int run_command(Caller& caller, const ClientOptions& options) {
  std::vector<program::Command> commands;
  if (options.resp3) commands.push_back({"HELLO", "3"});
  commands.push_back(options.command);
  const auto answers = caller.ask(options.address, commands);
  const program::Answer& answer = answers.back();
  const bool raw = options.raw.value_or(!::isatty(STDOUT_FILENO)) ||
                   program::answers_with_text(options.command);
  const std::string text = raw ? program::print_raw(answer.value())
                               : program::print_formatted(answer.value());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return answer.is_error() ? failed_code : 0;
}

int run_lookups(Caller& caller, const ClientOptions& options) {
  for (const std::string& key : options.lookup) {
    const auto steps = program::look_up(caller, options.address, key);
    std::fputs(program::print_steps(key, steps).c_str(), stdout);
  }
  return 0;
}

int run(Caller& caller, const ClientOptions& options) {
  try {
    if (options.demo)
      return program::demonstrate(caller, options.address) ? 0 : failed_code;
    if (!options.lookup.empty()) return run_lookups(caller, options);
    return run_command(caller, options);
  } catch (const program::NoAnswer& why) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", why.what());
    return failed_code;
  }
}

/// Writes what is still to be written; the exit code.
int finish(int code, const ClientOptions& options) {
  const bool said = std::fflush(stdout) == 0;
  if (!net::trace::write()) {
    std::fprintf(stderr, "%s: cannot be written\n", options.trace.c_str());
    return failed_code;
  }
  return said ? code : failed_code;
}

int converse(ClientOptions options) {
  const std::string why = net::refusal({&model::client}, options.net);
  if (!why.empty()) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return skipped_code;
  }
  options.address = net::to_text(net::resolve(options.address));
  if (!options.trace.empty()) net::trace::to(options.trace);
  block_signals();
  net::Mailbox mailbox;
  Caller caller(mailbox, options.timeout);
  Conversation conversation(caller, mailbox, options.net);
  const int code = run(caller, options);
  if (!conversation.end()) ::_exit(finish(code, options));
  return finish(code, options);
}

}  // namespace

int main(int count, char** words) {
  try {
    program::prepare();
    auto options =
        program::parse_client({words + 1, words + count}, model::client);
    if (!options) return program::print(options.error());
    return converse(*std::move(options));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return failed_code;
  }
}
