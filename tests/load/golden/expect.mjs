// Writes expected.hpp: what HdrHistogram says of five distributions.
//
//   npm install hdr-histogram-js@3.0.1    (in a folder of your own)
//   cp expect.mjs there, and there: node expect.mjs > .../golden/expected.hpp
//
// The samples are made with integers only (splitmix64; logarithms and powers by
// straight lines between the powers of two), so that histogram_test.cpp makes
// the very same ones and no mathematical library has a say. Each distribution
// has the same name and the same steps there.

import * as hdr from "hdr-histogram-js";

const mask = (1n << 64n) - 1n;

class Random {
  constructor(seed) { this.state = seed; }
  next() {
    this.state = (this.state + 0x9e3779b97f4a7c15n) & mask;
    let z = this.state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    return z ^ (z >> 31n);
  }
}

function uniform(random) { return 1n + (random.next() % 10_000_000n); }

// -log2 of a uniform number, with 16 bits behind the point.
function exponential(random) {
  const bits = random.next() | 1n;
  const zeros = BigInt(64 - bits.toString(2).length);
  const fraction = ((bits << (zeros + 1n)) & mask) >> 48n;
  return ((zeros + 1n) << 16n) - fraction;
}

// The sum of twelve uniform numbers is nearly normal; 2 to that power.
function log_normal(random) {
  let power = 10n << 16n;
  for (let i = 0; i < 3; ++i) {
    const bits = random.next();
    for (let shift = 0n; shift < 64n; shift += 16n)
      power += (bits >> shift) & 0xffffn;
  }
  return ((0x10000n + (power & 0xffffn)) << (power >> 16n)) >> 16n;
}

function bimodal(random) {
  const slow = random.next() % 10n === 0n;
  const bits = random.next();
  return slow ? 5_000_000n + (bits % 1_000_000n) : 20_000n + (bits % 5_000n);
}

function outliers(random) {
  const bits = random.next();
  return bits % 1000n === 0n ? 1n << (20n + ((bits >> 32n) % 17n)) : 25_000n;
}

// At some of these counts the rank is whole, where rounding tells; at others
// it is not.
const distributions = [
  [uniform, 500_000], [exponential, 300_007], [log_normal, 400_000],
  [bimodal, 250_001], [outliers, 1_000_000]];

const rows = distributions.map(([next, count], seed) => {
  const histogram = hdr.build({
    lowestDiscernibleValue: 1, highestTrackableValue: 2 ** 36,
    numberOfSignificantValueDigits: 3, bitBucketSize: 64,
    useWebAssembly: false});
  const random = new Random(BigInt(seed + 1));
  for (let i = 0; i < count; ++i) histogram.recordValue(Number(next(random)));
  const values = [0, 50, 90, 99, 99.9, 99.99, 99.999, 100].map(
    (percentile) => histogram.getValueAtPercentile(percentile));
  return `    {"${next.name}",
     ${count},
     {${values.slice(0, 4).join(", ")},
      ${values.slice(4).join(", ")}},
     ${histogram.maxValue},
     ${histogram.mean},
     ${histogram.stdDeviation}},`;
});

process.stdout.write(`#pragma once
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
constexpr std::array<Expected, ${rows.length}> expected = {{
${rows.join("\n")}
}};
// clang-format on

}  // namespace golden
`);
