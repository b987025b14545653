#include "bench/load/report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

namespace load {
namespace {

/// Enough for a curve, denser where it bends.
constexpr std::array<double, 20> curve{0,  5,    10,   20,    30,    40,    50,
                                       60, 70,   75,   80,    85,    90,    95,
                                       99, 99.5, 99.9, 99.95, 99.99, 99.999};

template <class... Numbers>
std::string format(const char* pattern, Numbers... numbers) {
  std::array<char, 256> text;
  std::snprintf(text.data(), text.size(), pattern, numbers...);
  return text.data();
}

std::string microseconds(std::int64_t ns) {
  return format("%.3f", static_cast<double>(ns) / 1e3);
}

std::string seconds(std::int64_t ns) {
  return format("%.3f", static_cast<double>(ns) / 1e9);
}

/// A percentile with less than ten samples beyond it says little of the next
/// run: it is left out.
std::string percentile(const Histogram& histogram, double percentile) {
  const auto value = histogram.reported(percentile);
  return value ? microseconds(std::min(*value, histogram.max())) : "null";
}

/// For people.
std::string shown(const Histogram& histogram, double value) {
  return histogram.reported(value) ? percentile(histogram, value) : "-";
}

std::string name_of(double percentile) { return format("p%g", percentile); }

std::string figures(const Histogram& histogram) {
  std::string text = "{";
  for (const double value : percentiles)
    text += '"' + name_of(value) + "\":" + percentile(histogram, value) + ',';
  const bool empty = histogram.count() == 0;
  return text + "\"max\":" + (empty ? "null" : microseconds(histogram.max())) +
         '}';
}

/// {"p50":[38.1,38.4],...}, null where the samples do not suffice.
std::string intervals(const Findings& findings) {
  std::string text;
  for (std::size_t i = 0; i < percentiles.size(); ++i) {
    const auto& found = findings.intervals[i];
    text += (i == 0 ? "{\"" : ",\"") + name_of(percentiles[i]) + "\":";
    text += !found ? "null"
                   : '[' + microseconds(found->low_ns) + ',' +
                         microseconds(found->high_ns) + ']';
  }
  return text + '}';
}

/// [[50, 38.100], ..., [100, greatest]], as far as there are samples beyond.
std::string pairs(const Histogram& histogram) {
  if (histogram.count() == 0) return "[]";
  std::string text = "[";
  for (const double value : curve)
    if (histogram.reported(value))
      text += format("[%g,", value) + percentile(histogram, value) + "],";
  return text + "[100," + microseconds(histogram.max()) + "]]";
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < ' ' || byte > '~') {
      result += format("\\u%04x", byte);
    } else {
      if (letter == '"' || letter == '\\') result += '\\';
      result += letter;
    }
  }
  return result + '"';
}

std::string list_of(const std::vector<std::string>& objects) {
  std::string text;
  for (const std::string& object : objects)
    text += (text.empty() ? "" : ",") + object;
  return '[' + text + ']';
}

/// The plan's part of the object.
std::string describe(const Plan& plan, const Setting& setting) {
  std::vector<std::string> commands;
  for (const std::string& command : setting.commands)
    commands.push_back(quoted(command));
  std::string text = ",\"target\":" + quoted(plan.address);
  if (plan.is_open()) {
    const bool poisson = plan.arrivals == Arrivals::poisson;
    text += ",\"mode\":\"open\",\"arrivals\":";
    text += poisson ? "\"poisson\"" : "\"fixed\"";
    text += format(",\"offered\":%.3f", plan.rate);
  } else {
    text += ",\"mode\":\"closed\",\"arrivals\":null,\"offered\":null";
  }
  text +=
      format(",\"connections\":%u,\"depth\":%u", plan.connections, plan.depth);
  return text + ",\"command\":" + list_of(commands) +
         ",\"seed\":" + std::to_string(plan.seed);
}

double per_second(const Outcome& outcome) {
  if (outcome.measuring <= 0) return 0;
  return static_cast<double>(outcome.completed) * 1e9 /
         static_cast<double>(outcome.measuring);
}

double cpu_per_request(const Outcome& outcome) {
  if (outcome.completed == 0) return 0;
  return static_cast<double>(outcome.cpu) / 1e3 /
         static_cast<double>(outcome.completed);
}

