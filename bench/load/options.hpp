#pragma once
// The load's command line.

#include <expected>
#include <string>
#include <vector>

#include "bench/load/generator.hpp"
#include "net/model.hpp"
#include "program/options.hpp"

namespace load {

struct Options {
  net::Options net;  // the client model's
  Plan plan;         // its address as it was given: not resolved
  std::vector<std::string> commands{"ECHO {32}"};
  std::uint64_t keys = 10'000;
  Answers answers = Answers::server;
  std::uint32_t slow = 0;  // connections that read slowly
  std::string json;        // a file; "-": the standard output; empty: none
  std::string hgrm;        // a file; empty: none
  std::string rank_hgrm;   // each rank's own, its number behind the name
  std::string trace;       // a file; empty: none
  bool quiet = false;
  // Then nothing else counts:
  std::vector<std::string> merge;  // files
  bool probe = false;              // say whether the client can run here
};

/// What the command line says, or how the program ends (program::print()). A
/// client that cannot send while it waits takes no --rate.
std::expected<Options, program::Ending> parse(
    const program::Arguments& arguments, const net::Model& client);

}  // namespace load
