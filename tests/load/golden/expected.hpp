#pragma once
// Made by expect.mjs with hdr-histogram-js 3.0.1; not edited by hand.

#include <array>
#include <cstdint>

namespace golden {

constexpr std::array<double, 8> percentiles = {0,    50,    90,     99,
                                               99.9, 99.99, 99.999, 100};

struct Expected {
  const char* distribution;
  std::uint64_t count;
  std::array<std::int64_t, 8> values;  // at those percentiles
  std::int64_t max;
  double mean;
  double standard_deviation;
};

// The seed is the place in this list, counted from 1.
// clang-format off
constexpr std::array<Expected, 5> expected = {{
    {"uniform",
     500000,
     {11, 5005311, 8994815, 9904127,
      9994239, 10002431, 10002431, 10002431},
     9999982,
     4998199.447486,
     2885191.498658775},
    {"exponential",
     300007,
     {1, 65439, 222847, 440575,
      655871, 881151, 1072127, 1168383},
     1167517,
     98223.84415363641,
     94673.03304831679},
    {"log_normal",
     400000,
     {3606, 65599, 168959, 341759,
      524287, 773119, 1005567, 1166335},
     1165856,
     86588.9868475,
     66777.51098230554},
    {"bimodal",
     250001,
     {20000, 22783, 5013503, 5906431,
      5992447, 6000639, 6000639, 6000639},
     5999997,
     576422.5133179467,
     1654565.2950655671},
    {"outliers",
     1000000,
     {24992, 25007, 25007, 25007,
      25007, 34393292799, 68786585599, 68786585599},
     68719476736,
     8203145.376264,
     605133825.9210773},
}};
// clang-format on

}  // namespace golden