double share(Nanoseconds part, Nanoseconds whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// What a thread took of a CPU: on average, or the one that took most, which
/// limits although others have time.
double cpu_share(const Outcome& outcome) {
  if (outcome.measuring <= 0) return 0;
  return std::max(
      share(outcome.cpu, outcome.measuring) / static_cast<double>(outcome.cpus),
      share(outcome.busiest, outcome.measuring));
}

/// How late an open load may send: 100 us are what a timer and the way back to
/// a CPU may take; where the server is slower, a tenth of its latency.
Nanoseconds allowed_lag(const Outcome& outcome, double percentile) {
  return std::max<Nanoseconds>(100'000,
                               outcome.latency.value_at(percentile) / 10);
}

std::string find_delay(const Outcome& outcome) {
  const double delayed = share(outcome.delayed, outcome.measuring);
  if (delayed <= 0.05) return "";
  return format("the generator waited for its CPU for %.0f %% of the time",
                100 * delayed);
}

/// An open load spends the time until the next request awake.
std::string find_work(const Plan& plan, const Outcome& outcome) {
  const double busy = cpu_share(outcome);
  if (plan.is_open() || busy <= 0.97) return "";
  return format(
      "%s took %.0f %% of a CPU: it may be what limits",
      outcome.threads == 1 ? "the generator" : "a thread of the generator",
      100 * busy);
}

std::string find_lag(const Plan& plan, const Outcome& outcome) {
  const Nanoseconds lag = outcome.lag.value_at(99);
  if (plan.is_open()) {
    const Nanoseconds allowed = allowed_lag(outcome, 99);
    if (lag > allowed)
      return "1 % of the requests went more than " + microseconds(lag) +
             " us after their time; allowed are " + microseconds(allowed);
    return "";
  }
  // Between two looks at the clock a closed load answers to all whom the last
  // wait named: some milliseconds.
  constexpr Nanoseconds held_up = 8'000'000;
  if (lag > held_up)
    return "the generator was held up: 1 % of its time it was more than " +
           microseconds(lag) + " us late";
  return "";
}

/// A server that stops answering leaves a closed loop without samples of that
/// time, so its percentiles tell of another server. An open one has the silence
/// in its latencies, and so it may last longer; and who is only slow goes on
/// answering to the end.
std::string find_silence(const Plan& plan, const Outcome& outcome) {
  constexpr Nanoseconds noticed = 100'000'000;
  const bool ended_so = outcome.silent_at_end >= plan.patience;
  if (outcome.unanswered != 0 && (!plan.is_open() || ended_so))
    return std::to_string(outcome.unanswered) +
           " requests were not answered: nothing came in the last " +
           seconds(outcome.silent_at_end) + " s";
  const double allowed = plan.is_open() ? 0.25 : 0.1;
  if (outcome.silent > noticed &&
      share(outcome.silent, outcome.measuring) > allowed)
    return "the server was silent for " + seconds(outcome.silent) + " of " +
           seconds(outcome.measuring) + " s, though answers were owed";
  return "";
}

/// Levels at which one run of a thousand is accused wrongly. A server is never
/// wholly the same from second to second, so a trend has to be a large one too.
constexpr double level = 0.001, drift_min = 0.5;

std::string find_gaps(const Findings& found) {
  if (!found.gaps_p || *found.gaps_p >= level) return "";
  return format(
      "its requests did not go as a Poisson schedule has them "
      "(Anderson-Darling, p = %.1g)",
      *found.gaps_p);
}

std::string find_drift(const Findings& found) {
  if (!found.trend || found.trend->p >= level ||
      std::abs(found.trend->drift) < drift_min)
    return "";
  return format(
      "no steady state: from its beginning to its end the median %s "
      "by %.0f %% (Mann-Kendall, p = %.1g)",
      found.trend->drift > 0 ? "rose" : "fell",
      100 * std::abs(found.trend->drift), found.trend->p);
}

/// Whether the server answered what it was asked for as fast as it was asked:
/// no more is owed than one percent, or one request of each connection.
bool kept_up(const Plan& plan, const Outcome& outcome) {
  const std::uint64_t asked = outcome.latency.count();
  const std::uint64_t owed =
      std::max<std::uint64_t>(asked / 100, plan.connections);
  return outcome.completed + owed >= asked;
}

std::string number_or_null(const char* pattern, std::optional<double> number) {
  return number ? format(pattern, *number) : "null";
}

/// Of which of the slowest it may be the cause itself. No verdict is made of so
/// few: one pause of the machine is enough.
std::string lateness(const Outcome& outcome) {
  std::string text;
  if (outcome.lag.reported(99.9) &&
      outcome.lag.value_at(99.9) > allowed_lag(outcome, 99.9))
    text += " p99.9 " + shown(outcome.lag, 99.9);
  if (outcome.lag.max() > allowed_lag(outcome, 100))
    text += " max " + microseconds(outcome.lag.max());
  return text.empty() ? "" : ", sent late:" + text + " us";
}

}  // namespace

