#pragma once
// Generators on several hosts that measure as one, called ranks as in MPI. Each
// takes its share of the plan, all begin to measure at the same moment, and
// what they have seen is added up. Only mpi.cpp knows by what they talk.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/generator.hpp"
#include "bench/load/options.hpp"

namespace load {

/// One of them.
struct Rank {
  std::uint32_t number = 0;  // below count
  std::uint32_t count = 1;
  std::string host = {};  // as it calls itself
};

/// What one of them does of all that is asked for: its part of the connections,
/// and of the rate as much; the flooder is the first one's. No two connections
/// of any ranks have the same number, so that an answer to another rank's
/// request is known to be wrong. Throws std::invalid_argument if there are more
/// ranks than connections.
Options share(const Options& whole, const Rank& rank);
/// The plan alone. Threads are shared among as ranks are: those of all ranks
/// are numbered through.
Plan share(const Plan& whole, const Rank& rank);

/// An outcome without its words, as arrays that are to be reduced place by
/// place: of the tallies of several the sums, the least and the greatest values
/// are those of an outcome that has all their samples, to the last bit.
struct Tally {
  std::vector<std::uint64_t> sums;
  std::vector<std::int64_t> least, greatest;
};
Tally to_tally(const Outcome& outcome);
/// Throws std::invalid_argument if the tally is not made of any.
Outcome to_outcome(const Tally& tally);

/// What was seen by several that asked side by side, as if one had seen it. Of
/// errors the cause is told, and not that others ended because of it.
Outcome merge(const std::vector<Outcome>& all);
/// Why one of them ends that could have gone on.
inline constexpr const char* another_has_ended = "another thread has ended";

/// How ranks talk. All calls come from one thread, and from the same one in
/// which join() was called.
class Ranks {
 public:
  /// Of one that leaves before it has added its tally, the others hear.
  virtual ~Ranks() = default;
  virtual const Rank& rank() const = 0;
  /// What the first one has.
  virtual std::uint64_t first_of(std::uint64_t number) = 0;
  /// Tells the others whether this one can measure; later calls only ask.
  /// Nothing until all have told, then whether all can, at the same moment
  /// everywhere. Does not block for longer than they are apart. Throws
  /// std::runtime_error if they do not come.
  virtual std::optional<bool> agree(bool ready) = 0;
  struct Sum {
    Tally tally;
    std::vector<std::string> texts;  // by rank
  };
  /// The sum of all tallies and everybody's text for the first one, nothing for
  /// the others. Blocks; throws as agree().
  virtual std::optional<Sum> add(const Tally& tally,
                                 const std::string& text) = 0;
};

/// What the program is linked with: alone.cpp or mpi.cpp.
std::unique_ptr<Ranks> join();

/// Why a rank ends that could have measured.
inline constexpr const char* others_are_not_ready = "another rank is not ready";

/// What all have seen together.
struct Whole {
  Outcome outcome;
  std::string fault;  // the first rank's that has one
  std::vector<std::string> ranks =
      {};  // their objects, where there are several
};

/// Nothing for any but the first rank. `object` is to_json() of this one.
std::optional<Whole> add_up(Ranks& ranks, const Outcome& mine,
                            const std::string& fault,
                            const std::string& object);

}  // namespace load
