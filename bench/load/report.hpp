#pragma once
// What a load came to: a verdict on itself, an object for programs, a line for
// people.

#include <string>
#include <vector>

#include "bench/load/generator.hpp"

namespace load {

/// Why the numbers are not to be believed, "" if they are: the generator was
/// held up or did not send as it should, there are too few of them, or they are
/// not of one steady state.
std::string find_fault(const Plan& plan, const Outcome& outcome);

/// What kept the rate from being higher: "load", the generator, its thread or
/// its CPU; "schedule", which was kept by both; or "", the server, or the way
/// there and back. Of the first two the rate is a lower bound of the server's.
std::string find_limit(const Plan& plan, const Outcome& outcome);

/// What only the program knows.
struct Setting {
  std::string client;  // "epoll-level"
  std::vector<std::string> commands;
  // Where there are several generators:
  std::string host = {};                // of this one
  std::vector<std::string> ranks = {};  // their objects
};

/// One JSON object, without a line break.
std::string to_json(const Plan& plan, const Setting& setting,
                    const Outcome& outcome, const std::string& fault);

/// The same of a merged histogram: {"requests":n,"latency_us":{...}}.
std::string to_json(const Histogram& latency);

/// "VALID: 123456 requests in 5.0 s, 24691/s, p50 38.1 us, ..."
std::string to_line(const Plan& plan, const Outcome& outcome,
                    const std::string& fault);

}  // namespace load