std::string find_fault(const Plan& plan, const Outcome& outcome) {
  if (!outcome.first_error.empty()) return outcome.first_error;
  if (outcome.requests == 0 || outcome.measuring <= 0)
    return "nothing was answered";
  if (std::string lag = find_lag(plan, outcome); !lag.empty()) return lag;
  if (std::string why = find_silence(plan, outcome); !why.empty()) return why;
  if (std::string why = find_delay(outcome); !why.empty()) return why;
  if (std::string why = find_work(plan, outcome); !why.empty()) return why;
  if (!outcome.latency.reported(99))
    return format("too few samples for p99: %.0f of 1000",
                  static_cast<double>(outcome.latency.count()));
  if (std::string why = find_gaps(outcome.findings); !why.empty()) return why;
  return find_drift(outcome.findings);
}

std::string find_limit(const Plan& plan, const Outcome& outcome) {
  if (!outcome.first_error.empty() || outcome.completed == 0 ||
      outcome.measuring <= 0)
    return "";
  if (!find_lag(plan, outcome).empty() || !find_delay(outcome).empty() ||
      !find_work(plan, outcome).empty())
    return "load";
  return plan.is_open() && kept_up(plan, outcome) ? "schedule" : "";
}

namespace {

/// How far the numbers can be trusted.
std::string describe(const Plan& plan, const Outcome& outcome) {
  const Findings& found = outcome.findings;
  const std::string limit = find_limit(plan, outcome);
  std::string text = ",\"limited_by\":";
  text += limit.empty() ? "null" : quoted(limit);
  text += ",\"effective_n\":";
  text += found.effective_n ? std::to_string(*found.effective_n) : "null";
  text += ",\"intervals_us\":" + intervals(found);
  text += ",\"gaps_p\":" + number_or_null("%.3g", found.gaps_p);
  text += ",\"stationarity_p\":";
  text += found.trend ? format("%.3g", found.trend->p) : "null";
  text += ",\"threads\":" + std::to_string(outcome.threads);
  return text + format(",\"cpu_share\":%.3f", cpu_share(outcome));
}

}  // namespace

std::string to_json(const Plan& plan, const Setting& setting,
                    const Outcome& outcome, const std::string& fault) {
  std::string text = "{\"verdict\":";
  text += fault.empty() ? "\"VALID\"" : "\"INVALID\"";
  text += ",\"reason\":" + quoted(fault);
  if (!setting.host.empty()) text += ",\"host\":" + quoted(setting.host);
  text += ",\"client\":" + quoted(setting.client);
  text += describe(plan, setting);
  text += ",\"connect_s\":" + seconds(outcome.connecting);
  text += ",\"warmup_s\":" + seconds(outcome.warming);
  text += ",\"duration_s\":" + seconds(outcome.measuring);
  text += ",\"requests\":" + std::to_string(outcome.requests);
  text += ",\"errors\":" + std::to_string(outcome.errors);
  text += ",\"wrong\":" + std::to_string(outcome.wrong);
  text += ",\"unanswered\":" + std::to_string(outcome.unanswered);
  text += ",\"flooder_requests\":" + std::to_string(outcome.flooded);
  text += ",\"slow_ended\":" + std::to_string(outcome.slow_ended);
  text += format(",\"rate\":%.3f", per_second(outcome));
  text += describe(plan, outcome);
  text += ",\"latency_us\":" + figures(outcome.latency);
  text += ",\"percentiles_us\":" + pairs(outcome.latency);
  text += ",\"naive_us\":" + figures(outcome.naive);
  text += ",\"send_lag_us\":" + figures(outcome.lag);
  text += ",\"first_error\":" + quoted(outcome.first_error);
  text += format(",\"cpu_us_per_request\":%.4f", cpu_per_request(outcome));
  if (!setting.ranks.empty()) text += ",\"ranks\":" + list_of(setting.ranks);
  return text + '}';
}

std::string to_json(const Histogram& latency) {
  return "{\"requests\":" + std::to_string(latency.count()) +
         ",\"latency_us\":" + figures(latency) +
         ",\"percentiles_us\":" + pairs(latency) + '}';
}

std::string to_line(const Plan& plan, const Outcome& outcome,
                    const std::string& fault) {
  std::string text = fault.empty() ? "VALID: " : "INVALID (" + fault + "): ";
  text += std::to_string(outcome.requests) + " requests in " +
          seconds(outcome.measuring) + " s";
  if (plan.is_open()) text += format(", offered %.0f/s", plan.rate);
  text += format(", %.0f/s", per_second(outcome));
  for (const double value : percentiles) {
    text += ", " + name_of(value) + ' ' + shown(outcome.latency, value);
    if (plan.is_open()) text += " (naive " + shown(outcome.naive, value) + ')';
  }
  text += ", max " + microseconds(outcome.latency.max()) + " us";
  if (plan.is_open()) text += lateness(outcome);
  if (outcome.unanswered)
    text += ", unanswered " + std::to_string(outcome.unanswered);
  if (outcome.errors) text += ", errors " + std::to_string(outcome.errors);
  return text + format("; %.2f us of CPU each", cpu_per_request(outcome));
}

}  // namespace load
