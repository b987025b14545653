// Ranks that talk by MPI (MPI: A Message-Passing Interface Standard, 3.1,
// chapter 5, collective operations): mpirun starts one on each host.

#include <mpi.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>

#include "bench/load/ranks.hpp"
#include "net/clock.hpp"

namespace load {
namespace {

/// A rank that has not come by then does not come. Warming up takes 2 s, and
/// 10 000 connections some more.
constexpr Nanoseconds patience = 30'000'000'000;
constexpr Nanoseconds nap = 1'000'000;

/// Nothing here blocks inside of MPI, which waits without sleeping, and for
/// ever: who waits may have to share the CPU with a generator that measures
/// still, and the host of another one may be gone.
class MpiRanks final : public Ranks {
 public:
  MpiRanks() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    int number = 0, count = 1, length = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &number);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    std::array<char, MPI_MAX_PROCESSOR_NAME> host;
    MPI_Get_processor_name(host.data(), &length);
    rank_ = {static_cast<std::uint32_t>(number),
             static_cast<std::uint32_t>(count),
             std::string(host.data(), static_cast<std::size_t>(length))};
  }

  // mpirun ends the others if one of them goes without MPI_Finalize.
  ~MpiRanks() override {
    if (is_complete_ || rank_.count == 1) MPI_Finalize();
  }

  const Rank& rank() const override { return rank_; }

  std::uint64_t first_of(std::uint64_t number) override {
    MPI_Request request;
    MPI_Ibcast(&number, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD, &request);
    await(request, nap);
    return number;
  }

  std::optional<bool> agree(bool ready) override {
    if (!asked_) {
      ready_ = ready;
      MPI_Iallreduce(&ready_, &all_ready_, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD,
                     &agreement_);
      asked_ = net::now();
    }
    if (!is_done(agreement_, *asked_)) return std::nullopt;
    // They look a millisecond apart, and leave the barrier microseconds apart.
    MPI_Request barrier;
    MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    await(barrier, 0);
    return all_ready_ != 0;
  }

  std::optional<Sum> add(const Tally& tally, const std::string& text) override {
    Sum sum{{reduce(tally.sums, MPI_UINT64_T, MPI_SUM),
             reduce(tally.least, MPI_INT64_T, MPI_MIN),
             reduce(tally.greatest, MPI_INT64_T, MPI_MAX)},
            gather(text)};
    is_complete_ = true;
    if (rank_.number != 0) return std::nullopt;
    return sum;
  }

 private:
  bool is_done(MPI_Request& request, Nanoseconds since) const {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (!done && net::now() - since > patience)
      throw std::runtime_error("rank " + std::to_string(rank_.number) + " (" +
                               rank_.host + "): no word of the others for " +
                               std::to_string(patience / 1'000'000'000) + " s");
    return done != 0;
  }

  void await(MPI_Request& request, Nanoseconds pause) const {
    const timespec time = net::to_timespec(pause);
    const Nanoseconds since = net::now();
    while (!is_done(request, since))
      if (pause != 0) ::nanosleep(&time, nullptr);
  }

  template <class Number>
  std::vector<Number> reduce(const std::vector<Number>& mine, MPI_Datatype type,
                             MPI_Op operation) const {
    std::vector<Number> all(mine.size());
    MPI_Request request;
    MPI_Ireduce(mine.data(), all.data(), static_cast<int>(mine.size()), type,
                operation, 0, MPI_COMM_WORLD, &request);
    await(request, nap);
    return all;
  }

  // How long each text is, then all of them, one behind the other.
  std::vector<std::string> gather(const std::string& text) const {
    const int length = static_cast<int>(text.size());
    std::vector<int> lengths(rank_.count), begins(rank_.count);
    MPI_Request request;
    MPI_Igather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0,
                MPI_COMM_WORLD, &request);
    await(request, nap);
    std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
    std::string all(static_cast<std::size_t>(begins.back() + lengths.back()),
                    '\0');
    MPI_Igatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(),
                 begins.data(), MPI_CHAR, 0, MPI_COMM_WORLD, &request);
    await(request, nap);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < lengths.size(); ++i)
      texts.push_back(all.substr(static_cast<std::size_t>(begins[i]),
                                 static_cast<std::size_t>(lengths[i])));
    return texts;
  }

  Rank rank_;
  int ready_ = 0, all_ready_ = 0;
  std::optional<Nanoseconds> asked_;
  MPI_Request agreement_ = MPI_REQUEST_NULL;
  bool is_complete_ = false;
};

}  // namespace

std::unique_ptr<Ranks> join() { return std::make_unique<MpiRanks>(); }

}  // namespace load
